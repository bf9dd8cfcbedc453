"""Downloads: from the first mirror that gives the file whole, into a folder where nothing half-written ever stays."""

import errno
import hashlib
import os
import socket

import pooch
import pytest

from fastcnn.datasets.sources import data_folder as the_data_folder
from fastcnn.datasets.sources import fetch

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_environment_names_the_data_folder(data_folder):
    assert the_data_folder() == data_folder


def test_without_it_the_data_folder_is_in_the_user_s_cache(monkeypatch):
    monkeypatch.delenv("FASTCNN_DATA", raising=False)
    assert the_data_folder() == pooch.os_cache("fastcnn")


def test_downloads_from_the_first_mirror(server, data_folder):
    server.files["/a/x.gz"] = CONTENT
    fetch(data_folder / "mnist/x.gz", [f"{server.url}/a/x.gz", f"{server.url}/b/x.gz"], SHA256)
    assert (data_folder / "mnist/x.gz").read_bytes() == CONTENT
    assert server.requests == ["/a/x.gz"]
    assert files_under(data_folder) == ["mnist/x.gz"]


@pytest.mark.parametrize("fault", ["missing", "other bytes", "cut short"])
def test_goes_on_to_the_next_mirror(server, data_folder, fault):
    server.files["/b/x.gz"] = CONTENT
    if fault != "missing":
        server.files["/a/x.gz"] = CONTENT if fault == "cut short" else CONTENT[:-1] + b"?"
        server.cut.add("/a/x.gz" if fault == "cut short" else "")
    fetch(data_folder / "x.gz", [f"{server.url}/a/x.gz", f"{server.url}/b/x.gz"], SHA256)
    assert server.requests == ["/a/x.gz", "/b/x.gz"]
    assert (data_folder / "x.gz").read_bytes() == CONTENT
    assert files_under(data_folder) == ["x.gz"]


def test_names_what_each_mirror_answered_and_keeps_nothing(server, data_folder):
    with socket.socket() as closed:  # bound and not listening: refuses
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/x.gz"
        server.files["/wrong"] = b"<html>"
        with pytest.raises(ConnectionError) as caught:
            fetch(data_folder / "x.gz", [f"{server.url}/none", f"{server.url}/wrong", dead], SHA256)
    message = str(caught.value)
    for part in ("could not download x.gz", "/none: 404", "/wrong: SHA256 hash", "refused", str(data_folder / "x.gz")):
        assert part in message
    assert "FASTCNN_DATA" in message
    assert files_under(data_folder) == []


def test_keeps_a_complete_download_that_is_already_there(server, data_folder):
    data_folder.mkdir()
    (data_folder / "x.gz").write_bytes(CONTENT)
    fetch(data_folder / "x.gz", [f"{server.url}/x.gz"], SHA256)
    assert server.requests == []


@pytest.mark.parametrize("code", [errno.ENOSPC, None])
def test_a_folder_that_cannot_be_written_is_named(server, data_folder, monkeypatch, code):
    def refuse(*_):
        # pooch reports a read-only folder without a number
        raise OSError(code, os.strerror(code)) if code else PermissionError("pooch could not write")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", refuse)
    with pytest.raises(OSError, match=r"nothing was kept of the download.*x\.gz") as caught:
        fetch(data_folder / "x.gz", [f"{server.url}/x.gz"], SHA256)
    assert caught.value.errno == (code or errno.EACCES)
    assert files_under(data_folder) == []


def test_shows_progress_on_a_terminal_only(server, data_folder, monkeypatch, capsys):
    server.files["/x"] = CONTENT
    fetch(data_folder / "plain", [f"{server.url}/x"], SHA256)
    assert "256.0/256.0 kB" not in capsys.readouterr().err
    monkeypatch.setenv("FORCE_COLOR", "1")
    fetch(data_folder / "bar", [f"{server.url}/x"], SHA256)
    assert "256.0/256.0 kB" in capsys.readouterr().err

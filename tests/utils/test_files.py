"""write_atomically: the whole new file, or what was there before, and never anything beside it."""

import errno
import os
from pathlib import Path

import pytest

from fastcnn.utils.files import write_atomically


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"old")
    return path


def assert_untouched(old: Path) -> None:
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


def test_writes_bytes(tmp_path):
    write_atomically(tmp_path / "new", b"\x00\xff")
    assert (tmp_path / "new").read_bytes() == b"\x00\xff"
    assert os.listdir(tmp_path) == ["new"]


def test_replaces_with_what_a_callback_writes(old):
    write_atomically(str(old), lambda stream: [stream.write(b"a"), stream.write(b"b")])
    assert old.read_bytes() == b"ab"
    assert list(old.parent.iterdir()) == [old]


def test_the_old_file_is_there_until_the_new_one_is_whole(old):
    def content(stream):
        stream.write(b"new")
        stream.flush()
        assert old.read_bytes() == b"old"

    write_atomically(old, content)
    assert old.read_bytes() == b"new"


def test_is_on_the_disk_before_it_takes_the_name(old, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), real_fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), real_replace(a, b)))
    write_atomically(old, b"new")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(old, monkeypatch, where):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where != "write":
        monkeypatch.setattr(os, where, full)
    with pytest.raises(OSError, match=r"No space left on device.*unchanged.*weights\.bin") as caught:
        write_atomically(old, full if where == "write" else b"new")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(old)
    assert_untouched(old)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full exists on Linux only")
def test_the_system_s_own_full_device_says_the_same(old):
    def content(stream):
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(stream.name.encode())

    with pytest.raises(OSError, match=r"weights\.bin") as caught:
        write_atomically(old, content)
    assert caught.value.errno == errno.ENOSPC
    assert_untouched(old)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whatever_else_stops_the_callback_passes_unchanged(old, error):
    def content(stream):
        stream.write(b"half")
        raise error("stop")

    with pytest.raises(error, match=r"^stop$"):
        write_atomically(old, content)
    assert_untouched(old)


def test_an_error_of_another_file_keeps_that_file_s_name(old, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(old, lambda stream: stream.write((tmp_path / "source").read_bytes()))
    assert caught.value.filename == str(tmp_path / "source")
    assert_untouched(old)


def test_names_the_file_whose_folder_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/weights\.bin"):
        write_atomically(tmp_path / "nowhere" / "weights.bin", b"new")
    assert os.listdir(tmp_path) == []


def test_refuses_to_replace_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"):
        write_atomically(tmp_path / "folder", b"new")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_link_stays_a_link(old, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(old)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert old.read_bytes() == b"new"

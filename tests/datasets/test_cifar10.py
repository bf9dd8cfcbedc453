"""CIFAR-10, the binary version: read where it lies, extracted from the archive where not, damaged files refused."""

import hashlib
import io
import os
import tarfile

import numpy as np
import pytest

from fastcnn.datasets import cifar10

NAMES = [*cifar10.TRAIN, *cifar10.TEST]


@pytest.fixture
def files(monkeypatch):
    """A small CIFAR-10, three records a file: the bytes by the names of the files."""
    monkeypatch.setattr(cifar10, "RECORDS", 3)
    random = np.random.RandomState(0)
    files = {}
    for name in NAMES:
        records = random.randint(0, 256, (3, 3073)).astype(np.uint8)
        records[:, 0] %= 10
        files[name] = records.tobytes()
    return files


@pytest.fixture
def folder(files, data_folder):
    folder = data_folder / cifar10.FOLDER
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def assert_loads(files):
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    assert (x_train.shape, y_train.shape) == ((15, 32, 32, 3), (15, 1))
    assert (x_test.shape, y_test.shape) == ((3, 32, 32, 3), (3, 1))
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    content = b"".join(files[name] for name in cifar10.TRAIN)
    for i, row, column, channel in ((0, 0, 0, 0), (7, 5, 31, 2), (14, 31, 6, 1)):
        assert y_train[i, 0] == content[3073 * i]
        assert x_train[i, row, column, channel] == content[3073 * i + 1 + 1024 * channel + 32 * row + column]
    assert y_test[2, 0] == files["test_batch.bin"][3073 * 2]
    assert x_test[2, 1, 2, 0] == files["test_batch.bin"][3073 * 2 + 1 + 32 + 2]


@pytest.fixture
def archive(files, data_folder, server, monkeypatch):
    """The archive of these files, and of one that wants to get out of its folder, on the server."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in {"../../outside": b"evil", **files}.items():
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    server.files["/cifar.tar.gz"] = stream.getvalue()
    monkeypatch.setattr(cifar10, "URL", f"{server.url}/cifar.tar.gz")
    monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(stream.getvalue()).hexdigest())


def test_reads_the_files_where_they_lie(files, folder):
    assert_loads(files)


def test_downloads_and_extracts_the_six_files_and_nothing_else(files, archive, server, data_folder):
    assert_loads(files)
    assert sorted(p.name for p in data_folder.rglob("*")) == sorted([cifar10.FOLDER, *NAMES])
    assert os.listdir(data_folder.parent) == ["data"]
    assert_loads(files)
    assert len(server.requests) == 1


def test_an_interrupted_extraction_is_completed_without_another_download(files, archive, server, monkeypatch):
    write, written = cifar10.write_atomically, []

    def interrupted(path, content):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(write(path, content))

    monkeypatch.setattr(cifar10, "write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cifar10.load_data()
    monkeypatch.setattr(cifar10, "write_atomically", write)
    assert_loads(files)
    assert len(server.requests) == 1


def test_a_user_s_own_files_are_not_overwritten(files, folder, archive):
    (folder / "data_batch_2.bin").unlink()
    own = bytes([3]) * (3 * 3073)
    (folder / "data_batch_1.bin").write_bytes(own)
    assert_loads(files | {"data_batch_1.bin": own})
    assert (folder / "data_batch_1.bin").read_bytes() == own


@pytest.mark.parametrize("change", [-3073, -1, 1])
def test_a_file_of_another_size(folder, change):
    path = folder / "data_batch_3.bin"
    path.write_bytes((path.read_bytes() + b"\0")[: 3 * 3073 + change])
    message = rf"{path}: expected 9,219 bytes \(3 records of 3,073\), got {3 * 3073 + change:,}; .*good copy"
    with pytest.raises(ValueError, match=message):
        cifar10.load_data()


def test_a_label_out_of_range(folder):
    path = folder / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[3073] = 11
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path}: expected labels 0 .. 9, got 11 in record 1"):
        cifar10.load_data()


@pytest.mark.real_data
def test_the_real_cifar10():
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    assert (x_train.shape, x_test.shape) == ((50_000, 32, 32, 3), (10_000, 32, 32, 3))
    assert np.bincount(y_train[:, 0]).tolist() == [5000] * 10
    assert np.bincount(y_test[:, 0]).tolist() == [1000] * 10
    # The channels' means in the literature, which a JPEG-coded copy keeps too; swapped channels or axes would not.
    np.testing.assert_allclose(x_train.mean((0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=2e-3)

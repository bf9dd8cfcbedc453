"""MNIST and the IDX format: read where it lies, gzipped or not; downloaded where not; damaged files refused."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from fastcnn.datasets import idx, mnist

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def as_idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def arrays(monkeypatch):
    """A small MNIST: the four arrays by the names of their files."""
    monkeypatch.setattr(mnist, "TRAIN", 7)
    monkeypatch.setattr(mnist, "TEST", 3)
    random = np.random.RandomState(0)
    return {
        f"{part}-{kind}-ubyte.gz": random.randint(0, high, shape).astype(np.uint8)
        for part, n in (("train", 7), ("t10k", 3))
        for kind, high, shape in (("images-idx3", 256, (n, 28, 28)), ("labels-idx1", 10, (n,)))
    }


@pytest.fixture
def folder(arrays, data_folder):
    folder = data_folder / "mnist"
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        (folder / name).write_bytes(gzip.compress(as_idx(array)))
    return folder


def assert_loads(arrays):
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    for got, expected in zip((x_train, y_train, x_test, y_test), arrays.values(), strict=True):
        assert got.dtype == np.uint8
        assert got.flags.writeable
        np.testing.assert_array_equal(got, expected)


def test_reads_gzipped_files(arrays, folder):
    assert_loads(arrays)


def test_reads_unpacked_files(arrays, folder):
    for path in list(folder.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert_loads(arrays)


def test_reads_a_file_that_a_browser_unpacked_without_renaming(arrays, folder):
    (folder / IMAGES).write_bytes(as_idx(arrays[IMAGES]))
    assert_loads(arrays)


def test_downloads_what_is_missing_and_only_that(arrays, folder, server, monkeypatch):
    for name in (IMAGES, LABELS):
        content = (folder / name).read_bytes()
        server.files[f"/second/{name}"] = content
        monkeypatch.setitem(mnist.SHA256, name, hashlib.sha256(content).hexdigest())
        (folder / name).unlink()
    monkeypatch.setattr(mnist, "MIRRORS", [f"{server.url}/first", f"{server.url}/second"])
    assert_loads(arrays)
    assert server.requests == [f"/{mirror}/{name}" for name in (IMAGES, LABELS) for mirror in ("first", "second")]
    assert_loads(arrays)
    assert len(server.requests) == 4


def test_labels_out_of_range(arrays, folder):
    labels = arrays[LABELS]
    labels[4] = 10
    (folder / LABELS).write_bytes(gzip.compress(as_idx(labels)))
    with pytest.raises(ValueError, match=rf"{LABELS}: expected labels 0 .. 9, got 10 at position 4; .*good copy"):
        mnist.load_data()


def test_another_number_of_images(arrays, folder):
    (folder / IMAGES).write_bytes(as_idx(arrays[IMAGES][:6]))
    with pytest.raises(ValueError, match=r"expected an array of shape \(7, 28, 28\), got \(6, 28, 28\)"):
        mnist.load_data()


def test_images_where_labels_belong(arrays, folder):
    (folder / LABELS).write_bytes(as_idx(arrays[IMAGES]))
    with pytest.raises(ValueError, match=r"expected the first bytes 00 00 08 01 .* got 00 00 08 03"):
        mnist.load_data()


SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_every_flipped_bit_of_the_header_is_seen(tmp_path):
    path, good = tmp_path / "file", as_idx(SMALL)
    for bit in range(8 * 16):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=f"{path}: expected .* got "):
            idx.read(path, SMALL.shape)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_cut_is_seen(tmp_path, pack):
    path, good = tmp_path / "file", pack(as_idx(SMALL))
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(ValueError, match=f"{path}: expected .* got "):
            idx.read(path, SMALL.shape)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bytes_after_the_end_are_seen(tmp_path, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(as_idx(SMALL) + b"\0"))
    with pytest.raises(ValueError, match=f"{path}: expected 24 bytes of values, got more"):
        idx.read(path, SMALL.shape)


def test_a_flipped_bit_of_a_gzip_file_never_changes_the_values(tmp_path):
    path, good = tmp_path / "file", gzip.compress(as_idx(SMALL), mtime=0)
    refused = 0
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        try:
            values = idx.read(path, SMALL.shape)
        except ValueError:
            refused += 1
        else:
            np.testing.assert_array_equal(values, SMALL)
    assert refused > 8 * (len(good) - 10)  # all but some of the 10 bytes that say when and where it was packed


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        idx.read(tmp_path / "nothing-here", (1,))


@pytest.mark.real_data
def test_the_real_mnist():
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert (x_train.shape, y_train.shape) == ((60_000, 28, 28), (60_000,))
    assert (x_test.shape, y_test.shape) == ((10_000, 28, 28), (10_000,))
    assert y_train[:5].tolist() == [5, 0, 4, 1, 9]
    # LeCun's page and the literature give the mean ink as 0.1307 and its deviation as 0.3081.
    assert x_train.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert x_train.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    # The MD5 of the unpacked official file.
    assert hashlib.md5(as_idx(x_train)).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"

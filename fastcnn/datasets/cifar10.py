"""CIFAR-10: 60,000 colour 32x32 pictures of ten classes (A. Krizhevsky, 2009), the binary version.

A record is 3,073 bytes: the label, then the red, the green and the blue plane, each 32 rows of 32 pixels. Five files
of 10,000 records are for training, one is the test. (The better-known "python version" is pickled, and loading it would
run whatever program it holds: it is not read here.)
"""

import shutil
import tarfile
from pathlib import Path

import numpy as np

from fastcnn.datasets.sources import data_folder, fetch, malformed
from fastcnn.utils.files import write_atomically

RECORDS = 10_000  # in each file
RECORD = np.dtype([("label", np.uint8), ("planes", np.uint8, (3, 32, 32))])
TRAIN, TEST = [f"data_batch_{k}.bin" for k in range(1, 6)], ["test_batch.bin"]
CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FOLDER = "cifar-10-batches-bin"
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """CIFAR-10 as Keras gives it: `(x_train, y_train), (x_test, y_test)`.

    x: uint8 (50000, 32, 32, 3) and (10000, 32, 32, 3), red, green, blue. y: uint8 (50000, 1) and (10000, 1), 0 .. 9,
    in the order of CLASS_NAMES.

    Read from `cifar-10-batches-bin/` in the data folder (FASTCNN_DATA); what is missing there is downloaded.
    Raises ValueError for a damaged file, ConnectionError where a missing one cannot be downloaded.
    """
    folder = data_folder() / FOLDER
    missing = [name for name in TRAIN + TEST if not (folder / name).exists()]
    if missing:
        _download(folder, missing)
    return _read(folder, TRAIN), _read(folder, TEST)


def _read(folder: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    records = np.concatenate([_read_records(folder / name) for name in names])
    return np.ascontiguousarray(records["planes"].transpose(0, 2, 3, 1)), records["label"].reshape(-1, 1).copy()


def _read_records(path: Path) -> np.ndarray:
    expected, size = RECORDS * RECORD.itemsize, path.stat().st_size
    if size != expected:
        raise malformed(path, f"{expected:,} bytes ({RECORDS:,} records of {RECORD.itemsize:,})", f"{size:,}")
    records = np.fromfile(path, RECORD)
    wrong = np.flatnonzero(records["label"] > 9)
    if wrong.size:
        raise malformed(path, "labels 0 .. 9", f"{records['label'][wrong[0]]} in record {wrong[0]}")
    return records


def _download(folder: Path, names: list[str]) -> None:
    archive = folder.parent / "cifar-10-binary.tar.gz"
    fetch(archive, [URL], SHA256)
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for name in names:
            _extract(tar, f"{FOLDER}/{name}", folder / name)
    archive.unlink()


def _extract(tar: tarfile.TarFile, member: str, path: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None  # the archive's checksum vouches for what is in it
    write_atomically(path, lambda stream: shutil.copyfileobj(source, stream))

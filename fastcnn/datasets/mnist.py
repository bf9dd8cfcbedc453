"""MNIST: 70,000 grey 28x28 handwritten digits (Y. LeCun, C. Cortes, C. J. C. Burges, 1998), in four IDX files."""

from pathlib import Path

import numpy as np

from fastcnn.datasets import idx
from fastcnn.datasets.sources import data_folder, fetch, malformed

TRAIN, TEST = 60_000, 10_000
CLASS_NAMES = [str(digit) for digit in range(10)]
MIRRORS = ["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"]
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """MNIST as Keras gives it: `(x_train, y_train), (x_test, y_test)`.

    x: uint8 (60000, 28, 28) and (10000, 28, 28), 0 is paper and 255 is ink. y: uint8 (60000,) and (10000,), 0 .. 9.

    Read from `mnist/` in the data folder (FASTCNN_DATA), each file gzipped or not, and downloaded there where missing.
    Raises ValueError for a damaged file, ConnectionError where a missing one cannot be downloaded.
    """
    return _read_pair("train", TRAIN), _read_pair("t10k", TEST)


def _read_pair(part: str, samples: int) -> tuple[np.ndarray, np.ndarray]:
    x = idx.read(_locate(f"{part}-images-idx3-ubyte.gz"), (samples, 28, 28))
    labels = _locate(f"{part}-labels-idx1-ubyte.gz")
    y = idx.read(labels, (samples,))
    if y.max() > 9:
        raise malformed(labels, "labels 0 .. 9", f"{y.max()} at position {y.argmax()}")
    return x, y


def _locate(name: str) -> Path:
    zipped = data_folder() / "mnist" / name
    for path in (zipped, zipped.with_suffix("")):
        if path.exists():
            return path
    fetch(zipped, [f"{mirror}/{name}" for mirror in MIRRORS], SHA256[name])
    return zipped

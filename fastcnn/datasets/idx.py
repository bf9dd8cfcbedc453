"""The IDX file format (Y. LeCun, http://yann.lecun.com/exdb/mnist): how MNIST's images and labels are stored.

    bytes 0-1  zero
    byte  2    the type of the values; 8 is unsigned bytes, the only one read here
    byte  3    the number of axes
    then       the length of each axis, 4 bytes each, the highest first
    then       the values, the last axis fastest
"""

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastcnn.datasets.sources import malformed

UNSIGNED_BYTES = 8


def read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The uint8 array of this shape in an IDX file, gzipped or not (its first bytes tell, not its name).

    Raises ValueError where the file is anything else, a byte shorter or longer included; OSError where it cannot be
    read.
    """
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return _parse(path, file, shape)
        try:
            with gzip.open(file) as stream:
                return _parse(path, stream, shape)  # type: ignore[arg-type]
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise malformed(path, "a whole gzip file", str(error)) from error


def _parse(path: Path, stream: BinaryIO, shape: tuple[int, ...]) -> np.ndarray:
    magic = bytes([0, 0, UNSIGNED_BYTES, len(shape)])
    got = stream.read(4)
    if got != magic:
        expected = f"the first bytes {magic.hex(' ')} (IDX, unsigned bytes, axes: {len(shape)})"
        raise malformed(path, expected, got.hex(" ") or "an empty file")
    lengths = stream.read(4 * len(shape))
    axes = tuple(int(n) for n in np.frombuffer(lengths[: len(lengths) // 4 * 4], ">u4"))
    if axes != shape:
        raise malformed(path, f"an array of shape {shape}", f"{axes}")
    size = int(np.prod(shape))
    values = stream.read(size + 1)  # one more, to see what should not be there
    if len(values) != size:
        raise malformed(path, f"{size:,} bytes of values", "more" if len(values) > size else f"{len(values):,}")
    return np.frombuffer(values, np.uint8).reshape(shape).copy()

"""A data set in one .npz file, as `numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)` writes it."""

import os
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

KEYS = ("x_train", "y_train", "x_test", "y_test")


def load_data(path: str | os.PathLike[str]) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The four arrays of the file, as they are: `(x_train, y_train), (x_test, y_test)`.

    x_train (n, ...) and x_test (m, ...) hold numbers, n >= 1 and m >= 1, with the same axes after the first; y_train
    and y_test have n and m entries. Other arrays in the file are left alone, and nothing pickled is ever loaded.

    Raises FileNotFoundError, or ValueError for a file that is not so, naming it and what was found.
    """
    arrays = _read(Path(path))
    for part in ("train", "test"):
        _check_part(path, part, arrays[f"x_{part}"], arrays[f"y_{part}"])
    x_train, x_test = arrays["x_train"], arrays["x_test"]
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(
            f"{path}: expected x_train and x_test with the same shape after the first axis, "
            f"got {x_train.shape} and {x_test.shape}"
        )
    return (x_train, arrays["y_train"]), (x_test, arrays["y_test"])


def _read(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        try:
            return _arrays(file)
        except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path}: expected a whole .npz file with {', '.join(KEYS)}; {error}") from error


def _arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    # NumPy alone stops reading an array before the place where its checksum would be compared.
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
    if damaged:
        raise ValueError(f"its part {damaged} is damaged (wrong checksum)")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        missing = [key for key in KEYS if key not in arrays]
        if missing:
            raise ValueError(f"it has no {', '.join(missing)}, but {', '.join(arrays.files) or 'nothing'}")
        return {key: arrays[key] for key in KEYS}


def _check_part(path: str | os.PathLike[str], part: str, x: np.ndarray, y: np.ndarray) -> None:
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"{path}: expected x_{part} and y_{part} with one entry for each sample, at least one, "
            f"got shapes {x.shape} and {y.shape}"
        )
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{path}: expected real numbers in x_{part}, got {x.dtype}")
    if not np.isfinite(x).all():
        raise ValueError(f"{path}: expected finite numbers in x_{part}, got NaN or infinity; replace them first")

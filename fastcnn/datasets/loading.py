"""Any data set in one form, by name or path: `load("mnist")`, `load("pictures/")` -> `Dataset`."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastcnn.datasets import cifar10, digits, folder, mnist, npz
from fastcnn.utils.suggest import unknown

MODULES = {"digits": digits, "mnist": mnist, "cifar10": cifar10}


@dataclass(frozen=True)
class Dataset:
    """Pictures of classes, divided into a train and a test part.

    x_train, x_test: (n, height, width, channels), uint8 from 0 to 255, to be divided by 255; or float32 (an .npz file
        of floats), to be used as they are.
    y_train, y_test: int64 (n,), the index of the class in class_names.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: list[str]


def load(name_or_path: str | os.PathLike[str]) -> Dataset:
    """The data set of this name, or in the .npz file or folder of pictures at this path.

    "digits" (8x8, its values 0 .. 16 stretched to 0 .. 255), "mnist", "cifar10": see the modules of these names.
    An .npz file: see `npz.load_data`; its x have 3 axes (one channel) or 4, its y are integers from 0.
    A folder: see `folder.load_data`; in colour, 32x32, a fifth of each class is the test. (One that is itself called
    "mnist" is "./mnist".)

    Raises ValueError for an unknown name or for data that are not so, FileNotFoundError for a path to nothing.
    """
    name = os.fspath(name_or_path)
    if name in MODULES:
        return _from_module(name)
    path = Path(name).expanduser()
    if path.is_dir():
        train, test, class_names = folder.load_data(path)
        return Dataset(path.resolve().name, *train, *test, class_names)
    if path.is_file():
        return _from_npz(path)
    if len(path.parts) > 1 or path.suffix == ".npz":
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    raise unknown("data set", name, [*MODULES, "an .npz file", "a folder of pictures"])


def _from_module(name: str) -> Dataset:
    module = MODULES[name]
    (x_train, y_train), (x_test, y_test) = module.load_data()
    if name == "digits":
        x_train, x_test = (np.rint(x * (255 / 16)).astype(np.uint8) for x in (x_train, x_test))
    train = _with_channels(x_train), y_train.ravel().astype(np.int64)
    test = _with_channels(x_test), y_test.ravel().astype(np.int64)
    return Dataset(name, *train, *test, module.CLASS_NAMES)


def _from_npz(path: Path) -> Dataset:
    (x_train, y_train), (x_test, y_test) = npz.load_data(path)
    train = _pictures(path, "x_train", x_train), _labels(path, "y_train", y_train)
    test = _pictures(path, "x_test", x_test), _labels(path, "y_test", y_test)
    classes = 1 + max(train[1].max(), test[1].max())
    return Dataset(path.stem, *train, *test, [str(k) for k in range(classes)])


def _pictures(path: Path, key: str, x: np.ndarray) -> np.ndarray:
    if x.ndim not in (3, 4) or 0 in x.shape:
        raise ValueError(
            f"{path}: expected pictures in {key}, of shape (n, height, width) or (n, height, width, channels), "
            f"got {x.shape}; reshape them"
        )
    if x.dtype.kind == "f":
        return _with_channels(x.astype(np.float32))
    if x.min() < 0 or x.max() > 255:
        raise ValueError(
            f"{path}: expected integers from 0 to 255 (or floats) in {key}, got {x.min()} to {x.max()}; "
            "scale them, or store them as float32"
        )
    return _with_channels(x.astype(np.uint8))


def _labels(path: Path, key: str, y: np.ndarray) -> np.ndarray:
    if y.dtype.kind not in "iu" or y.shape not in ((len(y),), (len(y), 1)):
        hint = "; one-hot labels become integers with y.argmax(axis=1)" if y.ndim == 2 else ""
        raise ValueError(f"{path}: expected one integer a picture in {key}, got {y.dtype} of shape {y.shape}{hint}")
    if y.min() < 0:
        raise ValueError(f"{path}: expected labels from 0 in {key}, got {y.min()}; number the classes 0, 1, 2, ...")
    return y.ravel().astype(np.int64)


def _with_channels(x: np.ndarray) -> np.ndarray:
    return x if x.ndim == 4 else x[..., np.newaxis]

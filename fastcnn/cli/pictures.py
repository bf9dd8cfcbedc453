"""A data set as a network takes it: a limit, a share for validation, numbers from 0 to 1."""

import hashlib
from typing import Any, NamedTuple

import numpy as np

from fastcnn.cli.recipes import Options
from fastcnn.datasets import Dataset
from fastcnn.utils import train_test_split

Pictures = tuple[np.ndarray, np.ndarray]
"""Float32 (n, height, width, channels) and int64 labels (n,)."""


class Parts(NamedTuple):
    """Three parts that share no picture; validation is None where its share is 0."""

    train: Pictures
    validation: Pictures | None
    test: Pictures


def scaled(x: np.ndarray) -> np.ndarray:
    """uint8 from 0 to 255 as float32 from 0 to 1; floats as they are."""
    return x if x.dtype == np.float32 else np.divide(x, np.float32(255), dtype=np.float32)


def divided(data: Dataset, options: Options) -> Parts:
    """The parts that the options ask for. They do not depend on the seed, so that runs that differ in it can be compared."""
    rows = _limited(len(data.x_train), options.limit)
    held_out = None
    if options.validation_split:
        rows, held_out = train_test_split(rows, test_size=options.validation_split, random_state=0)
    train = scaled(data.x_train[rows]), data.y_train[rows]
    validation = None if held_out is None else (scaled(data.x_train[held_out]), data.y_train[held_out])
    return Parts(train, validation, tested(data, options.limit))


def tested(data: Dataset, limit: int | None) -> Pictures:
    """The test part, or `limit` pictures of it."""
    rows = _limited(len(data.x_test), limit)
    return scaled(data.x_test[rows]), data.y_test[rows]


def facts(data: Dataset) -> dict[str, Any]:
    """What a run's notes say about its data."""
    is_float = data.x_train.dtype == np.float32
    return {"name": data.name, "sha256": fingerprint(data), "class_names": data.class_names, "float": is_float}


def fingerprint(data: Dataset) -> str:
    """A SHA-256 that changes with any picture or label."""
    digest = hashlib.sha256()
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _limited(count: int, limit: int | None) -> np.ndarray:
    """Some of `count` rows, drawn evenly: the first ones of a sorted data set would be of one class."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.random.RandomState(0).permutation(count)[:limit]

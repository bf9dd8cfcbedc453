"""`confusion_matrix`: how often each class is taken for each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(true: Any, predicted: Any, classes: int | None = None) -> NDArray[np.int64]:
    """Counts (classes, classes): row is the true class, column the predicted one.

    true, predicted   class numbers (n,), or one row a sample, one-hot or probabilities, (n, classes)
    classes           their number; None is that of the rows, or 1 + the largest class number

    ValueError where the two differ in length or a class number is not below `classes`.
    """
    pair = [np.asarray(true), np.asarray(predicted)]
    widths = [a.shape[1] for a in pair if a.ndim == 2]
    rows, columns = (_numbers(a) for a in pair)
    if len(rows) != len(columns) or not len(rows):
        raise ValueError(f"expected as many true as predicted classes, at least one, got {len(rows)} and {len(columns)}")
    count = classes or max(0, *widths, int(rows.max()) + 1, int(columns.max()) + 1)
    if max(rows.max(), columns.max()) >= count or min(rows.min(), columns.min()) < 0:
        raise ValueError(f"classes must be numbers from 0 to {count - 1}")
    return np.bincount(rows * count + columns, minlength=count * count).reshape(count, count)


def _numbers(array: Any) -> NDArray[np.int64]:
    if array.ndim == 2:
        array = array.argmax(axis=1)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"expected class numbers (n,) or rows (n, classes), got {array.dtype} of shape {array.shape}")
    return array.astype(np.int64)

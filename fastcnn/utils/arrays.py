"""Arrays of labels and samples: `to_categorical` makes labels one-hot, `train_test_split` divides samples in two."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """One-hot rows for integer class labels, as Keras 3's function of this name.

    x: labels 0 .. num_classes-1 of any shape, integers or floats of integer value; a last axis of length 1 is dropped.
    num_classes: how many classes there are, or None for `max(x) + 1`.

    Returns float64 of shape (*x.shape, num_classes): 1.0 at the label, 0.0 elsewhere.
    Raises ValueError, where Keras would wrap round or cut off, for labels that are negative, too large or not whole.
    """
    labels = _whole_numbers(x)
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    classes = _count_classes(labels, num_classes)
    one_hot = np.zeros((*shape, classes))
    np.put_along_axis(one_hot, labels.reshape(*shape, 1), 1.0, axis=-1)
    return one_hot


def _whole_numbers(x: Any) -> np.ndarray:
    values = np.asarray(x)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"labels must be integers, got an array of {values.dtype}; number the classes from 0 first")
    broken = values[~(np.isfinite(values) & (values == np.floor(values)))]
    if broken.size:
        raise ValueError(f"labels must be whole numbers, got {broken[0]}; pass class indices, not probabilities")
    return values.astype(np.int64)


def _count_classes(labels: np.ndarray, num_classes: int | None) -> int:
    if num_classes is None:
        if labels.size == 0:
            raise ValueError("there are no labels to count the classes from; pass num_classes")
        num_classes = max(int(labels.max()) + 1, 1)
    if not isinstance(num_classes, Integral) or num_classes < 1:
        raise ValueError(f"num_classes must be a positive integer, got {num_classes!r}")
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.size:
        raise ValueError(
            f"labels must lie in 0 .. {num_classes - 1} (num_classes is {num_classes}), got {wrong[0]} "
            f"and {wrong.size - 1} more outside; number the classes from 0 or pass a larger num_classes"
        )
    return int(num_classes)


def train_test_split(
    *arrays: Any,
    test_size: float | None = None,
    train_size: float | None = None,
    random_state: int | np.random.RandomState | None = None,
    shuffle: bool = True,
    stratify: Any = None,
) -> list[Any]:
    """Divide the samples (first axis) of each array into a train and a test part, as scikit-learn's function does.

    arrays: one or more arrays, lists or tuples of one length n >= 2; the same samples are picked from each.
    test_size, train_size: a fraction in (0, 1) or a number of samples; together at most the whole. The one that is
        None is the rest; both None is test_size=0.25. A fraction of the test is rounded up, of the train down.
    random_state: a seed, a `RandomState`, or None for NumPy's global one. The same seed gives the split that
        scikit-learn gives: with `permutation = RandomState(seed).permutation(n)`, the test part comes first.
    shuffle: False takes the first samples to train and the last to test, in order.
    stratify: must be None; stratified splits are not offered.

    Returns [train part, test part] of the first array, then of the second, and so on: copies, and lists for lists.
    """
    if stratify is not None:
        raise ValueError("stratify must be None: stratified splits are not offered; scikit-learn's function makes them")
    samples = _common_length(arrays)
    train, test = _part_sizes(samples, test_size, train_size)
    if shuffle:
        order = _random(random_state).permutation(samples)
        test_rows, train_rows = order[:test], order[test : test + train]
    else:
        train_rows, test_rows = np.arange(train), np.arange(train, train + test)
    return [_take(array, rows) for array in arrays for rows in (train_rows, test_rows)]


def _common_length(arrays: Sequence[Any]) -> int:
    if not arrays:
        raise ValueError("train_test_split needs at least one array, got none")
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"all arrays must have the same number of samples, got {', '.join(map(str, lengths))}")
    return lengths[0]


def _part_sizes(samples: int, test_size: float | None, train_size: float | None) -> tuple[int, int]:
    if test_size is None and train_size is None:
        test_size = 0.25
    test = _part_size("test_size", test_size, samples, math.ceil)
    train = _part_size("train_size", train_size, samples, math.floor)
    if test is None:
        test = samples - (train or 0)
    if train is None:
        train = samples - test
    too_much = isinstance(test_size, float) and isinstance(train_size, float) and test_size + train_size > 1
    if too_much or train < 1 or test < 1 or train + test > samples:
        raise ValueError(
            f"{samples} samples cannot be divided by train_size={train_size} and test_size={test_size} "
            f"(into {train} and {test}); each part needs at least 1, and both together at most the whole"
        )
    return train, test


def _part_size(name: str, size: float | None, samples: int, rounded: Any) -> int | None:
    if size is None:
        return None
    if isinstance(size, Integral) and not isinstance(size, bool) and 0 < size < samples:
        return int(size)
    if isinstance(size, Real) and not isinstance(size, Integral) and 0 < size < 1:
        return int(rounded(size * samples))
    raise ValueError(
        f"{name} must be a fraction between 0 and 1 or a number of samples from 1 to {samples - 1}, got {size!r}"
    )


def _random(random_state: int | np.random.RandomState | None) -> Any:
    if random_state is None:
        return np.random  # the global state, which set_random_seed seeds
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if isinstance(random_state, Integral):
        return np.random.RandomState(int(random_state))
    raise ValueError(f"random_state must be an integer, a numpy.random.RandomState or None, got {random_state!r}")


def _take(array: Any, rows: np.ndarray) -> Any:
    if isinstance(array, (list, tuple)):
        return [array[row] for row in rows]
    return np.asarray(array)[rows]

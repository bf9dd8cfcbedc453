"""The data (FC2..): inputs and labels on their own, and against what the network and its loss expect."""

from collections.abc import Iterator

import numpy as np

from ..layers import BatchNormalization
from .findings import Seen, check
from .setup import Array, Setup, class_numbers, some

LARGE, SMALL = 10.0, 0.01
"""Inputs whose mean or deviation is above the one, or whose largest magnitude is below the other, are not normalised."""
FEW = 50
"""Fewer samples than this say nothing about their order."""


@check(
    "FC201", "values that are NaN or infinite", fix="Find them with np.argwhere(~np.isfinite(x)); mend or remove those samples."
)
def not_finite(setup: Setup) -> Seen:
    """One of them makes the loss, and with the next step every weight, NaN."""
    for name, array in {**setup.inputs, **setup.labels}.items():
        wrong = array.size - int(np.count_nonzero(np.isfinite(array)))
        if wrong:
            yield f"{wrong:,} of {array.size:,} values of {name}"


@check(
    "FC202",
    "inputs are not normalised",
    fix="Divide pictures of 0..255 by 255, once, in every part: x.astype('float32') / 255 (x // 255 leaves only 0 and 1). "
    "Other numbers: (x - mean) / deviation, of the training data. Or begin the network with BatchNormalization().",
)
def not_normalised(setup: Setup) -> Seen:
    """Initial weights are made for inputs of about -1 to 1. Larger ones saturate activations and make steps too large by the
    same factor; smaller ones all look the same to the first layer. A part on another scale than the training data is guessed
    at."""
    if setup.begins_with(BatchNormalization):
        return
    for part, arrays in {"training": setup.inputs, **setup.parts}.items():
        for name, array in arrays.items():
            sample = some(array).astype(np.float64)
            mean, deviation, largest = sample.mean(), sample.std(), np.abs(sample).max()
            if abs(mean) > LARGE or deviation > LARGE or 0 < largest < SMALL:
                lies = f"{sample.min():.4g} .. {sample.max():.4g}"
                yield f"{name} of the {part} data lies in {lies}, mean {mean:.3g}, deviation {deviation:.3g}"


@check(
    "FC203",
    "labels out of range, or of a form that the loss does not take",
    fix="Number the classes 0, 1, 2, ...: np.unique(y, return_inverse=True)[1], and give the last layer one unit a class. "
    "Class numbers go with sparse_categorical_crossentropy, one-hot rows (utils.to_categorical) with categorical_crossentropy.",
)
def labels_out_of_range(setup: Setup) -> Seen:
    """A class number is the index of the output unit that should be 1; a one-hot row has an entry for each unit."""
    for head in setup.heads:
        if head.loss is not None and head.labels is not None and np.isfinite(head.labels).all():
            try:
                head.loss.target(head.value.shape, head.labels)
            except ValueError as error:
                yield str(error)


@check(
    "FC204",
    "sorted labels are not shuffled",
    fix="Leave shuffle=True, or shuffle once: order = np.random.permutation(len(x)); x, y = x[order], y[order].",
)
def not_shuffled(setup: Setup) -> Seen:
    """Every batch then holds one class, and each step teaches the network to say it always: what it learned of the others is
    forgotten."""
    if not setup.shuffle:
        yield from _sorted_labels(setup)


@check(
    "FC205",
    "the validation is split off sorted data",
    fix="Shuffle x and y before fit, or pass validation_data from utils.train_test_split(x, y).",
)
def sorted_split(setup: Setup) -> Seen:
    """validation_split takes the last samples as they lie, before any shuffling: they are of classes that training then never
    sees."""
    if setup.validation_split and setup.validation_data is None:
        yield from _sorted_labels(setup)


def _sorted_labels(setup: Setup) -> Iterator[str]:
    """Class numbers that come in runs much longer than random order has them."""
    for name, labels in setup.labels.items():
        found = class_numbers(labels)
        if found is None or len(found) < FEW or setup.streams:
            continue
        changes, expected = int(np.count_nonzero(found[1:] != found[:-1])), _expected_changes(found)
        if changes < expected / 4:
            yield f"{name} changes {changes:,} times from one sample to the next; in random order about {expected:,.0f} times"


def _expected_changes(found: Array) -> float:
    """How often the class changes where the order is random: neighbours agree with the sum of the squared shares."""
    shares = np.unique(found, return_counts=True)[1] / len(found)
    return (len(found) - 1) * float(1 - (shares**2).sum())

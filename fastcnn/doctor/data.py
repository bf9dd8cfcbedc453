"""The data (FC2..): inputs and labels on their own, and against what the network and its loss expect.

Statistics are made of evenly spaced samples where there are many; finiteness is looked up in all of them.
"""

from collections.abc import Iterator

import numpy as np

from ..losses import CategoricalCrossentropy, Loss, SparseCategoricalCrossentropy
from .findings import ERROR, NOTE, WARNING, Seen, check
from .setup import PRODUCTS, Array, Head, Setup, behind, class_numbers, classes, some

LARGE, SMALL = 10.0, 0.01
"""Inputs whose mean or deviation is above the one, or whose largest magnitude is below the other, are not normalised."""
UNEVEN = 100.0
"""Channels whose deviations differ by more than this factor are of different scales."""
MOVED = frozenset({"reshape", "transpose", "pad"})
"""Steps that only move the elements of their input."""
IMBALANCE = 10
FEW = 50
"""Fewer samples than this say nothing about their order."""


# Inputs.


@check(
    "FC201",
    ERROR,
    "values that are NaN or infinite",
    needs="data",
    fix="Find them with np.argwhere(~np.isfinite(x)); mend or remove those samples.",
)
def not_finite(setup: Setup) -> Seen:
    """One of them makes the loss, and with the next step every weight, NaN."""
    for name, array in {**setup.inputs, **setup.labels}.items():
        wrong = 0 if array.dtype.kind != "f" else array.size - int(np.count_nonzero(np.isfinite(array)))
        if wrong:
            yield f"{wrong:,} of {array.size:,} values of {name} {array.shape}"


@check(
    "FC202",
    WARNING,
    "inputs are not normalised",
    needs="model data",
    fix="Divide pictures of 0..255 by 255: x.astype('float32') / 255. Other numbers: (x - x.mean(0)) / x.std(0), with the mean "
    "and deviation of the training data in every part. Or begin the network with BatchNormalization().",
)
def not_normalised(setup: Setup) -> Seen:
    """Initial weights are made for inputs of about -1 to 1. Larger ones saturate activations and make steps too large by the
    same factor; pictures of 0..255 are the common case."""
    for name, array in _seen_by_products(setup):
        mean, deviation = float(array.mean(dtype=np.float64)), float(array.std(dtype=np.float64))
        if abs(mean) > LARGE or deviation > LARGE:
            yield f"{name} lies in {array.min():.4g} .. {array.max():.4g}, mean {mean:.3g}, deviation {deviation:.3g}"


@check(
    "FC203",
    WARNING,
    "inputs are almost zero",
    needs="model data",
    fix="Scale them once: 0..255 divided by 255 twice lies below 0.004. Division of integers (x // 255) gives only 0 and 1.",
)
def almost_zero(setup: Setup) -> Seen:
    """All samples look the same to the first layer, and its weights get next to no gradient."""
    for name, array in _seen_by_products(setup):
        largest = float(np.abs(array).max())
        if 0 < largest < SMALL:
            yield f"the largest magnitude of {name} is {largest:.3g}"


@check(
    "FC204",
    WARNING,
    "channels of very different scales",
    needs="data",
    fix="Scale each channel on its own: (x - mean) / deviation over all other axes, with the training data's numbers.",
)
def uneven_channels(setup: Setup) -> Seen:
    """One learning rate serves all weights: what suits the large channel does not move the small one's."""
    for name, deviations in _channel_deviations(setup):
        varying = deviations[deviations > 0]
        if len(varying) > 1 and varying.max() > UNEVEN * varying.min():
            yield f"the deviations of {name}'s channels go from {varying.min():.3g} to {varying.max():.3g}"


@check(
    "FC205",
    WARNING,
    "inputs that never change",
    needs="data",
    fix="Look at the pictures. A channel that holds nothing can be left out; one that should hold something was lost on the way.",
)
def constant_channels(setup: Setup) -> Seen:
    """A channel that is the same everywhere and in every sample says nothing."""
    for name, deviations in _channel_deviations(setup):
        constant = np.flatnonzero(deviations == 0)
        if len(constant):
            told = ", ".join(map(str, constant[:8]))
            yield f"channel {told} of {name}'s {len(deviations)} has one value in all samples"


def _seen_by_products(setup: Setup) -> Iterator[tuple[str, Array]]:
    """What reaches convolutions and dense layers from the inputs unnormalised, by the input's name."""
    trace, values, _ = setup.forward
    products = [step for step in trace.steps if step.op in PRODUCTS]
    for value, (name, array) in zip(values, setup.inputs.items(), strict=False):
        read = any(behind(step["x"], MOVED) is value for step in products)
        if read and array.dtype.kind in "biuf" and np.isfinite(some(array)).all():
            yield name, some(array)


def _channel_deviations(setup: Setup) -> Iterator[tuple[str, Array]]:
    """The deviation of each channel of pictures, series and volumes; single features of a vector may well be constant."""
    for name, array in setup.inputs.items():
        if array.ndim > 2 and array.dtype.kind in "biuf" and array.shape[-1] <= 64 and len(array) > 1:
            looked = some(array)
            axes = tuple(range(looked.ndim - 1))
            if not np.isfinite(looked).all():
                continue
            # A constant's deviation may be the rounding of its mean, so the range says what is constant.
            deviations = looked.std(axis=axes, dtype=np.float64)
            yield name, np.where(looked.max(axis=axes) > looked.min(axis=axes), deviations, 0.0)


# Labels.


@check(
    "FC206",
    ERROR,
    "labels out of range",
    needs="loss labels",
    fix="Number the classes 0, 1, 2, ...: np.unique(y, return_inverse=True)[1]; or give the last layer as many units as there "
    "are classes.",
)
def labels_out_of_range(setup: Setup) -> Seen:
    """A class number is the index of the output unit that should be 1; a binary label is a probability."""
    for head, reason in _refused(setup):
        if _form_fits(head):
            yield reason


@check(
    "FC207",
    ERROR,
    "labels of a form that the loss does not take",
    needs="loss labels",
    fix="Class numbers: loss='sparse_categorical_crossentropy'. One-hot rows (utils.to_categorical): "
    "loss='categorical_crossentropy'. 0 or 1: loss='binary_crossentropy' and one unit.",
)
def labels_of_wrong_form(setup: Setup) -> Seen:
    """Class numbers and one-hot rows have different shapes, and each crossentropy takes one of the two."""
    for head, reason in _refused(setup):
        if not _form_fits(head):
            yield reason


@check(
    "FC208",
    WARNING,
    "label rows that do not sum to one",
    needs="loss labels",
    fix="Several labels at once: sigmoid and binary_crossentropy. One class of many: utils.to_categorical(y, classes).",
)
def rows_not_distributions(setup: Setup) -> Seen:
    """Categorical crossentropy compares two distributions over classes; softmax can never equal a row of another sum."""
    for head in setup.trained_heads(CategoricalCrossentropy):
        if head.labels is not None and head.labels.shape[1:] == head.value.shape[1:]:
            sums = some(head.labels).sum(axis=-1, dtype=np.float64)
            wrong = float((np.abs(sums - 1) > 1e-3).mean())
            if wrong:
                yield f"{100 * wrong:.1f} % of the rows, with sums from {sums.min():.3g} to {sums.max():.3g}"


@check(
    "FC209",
    ERROR,
    "all samples are of one class",
    needs="labels",
    fix="Load the labels again; if the data are sorted, a slice of them holds one class only.",
)
def single_class(setup: Setup) -> Seen:
    """There is nothing to tell apart: the network learns to say always the same."""
    for name, found in _all_classes(setup):
        if len(found) >= FEW and (found == found[0]).all():
            yield f"{name}: {len(found):,} samples, all of class {found[0]}"


@check(
    "FC210",
    NOTE,
    "classes of very different sizes",
    needs="labels",
    fix="fit(class_weight={class: weight}) with weights inverse to the counts; judge by each class's accuracy.",
)
def imbalance(setup: Setup) -> Seen:
    """Accuracy is then close to the share of the largest class, whatever the network does about the small ones."""
    for name, found in _all_classes(setup):
        numbers, counts = np.unique(found, return_counts=True)
        if 1 < len(counts) <= len(found) / 10 and counts.max() > IMBALANCE * counts.min():
            large, small = numbers[counts.argmax()], numbers[counts.argmin()]
            yield f"{name}: {counts.max():,} samples of class {large}, {counts.min():,} of class {small}"


# Order.


@check(
    "FC211",
    ERROR,
    "sorted labels are not shuffled",
    needs="labels",
    fix="Leave shuffle=True, or shuffle once: order = np.random.permutation(len(x)); x, y = x[order], y[order].",
)
def not_shuffled(setup: Setup) -> Seen:
    """Every batch then holds one class, and each step teaches the network to say it always: what it learned of the others is
    forgotten."""
    if not setup.shuffle and "stream" not in setup.offers:
        for name, runs, expected in _sorted_labels(setup):
            yield f"shuffle=False, and {name} changes {runs - 1:,} times only; in random order it would about {expected:,.0f} times"


@check(
    "FC212",
    ERROR,
    "the validation is split off sorted data",
    needs="labels",
    fix="Shuffle x and y before fit, or pass validation_data from utils.train_test_split(x, y).",
)
def sorted_split(setup: Setup) -> Seen:
    """validation_split takes the last samples as they lie, before any shuffling: they are of classes that training then never
    sees."""
    if setup.validation_split and setup.validation_data is None and "stream" not in setup.offers:
        for name, runs, expected in _sorted_labels(setup):
            yield (
                f"validation_split={setup.validation_split}, and {name} changes {runs - 1:,} times only; in random order it "
                f"would about {expected:,.0f} times"
            )


@check(
    "FC213",
    ERROR,
    "fit would refuse the data",
    needs="loss data labels",
    fix="Do what the line above says.",
)
def refused(setup: Setup) -> Seen:
    """Shapes, numbers of samples or types do not fit the model; fit says so before anything is changed."""
    if setup.refusal and not list(_refused(setup)):
        yield setup.refusal


def _refused(setup: Setup) -> Iterator[tuple[Head, str]]:
    """The outputs whose loss does not take their labels, and why; labels that are not finite are FC201's."""
    for head in setup.trained_heads(Loss):
        if head.labels is None or (head.labels.dtype.kind == "f" and not np.isfinite(head.labels).all()):
            continue
        try:
            head.loss.target(head.value.shape, head.labels)  # type: ignore[union-attr]
        except ValueError as error:
            yield head, str(error)


def _form_fits(head: Head) -> bool:
    """Whether the labels have a shape that the loss takes, so that their values are at fault."""
    assert head.labels is not None
    rows, prediction = head.labels.shape[1:], head.value.shape[1:]
    if isinstance(head.loss, SparseCategoricalCrossentropy):
        whole = head.labels.dtype.kind in "iub" or bool((head.labels == np.floor(head.labels)).all())
        return whole and rows in (prediction[:-1], (*prediction[:-1], 1)) and (head.units == 1 or rows != prediction)
    return rows == prediction or (*rows, 1) == prediction or rows == (*prediction, 1)


def _all_classes(setup: Setup) -> Iterator[tuple[str, Array]]:
    if setup.model is not None and "loss" in setup.offers:
        found = [(f"y of {head.name!r}", classes(head)) for head in setup.heads]
    else:
        found = [(name, class_numbers(labels)) for name, labels in setup.labels.items()]
    return ((name, numbers) for name, numbers in found if numbers is not None)


def _sorted_labels(setup: Setup) -> Iterator[tuple[str, int, float]]:
    """Labels that come in runs: name, number of runs, and the number that random order would give."""
    for name, found in _all_classes(setup):
        runs = 1 + int(np.count_nonzero(found[1:] != found[:-1]))
        shares = np.unique(found, return_counts=True)[1] / max(len(found), 1)
        expected = 1 + (len(found) - 1) * float(1 - (shares**2).sum())
        if len(found) >= FEW and expected > 20 and runs < expected / 4:
            yield name, runs, expected

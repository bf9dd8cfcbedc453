"""How it is trained (FC3..): batches, validation, test and callbacks, as they are passed to `fit`."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from ..callbacks import EarlyStopping, ModelCheckpoint
from ..callbacks.monitors import Monitor
from .findings import ERROR, NOTE, WARNING, Seen, check
from .setup import Array, Setup, some

REPEATED = 0.01
"""A smaller share of repeated samples is taken for chance: data sets have a few."""
LEAST_NUMBERS = 32
"""Samples of fewer numbers than this may well be equal and yet not the same."""


@check(
    "FC301",
    ERROR,
    "the validation repeats training samples",
    needs="data",
    fix="Divide the data before anything else is done to them (utils.train_test_split), each picture into one part, and remove "
    "duplicates and augmented copies before that.",
)
def validation_repeats_training(setup: Setup) -> Seen:
    """What was learned by heart is then taken for what was understood: validation accuracy is too good, and does not show when
    training should stop."""
    yield from _repeats(setup.held_out[0], setup.trained_on, "validation", "training data")


@check(
    "FC302",
    ERROR,
    "the network is chosen on the test data",
    needs="data",
    fix="Split the validation off the training data (validation_split=0.1), and touch the test data once, at the end.",
)
def chosen_on_test(setup: Setup) -> Seen:
    """The best of many epochs on the test data is the luckiest too: the number that is reported is no longer an estimate of
    anything. The CIFAR-10 tutorial's run keeps its checkpoint in this way."""
    yield from _repeats(setup.held_out[0], setup.test, "validation", "test data")


@check(
    "FC303",
    ERROR,
    "the test repeats training samples",
    needs="data",
    fix="Divide the data before anything else is done to them, each picture into one part.",
)
def test_repeats_training(setup: Setup) -> Seen:
    """The test shall say how the network does on what it never saw."""
    yield from _repeats(setup.test, setup.inputs, "test", "training data")


@check(
    "FC304",
    ERROR,
    "a callback follows a number of the test",
    fix="Follow val_loss or val_accuracy, of a validation that is split off the training data.",
)
def monitors_test(setup: Setup) -> Seen:
    """What decides when to stop and which weights to keep must not be what the result is measured on, as in FC302."""
    for callback in _monitors(setup):
        if "test" in callback.monitor.lower().split("_"):
            yield f"{type(callback).__name__}(monitor={callback.monitor!r})"


@check(
    "FC305",
    ERROR,
    "a callback follows a number that never comes",
    needs="data",
    fix="Pass validation_data or validation_split to fit, or follow a number of the training.",
)
def monitors_nothing(setup: Setup) -> Seen:
    """It can then only warn: nothing is saved, stopped or lowered."""
    for callback in _monitors(setup):
        acts = not isinstance(callback, ModelCheckpoint) or callback.save_best_only
        if acts and callback.monitor.startswith("val_") and not _validated(setup):
            yield f"{type(callback).__name__}(monitor={callback.monitor!r}) without validation data"


@check(
    "FC306",
    NOTE,
    "the best epoch is chosen on the training data",
    fix="Follow val_loss or val_accuracy.",
)
def monitors_training(setup: Setup) -> Seen:
    """The training loss falls on while the network only learns by heart: the last epoch is nearly always the best by it."""
    for callback in _monitors(setup):
        chooses = isinstance(callback, EarlyStopping) or (isinstance(callback, ModelCheckpoint) and callback.save_best_only)
        if chooses and not callback.monitor.startswith("val_") and "test" not in callback.monitor:
            yield f"{type(callback).__name__}(monitor={callback.monitor!r})"


@check(
    "FC307",
    WARNING,
    "the batch is larger than the data",
    needs="data",
    fix="Use a batch of 32 to 128 samples, and no more than a tenth of the data.",
)
def large_batch(setup: Setup) -> Seen:
    """An epoch is then a single step, and the samples of a step are always the same."""
    if "stream" not in setup.offers and len(next(iter(setup.trained_on.values()))) < setup.batch_size:
        yield f"batch_size={setup.batch_size}, {len(next(iter(setup.trained_on.values()))):,} samples"


@check(
    "FC308",
    ERROR,
    "validation or test are scaled differently from the training data",
    needs="data",
    fix="Do to every part what is done to the training data, with the training data's numbers.",
)
def scaled_differently(setup: Setup) -> Seen:
    """The network is asked about pictures hundreds of times brighter or darker than any it has seen, and guesses."""
    for part, arrays in (("validation", setup.held_out[0]), ("test", setup.test)):
        for name, ours, theirs in _pairs(setup.inputs, arrays):
            here, there = (float(some(array).std(dtype=np.float64)) for array in (ours, theirs))
            if here > 0 and there > 0 and not 0.1 < there / here < 10:
                yield f"the deviation of {name} is {here:.3g} in the training data, {there:.3g} in the {part}"


def _repeats(arrays: Mapping[str, Array], others: Mapping[str, Array], part: str, other: str) -> Iterator[str]:
    if not arrays or not others or not list(_pairs(arrays, others)):
        return
    numbers = sum(array[0].size for array in arrays.values())
    if numbers < LEAST_NUMBERS:
        return
    known, asked = set(_fingerprints(others)), list(_fingerprints(arrays))
    repeated = sum(digest in known for digest in asked)
    if repeated > max(1, REPEATED * len(asked)):
        yield f"{repeated:,} of {len(asked):,} samples of the {part} ({100 * repeated / len(asked):.0f} %) are in the {other} too"


def _pairs(arrays: Mapping[str, Array], others: Mapping[str, Array]) -> Iterator[tuple[str, Array, Array]]:
    """(name, array, array) of what can be compared: numbers of the same shape, sample by sample."""
    for (name, ours), theirs in zip(arrays.items(), others.values(), strict=False):
        if ours.shape[1:] == theirs.shape[1:] and ours.dtype.kind in "biuf" and theirs.dtype.kind in "biuf":
            yield name, ours, theirs


def _fingerprints(arrays: Mapping[str, Array]) -> Iterator[bytes]:
    """A digest of each sample, over all inputs, as float32: a picture and its copy of another type are the same."""
    columns = [np.ascontiguousarray(array, np.float32).reshape(len(array), -1) for array in arrays.values()]
    for rows in zip(*columns, strict=False):
        digest = hashlib.blake2b(digest_size=16)
        for row in rows:
            digest.update(row.data)
        yield digest.digest()


def _monitors(setup: Setup) -> Iterator[Monitor]:
    return (callback for callback in setup.callbacks if isinstance(callback, Monitor))


def _validated(setup: Setup) -> bool:
    return bool(setup.validation_split) or setup.validation_data is not None

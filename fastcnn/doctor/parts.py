"""Validation and test (FC3..): what is chosen on what, and whether it was seen in training."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from .findings import Seen, check
from .setup import Array, Setup

REPEATED = 0.01
"""A smaller share of repeated samples is taken for chance: data sets have a few."""
LEAST_NUMBERS = 32
"""Samples of fewer numbers than this may well be equal and yet not the same."""


@check(
    "FC301",
    "the network is chosen on the test data",
    fix="Split the validation off the training data (validation_split=0.1), and touch the test data once, at the end.",
)
def chosen_on_test(setup: Setup) -> Seen:
    """The best of many epochs on the test data is the luckiest too: the number that is reported is no longer an estimate of
    anything."""
    yield from _repeats(setup, "validation", "test")


@check(
    "FC302",
    "validation or test repeat training samples",
    fix="Divide the data before anything else is done to them (utils.train_test_split), each picture into one part, and remove "
    "duplicates and augmented copies before that.",
)
def seen_in_training(setup: Setup) -> Seen:
    """What was learned by heart is then taken for what was understood: the numbers are too good."""
    for part in setup.parts:
        yield from _repeats(setup, part, "training")


def _repeats(setup: Setup, part: str, other: str) -> Iterator[str]:
    parts = {"training": setup.trained_on, **setup.parts}
    if part in parts and other in parts and sum(array[0].size for array in parts[part].values()) >= LEAST_NUMBERS:
        known, asked = set(_fingerprints(parts[other])), list(_fingerprints(parts[part]))
        repeated = sum(digest in known for digest in asked)
        if repeated > max(1, REPEATED * len(asked)):
            yield f"{repeated:,} of the {len(asked):,} {part} samples are {other} samples too"


def _fingerprints(arrays: Mapping[str, Array]) -> Iterator[bytes]:
    """A digest of each sample, over all inputs."""
    for rows in zip(*arrays.values(), strict=True):
        digest = hashlib.blake2b(digest_size=16)
        for row in rows:
            digest.update(np.ascontiguousarray(row, np.float32).data)
        yield digest.digest()

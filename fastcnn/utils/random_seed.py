"""The seed of this process: what initial weights, shuffles and dropout masks are drawn from.

set_random_seed   fixes the seed, so that a run can be repeated
current_seed      the seed in force; drawn from the operating system where none was set
next_stream       a number for each variable that draws its initial value, counted from 0 since the seed was set
preserved         a scope after which the count goes on as if nothing had been drawn inside
"""

import contextlib
import os
import random
from collections.abc import Iterator
from numbers import Integral

import numpy as np

_seed: int | None = None
_streams = 0


def set_random_seed(seed: int) -> None:
    """Fix every random number: of Python, of NumPy, and fastcnn's own initial weights, shuffles and masks.

    seed: a whole number from 0 to 2**32 - 1. ValueError otherwise.
    """
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, got {seed!r}")
    global _seed, _streams
    _seed, _streams = int(seed), 0
    random.seed(_seed)
    np.random.seed(_seed)


def current_seed() -> int:
    """The seed in force; where `set_random_seed` was not called, one that the operating system drew, once."""
    global _seed
    if _seed is None:
        _seed = int.from_bytes(os.urandom(4), "little")
    return _seed


def next_stream() -> int:
    """0, 1, 2, ... since the seed was set: together with the seed it keys the initial value of one variable."""
    global _streams
    _streams += 1
    return _streams - 1


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Whatever is drawn inside, the streams go on afterwards as if it had not been."""
    global _streams
    before = _streams
    try:
        yield
    finally:
        _streams = before

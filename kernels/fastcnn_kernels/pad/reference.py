"""Padding and cropping in NumPy: the pixels that x and y have in common are copied."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Padding

Array = NDArray[Any]


def pad(plan: Any, x: Any, y: Any, *, padding: Padding) -> None:
    """y = x with a border of zeros, or without a border where padding is negative."""
    plan.launch(_pad, x, y, padding=padding)


def _pad(x: Array, y: Array, *, padding: Padding) -> None:
    y[...] = 0
    y[_inside(y, padding)] = x[_inside(x, [(-before, -after) for before, after in padding])]


def _inside(image: Array, border: Any) -> tuple[slice, ...]:
    """What is left of the image's axes without a border; a negative border takes nothing away."""
    ends = zip(image.shape[1:-1], np.maximum(border, 0).tolist(), strict=True)
    return (slice(None), *(slice(before, n - after) for n, (before, after) in ends))

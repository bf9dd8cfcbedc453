"""Sliding windows in NumPy, shared by the reference's convolution and pooling.

    pad, crop       an image's spatial axes with a border, and without it again
    positions       the positions of a window, row-major
    window_slice    the pixels that one position of the window meets while it slides

Images are (N, *S, C) with one to three spatial axes; `padding` is a tuple of (before, after) pairs, one a spatial axis.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .api import Extents, Padding

Array = NDArray[Any]


def pad(x: Array, padding: Padding, value: float = 0.0) -> Array:
    """x (N, *S, C) with a border of `value` around its spatial axes."""
    return np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=value)


def crop(padded: Array, padding: Padding) -> Array:
    """The view of `padded` without its border: the inverse of pad."""
    inside = (slice(before, size - after) for (before, after), size in zip(padding, padded.shape[1:-1], strict=True))
    return padded[(slice(None), *inside)]


def positions(window: Extents) -> Iterator[tuple[int, ...]]:
    """Every position in the window, row-major."""
    return np.ndindex(*window)


def window_slice(k: tuple[int, ...], extents: Extents, strides: Extents, dilation: Extents) -> tuple[slice, ...]:
    """Index of padded[:, o*stride + k*dilation] for all o < extents: what position k of the window meets."""
    spatial = (
        slice(i * d, i * d + (o - 1) * s + 1, s) for i, o, s, d in zip(k, extents, strides, dilation, strict=True)
    )
    return (slice(None), *spatial)

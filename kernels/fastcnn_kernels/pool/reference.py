"""Pooling in NumPy: the window's positions are strided slices of the padded image, one after the other.

    max_pool_forward, max_pool_backward             the maximum, and which pixel it was
    average_pool_forward, average_pool_backward     the mean of the pixels inside the image
    max_pool, max_pool_gradient                     the arithmetic, on arrays
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Extents, Padding
from ..reference_windows import crop, pad, positions, window_slice

Array = NDArray[Any]


def max_pool_forward(
    plan: Any, x: Any, y: Any, argmax: Any, *, window: Extents, strides: Extents, padding: Padding
) -> None:
    """y = maximum of the window, argmax = the first position in the window that has it."""
    plan.launch(_max_pool_forward, x, y, argmax, window=window, strides=strides, padding=padding)


def max_pool_backward(
    plan: Any, argmax: Any, dy: Any, dx: Any, *, window: Extents, strides: Extents, padding: Padding
) -> None:
    """dx = dy where a window was won."""
    plan.launch(_max_pool_backward, argmax, dy, dx, window=window, strides=strides, padding=padding)


def average_pool_forward(plan: Any, x: Any, y: Any, *, window: Extents, strides: Extents, padding: Padding) -> None:
    """y = mean of the window's pixels inside x."""
    plan.launch(_average_pool_forward, x, y, window=window, strides=strides, padding=padding)


def average_pool_backward(plan: Any, dy: Any, dx: Any, *, window: Extents, strides: Extents, padding: Padding) -> None:
    """dx = sum over the windows of dy / pixels inside x."""
    plan.launch(_average_pool_backward, dy, dx, window=window, strides=strides, padding=padding)


def max_pool(
    x: Array, extents: Extents, window: Extents, strides: Extents, padding: Padding | None = None
) -> tuple[Array, Array]:
    """y (N, *extents, C) and argmax of x (N, *S, C); without padding by default."""
    padded = pad(x, padding or ((0, 0),) * len(window), -np.inf)
    candidates = np.stack([padded[_here(k, extents, strides)] for k in positions(window)])
    return candidates.max(axis=0), candidates.argmax(axis=0)


def max_pool_gradient(
    argmax: Array, dy: Array, image: Extents, window: Extents, strides: Extents, padding: Padding | None = None
) -> Array:
    """dx (N, *image, C): dy goes to the pixel that won."""
    padding = padding or ((0, 0),) * len(window)
    dpadded = _padded_zeros(dy, image, padding)
    # A pixel's windows in row-major order meet it at the window's positions in reverse order.
    for number, k in reversed(list(enumerate(positions(window)))):
        dpadded[_here(k, dy.shape[1:-1], strides)] += np.where(argmax == number, dy, 0)
    return crop(dpadded, padding)


def _max_pool_forward(
    x: Array, y: Array, argmax: Array, *, window: Extents, strides: Extents, padding: Padding
) -> None:
    y[...], argmax[...] = max_pool(x, y.shape[1:-1], window, strides, padding)


def _max_pool_backward(
    argmax: Array, dy: Array, dx: Array, *, window: Extents, strides: Extents, padding: Padding
) -> None:
    dx[...] = max_pool_gradient(argmax, dy, dx.shape[1:-1], window, strides, padding)


def _average_pool_forward(x: Array, y: Array, *, window: Extents, strides: Extents, padding: Padding) -> None:
    y[...] = _window_sums(x, y.shape[1:-1], window, strides, padding) / _pixels(x, y, window, strides, padding)


def _average_pool_backward(dy: Array, dx: Array, *, window: Extents, strides: Extents, padding: Padding) -> None:
    share = dy / _pixels(dx, dy, window, strides, padding)
    dpadded = _padded_zeros(dy, dx.shape[1:-1], padding)
    for k in reversed(list(positions(window))):
        dpadded[_here(k, dy.shape[1:-1], strides)] += share
    dx[...] = crop(dpadded, padding)


def _pixels(x: Array, y: Array, window: Extents, strides: Extents, padding: Padding) -> Array:
    """(1, *O, 1): how many pixels of each window lie inside x."""
    ones = np.ones((1, *x.shape[1:-1], 1), x.dtype)
    return _window_sums(ones, y.shape[1:-1], window, strides, padding)


def _window_sums(x: Array, extents: Extents, window: Extents, strides: Extents, padding: Padding) -> Array:
    padded = pad(x, padding)
    total = np.zeros((len(x), *extents, x.shape[-1]), x.dtype)
    for k in positions(window):
        total += padded[_here(k, extents, strides)]
    return total


def _padded_zeros(like: Array, image: Extents, padding: Padding) -> Array:
    return pad(np.zeros((len(like), *image, like.shape[-1]), like.dtype), padding)


def _here(k: tuple[int, ...], extents: Extents, strides: Extents) -> tuple[slice, ...]:
    return window_slice(k, extents, strides, (1,) * len(k))

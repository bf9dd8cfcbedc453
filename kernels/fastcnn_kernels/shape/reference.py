"""Reshape (of images and of parameters), concatenation and the mean of a sample, in NumPy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def reshape(plan: Any, x: Any, y: Any) -> None:
    """y = x's elements in C order, in y's shape."""
    plan.launch(_reshape, x, y)


def reshape_parameters(plan: Any, x: Any, y: Any) -> None:
    """The same for parameters."""
    plan.launch(_reshape, x, y)


def concatenate_forward(plan: Any, xs: Any, y: Any, *, axis: int) -> None:
    """y = xs joined along `axis`."""
    plan.launch(_concatenate_forward, xs, y, axis=axis)


def concatenate_backward(plan: Any, dy: Any, dx: Any, *, axis: int, start: int) -> None:
    """dx = the part of dy that begins at `start` along `axis`."""
    plan.launch(_concatenate_backward, dy, dx, axis=axis, start=start)


def mean_forward(plan: Any, x: Any, y: Any) -> None:
    """y[n] = mean of x[n]."""
    plan.launch(_mean_forward, x, y)


def mean_backward(plan: Any, dy: Any, dx: Any) -> None:
    """dx[n, ...] = dy[n] / elements of dx[n]."""
    plan.launch(_mean_backward, dy, dx)


def _reshape(x: Array, y: Array) -> None:
    y[...] = x.reshape(y.shape)


def _concatenate_forward(xs: Sequence[Array], y: Array, *, axis: int) -> None:
    y[...] = np.concatenate(xs, axis=axis)


def _concatenate_backward(dy: Array, dx: Array, *, axis: int, start: int) -> None:
    dx[...] = dy.take(range(start, start + dx.shape[axis]), axis=axis)


def _mean_forward(x: Array, y: Array) -> None:
    y[...] = x.reshape(len(x), -1).mean(axis=1)


def _mean_backward(dy: Array, dx: Array) -> None:
    share = dy / (dx.size // len(dx))
    dx[...] = share.reshape(-1, *(1,) * (dx.ndim - 1))

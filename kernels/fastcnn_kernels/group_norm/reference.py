"""Normalisation over groups of channels, of a sample or of each pixel, in NumPy (Wu and He 2018; Ba, Kiros and Hinton 2016)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def group_norm_forward(plan: Any, x: Any, y: Any, *, groups: int, by_pixel: bool, epsilon: float) -> None:
    """y = (x - mean) / sqrt(variance + epsilon)."""
    plan.launch(_group_norm_forward, x, y, groups=groups, by_pixel=by_pixel, epsilon=epsilon)


def group_norm_backward(plan: Any, x: Any, dy: Any, dx: Any, *, groups: int, by_pixel: bool, epsilon: float) -> None:
    """dx = (dy - mean dy - y * mean (dy * y)) / sqrt(variance + epsilon)."""
    plan.launch(_group_norm_backward, x, dy, dx, groups=groups, by_pixel=by_pixel, epsilon=epsilon)


def _grouped(x: Array, groups: int, by_pixel: bool) -> Array:
    """(samples or pixels, pixels in each, groups, channels of a group)."""
    samples = x.size // x.shape[-1] if by_pixel else x.shape[0]
    return x.reshape(samples, -1, groups, x.shape[-1] // groups)


def _mean(x: Array) -> Array:
    return x.mean(axis=(1, 3), keepdims=True)


def _normalised(x: Array, epsilon: float) -> tuple[Array, Array]:
    """y, and 1 / sqrt(variance + epsilon)."""
    rstd = 1 / np.sqrt(x.var(axis=(1, 3), keepdims=True) + epsilon)
    return (x - _mean(x)) * rstd, rstd


def _group_norm_forward(x: Array, y: Array, *, groups: int, by_pixel: bool, epsilon: float) -> None:
    y[...] = _normalised(_grouped(x, groups, by_pixel), epsilon)[0].reshape(y.shape)


def _group_norm_backward(x: Array, dy: Array, dx: Array, *, groups: int, by_pixel: bool, epsilon: float) -> None:
    y, rstd = _normalised(_grouped(x, groups, by_pixel), epsilon)
    gradient = _grouped(dy, groups, by_pixel)
    dx[...] = (rstd * (gradient - _mean(gradient) - y * _mean(gradient * y))).reshape(dx.shape)

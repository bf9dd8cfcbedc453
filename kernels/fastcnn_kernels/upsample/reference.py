"""Upsampling in NumPy: along each axis a matrix of weights (outputs, pixels), whose transpose is the gradient."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Extents

Array = NDArray[Any]


def upsample_forward(plan: Any, x: Any, y: Any, *, factors: Extents, interpolation: str) -> None:
    """y = weights along every axis times x."""
    plan.launch(_upsample_forward, x, y, factors=factors, interpolation=interpolation)


def upsample_backward(plan: Any, dy: Any, dx: Any, *, factors: Extents, interpolation: str) -> None:
    """dx = transposed weights along every axis times dy."""
    plan.launch(_upsample_backward, dy, dx, factors=factors, interpolation=interpolation)


def weights(extent: int, factor: int, interpolation: str) -> Array:
    """(extent * factor, extent): how much of each pixel there is in each output."""
    outputs, pixels = np.arange(extent * factor)[:, None], np.arange(extent)
    if interpolation == "nearest":
        return (outputs // factor == pixels).astype(np.float64)
    centres = np.clip((outputs + 0.5) / factor - 0.5, 0, extent - 1)
    return np.maximum(0, 1 - np.abs(centres - pixels))


def _upsample_forward(x: Array, y: Array, *, factors: Extents, interpolation: str) -> None:
    for axis, factor in enumerate(factors, start=1):
        x = _along(axis, weights(x.shape[axis], factor, interpolation), x)
    y[...] = x


def _upsample_backward(dy: Array, dx: Array, *, factors: Extents, interpolation: str) -> None:
    for axis, factor in enumerate(factors, start=1):
        dy = _along(axis, weights(dx.shape[axis], factor, interpolation).T, dy)
    dx[...] = dy


def _along(axis: int, matrix: Array, x: Array) -> Array:
    """The matrix times every line of x along an axis."""
    return np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)

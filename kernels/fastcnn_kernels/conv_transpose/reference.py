"""Transposed convolution in NumPy: the convolution from y's shape to x's, run backwards."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Extents, Padding
from ..conv.reference import convolution_gradients, convolve

Array = NDArray[Any]


def conv_transpose_forward(
    plan: Any, x: Any, w: Any, b: Any, y: Any, *, strides: Extents, padding: Padding, dilation: Extents
) -> None:
    """y = data gradient of the convolution at x, plus b."""
    plan.launch(_conv_transpose_forward, x, w, b, y, strides=strides, padding=padding, dilation=dilation)


def conv_transpose_backward(
    plan: Any, x: Any, w: Any, dy: Any, dx: Any, dw: Any, db: Any, *,
    strides: Extents, padding: Padding, dilation: Extents,
) -> None:
    """dx = convolution of dy, dw = weight gradient with x as the gradient of its output."""
    plan.launch(_conv_transpose_backward, x, w, dy, dx, dw, db, strides=strides, padding=padding, dilation=dilation)


def _conv_transpose_forward(x: Array, w: Array, b: Array | None, y: Array, **geometry: Any) -> None:
    y[...] = convolution_gradients(np.zeros_like(y), w, x, **geometry)[0]
    if b is not None:
        y += b


def _conv_transpose_backward(
    x: Array, w: Array, dy: Array, dx: Array | None, dw: Array | None, db: Array | None, **geometry: Any
) -> None:
    if dx is not None:
        dx[...] = convolve(dy, w, None, x.shape[1:-1], **geometry)
    if dw is not None:
        dw[...] = convolution_gradients(dy, w, x, **geometry)[1]
    if db is not None:
        db[...] = dy.sum(axis=tuple(range(dy.ndim - 1)))

"""Convolution in NumPy: one matrix product for each position of the kernel.

Position k of the kernel meets the pixels x[o*stride + k*dilation - pad] of the padded image: a strided slice of it, so
that forward, data gradient and weight gradient are each a sum over k of (pixels, Ci) and (Ci, Co) matrices, one a group.

    conv_forward, conv_backward             y = act(x * w + b) and its gradients
    conv_pool_forward, conv_pool_backward   the same with a max pool behind it
    convolve, convolution_gradients         the arithmetic, on arrays
    by_group, kernel_by_group               channels seen as groups
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..activation.reference import activate, derivative
from ..api import Extents, Padding
from ..pool.reference import max_pool, max_pool_gradient
from ..reference_windows import crop, pad, positions, window_slice

Array = NDArray[Any]


def conv_forward(
    plan: Any, x: Any, w: Any, b: Any, y: Any, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
    activation: str = "linear", alpha: float = 0.0,
) -> None:
    """y = act(convolution of x with w, plus b)."""
    geometry = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    plan.launch(_conv_forward, x, w, b, y, activation=activation, alpha=alpha, **geometry)


def conv_backward(
    plan: Any, x: Any, w: Any, y: Any, dy: Any, dx: Any, dw: Any, db: Any, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
    activation: str = "linear", alpha: float = 0.0,
) -> None:
    """Gradients of conv_forward."""
    geometry = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    plan.launch(_conv_backward, x, w, y, dy, dx, dw, db, activation=activation, alpha=alpha, **geometry)


def conv_pool_forward(
    plan: Any, x: Any, w: Any, b: Any, y: Any, argmax: Any, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
    activation: str = "linear", alpha: float = 0.0, window: Extents,
) -> None:
    """y, argmax = max_pool(conv_forward(x)) with strides equal to the window."""
    geometry = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    plan.launch(_conv_pool_forward, x, w, b, y, argmax, activation=activation, alpha=alpha, window=window, **geometry)


def conv_pool_backward(
    plan: Any, x: Any, w: Any, y: Any, argmax: Any, dy: Any, dx: Any, dw: Any, db: Any, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
    activation: str = "linear", alpha: float = 0.0, window: Extents,
) -> None:
    """Gradients of conv_pool_forward."""
    geometry = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    operands = (x, w, y, argmax, dy, dx, dw, db)
    plan.launch(_conv_pool_backward, *operands, activation=activation, alpha=alpha, window=window, **geometry)


def convolve(
    x: Array, w: Array, b: Array | None, extents: Extents, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
) -> Array:
    """z (N, *extents, Co) = convolution of x (N, *S, Ci) with w (*K, Ci/groups, Co), plus b."""
    padded = pad(x, padding)
    z = np.zeros((groups, len(x) * int(np.prod(extents)), w.shape[-1] // groups), x.dtype)
    for k in positions(w.shape[:-2]):
        patch = padded[window_slice(k, extents, strides, dilation)]
        z += by_group(patch, groups) @ kernel_by_group(w[k], groups)
    image = _from_groups(z, (len(x), *extents, w.shape[-1]))
    return image if b is None else image + b


def convolution_gradients(
    x: Array, w: Array, dz: Array, *, strides: Extents, padding: Padding, dilation: Extents, groups: int = 1
) -> tuple[Array, Array, Array]:
    """dx, dw and db of z = convolve(x, w, b) from dz (N, *extents, Co)."""
    padded = pad(x, padding)
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    dz_by_group = by_group(dz, groups)
    for k in positions(w.shape[:-2]):
        here = window_slice(k, dz.shape[1:-1], strides, dilation)
        patch = padded[here]
        dw[k] = _kernel_from_groups(by_group(patch, groups).swapaxes(1, 2) @ dz_by_group)
        dpatch = dz_by_group @ kernel_by_group(w[k], groups).swapaxes(1, 2)
        dpadded[here] += _from_groups(dpatch, patch.shape)
    return crop(dpadded, padding), dw, dz.sum(axis=tuple(range(dz.ndim - 1)))


def by_group(image: Array, groups: int) -> Array:
    """(N, *S, C) -> (groups, N * pixels, C / groups)."""
    channels = image.shape[-1]
    return image.reshape(-1, groups, channels // groups).swapaxes(0, 1)


def kernel_by_group(w: Array, groups: int) -> Array:
    """(Ci/groups, Co) -> (groups, Ci/groups, Co/groups)."""
    return w.reshape(len(w), groups, -1).swapaxes(0, 1)


def _from_groups(grouped: Array, shape: tuple[int, ...]) -> Array:
    return grouped.swapaxes(0, 1).reshape(shape)


def _kernel_from_groups(grouped: Array) -> Array:
    return grouped.swapaxes(0, 1).reshape(grouped.shape[1], -1)


def _conv_forward(
    x: Array, w: Array, b: Array | None, y: Array, *, activation: str, alpha: float, **geometry: Any
) -> None:
    y[...] = activate(convolve(x, w, b, y.shape[1:-1], **geometry), activation, alpha)


def _conv_backward(
    x: Array, w: Array, y: Array, dy: Array, dx: Array | None, dw: Array | None, db: Array | None, *,
    activation: str, alpha: float, **geometry: Any,
) -> None:
    dz = dy * derivative(y, activation, alpha)
    _write((dx, dw, db), convolution_gradients(x, w, dz, **geometry))


def _conv_pool_forward(
    x: Array, w: Array, b: Array | None, y: Array, argmax: Array, *,
    activation: str, alpha: float, window: Extents, **geometry: Any,
) -> None:
    z = activate(convolve(x, w, b, _conv_extents(y, window), **geometry), activation, alpha)
    y[...], argmax[...] = max_pool(z, y.shape[1:-1], window, window)


def _conv_pool_backward(
    x: Array, w: Array, y: Array, argmax: Array, dy: Array, dx: Array | None, dw: Array | None, db: Array | None, *,
    activation: str, alpha: float, window: Extents, **geometry: Any,
) -> None:
    dz = max_pool_gradient(argmax, dy * derivative(y, activation, alpha), _conv_extents(y, window), window, window)
    _write((dx, dw, db), convolution_gradients(x, w, dz, **geometry))


def _conv_extents(pooled: Array, window: Extents) -> Extents:
    return tuple(o * k for o, k in zip(pooled.shape[1:-1], window, strict=True))


def _write(outputs: tuple[Array | None, ...], values: tuple[Array, ...]) -> None:
    for output, value in zip(outputs, values, strict=True):
        if output is not None:
            output[...] = value

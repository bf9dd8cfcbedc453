"""Softmax, sigmoid and their crossentropies in NumPy.

    softmax_*, softmax_crossentropy_*, crossentropy_*       classes: from logits, fused; from probabilities
    sigmoid_crossentropy_*, binary_crossentropy_*           yes or no: from logits, fused; from probabilities
    softmax, sigmoid                                        the arithmetic, on arrays
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CLIP = 1e-7
"""Probabilities stay this far from 0 and 1 before a logarithm is taken, as in Keras."""


def softmax_forward(plan: Any, x: Any, y: Any) -> None:
    """y = softmax(x) over the last axis."""
    plan.launch(_softmax_forward, x, y)


def softmax_backward(plan: Any, y: Any, dy: Any, dx: Any) -> None:
    """dx = y * (dy - sum y*dy)."""
    plan.launch(_softmax_backward, y, dy, dx)


def softmax_crossentropy_forward(plan: Any, x: Any, labels: Any, y: Any, loss: Any) -> None:
    """y = softmax(x); loss[n] = mean over positions of -sum t log y."""
    plan.launch(_softmax_crossentropy_forward, x, labels, y, loss)


def softmax_crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dx: Any) -> None:
    """dx = dloss / positions * (y * sum t - t)."""
    plan.launch(_softmax_crossentropy_backward, y, labels, dloss, dx)


def crossentropy_forward(plan: Any, y: Any, labels: Any, loss: Any, *, focus: float = 0.0) -> None:
    """loss[n] = mean over positions of -sum t (1 - p)^focus log p, p = clip(y / sum y)."""
    plan.launch(_crossentropy_forward, y, labels, loss, focus=focus)


def crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dy: Any, *, focus: float = 0.0) -> None:
    """Gradient of crossentropy_forward."""
    plan.launch(_crossentropy_backward, y, labels, dloss, dy, focus=focus)


def sigmoid_crossentropy_forward(plan: Any, x: Any, labels: Any, y: Any, loss: Any) -> None:
    """y = sigmoid(x); loss[n] = mean of -(t log y + (1-t) log(1-y)), from x."""
    plan.launch(_sigmoid_crossentropy_forward, x, labels, y, loss)


def sigmoid_crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dx: Any) -> None:
    """dx = dloss / elements * (y - t)."""
    plan.launch(_sigmoid_crossentropy_backward, y, labels, dloss, dx)


def binary_crossentropy_forward(plan: Any, y: Any, labels: Any, loss: Any) -> None:
    """loss[n] = mean of -(t log p + (1-t) log(1-p)), p = clip(y)."""
    plan.launch(_binary_crossentropy_forward, y, labels, loss)


def binary_crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dy: Any) -> None:
    """Gradient of binary_crossentropy_forward."""
    plan.launch(_binary_crossentropy_backward, y, labels, dloss, dy)


def softmax(x: Array) -> Array:
    """exp(x) / sum exp(x) over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    # tanh does not overflow, exp(-x) does.
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _softmax_forward(x: Array, y: Array) -> None:
    y[...] = softmax(x)


def _softmax_backward(y: Array, dy: Array, dx: Array) -> None:
    dx[...] = y * (dy - (y * dy).sum(axis=-1, keepdims=True))


def _softmax_crossentropy_forward(x: Array, labels: Array, y: Array, loss: Array) -> None:
    y[...] = softmax(x)
    shifted = x - x.max(axis=-1, keepdims=True)
    log_y = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    loss[...] = _mean_over_positions(-(_distribution(labels, x) * log_y).sum(axis=-1))


def _softmax_crossentropy_backward(y: Array, labels: Array, dloss: Array, dx: Array) -> None:
    t = _distribution(labels, y)
    dx[...] = _per_sample(dloss, y) / _positions(y) * (y * t.sum(axis=-1, keepdims=True) - t)


def _crossentropy_forward(y: Array, labels: Array, loss: Array, *, focus: float) -> None:
    p = np.clip(y / y.sum(axis=-1, keepdims=True), CLIP, 1 - CLIP)
    loss[...] = _mean_over_positions(-(_distribution(labels, y) * (1 - p) ** focus * np.log(p)).sum(axis=-1))


def _crossentropy_backward(y: Array, labels: Array, dloss: Array, dy: Array, *, focus: float) -> None:
    total = y.sum(axis=-1, keepdims=True)
    p = y / total
    q = np.clip(p, CLIP, 1 - CLIP)
    slope = (1 - q) ** focus * (1 / q - focus * np.log(q) / (1 - q))
    dp = -np.where(_inside(p), _distribution(labels, y) * slope, 0)
    # p = y / total depends on every y through the total.
    dy[...] = _per_sample(dloss, y) / _positions(y) * (dp - (dp * p).sum(axis=-1, keepdims=True)) / total


def _sigmoid_crossentropy_forward(x: Array, labels: Array, y: Array, loss: Array) -> None:
    y[...] = sigmoid(x)
    loss[...] = _mean_over_positions(np.maximum(x, 0) - x * labels + np.log1p(np.exp(-np.abs(x))))


def _sigmoid_crossentropy_backward(y: Array, labels: Array, dloss: Array, dx: Array) -> None:
    dx[...] = _per_sample(dloss, y) / _elements(y) * (y - labels)


def _binary_crossentropy_forward(y: Array, labels: Array, loss: Array) -> None:
    p = np.clip(y, CLIP, 1 - CLIP)
    loss[...] = _mean_over_positions(-(labels * np.log(p) + (1 - labels) * np.log1p(-p)))


def _binary_crossentropy_backward(y: Array, labels: Array, dloss: Array, dy: Array) -> None:
    p = np.clip(y, CLIP, 1 - CLIP)
    dp = np.where(_inside(y), (1 - labels) / (1 - p) - labels / p, 0)
    dy[...] = _per_sample(dloss, y) / _elements(y) * dp


def _distribution(labels: Array, y: Array) -> Array:
    """Labels in the shape of y: class numbers as one-hot rows."""
    if labels.ndim == y.ndim:
        return labels
    return (labels[..., np.newaxis] == np.arange(y.shape[-1])).astype(y.dtype)


def _inside(p: Array) -> Array:
    """Where the clip lets a probability, and so its derivative, through."""
    return (p >= CLIP) & (p <= 1 - CLIP)


def _mean_over_positions(losses: Array) -> Array:
    """(N, ...) -> (N,)."""
    return losses.reshape(len(losses), -1).mean(axis=1)


def _per_sample(dloss: Array, y: Array) -> Array:
    """(N,) -> (N, 1, ..., 1), to broadcast with y."""
    return dloss.reshape(-1, *(1,) * (y.ndim - 1))


def _positions(y: Array) -> int:
    return int(np.prod(y.shape[1:-1]))


def _elements(y: Array) -> int:
    return int(np.prod(y.shape[1:]))

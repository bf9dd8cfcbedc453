"""Elementwise activations in NumPy. Derivatives are taken from the output y, so the input need not be kept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def activation_forward(plan: Any, x: Any, y: Any, *, activation: str, alpha: float = 0.0) -> None:
    """y = act(x)."""
    plan.launch(_activation_forward, x, y, activation=activation, alpha=alpha)


def activation_backward(plan: Any, y: Any, dy: Any, dx: Any, *, activation: str, alpha: float = 0.0) -> None:
    """dx = dy * act'(y)."""
    plan.launch(_activation_backward, y, dy, dx, activation=activation, alpha=alpha)


def activate(x: Array, activation: str, alpha: float) -> Array:
    """act(x)."""
    match activation:
        case "linear":
            return x
        case "relu":
            return np.maximum(x, 0)
        case "leaky_relu":
            return np.where(x > 0, x, alpha * x).astype(x.dtype)
        case "sigmoid":
            # tanh does not overflow, exp(-x) does.
            return 0.5 + 0.5 * np.tanh(0.5 * x)
        case "tanh":
            return np.tanh(x)
    raise ValueError(f"unknown activation {activation!r}")


def derivative(y: Array, activation: str, alpha: float) -> Array:
    """act'(x) as a function of y = act(x)."""
    match activation:
        case "linear":
            return np.ones_like(y)
        case "relu":
            return (y > 0).astype(y.dtype)
        case "leaky_relu":
            return np.where(y > 0, 1, alpha).astype(y.dtype)
        case "sigmoid":
            return y * (1 - y)
        case "tanh":
            return 1 - y * y
    raise ValueError(f"unknown activation {activation!r}")


def _activation_forward(x: Array, y: Array, *, activation: str, alpha: float) -> None:
    y[...] = activate(x, activation, alpha)


def _activation_backward(y: Array, dy: Array, dx: Array, *, activation: str, alpha: float) -> None:
    dx[...] = dy * derivative(y, activation, alpha)

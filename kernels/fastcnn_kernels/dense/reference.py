"""Fully connected layers in NumPy: one matrix product over the last axis."""

from typing import Any

from numpy.typing import NDArray

from ..activation.reference import activate, derivative

Array = NDArray[Any]


def dense_forward(
    plan: Any, x: Any, w: Any, b: Any, y: Any, *, activation: str = "linear", alpha: float = 0.0
) -> None:
    """y = act(x w + b)."""
    plan.launch(_dense_forward, x, w, b, y, activation=activation, alpha=alpha)


def dense_backward(
    plan: Any, x: Any, w: Any, y: Any, dy: Any, dx: Any, dw: Any, db: Any, *,
    activation: str = "linear", alpha: float = 0.0,
) -> None:
    """Gradients of dense_forward."""
    plan.launch(_dense_backward, x, w, y, dy, dx, dw, db, activation=activation, alpha=alpha)


def affine_map(x: Array, w: Array, b: Array | None) -> Array:
    """x w, plus b."""
    return x @ w if b is None else x @ w + b


def _dense_forward(x: Array, w: Array, b: Array | None, y: Array, *, activation: str, alpha: float) -> None:
    y[...] = activate(affine_map(x, w, b), activation, alpha)


def _dense_backward(
    x: Array, w: Array, y: Array, dy: Array, dx: Array | None, dw: Array | None, db: Array | None, *,
    activation: str, alpha: float,
) -> None:
    dz = dy * derivative(y, activation, alpha)
    rows = dz.reshape(-1, dz.shape[-1])
    if dx is not None:
        dx[...] = dz @ w.T
    if dw is not None:
        dw[...] = x.reshape(-1, x.shape[-1]).T @ rows
    if db is not None:
        db[...] = rows.sum(axis=0)

"""Elementwise functions of one, two and many tensors, in NumPy.

    unary_forward, unary_backward       square, abs, exp, log
    binary_forward, binary_backward     add, subtract, multiply, maximum
    affine                              scale and offset
    add, add_parameters                 sums of many
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def unary_forward(plan: Any, x: Any, y: Any, *, function: str) -> None:
    """y = function(x)."""
    plan.launch(_unary_forward, x, y, function=function)


def unary_backward(plan: Any, x: Any, y: Any, dy: Any, dx: Any, *, function: str) -> None:
    """dx = dy * function'(x)."""
    plan.launch(_unary_backward, x, y, dy, dx, function=function)


def binary_forward(plan: Any, a: Any, b: Any, y: Any, *, function: str) -> None:
    """y = function(a, b)."""
    plan.launch(_binary_forward, a, b, y, function=function)


def binary_backward(plan: Any, a: Any, b: Any, dy: Any, da: Any, db: Any, *, function: str) -> None:
    """da, db = dy times the derivatives of function(a, b)."""
    plan.launch(_binary_backward, a, b, dy, da, db, function=function)


def affine(plan: Any, x: Any, y: Any, *, scale: float, offset: float = 0.0) -> None:
    """y = scale * x + offset."""
    plan.launch(_affine, x, y, scale=scale, offset=offset)


def add(plan: Any, xs: Any, y: Any) -> None:
    """y = sum of xs."""
    plan.launch(_add, xs, y)


def add_parameters(plan: Any, xs: Any, y: Any) -> None:
    """y = sum of xs, parameters."""
    plan.launch(_add, xs, y)


def unary(x: Array, function: str) -> Array:
    """function(x)."""
    return {"square": np.square, "abs": np.abs, "exp": np.exp, "log": np.log}[function](x)


def _unary_forward(x: Array, y: Array, *, function: str) -> None:
    y[...] = unary(x, function)


def _unary_backward(x: Array, y: Array, dy: Array, dx: Array, *, function: str) -> None:
    match function:
        case "square":
            dx[...] = dy * 2 * x
        case "abs":
            dx[...] = dy * np.sign(x)
        case "exp":
            dx[...] = dy * y
        case "log":
            dx[...] = dy / x


def _binary_forward(a: Array, b: Array, y: Array, *, function: str) -> None:
    functions = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "maximum": np.maximum}
    y[...] = functions[function](a, b)


def _binary_backward(
    a: Array, b: Array, dy: Array, da: Array | None, db: Array | None, *, function: str
) -> None:
    for output, gradient in zip((da, db), _binary_gradients(a, b, dy, function), strict=True):
        if output is not None:
            output[...] = gradient


def _binary_gradients(a: Array, b: Array, dy: Array, function: str) -> tuple[Array, Array]:
    match function:
        case "add":
            return dy, dy
        case "subtract":
            return dy, -dy
        case "multiply":
            return dy * b, dy * a
        case "maximum":
            return np.where(a >= b, dy, 0), np.where(a >= b, 0, dy)
    raise ValueError(f"unknown binary function {function!r}")


def _affine(x: Array, y: Array, *, scale: float, offset: float) -> None:
    y[...] = scale * x + offset


def _add(xs: Sequence[Array], y: Array) -> None:
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    y[...] = total

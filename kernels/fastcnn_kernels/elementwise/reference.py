"""Elementwise functions of one, two and many tensors, in NumPy.

    unary_forward, unary_backward       square, abs, exp, log, and the activations of UNARY
    binary_forward, binary_backward     add, subtract, multiply, maximum, minimum
    affine                              scale and offset
    add, add_parameters                 sums of many
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""The fixed point of mean 0 and variance 1 (Klambauer, Unterthiner, Mayr and Hochreiter 2017)."""
GELU_SLOPE, GELU_CUBE = math.sqrt(2 / math.pi), 0.044715
"""tanh's argument: GELU_SLOPE (x + GELU_CUBE x^3) (Hendrycks and Gimpel 2016)."""


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
    return _UNARY[function][0](x)


def _sigmoid(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _normal_cdf(x: Array) -> Array:
    share = np.frompyfunc(lambda value: 0.5 * math.erfc(-value / math.sqrt(2)), 1, 1)
    return share(x).astype(x.dtype)


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x: Array) -> Array:
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


def _gelu_gate(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(GELU_SLOPE * (x + GELU_CUBE * x**3)))


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, 0)


def _hard_sigmoid(x: Array) -> Array:
    return np.clip(x / 6 + 0.5, 0, 1)


def _gelu_slope(x: Array, y: Array) -> Array:
    return _normal_cdf(x) + x * np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)


def _gelu_tanh_slope(x: Array, y: Array) -> Array:
    gate = _gelu_gate(x)
    return gate + 2 * x * gate * (1 - gate) * GELU_SLOPE * (1 + 3 * GELU_CUBE * x**2)


def _silu_slope(x: Array, y: Array) -> Array:
    gate = _sigmoid(x)
    return gate + x * gate * (1 - gate)


def _hard_silu_slope(x: Array, y: Array) -> Array:
    return np.where(x >= 3, 1, np.where(x > -3, x / 3 + 0.5, 0))


def _mish_slope(x: Array, y: Array) -> Array:
    t = np.tanh(_softplus(x))
    return t + x * (1 - t**2) * _sigmoid(x)


_UNARY: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "square": (np.square, lambda x, y: 2 * x),
    "abs": (np.abs, lambda x, y: np.sign(x)),
    "exp": (np.exp, lambda x, y: y),
    "log": (np.log, lambda x, y: 1 / x),
    "elu": (_elu, lambda x, y: np.where(x > 0, 1, y + 1)),
    "selu": (_selu, lambda x, y: np.where(x > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA)),
    "gelu": (lambda x: x * _normal_cdf(x), _gelu_slope),
    "gelu_tanh": (lambda x: x * _gelu_gate(x), _gelu_tanh_slope),
    "silu": (lambda x: x * _sigmoid(x), _silu_slope),
    "softplus": (_softplus, lambda x, y: _sigmoid(x)),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x, y: 1 / (1 + np.abs(x)) ** 2),
    "hard_sigmoid": (_hard_sigmoid, lambda x, y: (np.abs(x) < 3) / 6),
    "hard_silu": (lambda x: x * _hard_sigmoid(x), _hard_silu_slope),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x, y: (x > 0) & (x < 6)),
    "mish": (lambda x: x * np.tanh(_softplus(x)), _mish_slope),
    "step": (lambda x: np.heaviside(x, 0), lambda x, y: np.zeros_like(x)),
}
"""Each function, and its derivative from x and from its value y there."""


def _unary_forward(x: Array, y: Array, *, function: str) -> None:
    y[...] = unary(x, function)


def _unary_backward(x: Array, y: Array, dy: Array, dx: Array, *, function: str) -> None:
    dx[...] = dy * _UNARY[function][1](x, y)


def _binary_forward(a: Array, b: Array, y: Array, *, function: str) -> None:
    y[...] = getattr(np, function)(a, b)


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
        case "minimum":
            return np.where(a <= b, dy, 0), np.where(a <= b, 0, dy)
    raise ValueError(f"unknown binary function {function!r}")


def _affine(x: Array, y: Array, *, scale: float, offset: float) -> None:
    y[...] = scale * x + offset


def _add(xs: Sequence[Array], y: Array) -> None:
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    y[...] = total

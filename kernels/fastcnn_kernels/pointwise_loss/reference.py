"""Losses that are a mean over elements, in NumPy: one pass over prediction and label, whatever the function.

    pointwise_loss_forward, pointwise_loss_backward    the functions are POINTWISE_LOSSES
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEAST = 1e-7
"""What stands for 0 where a logarithm is taken or a quotient formed, as in Keras."""


def pointwise_loss_forward(
    plan: Any, y: Any, labels: Any, loss: Any, *, function: str, parameters: tuple[float, ...] = ()
) -> None:
    """loss[n] = mean over elements of function(y, t)."""
    plan.launch(_forward, y, labels, loss, function=function, parameters=parameters)


def pointwise_loss_backward(
    plan: Any, y: Any, labels: Any, dloss: Any, dy: Any, *, function: str, parameters: tuple[float, ...] = ()
) -> None:
    """dy = dloss[n] / elements * derivative of function(y, t) by y."""
    plan.launch(_backward, y, labels, dloss, dy, function=function, parameters=parameters)


def _forward(y: Array, labels: Array, loss: Array, *, function: str, parameters: tuple[float, ...]) -> None:
    values = _FUNCTIONS[function][0](y, labels, *parameters)
    loss[...] = values.reshape(len(y), -1).mean(axis=1)


def _backward(y: Array, labels: Array, dloss: Array, dy: Array, *, function: str, parameters: tuple[float, ...]) -> None:
    share = dloss.reshape(-1, *(1,) * (y.ndim - 1)) / (y.size // len(y))
    dy[...] = share * _FUNCTIONS[function][1](y, labels, *parameters)


def _scale(t: Array) -> Array:
    return np.maximum(np.abs(t), LEAST)


def _log_ratio(y: Array, t: Array) -> Array:
    return np.log1p(np.maximum(y, LEAST)) - np.log1p(np.maximum(t, LEAST))


def _squared_logarithmic_slope(y: Array, t: Array) -> Array:
    return np.where(y >= LEAST, 2 * _log_ratio(y, t) / (1 + y), 0)


def _huber(y: Array, t: Array, delta: float) -> Array:
    distance = np.abs(y - t)
    return np.where(distance <= delta, 0.5 * distance**2, delta * distance - 0.5 * delta**2)


def _log_cosh(y: Array, t: Array) -> Array:
    distance = np.abs(y - t)
    return distance + np.log1p(np.exp(-2 * distance)) - math.log(2)


def _sign(t: Array) -> Array:
    """Labels 0 and 1 as -1 and 1."""
    return np.where(t == 0, -1, t)


def _margin(y: Array, t: Array) -> Array:
    return np.maximum(1 - _sign(t) * y, 0)


def _divergence(y: Array, t: Array) -> Array:
    p, q = np.clip(y, LEAST, 1), np.clip(t, LEAST, 1)
    return q * np.log(q / p)


def _divergence_slope(y: Array, t: Array) -> Array:
    return np.where((y >= LEAST) & (y <= 1), -np.clip(t, LEAST, 1) / np.clip(y, LEAST, 1), 0)


def _wrongness(y: Array, t: Array) -> Array:
    """1 - the probability of the true answer."""
    return np.maximum(t * (1 - y) + (1 - t) * y, LEAST)


def _binary(y: Array, t: Array) -> Array:
    p = np.clip(y, LEAST, 1 - LEAST)
    return -(t * np.log(p) + (1 - t) * np.log1p(-p))


def _balance(t: Array, yes: float, no: float) -> Array:
    return t * yes + (1 - t) * no


def _focal(y: Array, t: Array, gamma: float, yes: float, no: float) -> Array:
    return _balance(t, yes, no) * _wrongness(y, t) ** gamma * _binary(y, t)


def _focal_slope(y: Array, t: Array, gamma: float, yes: float, no: float) -> Array:
    wrong, p = _wrongness(y, t), np.clip(y, LEAST, 1 - LEAST)
    slope = np.where((y >= LEAST) & (y <= 1 - LEAST), (1 - t) / (1 - p) - t / p, 0)
    return _balance(t, yes, no) * wrong**gamma * (gamma * (1 - 2 * t) / wrong * _binary(y, t) + slope)


_FUNCTIONS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "squared": (lambda y, t: (y - t) ** 2, lambda y, t: 2 * (y - t)),
    "absolute": (lambda y, t: np.abs(y - t), lambda y, t: np.sign(y - t)),
    "percentage": (lambda y, t: 100 * np.abs(y - t) / _scale(t), lambda y, t: 100 * np.sign(y - t) / _scale(t)),
    "squared_logarithmic": (lambda y, t: _log_ratio(y, t) ** 2, _squared_logarithmic_slope),
    "huber": (_huber, lambda y, t, delta: np.clip(y - t, -delta, delta)),
    "log_cosh": (_log_cosh, lambda y, t: np.tanh(y - t)),
    "hinge": (_margin, lambda y, t: np.where(_margin(y, t) > 0, -_sign(t), 0)),
    "squared_hinge": (lambda y, t: _margin(y, t) ** 2, lambda y, t: -2 * _sign(t) * _margin(y, t)),
    "poisson": (lambda y, t: y - t * np.log(y + LEAST), lambda y, t: 1 - t / (y + LEAST)),
    "divergence": (_divergence, _divergence_slope),
    "focal": (_focal, _focal_slope),
}
"""Each function of prediction, label and parameters, and its derivative by the prediction."""

"""Optimizer steps in NumPy: in place, elementwise, nothing at all while NONFINITE is set."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..api import Scalars

Array = NDArray[Any]


def optimizer_step(
    plan: Any, w: Any, dw: Any, slots: Sequence[Any], factor: Any, scalars: Any, *,
    rule: str, beta_1: float = 0.0, beta_2: float = 0.0, weight_decay: float = 0.0, clipvalue: float | None = None,
) -> None:
    """w = (1 - weight_decay * LEARNING_RATE) * w - step of the rule for the clipped gradient."""
    attributes = dict(rule=rule, beta_1=beta_1, beta_2=beta_2, weight_decay=weight_decay, clipvalue=clipvalue)
    plan.launch(_optimizer_step, w, dw, list(slots), factor, scalars, **attributes)


def clip_factor(plan: Any, xs: Sequence[Any], factor: Any, *, limit: float) -> None:
    """factor = limit / max(norm, limit)."""
    plan.launch(_clip_factor, list(xs), factor, limit=limit)


class Coefficients(NamedTuple):
    """What a rule reads besides the gradient and its slots."""

    rate: float
    gradient_rate: float
    epsilon: float
    beta_1: float
    beta_2: float


def _optimizer_step(
    w: Array, dw: Array, slots: list[Array], factor: Array | None, scalars: Array, *,
    rule: str, beta_1: float, beta_2: float, weight_decay: float, clipvalue: float | None,
) -> None:
    if scalars[Scalars.NONFINITE]:
        return
    values = scalars.view(np.float64)
    rate, gradient_rate, epsilon = (float(values[slot]) for slot in (Scalars.RATE, Scalars.GRADIENT_RATE, Scalars.EPSILON))
    gradient = dw if factor is None else dw * factor
    if clipvalue is not None:
        gradient = np.clip(gradient, -clipvalue, clipvalue)
    w *= 1 - weight_decay * float(values[Scalars.LEARNING_RATE])
    w -= STEPS[rule](gradient, Coefficients(rate, gradient_rate, epsilon, beta_1, beta_2), *slots)


def _clip_factor(xs: list[Array], factor: Array, *, limit: float) -> None:
    norm = np.sqrt(sum(float(np.sum(np.square(x, dtype=np.float64))) for x in xs))
    factor[...] = limit / np.maximum(norm, limit)


# ------ the step of each rule, which updates its slots


def _blend(average: Array, value: Array, beta: float) -> None:
    average += (value - average) * (1 - beta)


def _sgd(g: Array, k: Coefficients) -> Array:
    return k.rate * g


def _momentum(g: Array, k: Coefficients, velocity: Array) -> Array:
    velocity[...] = k.beta_1 * velocity - k.rate * g
    return -velocity


def _nesterov(g: Array, k: Coefficients, velocity: Array) -> Array:
    _momentum(g, k, velocity)
    return k.rate * g - k.beta_1 * velocity


def _lion(g: Array, k: Coefficients, momentum: Array) -> Array:
    direction = np.sign(g + (momentum - g) * k.beta_1)
    _blend(momentum, g, k.beta_2)
    return k.rate * direction


def _adam(g: Array, k: Coefficients, m: Array, v: Array) -> Array:
    _blend(m, g, k.beta_1)
    _blend(v, g * g, k.beta_2)
    return (k.rate * m + k.gradient_rate * g) / (np.sqrt(v) + k.epsilon)


def _amsgrad(g: Array, k: Coefficients, m: Array, v: Array, v_hat: Array) -> Array:
    _adam(g, k, m, v)
    np.maximum(v_hat, v, out=v_hat)
    return (k.rate * m + k.gradient_rate * g) / (np.sqrt(v_hat) + k.epsilon)


def _adamax(g: Array, k: Coefficients, m: Array, u: Array) -> Array:
    _blend(m, g, k.beta_1)
    np.maximum(k.beta_2 * u, np.abs(g), out=u)
    return k.rate * m / (u + k.epsilon)


def _adagrad(g: Array, k: Coefficients, accumulator: Array) -> Array:
    accumulator += g * g
    return k.rate * g / np.sqrt(accumulator + k.epsilon)


def _adadelta(g: Array, k: Coefficients, accumulated_grad: Array, accumulated_delta: Array) -> Array:
    _blend(accumulated_grad, g * g, k.beta_2)
    step = g * np.sqrt(accumulated_delta + k.epsilon) / np.sqrt(accumulated_grad + k.epsilon)
    _blend(accumulated_delta, step * step, k.beta_2)
    return k.rate * step


def _rmsprop(g: Array, k: Coefficients, velocity: Array) -> Array:
    _blend(velocity, g * g, k.beta_2)
    return k.rate * g / np.sqrt(velocity + k.epsilon)


def _rmsprop_centered(g: Array, k: Coefficients, velocity: Array, average_gradient: Array) -> Array:
    _blend(velocity, g * g, k.beta_2)
    _blend(average_gradient, g, k.beta_2)
    return k.rate * g / np.sqrt(velocity - average_gradient**2 + k.epsilon)


def _rmsprop_momentum(g: Array, k: Coefficients, velocity: Array, momentum: Array) -> Array:
    momentum[...] = k.beta_1 * momentum + _rmsprop(g, k, velocity)
    return momentum


def _rmsprop_centered_momentum(g: Array, k: Coefficients, velocity: Array, average: Array, momentum: Array) -> Array:
    momentum[...] = k.beta_1 * momentum + _rmsprop_centered(g, k, velocity, average)
    return momentum


STEPS: dict[str, Callable[..., Array]] = {
    "sgd": _sgd, "momentum": _momentum, "nesterov": _nesterov, "lion": _lion, "adam": _adam, "amsgrad": _amsgrad,
    "adamax": _adamax, "adagrad": _adagrad, "adadelta": _adadelta, "rmsprop": _rmsprop, "rmsprop_momentum": _rmsprop_momentum,
    "rmsprop_centered": _rmsprop_centered, "rmsprop_centered_momentum": _rmsprop_centered_momentum,
}  # fmt: skip

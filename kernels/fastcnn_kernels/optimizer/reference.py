"""Optimizer steps in NumPy: in place, elementwise, nothing at all while NONFINITE is set."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Scalars

Array = NDArray[Any]


def sgd(plan: Any, w: Any, dw: Any, velocity: Any, scalars: Any, *, momentum: float, nesterov: bool) -> None:
    """Gradient descent, with momentum where there is a velocity."""
    plan.launch(_sgd, w, dw, velocity, scalars, momentum=momentum, nesterov=nesterov)


def adam(
    plan: Any, w: Any, dw: Any, m: Any, v: Any, scalars: Any, *, beta_1: float, beta_2: float, epsilon: float
) -> None:
    """Adam, as Keras has it."""
    plan.launch(_adam, w, dw, m, v, scalars, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


def _sgd(w: Array, dw: Array, velocity: Array | None, scalars: Array, *, momentum: float, nesterov: bool) -> None:
    if scalars[Scalars.NONFINITE]:
        return
    step = _learning_rate(scalars) * dw
    if velocity is None:
        w -= step
        return
    velocity[...] = momentum * velocity - step
    w += momentum * velocity - step if nesterov else velocity


def _adam(
    w: Array, dw: Array, m: Array, v: Array, scalars: Array, *, beta_1: float, beta_2: float, epsilon: float
) -> None:
    if scalars[Scalars.NONFINITE]:
        return
    t = int(scalars[Scalars.ITERATION])
    m += (dw - m) * (1 - beta_1)
    v += (dw * dw - v) * (1 - beta_2)
    rate = _learning_rate(scalars) * float(np.sqrt(1 - beta_2**t) / (1 - beta_1**t))
    w -= rate * m / (np.sqrt(v) + epsilon)


def _learning_rate(scalars: Array) -> float:
    return float(scalars.view(np.float64)[Scalars.LEARNING_RATE])

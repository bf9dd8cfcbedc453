"""Penalties on weights, and the sets that weights are kept in, in NumPy.

    penalty, penalty_gradient    l1 * sum |w| + l2 * sum w^2, and its gradient added to another
    constrain                    weights not below 0; norms between two limits; nothing while NONFINITE is set
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Scalars

Array = NDArray[Any]
EPSILON = 1e-7


def penalty(plan: Any, w: Any, accumulator: Any, *, l1: float, l2: float) -> None:
    """Accumulate batch size * penalty, and the batch size."""
    plan.launch(_penalty, w, accumulator, samples=plan.batch_size, l1=l1, l2=l2)


def penalty_gradient(plan: Any, w: Any, dw: Any, y: Any, *, l1: float, l2: float) -> None:
    """y = dw + l1 * sign(w) + 2 * l2 * w."""
    plan.launch(_penalty_gradient, w, dw, y, l1=l1, l2=l2)


def constrain(plan: Any, w: Any, scalars: Any, *, axes: int, low: float, high: float, rate: float, positive: bool) -> None:
    """Scale w to norms within limits, or cut off what is below 0."""
    plan.launch(_constrain, w, scalars, axes=axes, low=low, high=high, rate=rate, positive=positive)


def _penalty(w: Array, accumulator: Array, *, samples: int, l1: float, l2: float) -> None:
    wide = w.astype(np.float64)
    accumulator += samples * (l1 * np.abs(wide).sum() + l2 * np.square(wide).sum()), samples


def _penalty_gradient(w: Array, dw: Array, y: Array, *, l1: float, l2: float) -> None:
    y[...] = dw + l1 * np.sign(w) + 2 * l2 * w


def _constrain(w: Array, scalars: Array, *, axes: int, low: float, high: float, rate: float, positive: bool) -> None:
    if scalars[Scalars.NONFINITE]:
        return
    if positive:
        np.maximum(w, 0, out=w)
        return
    norm = np.sqrt(np.square(w).sum(axis=tuple(range(axes)), keepdims=True))
    w *= (rate * np.clip(norm, low, high) + (1 - rate) * norm) / (EPSILON + norm)

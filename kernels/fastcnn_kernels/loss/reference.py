"""From losses of samples to one number, and metrics, in NumPy. Accumulators are float64 whatever the dtype."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Scalars

Array = NDArray[Any]


def weighted_loss(
    plan: Any, loss: Any, weight: Any, dloss: Any, accumulator: Any, scalars: Any, *, scale: float
) -> None:
    """L = sum of weight * loss / N, accumulated; dloss = scale * weight / N."""
    plan.launch(_weighted_loss, loss, weight, dloss, accumulator, scalars, scale=scale)


def accuracy(plan: Any, y: Any, labels: Any, weight: Any, accumulator: Any, *, form: str) -> None:
    """Accumulate weight * hit, and weight."""
    plan.launch(_accuracy, y, labels, weight, accumulator, form=form)


def mean_metric(plan: Any, values: Any, weight: Any, accumulator: Any) -> None:
    """Accumulate weight * value, and weight."""
    plan.launch(_mean_metric, values, weight, accumulator)


def _weighted_loss(
    loss: Array, weight: Array, dloss: Array | None, accumulator: Array, scalars: Array, *, scale: float
) -> None:
    total = _sum_in_order(weight.astype(np.float64) * loss)
    accumulator += total, len(loss)
    if not np.isfinite(total):
        scalars[Scalars.NONFINITE] = scalars[Scalars.NONFINITE] or scalars[Scalars.STEP] + 1
    if dloss is not None:
        dloss[...] = scale * weight / len(loss)


def _accuracy(y: Array, labels: Array, weight: Array, accumulator: Array, *, form: str) -> None:
    hits = _hits(y, labels, form)
    weights = np.repeat(weight.astype(np.float64), hits.size // len(hits))
    accumulator += np.sum(weights * hits.ravel()), np.sum(weights)


def _hits(y: Array, labels: Array, form: str) -> Array:
    match form:
        case "categorical":
            return y.argmax(axis=-1) == labels.argmax(axis=-1)
        case "sparse":
            return y.argmax(axis=-1) == labels
        case "binary":
            return (y > 0.5) == labels
    raise ValueError(f"unknown form of accuracy {form!r}")


def _mean_metric(values: Array, weight: Array, accumulator: Array) -> None:
    accumulator += _sum_in_order(weight.astype(np.float64) * values), _sum_in_order(weight)


def _sum_in_order(terms: Array) -> float:
    return float(np.cumsum(terms, dtype=np.float64)[-1])

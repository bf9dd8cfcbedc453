"""What a metric is.

    Metric          in NumPy, on the host
    FunctionMetric  made of a function of arrays
    DeviceMetric    steps of the program
    weights_of      sample weights, element by element
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..losses import per_sample
from ..trace import Value, current_trace
from ..utils.naming import snake_case

Array = NDArray[Any]
Direction = Literal["up", "down"] | None


class Metric:
    """A metric in NumPy, which runs on the host on every batch's predictions. Override the three methods.

    name        as it stands in logs
    direction   whether better is "up" or "down", where callbacks should know
    """

    direction: ClassVar[Direction] = None

    def __init__(self, name: str | None = None):
        self.name = name or snake_case(type(self).__name__)

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Take a batch in: labels (n, ...) and predictions (n, ...)."""
        raise NotImplementedError(f"{type(self).__name__} needs a method update_state(y_true, y_pred, sample_weight=None)")

    def result(self) -> float:
        """The metric over everything taken in since `reset_state`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method result()")

    def reset_state(self) -> None:
        """Forget everything taken in."""
        raise NotImplementedError(f"{type(self).__name__} needs a method reset_state()")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {"name": self.name}


def weights_of(sample_weight: Array | None, y_pred: Array) -> Array:
    """A weight for every element of `y_pred`."""
    weights = np.ones(len(y_pred)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    return np.broadcast_to(weights.reshape(weights.shape + (1,) * (y_pred.ndim - weights.ndim)), y_pred.shape)


class FunctionMetric(Metric):
    """The mean of a function (y_true, y_pred) of arrays, which returns a number a sample, or one for the batch."""

    def __init__(self, function: Callable[[Array, Array], Any]):
        super().__init__(getattr(function, "__name__", None))
        self.function = function
        self.reset_state()

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Take a batch in."""
        values = np.asarray(self.function(y_true, y_pred), np.float64)
        weights = weights_of(sample_weight if values.ndim else None, np.atleast_1d(values))
        self.total += (values * weights).sum()
        self.count += weights.sum()

    def result(self) -> float:
        """The mean of all values; 0 before the first."""
        return float(self.total / self.count) if self.count else 0.0

    def reset_state(self) -> None:
        """Forget everything taken in."""
        self.total = self.count = 0.0


class DeviceMetric:
    """A mean over samples, computed with `fastcnn.ops` inside the program: override `values`."""

    direction: ClassVar[Direction] = None

    def __init__(self, name: str | None = None):
        self.name = name or snake_case(type(self).__name__)

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """The metric of each sample, (N,)."""
        raise NotImplementedError(f"{type(self).__name__} needs a method values(y_true, y_pred) that returns (N,)")

    def emit(self, y_true: Value, y_pred: Value, weight: Value, accumulator: Value) -> None:
        """Append the steps that add a batch's weighted sum and weight to `accumulator`."""
        values = per_sample(self.values(y_true, y_pred), f"the metric {self.name!r}")
        current_trace().append("mean_metric", dict(values=values, weight=weight, accumulator=accumulator))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {"name": self.name}

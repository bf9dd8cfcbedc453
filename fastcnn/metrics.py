"""Metrics: numbers to look at while training, which training does not follow.

    on the device   DeviceMetric    steps of the program, composed of `fastcnn.ops`: costs almost nothing
                    Accuracy, CategoricalAccuracy, SparseCategoricalAccuracy, BinaryAccuracy,
                    MeanSquaredError, MeanAbsoluteError,
                    CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy
    on the host     Metric          your own, in NumPy: update_state, result, reset_state
                    FunctionMetric  a function (y_true, y_pred) of arrays
    get, serialize  by name: "accuracy", "mse", ...

A metric on the host costs a copy of every prediction. As in Keras, `metrics` do not see sample weights.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from . import losses
from .losses import Loss, per_sample
from .trace import Value, current_trace
from .utils import registry
from .utils.naming import snake_case

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


class FunctionMetric(Metric):
    """The mean of a function (y_true, y_pred) of arrays, which returns a number a sample, or one for the batch."""

    def __init__(self, function: Callable[[Array, Array], Any]):
        super().__init__(getattr(function, "__name__", None))
        self.function = function
        self.reset_state()

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Take a batch in."""
        values = np.asarray(self.function(y_true, y_pred), np.float64)
        self.total += values.sum()
        self.count += values.size

    def result(self) -> float:
        """The mean of all values; 0 before the first."""
        return float(self.total / self.count) if self.count else 0.0

    def reset_state(self) -> None:
        """Forget everything taken in."""
        self.total, self.count = 0.0, 0


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


class Accuracy(DeviceMetric):
    """How often the prediction is right. The labels say which of the three forms it takes, as Keras's "accuracy" does:

    binary where the output has one unit, sparse where labels are class numbers, categorical where they are one-hot.
    """

    direction = "up"
    form: ClassVar[str | None] = None

    def __init__(self, name: str = "accuracy"):
        super().__init__(name)

    def emit(self, y_true: Value, y_pred: Value, weight: Value, accumulator: Value) -> None:
        """Append the step that counts hits."""
        form = self.form or _form(y_true, y_pred)
        if y_true.shape != (y_pred.shape[:-1] if form == "sparse" else y_pred.shape):
            raise ValueError(
                f"the metric {self.name!r} compares predictions {y_pred.shape} with {_EXPECTED[form]}, but the loss takes "
                f"labels of shape {y_true.shape} ({y_true.dtype}): use metrics=['accuracy'], which fits itself to the loss"
            )
        operands = dict(y=y_pred, labels=y_true, weight=weight, accumulator=accumulator)
        current_trace().append("accuracy", operands, dict(form=form))


_EXPECTED = {
    "binary": "labels 0 or 1 of the same shape",
    "categorical": "one-hot labels of the same shape",
    "sparse": "class numbers",
}


def _form(y_true: Value, y_pred: Value) -> str:
    if y_pred.shape[-1] == 1:
        return "binary"
    return "sparse" if y_true.dtype == "int32" else "categorical"


class CategoricalAccuracy(Accuracy):
    """How often the largest prediction is at the one of a one-hot label."""

    form = "categorical"

    def __init__(self, name: str = "categorical_accuracy"):
        super().__init__(name)


class SparseCategoricalAccuracy(Accuracy):
    """How often the largest prediction is at the class number that the label is."""

    form = "sparse"

    def __init__(self, name: str = "sparse_categorical_accuracy"):
        super().__init__(name)


class BinaryAccuracy(Accuracy):
    """How often (prediction > 0.5) is the label, every element counted."""

    form = "binary"

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5):
        if threshold != 0.5:
            raise ValueError(f"threshold must be 0.5, got {threshold!r}; write another as a function metric")
        super().__init__(name)


class _LossMetric(DeviceMetric):
    """A loss without its sample weights."""

    direction = "down"
    loss: ClassVar[type[Loss]]

    def __init__(self, name: str | None = None, **arguments: Any):
        self._loss = self.loss(**arguments)
        super().__init__(name or self._loss.name)

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return self._loss.call(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {**self._loss.get_config(), "name": self.name}


class MeanSquaredError(_LossMetric):
    """The mean of (y_pred - y_true)^2."""

    loss = losses.MeanSquaredError


class MeanAbsoluteError(_LossMetric):
    """The mean of |y_pred - y_true|."""

    loss = losses.MeanAbsoluteError


class CategoricalCrossentropy(_LossMetric):
    """The crossentropy of one-hot labels, as the loss of that name."""

    loss = losses.CategoricalCrossentropy


class SparseCategoricalCrossentropy(_LossMetric):
    """The crossentropy of class numbers, as the loss of that name."""

    loss = losses.SparseCategoricalCrossentropy


class BinaryCrossentropy(_LossMetric):
    """The crossentropy of labels in 0..1, as the loss of that name."""

    loss = losses.BinaryCrossentropy


_NAMES: dict[str, type] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "binary_accuracy": BinaryAccuracy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
}


def get(identifier: Any) -> Metric | DeviceMetric:
    """The metric that a name, a class, a saved config, a function of arrays or a metric itself stands for.

    A metric got by name is called what the name says: "acc" logs as acc.
    """
    found = registry.resolve("metric", identifier, _NAMES)
    if isinstance(found, Metric | DeviceMetric):
        if isinstance(identifier, str):
            found.name = identifier
        return found
    if callable(found):
        return FunctionMetric(found)
    raise TypeError(f"a metric must be a name, a Metric, a DeviceMetric or a function (y_true, y_pred), got {identifier!r}")


def serialize(metric: Metric | DeviceMetric) -> dict[str, Any]:
    """What `get` makes the metric from again; a custom function is its name."""
    return registry.serialize(metric.function if isinstance(metric, FunctionMetric) else metric)

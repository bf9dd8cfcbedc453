"""Metrics that the device computes, composed of `fastcnn.ops`: they cost almost nothing.

    Accuracy, CategoricalAccuracy, SparseCategoricalAccuracy, BinaryAccuracy
    MeanSquaredError, MeanAbsoluteError
    CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy
"""

from typing import Any, ClassVar

from .. import losses
from ..losses import Loss
from ..trace import Value, current_trace
from .metric import DeviceMetric


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
    """A loss as a metric."""

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

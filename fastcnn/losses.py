"""Losses: one number a sample, composed of `fastcnn.ops`, and what labels each of them takes.

    Loss                                          the base of all; subclass it, or pass any function (y_true, y_pred) -> Value
    CategoricalCrossentropy                       one-hot labels (n, ..., C)
    SparseCategoricalCrossentropy                 class numbers (n, ...)
    BinaryCrossentropy                            labels in 0..1, of the prediction's shape
    MeanSquaredError, MeanAbsoluteError           labels of the prediction's shape
    get, serialize                                by name: "categorical_crossentropy", "mse", ...

Labels are checked on the host by `Loss.target`, before anything runs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import ops
from .trace import Shape, Value
from .utils import registry
from .utils.naming import snake_case

Array = NDArray[Any]
Target = tuple[tuple[int, ...], str]
"""The shape of one sample's label and its dtype inside the program, "float32" or "int32"."""


class Loss:
    """The base of losses: override `call`, and `target` where labels need more than the usual checks.

    name        as it stands in logs and errors
    reduction   "sum_over_batch_size", the only one: the sum of the samples' losses, each times its weight, over their number
    """

    def __init__(self, name: str | None = None, reduction: str = "sum_over_batch_size"):
        if reduction not in ("sum_over_batch_size", "mean"):
            raise ValueError(
                f'reduction must be "sum_over_batch_size" (the mean over the batch), got {reduction!r}; '
                "other reductions are not offered: scale the loss with loss_weights instead"
            )
        self.name = name or snake_case(type(self).__name__)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        raise NotImplementedError(
            f"{type(self).__name__} needs a method call(y_true, y_pred) that returns a value of shape (N,)"
        )

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """How `labels` (n, ...) enter a program whose output has `output_shape` (None, ...).

        Here: of the prediction's shape, or class numbers where they are integers and lack its last axis, or else as they are.
        """
        rows, prediction = labels.shape[1:], _rows(output_shape)
        if labels.dtype.kind in "iub" and _classes(output_shape) > 1 and rows in (prediction[:-1], (*prediction[:-1], 1)):
            return _class_numbers(self.name, prediction, labels)
        finite(self.name, labels)
        return (prediction if _same_but_unit_axis(rows, prediction) else rows), "float32"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"name": self.name}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class CategoricalCrossentropy(Loss):
    """-sum over classes of t * log p, for one-hot labels (or distributions) t of the prediction's shape (n, ..., C).

    from_logits       the prediction is not yet a distribution: softmax is part of the loss
    label_smoothing   s in 0..1: t becomes t * (1 - s) + s / C
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
    ):
        super().__init__(name, reduction)
        _last_axis(axis)
        self.from_logits, self.label_smoothing = from_logits, _share(label_smoothing)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        if self.label_smoothing:
            y_true = y_true * (1.0 - self.label_smoothing) + self.label_smoothing / _classes(y_pred.shape)
        return (ops.softmax_crossentropy if self.from_logits else ops.crossentropy)(y_true, y_pred)

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """One-hot rows of the prediction's shape."""
        rows, prediction = labels.shape[1:], _rows(output_shape)
        if _classes(output_shape) < 2:
            raise ValueError(
                f"{self.name} needs at least 2 classes, the output has shape {output_shape}: "
                "use loss='binary_crossentropy' for one output that says yes or no"
            )
        if rows != prediction and rows in (prediction[:-1], (*prediction[:-1], 1)):
            raise ValueError(
                f"{self.name} expects one-hot labels of shape {('n', *prediction)}, got class numbers of shape {labels.shape}: "
                f"use loss='sparse_categorical_crossentropy', or utils.to_categorical(y, {prediction[-1]})"
            )
        _same_shape(self.name, labels, prediction)
        in_unit_interval(self.name, labels)
        return prediction, "float32"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, "name": self.name}


class SparseCategoricalCrossentropy(Loss):
    """-log p of the true class, for labels that are class numbers 0 .. C-1 of shape (n, ...) or (n, ..., 1).

    from_logits   the prediction is not yet a distribution: softmax is part of the loss
    """

    def __init__(
        self,
        from_logits: bool = False,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "sparse_categorical_crossentropy",
    ):
        super().__init__(name, reduction)
        _last_axis(axis)
        self.from_logits = from_logits

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return (ops.softmax_crossentropy if self.from_logits else ops.crossentropy)(y_true, y_pred)

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """Class numbers, one a position of the prediction."""
        prediction = _rows(output_shape)
        if labels.shape[1:] == prediction and _classes(output_shape) > 1:
            raise ValueError(
                f"{self.name} expects class numbers of shape {('n', *prediction[:-1])}, got labels of shape {labels.shape}, "
                "which look one-hot: use loss='categorical_crossentropy', or y.argmax(axis=-1)"
            )
        return _class_numbers(self.name, prediction, labels)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"from_logits": self.from_logits, "name": self.name}


class BinaryCrossentropy(Loss):
    """-(t log p + (1 - t) log(1 - p)), the mean over a sample's outputs; labels t in 0..1.

    from_logits       the prediction is not yet a probability: the sigmoid is part of the loss
    label_smoothing   s in 0..1: t becomes t * (1 - s) + s / 2
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "binary_crossentropy",
    ):
        super().__init__(name, reduction)
        _last_axis(axis)
        self.from_logits, self.label_smoothing = from_logits, _share(label_smoothing)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        if self.label_smoothing:
            y_true = y_true * (1.0 - self.label_smoothing) + self.label_smoothing / 2
        return (ops.sigmoid_crossentropy if self.from_logits else ops.binary_crossentropy)(y_true, y_pred)

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """Labels in 0..1, of the prediction's shape."""
        _same_shape(self.name, labels, _rows(output_shape))
        in_unit_interval(self.name, labels)
        return _rows(output_shape), "float32"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, "name": self.name}


class _Difference(Loss):
    """A mean over a sample's elements of some function of y_pred - y_true."""

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """Numbers, of the prediction's shape."""
        _same_shape(self.name, labels, _rows(output_shape))
        finite(self.name, labels)
        return _rows(output_shape), "float32"


class MeanSquaredError(_Difference):
    """The mean of (y_pred - y_true)^2 over a sample's elements."""

    def __init__(self, reduction: str = "sum_over_batch_size", name: str = "mean_squared_error"):
        super().__init__(name, reduction)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return ops.mean(ops.square(y_pred - y_true))


class MeanAbsoluteError(_Difference):
    """The mean of |y_pred - y_true| over a sample's elements."""

    def __init__(self, reduction: str = "sum_over_batch_size", name: str = "mean_absolute_error"):
        super().__init__(name, reduction)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return ops.mean(ops.abs(y_pred - y_true))


class FunctionLoss(Loss):
    """A function (y_true, y_pred) -> Value, composed of `fastcnn.ops`, as a loss; axes but the batch's are averaged."""

    def __init__(self, function: Callable[[Value, Value], Value]):
        super().__init__(getattr(function, "__name__", type(function).__name__))
        self.function = function

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return per_sample(self.function(y_true, y_pred), f"the loss {self.name!r}")


def per_sample(result: Any, what: str) -> Value:
    """`result` averaged to (N,); TypeError unless it is a value of the trace."""
    if not isinstance(result, Value):
        raise TypeError(
            f"{what} must return a value computed with fastcnn.ops or arithmetic on y_true and y_pred, "
            f"got {type(result).__name__}"
        )
    return ops.mean(result)


# Names.

_NAMES: dict[str, type] = {
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
}


def get(identifier: Any) -> Loss:
    """The loss that a name, a class, a saved config, a function (y_true, y_pred) -> Value, or a loss itself stands for."""
    found = registry.resolve("loss", identifier, _NAMES)
    if isinstance(found, Loss):
        return found
    if callable(found):
        return FunctionLoss(found)
    raise TypeError(f"a loss must be a name, a Loss or a function (y_true, y_pred), got {identifier!r}")


def serialize(loss: Loss) -> dict[str, Any]:
    """What `get` makes the loss from again; a custom function is its name."""
    return registry.serialize(loss.function if isinstance(loss, FunctionLoss) else loss)


# Checks of labels.


def finite(name: str, labels: Array) -> None:
    """ValueError where a label is NaN or infinite."""
    if labels.dtype.kind == "f":
        wrong = labels.size - int(np.count_nonzero(np.isfinite(labels)))
        if wrong:
            raise ValueError(f"{name}: {wrong} of {labels.size} labels are NaN or infinite; remove or mend these samples")


def in_unit_interval(name: str, labels: Array) -> None:
    """ValueError where a label lies outside 0..1."""
    finite(name, labels)
    if labels.size and (labels.min() < 0 or labels.max() > 1):
        raise ValueError(f"{name} expects labels between 0 and 1, got {labels.min()} .. {labels.max()}")


def _class_numbers(name: str, prediction: tuple[int, ...], labels: Array) -> Target:
    if labels.shape[1:] not in (prediction[:-1], (*prediction[:-1], 1)):
        raise ValueError(
            f"{name} expects class numbers of shape {('n', *prediction[:-1])}, one for each prediction of shape "
            f"{('n', *prediction)}, got labels of shape {labels.shape}"
        )
    finite(name, labels)
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.floor(labels)):
        raise ValueError(f"{name} expects class numbers, got labels that are not whole, {labels.ravel()[:3]} ...")
    outside = labels[(labels < 0) | (labels >= prediction[-1])]
    if outside.size:
        raise ValueError(
            f"{name}: class numbers must lie in 0 .. {prediction[-1] - 1}, because the output has {prediction[-1]} units; got "
            f"{outside[0]} ({outside.size} of {labels.size} labels lie outside). Number classes from 0, or widen the output."
        )
    return prediction[:-1], "int32"


def _same_shape(name: str, labels: Array, prediction: tuple[int, ...]) -> None:
    if not _same_but_unit_axis(labels.shape[1:], prediction):
        raise ValueError(f"{name} expects labels of shape {('n', *prediction)}, as the output has, got {labels.shape}")


def _same_but_unit_axis(rows: tuple[int, ...], prediction: tuple[int, ...]) -> bool:
    return rows == prediction or (*rows, 1) == prediction or rows == (*prediction, 1)


def _rows(output_shape: Shape) -> tuple[int, ...]:
    return tuple(int(n) for n in output_shape[1:])  # type: ignore[arg-type]


def _classes(shape: Shape) -> int:
    return int(shape[-1]) if len(shape) > 1 else 1  # type: ignore[arg-type]


def _share(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"label_smoothing must lie between 0 and 1, got {value!r}")
    return float(value)


def _last_axis(axis: int) -> None:
    if axis != -1:
        raise ValueError(f"classes lie along the last axis: axis must be -1, got {axis!r}")

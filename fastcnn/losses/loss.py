"""`Loss`, the base of losses, and what labels they take; functions as losses.

    Loss                       one number a sample; subclass it
    FunctionLoss, per_sample   a function (y_true, y_pred) -> Value as a loss
    PointwiseLoss              the base of losses that average a function of prediction and label
    class_numbers one_hot numbers shares   the labels that a loss takes, checked on the host before anything runs
    as_sequence row_sums                   the last axis of predictions
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..program.alone import computed
from ..trace import Shape, Value
from ..utils.naming import snake_case

Array = NDArray[Any]
Target = tuple[tuple[int, ...], str]
"""The shape of one sample's label and its dtype inside the program, "float32" or "int32"."""


class Loss:
    """The base of losses: override `call`, and `target` where labels need more than the usual checks.

    name        as it stands in logs and errors
    reduction   "sum_over_batch_size", the only one: the sum of the samples' losses, each times its weight, over their number

    `arguments` names the constructor's own arguments, which are attributes too.
    """

    arguments: ClassVar[tuple[str, ...]] = ()

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

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """The loss of arrays: labels (n, ...) and predictions (n, ...), each sample's times its weight (n,).

        Computed on the host; to see what a network's loss means, not to train by. Inside of another loss use `call`.
        ValueError for labels that the loss does not take, and where numbers of samples differ.
        """
        predictions = np.asarray(y_pred, np.float32)
        labels, weights = np.asarray(y_true), np.asarray(1.0 if sample_weight is None else sample_weight)
        if labels.shape[:1] != predictions.shape[:1] or weights.shape not in ((), predictions.shape[:1]):
            raise ValueError(
                f"{self.name} expects a label and at most one weight for each of the {len(predictions)} predictions, "
                f"got labels of shape {labels.shape} and weights of shape {weights.shape}"
            )
        shape, dtype = self.target((None, *predictions.shape[1:]), labels)
        arrays = [labels.reshape(len(labels), *shape).astype(dtype), predictions]
        values = computed(lambda t, p: ops.mean(self.call(t, p)), arrays)
        return float(np.mean(values * weights))

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """How `labels` (n, ...) enter a program whose output has `output_shape` (None, ...).

        Here: of the prediction's shape, or class numbers where they are integers and lack its last axis, or else as they are.
        """
        rows, prediction = labels.shape[1:], rows_of(output_shape)
        if labels.dtype.kind in "iub" and classes(output_shape) > 1 and rows in (prediction[:-1], (*prediction[:-1], 1)):
            return class_numbers(self.name, prediction, labels)
        finite(self.name, labels)
        return (prediction if _same_but_unit_axis(rows, prediction) else rows), "float32"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {**{name: getattr(self, name) for name in self.arguments}, "name": self.name}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


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


class PointwiseLoss(Loss):
    """The mean over a sample's elements of `function`, one of POINTWISE_LOSSES (fastcnn_kernels.api). Labels are numbers."""

    function: str

    def __init__(self, reduction: str = "sum_over_batch_size", name: str | None = None):
        super().__init__(name, reduction)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return ops.pointwise_loss(y_true, y_pred, self.function)

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """Numbers, of the prediction's shape."""
        return numbers(self.name, output_shape, labels)


# What labels a loss takes.


def finite(name: str, labels: Array) -> None:
    """ValueError where a label is NaN or infinite."""
    if labels.dtype.kind == "f":
        wrong = labels.size - int(np.count_nonzero(np.isfinite(labels)))
        if wrong:
            raise ValueError(f"{name}: {wrong} of {labels.size} labels are NaN or infinite; remove or mend these samples")


def class_numbers(name: str, prediction: tuple[int, ...], labels: Array) -> Target:
    """The target of class numbers 0 .. C-1, one a position of the prediction (..., C). ValueError for other labels."""
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


def one_hot(name: str, output_shape: Shape, labels: Array) -> Target:
    """The target of one-hot rows, or distributions, of the prediction's shape. ValueError for other labels."""
    rows, prediction = labels.shape[1:], rows_of(output_shape)
    if classes(output_shape) < 2:
        raise ValueError(
            f"{name} needs at least 2 classes, the output has shape {output_shape}: "
            "use loss='binary_crossentropy' for one output that says yes or no"
        )
    if rows != prediction and rows in (prediction[:-1], (*prediction[:-1], 1)):
        raise ValueError(
            f"{name} expects one-hot labels of shape {('n', *prediction)}, got class numbers of shape {labels.shape}: "
            f"use loss='sparse_categorical_crossentropy', or utils.to_categorical(y, {prediction[-1]})"
        )
    return shares(name, output_shape, labels)


def numbers(name: str, output_shape: Shape, labels: Array) -> Target:
    """The target of finite numbers of the prediction's shape, but for a last axis of 1. ValueError for other labels."""
    prediction = rows_of(output_shape)
    if not _same_but_unit_axis(labels.shape[1:], prediction):
        raise ValueError(f"{name} expects labels of shape {('n', *prediction)}, as the output has, got {labels.shape}")
    finite(name, labels)
    return prediction, "float32"


def shares(name: str, output_shape: Shape, labels: Array) -> Target:
    """The target of numbers in 0..1 of the prediction's shape. ValueError for other labels."""
    target = numbers(name, output_shape, labels)
    if labels.size and (labels.min() < 0 or labels.max() > 1):
        raise ValueError(f"{name} expects labels between 0 and 1, got {labels.min()} .. {labels.max()}")
    return target


def _same_but_unit_axis(rows: tuple[int, ...], prediction: tuple[int, ...]) -> bool:
    return rows == prediction or (*rows, 1) == prediction or rows == (*prediction, 1)


def last_axis(axis: int) -> None:
    """ValueError for another axis than the last."""
    if axis != -1:
        raise ValueError(f"classes lie along the last axis: axis must be -1, got {axis!r}")


def rows_of(output_shape: Shape) -> tuple[int, ...]:
    """The shape of one sample's prediction."""
    return tuple(int(n) for n in output_shape[1:])  # type: ignore[arg-type]


def classes(shape: Shape) -> int:
    """The extent of the last axis, 1 where there is only the batch's."""
    return int(shape[-1]) if len(shape) > 1 else 1  # type: ignore[arg-type]


def as_sequence(x: Value) -> Value:
    """All elements of a sample, in C order, as pixels of one channel: a window of C of them is a row."""
    return ops.reshape(x, (math.prod(rows_of(x.shape)), 1))


def row_sums(x: Value) -> Value:
    """(N, ..., C) -> (N, positions, 1): the sums over the last axis."""
    count = classes(x.shape)
    return ops.average_pool(as_sequence(x), count) * count

"""Losses of numbers: means over a sample's elements of some function of prediction and label. Labels of the prediction's shape.

    MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError
    Huber, LogCosh     squares where the difference is small, absolute values where it is large
    Poisson            counts
    CosineSimilarity   the angle between rows
"""

import math

from .. import ops
from ..trace import Shape, Value
from .loss import Array, Loss, PointwiseLoss, Target, last_axis, numbers, row_sums


class MeanSquaredError(PointwiseLoss):
    """The mean of (y_pred - y_true)^2 over a sample's elements."""

    function = "squared"


class MeanAbsoluteError(PointwiseLoss):
    """The mean of |y_pred - y_true| over a sample's elements."""

    function = "absolute"


class MeanAbsolutePercentageError(PointwiseLoss):
    """The mean of 100 * |y_pred - y_true| / max(|y_true|, 1e-7) over a sample's elements."""

    function = "percentage"


class MeanSquaredLogarithmicError(PointwiseLoss):
    """The mean of (log(1 + y_pred) - log(1 + y_true))^2 over a sample's elements, neither below 1e-7."""

    function = "squared_logarithmic"


class LogCosh(PointwiseLoss):
    """The mean of log(cosh(y_pred - y_true)) over a sample's elements: half the square where small, |.| - log 2 where large."""

    function = "log_cosh"


class Poisson(PointwiseLoss):
    """The mean of y_pred - y_true * log(y_pred + 1e-7) over a sample's elements; labels are counts."""

    function = "poisson"


class Huber(PointwiseLoss):
    """The mean over a sample's elements of half the square of the difference d, and of delta * (|d| - delta / 2) where |d| is
    larger than delta (Huber 1964)."""

    function = "huber"
    arguments = ("delta",)

    def __init__(self, delta: float = 1.0, reduction: str = "sum_over_batch_size", name: str | None = None):
        super().__init__(reduction, name or "huber_loss")
        if not 0 < delta < math.inf:
            raise ValueError(f"delta must be a number above 0, got {delta!r}")
        self.delta = float(delta)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return ops.pointwise_loss(y_true, y_pred, self.function, (self.delta,))


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between label and prediction, rows along the last axis: -1 where they point one way."""

    def __init__(self, axis: int = -1, reduction: str = "sum_over_batch_size", name: str | None = None):
        super().__init__(name, reduction)
        last_axis(axis)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return -1.0 * cosine(y_true, y_pred)

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """Numbers, of the prediction's shape."""
        return numbers(self.name, output_shape, labels)


def cosine(a: Value, b: Value) -> Value:
    """(N,): the cosine of the angle between rows of a and b, the mean over positions; 0 for a row of zeros."""
    shortest = 1e-14
    lengths = ops.log(row_sums(ops.square(a)) + shortest) + ops.log(row_sums(ops.square(b)) + shortest)
    return ops.mean(row_sums(a * b) * ops.exp(-0.5 * lengths))

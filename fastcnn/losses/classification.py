"""Losses of classifiers: probabilities, margins, distributions.

    CategoricalCrossentropy, CategoricalFocalCrossentropy   one-hot labels (n, ..., C)
    SparseCategoricalCrossentropy                           class numbers (n, ...)
    BinaryCrossentropy, BinaryFocalCrossentropy             labels in 0..1, of the prediction's shape
    KLDivergence                                            distributions, of the prediction's shape
    Hinge, SquaredHinge                                     labels -1 and 1, or 0 and 1
    CategoricalHinge                                        one-hot labels
"""

from typing import ClassVar

import numpy as np

from .. import ops
from ..trace import Shape, Value
from ..utils.arguments import at_least_zero
from .loss import (
    Array,
    Loss,
    PointwiseLoss,
    Target,
    as_sequence,
    class_numbers,
    classes,
    last_axis,
    one_hot,
    row_sums,
    rows_of,
    shares,
)


class Crossentropy(Loss):
    """The base of crossentropies.

    from_logits       the prediction is not yet a probability: softmax, or the sigmoid, is part of the loss
    label_smoothing   s in 0..1: t becomes t * (1 - s) + s / C, C the number of classes, 2 for yes and no
    """

    arguments: ClassVar[tuple[str, ...]] = ("from_logits", "label_smoothing")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ):
        super().__init__(name, reduction)
        last_axis(axis)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"label_smoothing must lie between 0 and 1, got {label_smoothing!r}")
        self.from_logits, self.label_smoothing = from_logits, float(label_smoothing)

    def smoothed(self, y_true: Value, count: int) -> Value:
        """Labels that are less sure of themselves, for `count` answers."""
        share = self.label_smoothing
        return ops.affine(y_true, 1.0 - share, share / count) if share else y_true


class CategoricalCrossentropy(Crossentropy):
    """-sum over classes of t * log p, for one-hot labels (or distributions) t of the prediction's shape (n, ..., C)."""

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        y_true = self.smoothed(y_true, classes(y_pred.shape))
        return (ops.softmax_crossentropy if self.from_logits else ops.crossentropy)(y_true, y_pred)

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """One-hot rows of the prediction's shape."""
        return one_hot(self.name, output_shape, labels)


class CategoricalFocalCrossentropy(CategoricalCrossentropy):
    """-alpha * sum over classes of t * (1 - p)^gamma * log p: what is right already counts less (Lin et al. 2017).

    alpha   a factor, by Keras's default 0.25
    gamma   0 is the crossentropy
    """

    arguments: ClassVar[tuple[str, ...]] = ("alpha", "gamma", "from_logits", "label_smoothing")

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ):
        super().__init__(from_logits, label_smoothing, axis, reduction, name)
        self.alpha, self.gamma = at_least_zero("alpha", alpha), at_least_zero("gamma", gamma)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        y_true = self.smoothed(y_true, classes(y_pred.shape))
        return self.alpha * ops.crossentropy(y_true, ops.softmax(y_pred) if self.from_logits else y_pred, self.gamma)


class SparseCategoricalCrossentropy(Loss):
    """-log p of the true class, for labels that are class numbers 0 .. C-1 of shape (n, ...) or (n, ..., 1).

    from_logits   the prediction is not yet a distribution: softmax is part of the loss
    """

    arguments = ("from_logits",)

    def __init__(
        self,
        from_logits: bool = False,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ):
        super().__init__(name, reduction)
        last_axis(axis)
        self.from_logits = from_logits

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return (ops.softmax_crossentropy if self.from_logits else ops.crossentropy)(y_true, y_pred)

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """Class numbers, one a position of the prediction."""
        prediction = rows_of(output_shape)
        if labels.shape[1:] == prediction and classes(output_shape) > 1:
            raise ValueError(
                f"{self.name} expects class numbers of shape {('n', *prediction[:-1])}, got labels of shape {labels.shape}, "
                "which look one-hot: use loss='categorical_crossentropy', or y.argmax(axis=-1)"
            )
        return class_numbers(self.name, prediction, labels)


class BinaryCrossentropy(Crossentropy):
    """-(t log p + (1 - t) log(1 - p)), the mean over a sample's outputs; labels t in 0..1."""

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return (ops.sigmoid_crossentropy if self.from_logits else ops.binary_crossentropy)(self.smoothed(y_true, 2), y_pred)

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """Labels in 0..1, of the prediction's shape."""
        return shares(self.name, output_shape, labels)


class BinaryFocalCrossentropy(BinaryCrossentropy):
    """The crossentropy of each output times (1 - probability of the true answer)^gamma (Lin et al. 2017).

    apply_class_balancing   yes counts alpha times, no 1 - alpha times
    gamma                   0 is the crossentropy
    """

    arguments: ClassVar[tuple[str, ...]] = ("apply_class_balancing", "alpha", "gamma", "from_logits", "label_smoothing")

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ):
        super().__init__(from_logits, label_smoothing, axis, reduction, name)
        self.apply_class_balancing = apply_class_balancing
        self.alpha, self.gamma = at_least_zero("alpha", alpha), at_least_zero("gamma", gamma)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        balance = (self.alpha, 1.0 - self.alpha) if self.apply_class_balancing else (1.0, 1.0)
        y_pred = ops.sigmoid(y_pred) if self.from_logits else y_pred
        return ops.pointwise_loss(self.smoothed(y_true, 2), y_pred, "focal", (self.gamma, *balance))


class KLDivergence(PointwiseLoss):
    """sum over classes of t * log(t / p), both limited to 1e-7 .. 1; labels are distributions t of the prediction's shape."""

    function = "divergence"

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        return super().call(y_true, y_pred) * classes(y_pred.shape)

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """Shares in 0..1, of the prediction's shape."""
        return shares(self.name, output_shape, labels)


class Hinge(PointwiseLoss):
    """max(1 - t * y_pred, 0), the mean over a sample's outputs; labels t are -1 and 1, or 0 and 1 with 0 for -1."""

    function = "hinge"

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """Two values, of the prediction's shape."""
        target, values = super().target(output_shape, labels), np.unique(labels).astype(float).tolist()
        if not (set(values) <= {-1.0, 1.0} or set(values) <= {0.0, 1.0}):
            raise ValueError(f"{self.name} expects labels that are -1 and 1, or 0 and 1, got {values[:5]}")
        return target


class SquaredHinge(Hinge):
    """max(1 - t * y_pred, 0)^2, the mean over a sample's outputs; labels as of Hinge."""

    function = "squared_hinge"


class CategoricalHinge(Loss):
    """max(largest of the wrong classes' scores, or 0, minus that of the true one, plus 1, 0); one-hot labels (n, ..., C)."""

    def __init__(self, reduction: str = "sum_over_batch_size", name: str | None = None):
        super().__init__(name, reduction)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of each sample, (N,)."""
        count = classes(y_pred.shape)
        right = row_sums(y_true * y_pred)
        wrong = ops.max_pool(as_sequence((1.0 - y_true) * y_pred), count)
        return ops.mean(ops.relu(wrong - right + 1.0))

    def target(self, output_shape: Shape, labels: Array) -> Target:
        """One-hot rows of the prediction's shape."""
        return one_hot(self.name, output_shape, labels)

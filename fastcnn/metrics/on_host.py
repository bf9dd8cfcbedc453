"""Metrics that need all predictions, counted in NumPy on the host.

    TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy   the true class among the k best
    Precision, Recall, F1Score                               of what was found, and of what was there
    AUC                                                      the area under the curve of all thresholds
    ConfusionMatrix                                          what is taken for what
    RootMeanSquaredError

Where Keras wants one-hot labels, class numbers do too.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metric import Metric, weights_of

Array = NDArray[Any]
EPSILON = 1e-7


def one_hot(y_true: Array, y_pred: Array) -> Array:
    """Labels in the shape of the predictions: class numbers as one-hot rows, others as they are."""
    labels = np.asarray(y_true)
    if labels.shape == y_pred.shape:
        return labels.astype(np.float64)
    if labels.shape in (y_pred.shape[:-1], (*y_pred.shape[:-1], 1)):
        return np.eye(y_pred.shape[-1])[labels.reshape(y_pred.shape[:-1]).astype(np.int64)]
    raise ValueError(f"labels {labels.shape} fit predictions {y_pred.shape} neither one-hot nor as class numbers")


class _Mean(Metric):
    """A weighted mean of numbers, one a sample or position."""

    def __init__(self, name: str | None = None):
        super().__init__(name)
        self.reset_state()

    def add(self, values: Array, weights: Array) -> None:
        """Take numbers in."""
        self.total += float((values * weights).sum())
        self.weight += float(weights.sum())

    def result(self) -> float:
        """The mean of everything taken in; 0 before the first."""
        return self.total / self.weight if self.weight else 0.0

    def reset_state(self) -> None:
        """Forget everything taken in."""
        self.total = self.weight = 0.0


class TopKCategoricalAccuracy(_Mean):
    """How often the true class is among the `k` largest predictions, whose ties count as among them."""

    direction = "up"

    def __init__(self, k: int = 5, name: str | None = None):
        super().__init__(name)
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"k must be a whole number of at least 1, got {k!r}")
        self.k = k

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Take a batch in: labels one-hot (n, ..., C) or class numbers (n, ...); predictions (n, ..., C)."""
        chosen = one_hot(y_true, y_pred).argmax(-1)[..., None]
        better = (y_pred > np.take_along_axis(y_pred, chosen, -1)).sum(-1)
        self.add(better < self.k, weights_of(sample_weight, y_pred)[..., 0])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {"k": self.k, "name": self.name}


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """The same, by its name for class numbers."""


class RootMeanSquaredError(_Mean):
    """The root of the mean of (y_pred - y_true)^2."""

    direction = "down"

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Take a batch in: both (n, ...)."""
        difference = y_pred.astype(np.float64) - np.asarray(y_true, np.float64).reshape(y_pred.shape)
        self.add(difference**2, weights_of(sample_weight, y_pred))

    def result(self) -> float:
        """The root of the mean of everything taken in."""
        return float(np.sqrt(super().result()))


class _Found(Metric):
    """Counts of what was found above a threshold, and of what was there.

    thresholds   a number between 0 and 1; predictions above it count as found
    class_id     the one class that counts, by default every element
    """

    direction = "up"

    def __init__(self, thresholds: float | None = None, class_id: int | None = None, name: str | None = None):
        super().__init__(name)
        if not (thresholds is None or (isinstance(thresholds, int | float) and 0 <= thresholds <= 1)):
            raise ValueError(f"thresholds must be one number between 0 and 1, or None for 0.5, got {thresholds!r}")
        self.thresholds, self.class_id = thresholds, class_id
        self.reset_state()

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Take a batch in: labels 0 or 1 of the predictions' shape, or class numbers."""
        labels, weights = one_hot(y_true, y_pred), weights_of(sample_weight, y_pred)
        found = y_pred > (0.5 if self.thresholds is None else self.thresholds)
        if self.class_id is not None:
            labels, weights, found = (array[..., self.class_id] for array in (labels, weights, found))
        self.hits += float((weights * found * labels).sum())
        self.found += float((weights * found).sum())
        self.there += float((weights * labels).sum())

    def reset_state(self) -> None:
        """Forget everything taken in."""
        self.hits = self.found = self.there = 0.0

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {"thresholds": self.thresholds, "class_id": self.class_id, "name": self.name}


class Precision(_Found):
    """The share of what was found that is right."""

    def result(self) -> float:
        """hits / found; 0 where nothing was found."""
        return self.hits / self.found if self.found else 0.0


class Recall(_Found):
    """The share of what was there that was found."""

    def result(self) -> float:
        """hits / there; 0 where nothing was there."""
        return self.hits / self.there if self.there else 0.0


class F1Score(Metric):
    """2 * precision * recall / (precision + recall) of every class, as one number.

    average     "macro", the mean over classes; "weighted" by how often they occur; "micro", that of all counts together.
                (Keras's default gives a number a class, which a log of training cannot hold.)
    threshold   predictions above it count as found; None: the largest of a row
    """

    direction = "up"
    counts: Array

    def __init__(self, average: str = "macro", threshold: float | None = None, name: str | None = None):
        super().__init__(name)
        if average not in ("micro", "macro", "weighted"):
            raise ValueError(f"average must be 'micro', 'macro' or 'weighted', got {average!r}")
        self.average, self.threshold = average, threshold
        self.reset_state()

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Take a batch in: labels one-hot (n, ..., C) or class numbers (n, ...); predictions (n, ..., C)."""
        labels, weights = one_hot(y_true, y_pred), weights_of(sample_weight, y_pred)
        best = y_pred.max(-1, keepdims=True)
        found = (y_pred == best) & (np.abs(y_pred) > 1e-9) if self.threshold is None else y_pred > self.threshold
        counts = np.stack([weights * found * labels, weights * found, weights * labels])
        self.counts = self.counts + counts.reshape(3, -1, y_pred.shape[-1]).sum(1)

    def result(self) -> float:
        """The score of everything taken in."""
        hits, found, there = self.counts.sum(-1, keepdims=True) if self.average == "micro" else self.counts
        scores = 2 * hits / (found + there + EPSILON)
        weights = there / max(there.sum(), EPSILON) if self.average == "weighted" else np.full(len(hits), 1 / len(hits))
        return float((scores * weights).sum())

    def reset_state(self) -> None:
        """Forget everything taken in."""
        self.counts = np.zeros((3, 1))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {"average": self.average, "threshold": self.threshold, "name": self.name}


class AUC(Metric):
    """The area under a curve of `num_thresholds` thresholds spread over 0..1, between which it is interpolated.

    curve   "ROC", recall against the share of false alarms; "PR", precision against recall (Davis and Goadrich 2006)

    Labels 0 or 1 of the predictions' shape, every element counted; predictions in 0..1.
    """

    direction = "up"
    counts: Array

    def __init__(self, num_thresholds: int = 200, curve: str = "ROC", name: str | None = None):
        super().__init__(name)
        if not isinstance(num_thresholds, int) or num_thresholds < 2:
            raise ValueError(f"num_thresholds must be a whole number of at least 2, got {num_thresholds!r}")
        if curve not in ("ROC", "PR"):
            raise ValueError(f"curve must be 'ROC' or 'PR', got {curve!r}")
        self.num_thresholds, self.curve = num_thresholds, curve
        inner = np.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        self.thresholds = np.array([-EPSILON, *inner, 1 + EPSILON])
        self.reset_state()

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Take a batch in."""
        if not ((y_pred >= 0) & (y_pred <= 1)).all():
            raise ValueError(f"predictions must lie in 0..1, got {y_pred.min():g} to {y_pred.max():g}: end with a sigmoid")
        labels, weights = one_hot(y_true, y_pred) > 0.5, weights_of(sample_weight, y_pred)
        # How many thresholds lie below each prediction.
        passed = np.searchsorted(self.thresholds, y_pred.reshape(-1), side="left")
        for k, chosen in enumerate((labels, ~labels)):
            counts = np.bincount(passed, (weights * chosen).reshape(-1), self.num_thresholds + 1)
            self.counts[k] += counts[::-1].cumsum()[::-1][1:]

    def result(self) -> float:
        """The area for everything taken in."""
        hits, alarms = self.counts
        if self.curve == "PR":
            return self._precision_recall(hits, alarms)
        recall, false = (_share(counts, counts[0]) for counts in (hits, alarms))
        return float(((false[:-1] - false[1:]) * (recall[:-1] + recall[1:]) / 2).sum())

    def _precision_recall(self, hits: Array, alarms: Array) -> float:
        found = hits + alarms
        more, more_found = hits[:-1] - hits[1:], found[:-1] - found[1:]
        slope = _share(more, np.maximum(more_found, 0))
        start = hits[1:] - slope * found[1:]
        both = (found[:-1] > 0) & (found[1:] > 0)
        growth = np.where(both, _share(found[:-1], np.where(both, found[1:], 1)), 1.0)
        area = slope * (more + start * np.log(growth))
        return float(_share(area, np.full(len(area), hits[0])).sum())

    def reset_state(self) -> None:
        """Forget everything taken in."""
        self.counts = np.zeros((2, self.num_thresholds))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {"num_thresholds": self.num_thresholds, "curve": self.curve, "name": self.name}


def _share(part: Array, whole: Any) -> Array:
    """part / whole, 0 where whole is 0."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)


class ConfusionMatrix(Metric):
    """How often a class (row) is taken for another (column): `matrix`. The number in logs is the share of its diagonal."""

    direction = "up"
    matrix: Array

    def __init__(self, name: str | None = None):
        super().__init__(name)
        self.reset_state()

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Take a batch in: labels one-hot (n, ..., C) or class numbers (n, ...); predictions (n, ..., C)."""
        classes = y_pred.shape[-1]
        pairs = one_hot(y_true, y_pred).argmax(-1) * classes + y_pred.argmax(-1)
        weights = weights_of(sample_weight, y_pred)[..., 0]
        counts = np.bincount(pairs.reshape(-1), weights.reshape(-1), classes**2).reshape(classes, classes)
        self.matrix = self.matrix + counts

    def result(self) -> float:
        """The share of samples on the diagonal."""
        return float(np.trace(self.matrix) / max(self.matrix.sum(), EPSILON))

    def reset_state(self) -> None:
        """Forget everything taken in."""
        self.matrix = np.zeros((1, 1))

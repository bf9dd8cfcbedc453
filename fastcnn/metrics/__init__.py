"""Metrics: numbers to look at while training, which training does not follow.

    on the device   Accuracy, CategoricalAccuracy, SparseCategoricalAccuracy, BinaryAccuracy,
                    MeanSquaredError, MeanAbsoluteError,
                    CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy
                    DeviceMetric    your own, composed of `fastcnn.ops`
    on the host     TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy, Precision, Recall, F1Score, AUC, ConfusionMatrix,
                    RootMeanSquaredError
                    Metric          your own, in NumPy: update_state, result, reset_state
                    FunctionMetric  a function (y_true, y_pred) of arrays
    get, serialize  by name: "accuracy", "mse", "auc", ...

A metric on the host costs a copy of every prediction. As in Keras, `metrics` do not see sample weights,
`weighted_metrics` do.
"""

from typing import Any

from ..utils import registry
from ..utils.naming import snake_case
from .metric import DeviceMetric, FunctionMetric, Metric
from .on_device import (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
)
from .on_host import (
    AUC,
    ConfusionMatrix,
    F1Score,
    Precision,
    Recall,
    RootMeanSquaredError,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy",
    "ConfusionMatrix", "DeviceMetric", "F1Score", "FunctionMetric", "MeanAbsoluteError", "MeanSquaredError", "Metric",
    "Precision", "Recall", "RootMeanSquaredError", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy", "get", "serialize",
]  # fmt: skip

_CLASSES: tuple[type, ...] = (
    Accuracy, CategoricalAccuracy, SparseCategoricalAccuracy, BinaryAccuracy, MeanSquaredError, MeanAbsoluteError,
    CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy, TopKCategoricalAccuracy,
    SparseTopKCategoricalAccuracy, Precision, Recall, F1Score, AUC, ConfusionMatrix, RootMeanSquaredError,
)  # fmt: skip
_SHORT: dict[str, type] = {"acc": Accuracy, "mse": MeanSquaredError, "mae": MeanAbsoluteError, "rmse": RootMeanSquaredError}
_NAMES: dict[str, type] = {**{snake_case(cls.__name__): cls for cls in _CLASSES}, **_SHORT}


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

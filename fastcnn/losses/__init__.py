"""Losses: one number a sample, composed of `fastcnn.ops`, and what labels each of them takes. Keras's names and defaults.

    loss             Loss, the base of all: subclass it, or pass any function (y_true, y_pred) -> Value
    classification   CategoricalCrossentropy SparseCategoricalCrossentropy BinaryCrossentropy CategoricalFocalCrossentropy
                     BinaryFocalCrossentropy KLDivergence Hinge SquaredHinge CategoricalHinge
    regression       MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError Huber LogCosh
                     Poisson CosineSimilarity
    get, serialize   by name: "categorical_crossentropy", "mse", ...

Labels are checked on the host by `Loss.target`, before anything runs. `loss(y_true, y_pred)` is the loss of two arrays.
"""

from typing import Any

from ..utils import registry
from ..utils.naming import snake_case
from .classification import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from .loss import FunctionLoss, Loss, Target, per_sample
from .regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
)

__all__ = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalHinge", "CosineSimilarity", "FunctionLoss", "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge", "Target", "get", "per_sample", "serialize",
]  # fmt: skip

_CLASSES: tuple[type[Loss], ...] = (
    CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy, CategoricalFocalCrossentropy,
    BinaryFocalCrossentropy, KLDivergence, Hinge, SquaredHinge, CategoricalHinge, MeanSquaredError, MeanAbsoluteError,
    MeanAbsolutePercentageError, MeanSquaredLogarithmicError, Huber, LogCosh, Poisson, CosineSimilarity,
)  # fmt: skip
_SHORT: dict[str, type[Loss]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
}
_NAMES: dict[str, type] = {
    **{snake_case(cls.__name__): cls for cls in _CLASSES},
    **_SHORT,
}


def get(identifier: Any) -> Loss:
    """The loss that a name, a class, a saved config, a function (y_true, y_pred) -> Value, or a loss itself stands for."""
    short = isinstance(identifier, str) and identifier.lower() in _SHORT
    found = registry.resolve("loss", identifier.lower() if short else identifier, _NAMES)
    if isinstance(found, Loss):
        return found
    if callable(found):
        return FunctionLoss(found)
    raise TypeError(f"a loss must be a name, a Loss or a function (y_true, y_pred), got {identifier!r}")


def serialize(loss: Loss) -> dict[str, Any]:
    """What `get` makes the loss from again; a custom function is its name."""
    return registry.serialize(loss.function if isinstance(loss, FunctionLoss) else loss)

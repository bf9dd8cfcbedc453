"""Optimizers: how a weight follows its gradient.

optimizer        Optimizer, the base: learning rate, clipping, weight decay
algorithms       SGD Adam AdamW Nadam Adamax RMSprop Adagrad Adadelta Lion
schedules        learning rates that follow the number of steps
get, serialize   by name: "sgd", "adam", ...
"""

from collections.abc import Mapping
from typing import Any

from ..utils import registry
from . import schedules
from .algorithms import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from .optimizer import LearningRate, Optimizer

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "LearningRate", "Lion", "Nadam", "Optimizer", "RMSprop",
    "deserialize", "get", "schedules", "serialize",
]  # fmt: skip

_CLASSES: tuple[type[Optimizer], ...] = (SGD, Adam, AdamW, Nadam, Adamax, RMSprop, Adagrad, Adadelta, Lion)
_NAMES: dict[str, type] = {cls.__name__.lower(): cls for cls in _CLASSES}


def get(identifier: Any) -> Optimizer:
    """The optimizer that a name, a class, a saved config or an optimizer itself stands for."""
    found = registry.resolve("optimizer", identifier, _NAMES)
    if not isinstance(found, Optimizer):
        raise TypeError(f"an optimizer must be a name or an Optimizer, got {identifier!r}")
    return found


def deserialize(config: Mapping[str, Any]) -> Optimizer:
    """The optimizer of a configuration that `serialize` made."""
    return get(config)


serialize = registry.serialize

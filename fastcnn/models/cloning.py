"""Models from descriptions: `clone_model`, `model_from_json`, `load_model`."""

import json
import os
from typing import Any

from ..layers import deserialize
from .model import Model


def clone_model(model: Model) -> Model:
    """A model of the same layers with weights of its own, newly initialised. It is not compiled."""
    return type(model).from_config(model.get_config(), custom_objects=_classes(model))


def _classes(model: Model) -> dict[str, Any]:
    """The classes of the layers inside by name, so that a model with layers of the user's own can be cloned."""
    found: dict[str, Any] = {type(model).__name__: type(model)}
    for layer in model.layers:
        found.update(_classes(layer) if isinstance(layer, Model) else {type(layer).__name__: type(layer)})
    return found


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Model:
    """The model of `Model.to_json`, with new weights. custom_objects: your own classes and functions by name."""
    return deserialize(json.loads(json_string), custom_objects)


def load_model(
    filepath: str | os.PathLike[str], custom_objects: dict[str, Any] | None = None, compile: bool = True
) -> Model:
    """The model of `Model.save`. custom_objects: your own classes and functions by name; compile False leaves loss, metrics and
    optimizer out."""
    from ..saving import load_model

    return load_model(filepath, custom_objects=custom_objects, compile=compile)

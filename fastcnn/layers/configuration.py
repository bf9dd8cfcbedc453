"""Configurations of layers: a dict of plain values from the constructor's arguments, and back.

recorded_arguments      what a constructor was called with
constructor_config      the same as plain values, current attributes first
from_constructor_config a layer from that
serialize, deserialize  a layer with its class's name, as models keep it in theirs
"""

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import constraints, initializers, regularizers
from ..utils import registry
from ..utils.custom_objects import current, custom_object_scope, find

if TYPE_CHECKING:
    from .base import Layer

_NOT_CONFIG = ("self", "dtype", "input_shape")


def recorded_arguments(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The named arguments of `cls(*args, **kwargs)`, defaults included; unpickling passes none, which is no error here."""
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    bound = signature.bind_partial(None, *args, **kwargs)
    bound.apply_defaults()
    variadic = {p.name for p in signature.parameters.values() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    return {name: value for name, value in bound.arguments.items() if name not in variadic and name not in _NOT_CONFIG}


def constructor_config(layer: "Layer", recorded: dict[str, Any]) -> dict[str, Any]:
    """The arguments as plain values: the layer's attribute of the same name, or else what was passed."""
    return {name: _plain(layer, name, _current(layer, name, passed)) for name, passed in recorded.items()}


def _current(layer: "Layer", name: str, passed: Any) -> Any:
    value = getattr(layer, name, passed)
    # `self.units = Dense(units)` keeps another thing under the argument's name.
    return passed if _is_layer(value) and not _is_layer(passed) else value


def _plain(layer: "Layer", name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(layer, name, item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(layer, name, item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if _is_layer(value):
        return serialize(value)
    if isinstance(value, (regularizers.L1L2, constraints.Constraint)):
        return registry.serialize(value)
    if isinstance(value, initializers.Initializer) or callable(value):
        return initializers.serialize(value)
    raise TypeError(
        f"layer {layer.name!r}: the argument {name} of {type(layer).__name__} is a {type(value).__name__}, which JSON cannot "
        "hold; write a get_config() that describes it and a from_config() that reads it back"
    )


def _is_layer(value: Any) -> bool:
    from .base import Layer

    return isinstance(value, Layer)


def from_constructor_config(cls: Any, config: dict[str, Any]) -> Any:
    """A layer of class `cls` from `constructor_config`. Its name and `trainable` are set even if its constructor lacks them."""
    parameters = inspect.signature(cls.__init__).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    arguments = {key: _revived(value) for key, value in config.items()}
    rest = {key: arguments.pop(key) for key in ("name", "trainable") if key in config and not (anything or key in parameters)}
    layer = cls(**arguments)
    for key, value in rest.items():
        setattr(layer, key, value)
    return layer


def _revived(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"class_name", "config"}:
        return deserialize(value) if value["class_name"] in {**layer_classes(), **current()} else value
    return value


def layer_classes() -> dict[str, Any]:
    """The layer and model classes of fastcnn by name."""
    from .. import layers, models

    found = {**vars(layers), **vars(models)}
    return {name: cls for name, cls in found.items() if isinstance(cls, type) and _is_layer_class(cls)}


def _is_layer_class(cls: type) -> bool:
    from .base import Layer

    return issubclass(cls, Layer)


def serialize(layer: "Layer") -> dict[str, Any]:
    """{"class_name": ..., "config": ...} of a layer or model, plain values only."""
    return {"class_name": type(layer).__name__, "config": layer.get_config()}


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The layer or model of `serialize`, with new weights.

    custom_objects: classes and functions of your own that the configuration names, by these names. ValueError for a name that
    neither fastcnn nor they have.
    """
    if not isinstance(config, dict) or "class_name" not in config or not isinstance(config.get("config"), dict):
        raise ValueError(f'a layer is described by {{"class_name": ..., "config": {{...}}}}, got {str(config)[:80]}')
    with custom_object_scope(custom_objects):
        cls = find("layer", config["class_name"], layer_classes())
        return cls.from_config(config["config"])

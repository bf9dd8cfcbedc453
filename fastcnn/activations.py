"""Activation functions by name, as `activation="relu"` asks for them; anything that maps a value to a value will do."""

from collections.abc import Callable
from typing import Any

from . import ops
from .ops import leaky_relu, relu, sigmoid, softmax, tanh
from .trace import Value
from .utils.custom_objects import find

__all__ = ["linear", "relu", "leaky_relu", "sigmoid", "tanh", "softmax", "get", "serialize"]

Activation = Callable[[Value], Value]


def linear(x: Value) -> Value:
    """x itself."""
    return ops.activation(x, "linear")


_KNOWN: dict[str, Activation] = {f.__name__: f for f in (linear, relu, leaky_relu, sigmoid, tanh, softmax)}


def get(identifier: str | Activation | None) -> Activation:
    """The activation of a name; None is linear; a function is itself. ValueError for an unknown name."""
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return find("activation", identifier, _KNOWN)
    if callable(identifier):
        return identifier
    raise ValueError(f"an activation is a name, a function or None, got {identifier!r}")


def serialize(activation: Any) -> str:
    """The name under which `get` finds this activation, a custom one among `custom_objects`."""
    return str(activation.__name__)

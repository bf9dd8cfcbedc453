"""Activation functions by name, as `activation="relu"` asks for them; anything that maps a value to a value will do."""

from collections.abc import Callable
from typing import Any

from . import ops
from .ops import (
    elu,
    gelu,
    hard_sigmoid,
    hard_silu,
    leaky_relu,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)
from .trace import Value
from .utils.custom_objects import find

__all__ = [
    "linear", "relu", "leaky_relu", "sigmoid", "tanh", "softmax",
    "elu", "selu", "gelu", "silu", "softplus", "softsign", "hard_sigmoid", "hard_silu", "relu6", "mish", "exponential",
    "get", "serialize",
]  # fmt: skip

Activation = Callable[[Value], Value]


def linear(x: Value) -> Value:
    """x itself."""
    return ops.activation(x, "linear")


def exponential(x: Value) -> Value:
    """e to the x."""
    return ops.exp(x)


_FUNCTIONS: tuple[Activation, ...] = (
    linear, relu, leaky_relu, sigmoid, tanh, softmax, elu, selu, gelu, silu, softplus, softsign, hard_sigmoid,
    hard_silu, relu6, mish, exponential,
)  # fmt: skip
_KNOWN: dict[str, Activation] = {f.__name__: f for f in _FUNCTIONS} | {"swish": silu, "hard_swish": hard_silu}


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

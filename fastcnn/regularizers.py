"""Regularizers: penalties on weights, which are part of the loss and of what training follows.

    L1, L2, L1L2     l1 * sum |w| + l2 * sum w^2
    get, serialize   by name: "l1", "l2", "l1_l2"

A layer takes them as `kernel_regularizer` and `bias_regularizer`. A penalty counts while its weight is trainable.
"""

from typing import Any

from .utils import registry
from .utils.arguments import at_least_zero


class L1L2:
    """l1 * sum |w| + l2 * sum w^2."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1, self.l2 = at_least_zero("l1", l1), at_least_zero("l2", l2)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this regularizer again."""
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 * sum |w|: drives weights to 0 (Tibshirani 1996)."""

    def __init__(self, l1: float = 0.01):
        super().__init__(l1=l1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this regularizer again."""
        return {"l1": self.l1}


class L2(L1L2):
    """l2 * sum w^2: keeps weights small."""

    def __init__(self, l2: float = 0.01):
        super().__init__(l2=l2)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this regularizer again."""
        return {"l2": self.l2}


_NAMES: dict[str, type] = {"l1": L1, "l2": L2, "l1_l2": L1L2}


def get(identifier: Any) -> L1L2 | None:
    """The regularizer that a name, a class, a saved configuration or a regularizer itself stands for; None for None."""
    found = None if identifier is None else registry.resolve("regularizer", identifier, _NAMES)
    if found is None or isinstance(found, L1L2):
        return found
    raise TypeError(f"a regularizer must be a name, an L1, L2 or L1L2, or None, got {identifier!r}")


def serialize(regularizer: L1L2) -> dict[str, Any]:
    """What `get` makes the regularizer from again."""
    return registry.serialize(regularizer)

"""Constraints: sets that weights are brought back into after every step of training.

    MaxNorm, UnitNorm, MinMaxNorm   norms over the first axes of a weight
    NonNeg                          no weight below 0
    get, serialize                  by name: "max_norm", "non_neg", "unit_norm", "min_max_norm"

A layer takes them as `kernel_constraint` and `bias_constraint`. `axis` says over which axes a norm is taken: 0, or the first
few, as [0, 1, 2] of a Conv2D kernel, which is one norm a filter.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from .utils import registry
from .utils.arguments import at_least_zero

Axes = int | Sequence[int]


class Constraint:
    """The base: what a step `constrain` of the kernels takes (fastcnn_kernels.api.Backend.constrain)."""

    arguments: ClassVar[tuple[str, ...]] = ()
    low, high, rate, positive = 0.0, 0.0, 1.0, False
    axis: Axes = 0

    def attributes(self, shape: Sequence[int]) -> dict[str, Any]:
        """Those of the step for a weight of this shape. ValueError where its norm cannot be taken."""
        axes = [self.axis] if isinstance(self.axis, int) else sorted(self.axis)
        if axes != list(range(len(axes))) or len(axes) > len(shape):
            raise ValueError(
                f"{type(self).__name__}: axis must be 0 or the first few axes, as [0, 1, 2], of a weight of shape "
                f"{tuple(shape)}, got {self.axis!r}"
            )
        return dict(axes=len(axes), low=self.low, high=self.high, rate=self.rate, positive=self.positive)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this constraint again."""
        return {name: getattr(self, name) for name in self.arguments}


class MaxNorm(Constraint):
    """Weights of a norm above `max_value` are scaled down to it (Srivastava et al. 2014)."""

    arguments = ("max_value", "axis")

    def __init__(self, max_value: float = 2, axis: Axes = 0):
        self.max_value = self.high = at_least_zero("max_value", max_value)
        self.axis = axis


class UnitNorm(Constraint):
    """Weights are scaled to the norm 1."""

    arguments = ("axis",)
    low = high = 1.0

    def __init__(self, axis: Axes = 0):
        self.axis = axis


class MinMaxNorm(Constraint):
    """Norms are moved by the share `rate` of the way into min_value ... max_value."""

    arguments = ("min_value", "max_value", "rate", "axis")

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axes = 0):
        self.min_value = self.low = at_least_zero("min_value", min_value)
        self.max_value = self.high = at_least_zero("max_value", max_value)
        self.rate, self.axis = at_least_zero("rate", rate), axis
        if self.low > self.high:
            raise ValueError(f"min_value must not be above max_value, got {min_value!r} and {max_value!r}")


class NonNeg(Constraint):
    """Weights below 0 become 0."""

    positive = True


_NAMES: dict[str, type] = {"max_norm": MaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm}


def get(identifier: Any) -> Constraint | None:
    """The constraint that a name, a class, a saved configuration or a constraint itself stands for; None for None."""
    found = None if identifier is None else registry.resolve("constraint", identifier, _NAMES)
    if found is None or isinstance(found, Constraint):
        return found
    raise TypeError(f"a constraint must be a name, a Constraint or None, got {identifier!r}")


def serialize(constraint: Constraint) -> dict[str, Any]:
    """What `get` makes the constraint from again."""
    return registry.serialize(constraint)

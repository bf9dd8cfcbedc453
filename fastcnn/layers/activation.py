"""Activations as layers of their own: Activation, ReLU, LeakyReLU, Softmax. Shapes stay."""

from typing import Any

from .. import activations, ops
from ..trace import Value
from .base import Layer, described, refuse


class Activation(Layer):
    """Any activation: a name, such as "relu", or a function of a value."""

    def __init__(self, activation: Any, **options: Any):
        super().__init__(**options)
        self.activation = activations.get(activation)

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        return self.activation(inputs)


class ReLU(Layer):
    """max(x, 0), or negative_slope * x below 0. max_value must be None and threshold 0."""

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **options: Any):
        super().__init__(**options)
        refuse(self, max_value=max_value, threshold=threshold or None)
        self.negative_slope = not_negative(self, negative_slope)

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        return ops.leaky_relu(inputs, self.negative_slope) if self.negative_slope else ops.relu(inputs)


class LeakyReLU(Layer):
    """x where positive, negative_slope * x elsewhere."""

    def __init__(self, negative_slope: float = 0.3, **options: Any):
        super().__init__(**options)
        self.negative_slope = not_negative(self, negative_slope)

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        return ops.leaky_relu(inputs, self.negative_slope)


class Softmax(Layer):
    """exp(x) normalised to sum 1 over the last axis, the only one offered."""

    def __init__(self, axis: int = -1, **options: Any):
        super().__init__(**options)
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        """Check the axis."""
        if self.axis not in (-1, len(input_shape) - 1):
            raise ValueError(f"axis must be the last one, -1 or {len(input_shape) - 1}, got {self.axis}")

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        return ops.softmax(inputs)


def not_negative(layer: Layer, slope: float) -> float:
    """`slope`; ValueError below 0, where the output would no longer tell the sign of the input."""
    if not isinstance(slope, (int, float)) or slope < 0:
        raise ValueError(f"{described(layer)}: negative_slope must be at least 0, got {slope!r}")
    return float(slope)

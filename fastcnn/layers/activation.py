"""Activations as layers of their own: Activation, ReLU, LeakyReLU, PReLU, ELU, Softmax. Shapes stay."""

from collections.abc import Sequence
from typing import Any

from .. import activations, initializers, ops
from ..trace import Value
from .base import Layer, described, regularized


class Activation(Layer):
    """Any activation: a name, such as "relu", or a function of a value."""

    def __init__(self, activation: Any, **options: Any):
        super().__init__(**options)
        self.activation = activations.get(activation)

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        return self.activation(inputs)


class ReLU(Layer):
    """max_value where x reaches it, x above the threshold, negative_slope * (x - threshold) below.

    max_value, negative_slope, threshold  at least 0; max_value None is no limit
    """

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **options: Any):
        super().__init__(**options)
        self.max_value = None if max_value is None else not_negative(self, max_value, "max_value")
        self.negative_slope = not_negative(self, negative_slope)
        self.threshold = not_negative(self, threshold, "threshold")

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        if self.max_value is None and not self.threshold:
            return ops.leaky_relu(inputs, self.negative_slope) if self.negative_slope else ops.relu(inputs)
        positive = ops.relu(inputs)
        if self.threshold:
            positive = inputs * ops.step(inputs - self.threshold)
        if self.max_value is not None:
            positive = positive - ops.relu(positive - self.max_value)
        if not self.negative_slope:
            return positive
        return positive - ops.relu(ops.affine(inputs, -1.0, self.threshold)) * self.negative_slope


class LeakyReLU(Layer):
    """x where positive, negative_slope * x elsewhere."""

    def __init__(self, negative_slope: float = 0.3, **options: Any):
        super().__init__(**options)
        self.negative_slope = not_negative(self, negative_slope)

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        return ops.leaky_relu(inputs, self.negative_slope)


class PReLU(Layer):
    """x where positive, alpha * x elsewhere, with alphas that are learned (He, Zhang, Ren and Sun 2015).

    shared_axes  along which there is one alpha for all, counted from 1: [1, 2] of pictures is one alpha a channel

    Weights: alpha, the shape of a sample with 1 along the shared axes.
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Sequence[int] | int | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        regularized(self, alpha_regularizer=alpha_regularizer, alpha_constraint=alpha_constraint)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes) if shared_axes else None

    def build(self, input_shape: Any) -> None:
        """Make the alphas."""
        shared = self.shared_axes or []
        if not all(1 <= axis < len(input_shape) for axis in shared):
            raise ValueError(f"shared_axes must lie in 1 ... {len(input_shape) - 1}, got {shared}")
        shape = [1 if axis in shared else n for axis, n in enumerate(input_shape)]
        self.alpha = self._weight("alpha", shape[1:])

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        return ops.relu(inputs) - self._scaled(ops.relu(-inputs))

    def _scaled(self, x: Value) -> Value:
        """alpha * x, with the axes that are not shared moved to the end, where they count as channels."""
        axes, shared = range(1, len(x.shape)), self.shared_axes or []
        order = sorted(axes, key=lambda axis: axis not in shared)
        moved = ops.transpose(x, (0, *order))
        image = moved if moved.shape[-1] == self.alpha.size else ops.reshape(moved, (-1, self.alpha.size))
        y = ops.reshape(ops.scale(image, self.alpha), [n for n in moved.shape[1:] if n is not None])
        return ops.transpose(y, (0, *(order.index(axis) + 1 for axis in axes)))


class ELU(Layer):
    """x where positive, alpha * (e^x - 1) elsewhere (Clevert, Unterthiner and Hochreiter 2016)."""

    def __init__(self, alpha: float = 1.0, **options: Any):
        super().__init__(**options)
        self.alpha = alpha

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        return ops.elu(inputs, self.alpha)


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


def not_negative(layer: Layer, value: float, name: str = "negative_slope") -> float:
    """`value`; ValueError below 0. With a slope below 0 the output would no longer tell the sign of the input."""
    if not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"{described(layer)}: {name} must be at least 0, got {value!r}")
    return float(value)

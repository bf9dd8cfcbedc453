"""Layers that join branches, called on a list of tensors: Add Subtract Multiply Average Maximum Minimum Concatenate."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from .. import ops
from ..trace import Value
from .base import Layer


class Add(Layer):
    """The sum of a list of tensors of one shape."""

    def build(self, input_shape: Any) -> None:
        """Check that the input is a list."""
        check_list(input_shape)

    def call(self, inputs: Sequence[Value]) -> Value:
        """[shape, shape, ...] -> shape."""
        return ops.add_n(inputs)


class Subtract(Layer):
    """The difference of two tensors of one shape."""

    def build(self, input_shape: Any) -> None:
        """Check that the input is a list of two."""
        check_list(input_shape)
        if len(input_shape) != 2:
            raise ValueError(f"must be called on two tensors, got {len(input_shape)}")

    def call(self, inputs: Sequence[Value]) -> Value:
        """[shape, shape] -> shape."""
        return ops.subtract(*inputs)


class Multiply(Layer):
    """The product of a list of tensors of one shape, elementwise."""

    def build(self, input_shape: Any) -> None:
        """Check that the input is a list."""
        check_list(input_shape)

    def call(self, inputs: Sequence[Value]) -> Value:
        """[shape, shape, ...] -> shape."""
        return reduce(ops.multiply, inputs)


class Average(Layer):
    """The mean of a list of tensors of one shape, elementwise."""

    def build(self, input_shape: Any) -> None:
        """Check that the input is a list."""
        check_list(input_shape)

    def call(self, inputs: Sequence[Value]) -> Value:
        """[shape, shape, ...] -> shape."""
        return ops.affine(ops.add_n(inputs), 1 / len(inputs))


class Maximum(Layer):
    """The largest of a list of tensors of one shape, elementwise; the first of equal ones takes the gradient."""

    def build(self, input_shape: Any) -> None:
        """Check that the input is a list."""
        check_list(input_shape)

    def call(self, inputs: Sequence[Value]) -> Value:
        """[shape, shape, ...] -> shape."""
        return reduce(ops.maximum, inputs)


class Minimum(Layer):
    """The smallest of a list of tensors of one shape, elementwise; the first of equal ones takes the gradient."""

    def build(self, input_shape: Any) -> None:
        """Check that the input is a list."""
        check_list(input_shape)

    def call(self, inputs: Sequence[Value]) -> Value:
        """[shape, shape, ...] -> shape."""
        return reduce(ops.minimum, inputs)


class Concatenate(Layer):
    """A list of tensors joined along `axis`, not the batch's; their other axes agree."""

    def __init__(self, axis: int = -1, **options: Any):
        super().__init__(**options)
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        """Check that the input is a list."""
        check_list(input_shape)

    def call(self, inputs: Sequence[Value]) -> Value:
        """[(None, ..., a), (None, ..., b)] -> (None, ..., a + b), for the last axis."""
        return ops.concatenate(inputs, self.axis)


def check_list(input_shape: Any) -> None:
    """ValueError unless these are the shapes of a list of tensors."""
    if not isinstance(input_shape, (list, tuple)) or not all(isinstance(shape, tuple) for shape in input_shape):
        raise ValueError("must be called on a list of tensors, such as Add()([a, b])")

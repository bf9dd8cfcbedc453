"""Layers that join branches: Add, Concatenate. They are called on a list of tensors."""

from collections.abc import Sequence
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

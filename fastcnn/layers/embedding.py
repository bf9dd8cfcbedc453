"""Embedding: a vector of numbers, learned, for each word."""

from typing import Any

from .. import initializers, ops
from ..trace import Value
from .base import Layer, refuse, regularized
from .core import positive


class Embedding(Layer):
    """Row x of a table, for every number x: (None, ...) -> (None, ..., output_dim).

    input_dim   numbers of the table's rows, which are 0 ... input_dim - 1; for any other number the result is NaN
    output_dim  numbers in a row

    Weights: embeddings (input_dim, output_dim).
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        **options: Any,
    ):
        super().__init__(**options)
        regularized(self, embeddings_regularizer=embeddings_regularizer, embeddings_constraint=embeddings_constraint)
        refuse(self, mask_zero=mask_zero)
        self.input_dim = positive(self, "input_dim", input_dim)
        self.output_dim = positive(self, "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)

    def build(self, input_shape: Any) -> None:
        """Make the table."""
        self.embeddings = self._weight("embeddings", (self.input_dim, self.output_dim))

    def call(self, inputs: Value) -> Value:
        """(None, ...) -> (None, ..., output_dim)."""
        return ops.embedding(inputs, self.embeddings)

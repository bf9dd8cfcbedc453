"""Dropout."""

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..trace import Value
from .base import Layer, described, refuse


class Dropout(Layer):
    """In training, zeroes each element with probability `rate` and scales the others by 1 / (1 - rate); else x itself.

    rate  in [0, 1)

    The masks depend on `utils.set_random_seed` and the training step; seed and noise_shape must be None.
    """

    def __init__(self, rate: float, noise_shape: Sequence[int] | None = None, seed: int | None = None, **options: Any):
        super().__init__(**options)
        refuse(self, noise_shape=noise_shape)
        if not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise ValueError(f"{described(self)}: rate must lie in 0 <= rate < 1, got {rate!r}")
        if seed is not None:
            raise ValueError(f"{described(self)}: seed must be None, got {seed!r}; use fastcnn.utils.set_random_seed")
        self.rate = rate

    def call(self, inputs: Value, training: bool = False) -> Value:
        """The shape stays."""
        return ops.dropout(inputs, self.rate) if training and self.rate > 0 else inputs

"""Layers that bring numbers into a range: Rescaling, Normalization."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..trace import Value
from ..variables import Variable
from .base import Layer, described, refuse

EPSILON = 1e-14
"""Added to variances, so that nothing is divided by less than 1e-7, as in Keras."""
PART = 1 << 20
"""Numbers that adapt looks at together: a data set of bytes is never a whole array of float64."""


class Rescaling(Layer):
    """scale * x + offset: Rescaling(1 / 255) takes pixels of bytes to 0 ... 1, Rescaling(1 / 127.5, -1) to -1 ... 1."""

    def __init__(self, scale: float, offset: float = 0.0, **options: Any):
        super().__init__(**options)
        for name, value in (("scale", scale), ("offset", offset)):
            if not isinstance(value, (int, float)):
                raise ValueError(f"{described(self)}: {name} must be a number, got {value!r}")
        self.scale, self.offset = float(scale), float(offset)

    def call(self, inputs: Value) -> Value:
        """The shape stays."""
        return ops.affine(inputs, self.scale, self.offset)


class Normalization(Layer):
    """(x - mean) / sqrt(variance), channel by channel: numbers of mean 0 and variance 1.

    mean, variance  of each channel, or one for all; without them `adapt` finds them in data

    Weights, none of which is trained: mean (channels,), variance (channels,), and the count that Keras keeps; none where mean
    and variance are given.
    """

    def __init__(
        self,
        axis: int = -1,
        mean: float | Sequence[float] | None = None,
        variance: float | Sequence[float] | None = None,
        invert: bool = False,
        **options: Any,
    ):
        super().__init__(**options)
        refuse(self, invert=invert)
        if (mean is None) != (variance is None):
            raise ValueError(f"{described(self)}: give both mean and variance, or neither and call adapt(data)")
        self.axis = axis
        self.mean, self.variance = _plain(mean), _plain(variance)
        self._statistics: list[Variable] = []

    def build(self, input_shape: Any) -> None:
        """Make mean and variance."""
        if self.axis not in (-1, len(input_shape) - 1):
            raise ValueError(f"channels lie along the last axis: axis must be -1 or {len(input_shape) - 1}, got {self.axis}")
        shape = input_shape[-1:]
        if self.mean is not None:
            made = [np.broadcast_to(np.array(given, np.float32), shape) for given in (self.mean, self.variance)]
            # Given numbers are configuration: in this list, but not among the layer's weights.
            self._statistics = [Variable(values, trainable=False, name=self.name) for values in made]
            return
        self._statistics = [
            self.add_weight(shape, "zeros", trainable=False, name="mean"),
            self.add_weight(shape, "ones", trainable=False, name="variance"),
        ]
        self.add_weight((), "zeros", trainable=False, name="count")

    def adapt(self, data: Any) -> None:
        """Take mean and variance, channel by channel, from an array of samples (count, ..., channels).

        ValueError where they were given to the constructor, or where the data do not fit the layer.
        """
        if self.mean is not None:
            raise ValueError(f"{described(self)}: mean and variance were given, so there is nothing to adapt")
        array = np.asarray(data)
        if array.ndim < 2 or not len(array):
            raise ValueError(f"{described(self)}: adapt expects samples (count, ..., channels), got shape {array.shape}")
        if not self.built:
            self.build((None, *array.shape[1:]))
        if array.shape[-1:] != self._statistics[0].shape:
            raise ValueError(f"{described(self)}: was built for {self._statistics[0].size} channels, got {array.shape[-1]}")
        for variable, value in zip(self._statistics, _moments(array), strict=True):
            variable.assign(value)

    def call(self, inputs: Value) -> Value:
        """(None, ..., channels) -> the same shape."""
        mean, variance = self._statistics
        if inputs.shape[-1:] != mean.shape:
            raise ValueError(f"was built for {mean.size} channels, the input has {inputs.shape[-1]}")
        return ops.batch_normalization(inputs, None, None, mean, variance, epsilon=EPSILON)


def _moments(array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and variance over all axes but the last, in float64."""
    samples = max(1, PART // math.prod(array.shape[1:]))
    parts = [array[n : n + samples] for n in range(0, len(array), samples)]
    over, count = tuple(range(array.ndim - 1)), math.prod(array.shape[:-1])
    mean = sum(part.sum(axis=over, dtype=np.float64) for part in parts) / count
    return mean, sum(np.square(part - mean).sum(axis=over) for part in parts) / count


def _plain(given: float | Sequence[float] | None) -> list[float] | None:
    """Numbers as a configuration has them."""
    return None if given is None else [float(value) for value in np.ravel(given)]

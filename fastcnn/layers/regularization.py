"""Layers that make training harder, and do nothing else: Dropout, SpatialDropout1D ..., GaussianDropout, GaussianNoise.

What they draw depends on `utils.set_random_seed` and the training step, so their seed must be None.
"""

import math
from collections.abc import Sequence
from typing import Any

from .. import ops
from ..trace import Value
from .base import Layer, described, refuse
from .convolutional import AXES
from .core import channels_last


class Dropout(Layer):
    """In training, zeroes each element with probability `rate` and scales the others by 1 / (1 - rate); else x itself.

    rate  in [0, 1)

    The masks depend on `utils.set_random_seed` and the training step; seed and noise_shape must be None.
    """

    by_channel = False

    def __init__(self, rate: float, noise_shape: Sequence[int] | None = None, seed: int | None = None, **options: Any):
        super().__init__(**options)
        refuse(self, noise_shape=noise_shape)
        no_seed(self, seed)
        self.rate = share(self, rate)

    def call(self, inputs: Value, training: bool = False) -> Value:
        """The shape stays."""
        return ops.dropout(inputs, self.rate, self.by_channel) if training and self.rate > 0 else inputs


class SpatialDropout(Dropout):
    """Dropout of whole channels of a sample, all pixels at once (Tompson et al. 2015).

    rate  in [0, 1)
    """

    by_channel = True

    def __init__(self, rate: float, seed: int | None = None, data_format: str | None = None, **options: Any):
        super().__init__(rate, seed=seed, **options)
        self.data_format = channels_last(self, data_format)


class SpatialDropout1D(SpatialDropout):
    """Dropout of whole channels of sequences, (None, steps, channels), which stay as they are otherwise."""

    input_axes = AXES[1]

    def __init__(self, rate: float, seed: int | None = None, **options: Any):
        super().__init__(rate, seed, **options)


class SpatialDropout2D(SpatialDropout):
    """Dropout of whole channels of pictures, (None, height, width, channels), which stay as they are otherwise."""

    input_axes = AXES[2]

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **options: Any):
        super().__init__(rate, seed, data_format, **options)


class SpatialDropout3D(SpatialDropout):
    """Dropout of whole channels of volumes, (None, depth, height, width, channels), which stay as they are otherwise."""

    input_axes = AXES[3]

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **options: Any):
        super().__init__(rate, seed, data_format, **options)


class GaussianNoise(Layer):
    """In training x + stddev * z, z from the standard normal distribution for each element; else x itself.

    stddev  at least 0
    """

    def __init__(self, stddev: float, seed: int | None = None, **options: Any):
        super().__init__(**options)
        no_seed(self, seed)
        if not isinstance(stddev, (int, float)) or stddev < 0:
            raise ValueError(f"{described(self)}: stddev must be at least 0, got {stddev!r}")
        self.stddev = stddev

    def call(self, inputs: Value, training: bool = False) -> Value:
        """The shape stays."""
        return ops.gaussian_noise(inputs, self.stddev) if training and self.stddev > 0 else inputs


class GaussianDropout(Layer):
    """In training x * (1 + sqrt(rate / (1 - rate)) * z), z from the standard normal distribution for each element; else x
    itself (Srivastava et al. 2014).

    rate  in [0, 1)
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any):
        super().__init__(**options)
        no_seed(self, seed)
        self.rate = share(self, rate)

    def call(self, inputs: Value, training: bool = False) -> Value:
        """The shape stays."""
        stddev = math.sqrt(self.rate / (1 - self.rate))
        return ops.gaussian_noise(inputs, stddev, multiplicative=True) if training and self.rate > 0 else inputs


def share(layer: Layer, rate: float) -> float:
    """`rate`; ValueError outside [0, 1)."""
    if not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise ValueError(f"{described(layer)}: rate must lie in 0 <= rate < 1, got {rate!r}")
    return rate


def no_seed(layer: Layer, seed: int | None) -> None:
    """ValueError for a seed of the layer's own."""
    if seed is not None:
        raise ValueError(f"{described(layer)}: seed must be None, got {seed!r}; use fastcnn.utils.set_random_seed")

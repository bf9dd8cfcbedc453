"""Pooling: over windows (max, average) and over the whole picture (global max, global average).

`WindowPooling` and `GlobalPooling` are for any number of spatial axes; the layers with 2D in their name have two.
"""

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..trace import Value
from .base import Layer
from .convolutional import spatial, valid_or_same
from .core import channels_last


class WindowPooling(Layer):
    """Reduces every window to one pixel, channel by channel.

    pool_size  of the window, one number or one a spatial axis
    strides    distance between windows; None is pool_size
    padding    "valid": floor((n - k) / s) + 1 windows an axis; "same": ceil(n / s), the ragged edge included
    """

    rank: int

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.pool_size = spatial(self, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else spatial(self, "strides", strides)
        self.padding = valid_or_same(padding)
        self.data_format = channels_last(self, data_format)


class MaxPooling2D(WindowPooling):
    """The maximum of each window. Arguments: see `WindowPooling`."""

    rank = 2
    input_axes = "batch, height, width, channels"

    def call(self, inputs: Value) -> Value:
        """(None, height, width, C) -> (None, pooled height, pooled width, C)."""
        return ops.max_pool(inputs, self.pool_size, self.strides, self.padding)


class AveragePooling2D(WindowPooling):
    """The mean of each window's pixels, padding left out. Arguments: see `WindowPooling`."""

    rank = 2
    input_axes = "batch, height, width, channels"

    def call(self, inputs: Value) -> Value:
        """(None, height, width, C) -> (None, pooled height, pooled width, C)."""
        return ops.average_pool(inputs, self.pool_size, self.strides, self.padding)


class GlobalPooling(Layer):
    """Reduces all pixels to one, channel by channel.

    keepdims  True keeps the spatial axes, each of extent 1
    """

    rank: int

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **options: Any):
        super().__init__(**options)
        self.data_format = channels_last(self, data_format)
        self.keepdims = keepdims

    def pooled(self, inputs: Value) -> Value:
        """The reduction: (None, ..., C) -> (None, C)."""
        raise NotImplementedError

    def call(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, C), or (None, 1, ..., C) with keepdims."""
        y = self.pooled(inputs)
        return ops.reshape(y, (*(1,) * self.rank, int(inputs.shape[-1] or 0))) if self.keepdims else y


class GlobalMaxPooling2D(GlobalPooling):
    """The maximum of all pixels. Arguments: see `GlobalPooling`."""

    rank = 2
    input_axes = "batch, height, width, channels"

    def pooled(self, inputs: Value) -> Value:
        """(None, height, width, C) -> (None, C)."""
        return ops.global_max_pool(inputs)


class GlobalAveragePooling2D(GlobalPooling):
    """The mean of all pixels. Arguments: see `GlobalPooling`."""

    rank = 2
    input_axes = "batch, height, width, channels"

    def pooled(self, inputs: Value) -> Value:
        """(None, height, width, C) -> (None, C)."""
        return ops.global_average_pool(inputs)


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D

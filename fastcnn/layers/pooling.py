"""Pooling of one, two and three spatial axes: over windows, and over all pixels. Each kind is one layer for any number of axes.

WindowPooling  the base of MaxPooling (MaxPooling1D MaxPooling2D MaxPooling3D) and AveragePooling (AveragePooling1D ...)
GlobalPooling  the base of GlobalMaxPooling (GlobalMaxPooling1D ...) and GlobalAveragePooling (GlobalAveragePooling1D ...)
"""

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..trace import Value
from .base import Layer
from .convolutional import AXES, known_padding, spatial
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
        self.padding = known_padding(padding)
        self.data_format = channels_last(self, data_format)


class MaxPooling(WindowPooling):
    """The maximum of each window. Arguments: see `WindowPooling`."""

    def call(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, ..., C), a pixel a window."""
        return ops.max_pool(inputs, self.pool_size, self.strides, self.padding)


class AveragePooling(WindowPooling):
    """The mean of each window's pixels, padding left out. Arguments: see `WindowPooling`."""

    def call(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, ..., C), a pixel a window."""
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


class GlobalMaxPooling(GlobalPooling):
    """The maximum of all pixels. Arguments: see `GlobalPooling`."""

    def pooled(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, C)."""
        return ops.global_max_pool(inputs)


class GlobalAveragePooling(GlobalPooling):
    """The mean of all pixels. Arguments: see `GlobalPooling`."""

    def pooled(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, C)."""
        return ops.global_average_pool(inputs)


class MaxPooling1D(MaxPooling):
    """The maximum of each window: (None, steps, C) -> (None, windows, C). Arguments: see `WindowPooling`."""

    rank, input_axes = 1, AXES[1]


class MaxPooling2D(MaxPooling):
    """The maximum of each window: (None, height, width, C) -> (None, rows, columns, C). Arguments: see `WindowPooling`."""

    rank, input_axes = 2, AXES[2]


class MaxPooling3D(MaxPooling):
    """The maximum of each window.

    (None, depth, height, width, C) -> (None, planes, rows, columns, C). Arguments: see `WindowPooling`.
    """

    rank, input_axes = 3, AXES[3]


class AveragePooling1D(AveragePooling):
    """The mean of each window's pixels, padding left out.

    (None, steps, C) -> (None, windows, C). Arguments: see `WindowPooling`.
    """

    rank, input_axes = 1, AXES[1]


class AveragePooling2D(AveragePooling):
    """The mean of each window's pixels, padding left out.

    (None, height, width, C) -> (None, rows, columns, C). Arguments: see `WindowPooling`.
    """

    rank, input_axes = 2, AXES[2]


class AveragePooling3D(AveragePooling):
    """The mean of each window's pixels, padding left out.

    (None, depth, height, width, C) -> (None, planes, rows, columns, C). Arguments: see `WindowPooling`.
    """

    rank, input_axes = 3, AXES[3]


class GlobalMaxPooling1D(GlobalMaxPooling):
    """The maximum of all steps: (None, steps, C) -> (None, C). Arguments: see `GlobalPooling`."""

    rank, input_axes = 1, AXES[1]


class GlobalMaxPooling2D(GlobalMaxPooling):
    """The maximum of all pixels: (None, height, width, C) -> (None, C). Arguments: see `GlobalPooling`."""

    rank, input_axes = 2, AXES[2]


class GlobalMaxPooling3D(GlobalMaxPooling):
    """The maximum of all pixels: (None, depth, height, width, C) -> (None, C). Arguments: see `GlobalPooling`."""

    rank, input_axes = 3, AXES[3]


class GlobalAveragePooling1D(GlobalAveragePooling):
    """The mean of all steps: (None, steps, C) -> (None, C). Arguments: see `GlobalPooling`."""

    rank, input_axes = 1, AXES[1]


class GlobalAveragePooling2D(GlobalAveragePooling):
    """The mean of all pixels: (None, height, width, C) -> (None, C). Arguments: see `GlobalPooling`."""

    rank, input_axes = 2, AXES[2]


class GlobalAveragePooling3D(GlobalAveragePooling):
    """The mean of all pixels: (None, depth, height, width, C) -> (None, C). Arguments: see `GlobalPooling`."""

    rank, input_axes = 3, AXES[3]


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D

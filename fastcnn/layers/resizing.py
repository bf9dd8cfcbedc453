"""Layers that change the extents of an image without weights, of one, two and three spatial axes.

UpSampling   UpSampling1D UpSampling2D UpSampling3D       every pixel many times, or interpolated
ZeroPadding  ZeroPadding1D ZeroPadding2D ZeroPadding3D    a border of zeros
Cropping     Cropping1D Cropping2D Cropping3D             without a border
"""

from collections.abc import Sequence
from typing import Any

from fastcnn_kernels.api import INTERPOLATIONS

from .. import ops
from ..trace import Value
from ..utils.suggest import unknown
from .base import Layer, described
from .convolutional import AXES, spatial
from .core import channels_last

Border = int | Sequence[int] | Sequence[Sequence[int]]


class UpSampling(Layer):
    """Every pixel many times, side by side: (None, ..., C) -> (None, ..., C).

    size  by what whole factor an axis grows, one number or one a spatial axis
    """

    rank: int
    interpolation = "nearest"

    def __init__(self, size: int | Sequence[int] = 2, data_format: str | None = None, **options: Any):
        super().__init__(**options)
        self.size = spatial(self, "size", size)
        self.data_format = channels_last(self, data_format)

    def call(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, ..., C), each spatial axis `size` times as long."""
        return ops.upsample(inputs, self.size, self.interpolation)


class UpSampling1D(UpSampling):
    """Every step `size` times: (None, steps, C) -> (None, steps * size, C)."""

    rank, input_axes = 1, AXES[1]


class UpSampling2D(UpSampling):
    """Pictures enlarged by whole factors: (None, height, width, C) -> (None, height * size[0], width * size[1], C).

    size           one factor or one an axis
    interpolation  "nearest": pixels are repeated; "bilinear": interpolated between their centres, constant beyond the outermost
    """

    rank, input_axes = 2, AXES[2]

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **options: Any,
    ):
        super().__init__(size, data_format, **options)
        if str(interpolation).lower() not in INTERPOLATIONS:
            raise unknown("interpolation", interpolation, INTERPOLATIONS)
        self.interpolation = interpolation.lower()


class UpSampling3D(UpSampling):
    """Every pixel of a volume many times: (None, depth, height, width, C) -> the same with each axis times its `size`."""

    rank, input_axes = 3, AXES[3]


class ZeroPadding(Layer):
    """A border of zeros: (None, ..., C) -> (None, ..., C).

    padding  pixels on every side, or one such number an axis, or one pair (before, after) an axis
    """

    rank: int

    def __init__(self, padding: Border = 1, data_format: str | None = None, **options: Any):
        super().__init__(**options)
        self.padding = border(self, "padding", padding)
        self.data_format = channels_last(self, data_format)

    def call(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, ..., C), each spatial axis longer by its padding."""
        return ops.pad(inputs, self.padding)


class ZeroPadding1D(ZeroPadding):
    """Zeros before and after a sequence: (None, steps, C) -> (None, more steps, C). `padding`: a number or (before, after)."""

    rank, input_axes = 1, AXES[1]


class ZeroPadding2D(ZeroPadding):
    """Zeros around a picture: (None, height, width, C) -> (None, rows, columns, C). Arguments: see `ZeroPadding`."""

    rank, input_axes = 2, AXES[2]


class ZeroPadding3D(ZeroPadding):
    """Zeros around a volume: (None, depth, height, width, C) -> (None, ..., C). Arguments: see `ZeroPadding`."""

    rank, input_axes = 3, AXES[3]


class Cropping(Layer):
    """The inside, without a border: (None, ..., C) -> (None, ..., C).

    cropping  pixels on every side, or one such number an axis, or one pair (before, after) an axis
    """

    rank: int

    def __init__(self, cropping: Border = 1, data_format: str | None = None, **options: Any):
        super().__init__(**options)
        self.cropping = border(self, "cropping", cropping)
        self.data_format = channels_last(self, data_format)

    def call(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, ..., C), each spatial axis shorter by its cropping."""
        return ops.pad(inputs, [(-before, -after) for before, after in self.cropping])


class Cropping1D(Cropping):
    """A sequence without its ends: (None, steps, C) -> (None, fewer steps, C). `cropping`: a number or (before, after)."""

    rank, input_axes = 1, AXES[1]


class Cropping2D(Cropping):
    """The inside of a picture: (None, height, width, C) -> (None, rows, columns, C). Arguments: see `Cropping`.

    As in Keras, and unlike its siblings, it crops nothing by default.
    """

    rank, input_axes = 2, AXES[2]

    def __init__(self, cropping: Border = 0, data_format: str | None = None, **options: Any):
        super().__init__(cropping, data_format, **options)


class Cropping3D(Cropping):
    """The inside of a volume: (None, depth, height, width, C) -> (None, ..., C). Arguments: see `Cropping`."""

    rank, input_axes = 3, AXES[3]


def border(layer: Any, name: str, value: Border) -> tuple[tuple[int, int], ...]:
    """A pair (before, after) of whole numbers for each spatial axis of the layer, from one number, one an axis, or the pairs;
    with one axis, a single pair will do. ValueError, naming the layer, for anything else."""
    try:
        sides = [ops.extents(entry, 2, name, least=0) for entry in _sides(value, layer.rank)]
    except (TypeError, ValueError):
        sides = []
    if len(sides) != layer.rank:
        raise ValueError(
            f"{described(layer)}: {name} must be one whole number, 0 or more, or {layer.rank} of them, or {layer.rank} pair(s) "
            f"(before, after), got {value!r}"
        )
    return tuple((before, after) for before, after in sides)


def _sides(value: Any, rank: int) -> Sequence[Any]:
    """One number or pair an axis."""
    if isinstance(value, int):
        return (value,) * rank
    return (value,) if rank == 1 and len(value) == 2 else value

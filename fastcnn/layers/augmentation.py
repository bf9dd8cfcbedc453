"""Layers that change pictures at random in training, and do nothing in `evaluate`, `predict` and `call` without training.

moved     RandomFlip RandomTranslation RandomCrop RandomRotation RandomZoom
coloured  RandomBrightness RandomContrast RandomErasing

They run on the device, inside the training step, between the data and the first layer with weights; labels stay as they are.
Every sample has random numbers of its own. Those follow from `utils.set_random_seed`, the training step and the layer's place
in the network, or, with `seed`, from that and the step: the same on every device, and in a resumed run. Layers of one `seed`
draw the same numbers: a picture and its mask can be changed alike.

Where layers that move pixels follow each other directly, and agree about interpolation and fill (flips and crops agree with
all), the picture is sampled once, through all their maps together. Against one after the other it is then less blurred, what
one layer moved out of sight another one can bring back, and beyond a crop the picture itself goes on.

There is no gradient: a layer with weights before an augmentation layer has to be frozen.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Any

from fastcnn_kernels.api import FILL_MODES, INTERPOLATIONS

from .. import ops
from ..trace import Value
from ..utils.suggest import unknown
from .base import Layer, described
from .convolutional import AXES
from .core import channels_last, positive

Factor = float | Sequence[float]
MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class Augmentation(Layer):
    """Base: what `augment` makes of pictures in training, else the pictures themselves.

    seed  a whole number from 0 to 2**32 - 1, or None; see above
    """

    input_axes = AXES[2]

    def __init__(self, seed: int | None = None, data_format: str | None = None, **options: Any):
        super().__init__(**options)
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32):
            raise ValueError(f"{described(self)}: seed must be None or a whole number from 0 to 2**32 - 1, got {seed!r}")
        self.seed = seed
        self.data_format = channels_last(self, data_format)

    def call(self, inputs: Value, training: bool = False) -> Value:
        """(None, height, width, channels) -> the same shape."""
        return self.augment(inputs) if training else inputs

    def augment(self, x: Value) -> Value:
        """The pictures, changed."""
        raise NotImplementedError


class RandomFlip(Augmentation):
    """Every second picture mirrored.

    mode  "horizontal" (left and right), "vertical" (top and bottom), or "horizontal_and_vertical": decided one by one
    """

    def __init__(
        self, mode: str = "horizontal_and_vertical", seed: int | None = None, data_format: str | None = None, **options: Any
    ):
        super().__init__(seed, data_format, **options)
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
        self.mode = mode

    def augment(self, x: Value) -> Value:
        """Pixels trade places; none is interpolated."""
        axes = [float(word in self.mode) for word in ("vertical", "horizontal")]
        return ops.random_affine(x, "flip", (0, 0), axes, interpolation="nearest", seed=self.seed)


class RandomCrop(Augmentation):
    """A window of (height, width) pixels out of each picture, at a random place; without training, from its middle.

    In Keras all pictures of a batch share a place, and without training the picture is resized; here the scale never changes.
    Pictures that are smaller are an error.
    """

    def __init__(self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **options: Any):
        super().__init__(seed, data_format, **options)
        self.height, self.width = positive(self, "height", height), positive(self, "width", width)

    def call(self, inputs: Value, training: bool = False) -> Value:
        """(None, rows, columns, channels) -> (None, height, width, channels)."""
        room = [extent - window for extent, window in zip(_size(inputs), (self.height, self.width), strict=True)]
        if min(room) < 0:
            raise ValueError(f"cannot crop {self.height} x {self.width} pixels out of pictures of shape {inputs.shape[1:]}")
        if max(room) == 0:
            return inputs
        if not training:
            return ops.pad(inputs, [(-(n // 2), n // 2 - n) for n in room])
        low, high = [-n / 2 for n in room], [n / 2 + 1 for n in room]
        size = self.height, self.width
        return ops.random_affine(inputs, "crop", low, high, size=size, interpolation="nearest", seed=self.seed)


class Moved(Augmentation):
    """Base of layers that interpolate.

    fill_mode      what lies beyond the edges: "constant" k k|a b c|k k, "nearest" a a|a b c|c c, "reflect" b a|a b c|c b, or
                   "wrap" b c|a b c|a b
    interpolation  "bilinear", between four pixels, or "nearest"
    fill_value     the constant
    """

    def __init__(
        self, fill_mode: str, interpolation: str, seed: int | None, fill_value: float, data_format: str | None, **options: Any
    ):
        super().__init__(seed, data_format, **options)
        if fill_mode not in FILL_MODES:
            raise unknown("fill_mode", fill_mode, FILL_MODES)
        if interpolation not in INTERPOLATIONS:
            raise unknown("interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, float(fill_value)

    def move(self, x: Value, transform: str, *ranges: tuple[float, float]) -> Value:
        """The transform with a random number of each of the ranges."""
        low, high = zip(*ranges, strict=True)
        return ops.random_affine(
            x, transform, low, high, interpolation=self.interpolation, fill_mode=self.fill_mode, fill_value=self.fill_value,
            seed=self.seed,
        )  # fmt: skip


class RandomTranslation(Moved):
    """Pictures shifted, not by whole pixels.

    height_factor  how far down, as a share of the height: (least, most), or one number for -number to number, in -1 ... 1
    width_factor   how far to the right, as a share of the width
    fill_mode, interpolation, fill_value: see `Moved`
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.height_factor = factor_range(self, "height_factor", height_factor)
        self.width_factor = factor_range(self, "width_factor", width_factor)

    def augment(self, x: Value) -> Value:
        """Moved by a share of the extents."""
        shares = zip(_size(x), (self.height_factor, self.width_factor), strict=True)
        return self.move(x, "translation", *((n * low, n * high) for n, (low, high) in shares))


class RandomRotation(Moved):
    """Pictures turned around their middle.

    factor  in whole turns, counter-clockwise: (least, most), or one number for -number to number, in -1 ... 1
    fill_mode, interpolation, fill_value: see `Moved`
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.factor = factor_range(self, "factor", factor)

    def augment(self, x: Value) -> Value:
        """Turned."""
        return self.move(x, "rotation", self.factor)


class RandomZoom(Moved):
    """Pictures smaller or larger, around their middle.

    height_factor  how much smaller, (least, most), or one number for -number to number: 0.5 shows one and a half times as
                   much, -0.5 half as much. Above -1, at most 1
    width_factor   the same for the width; None keeps the proportions
    fill_mode, interpolation, fill_value: see `Moved`
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        for name, factor in (("height_factor", height_factor), ("width_factor", width_factor)):
            if -1 in (factor if isinstance(factor, (list, tuple)) else (factor,)):
                raise ValueError(f"{described(self)}: {name} must lie above -1, which shows a single point, got {factor!r}")
        self.height_factor = factor_range(self, "height_factor", height_factor)
        self.width_factor = None if width_factor is None else factor_range(self, "width_factor", width_factor)

    def augment(self, x: Value) -> Value:
        """Larger or smaller."""
        factors = (self.height_factor,) if self.width_factor is None else (self.height_factor, self.width_factor)
        return self.move(x, "zoom", *((1 + low, 1 + high) for low, high in factors))


class Coloured(Augmentation):
    """Base of layers that change values and keep to a range of them.

    value_range  the least and the largest value that pictures have
    """

    def __init__(self, value_range: Sequence[float], seed: int | None, data_format: str | None, **options: Any):
        super().__init__(seed, data_format, **options)
        ends = tuple(value_range) if isinstance(value_range, (list, tuple)) else ()
        if len(ends) != 2 or not all(isinstance(end, Real) for end in ends) or ends[0] == ends[1]:
            raise ValueError(
                f"{described(self)}: value_range must be the least and the largest value of pictures, such as (0, 1), got "
                f"{value_range!r}"
            )
        self.value_range = min(ends), max(ends)


class RandomBrightness(Coloured):
    """Pictures brighter or darker, limited to value_range.

    factor       what is added, as a share of value_range: (least, most), or one number for -number to number, in -1 ... 1
    value_range  the least and the largest value that pictures have: (0, 1) where they were scaled before
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ):
        super().__init__(value_range, seed, data_format, **options)
        self.factor = factor_range(self, "factor", factor)

    def augment(self, x: Value) -> Value:
        """One number a picture, added."""
        span = self.value_range[1] - self.value_range[0]
        return ops.random_brightness(x, self.factor[0] * span, self.factor[1] * span, self.value_range, self.seed)


class RandomContrast(Coloured):
    """Pictures with more or less contrast: (x - mean) * c + mean, the mean by channel, limited to value_range.

    factor       (lower, upper): c lies between 1 - lower and 1 + upper; one number stands for both; in 0 ... 1
    value_range  the least and the largest value that pictures have: (0, 1) where they were scaled before
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ):
        super().__init__(value_range, seed, data_format, **options)
        self.factor = factor_range(self, "factor", (factor, factor) if _is_number(factor) else factor, 0)

    def augment(self, x: Value) -> Value:
        """One c a picture."""
        return ops.random_contrast(x, 1 - self.factor[0], 1 + self.factor[1], self.value_range, self.seed)


class RandomErasing(Coloured):
    """A rectangle of a picture filled (Zhong et al. 2017).

    factor       the probability of it, in 0 ... 1: uniform in (least, most), or in 0 to one number
    scale        (least, most), or one number for 0 to number: the rectangle's sides are the picture's times the square roots of
                 two such numbers
    fill_value   a number, or one for each of at most four channels; None is normal noise times value_range[1]. Limited to
                 value_range
    value_range  the least and the largest value that pictures have: (0, 1) where they were scaled before

    Cutout (DeVries and Taylor 2017) of a quarter of each picture is RandomErasing((1, 1), (0.25, 0.25), fill_value=0), but that
    the rectangle stays within the picture.
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ):
        super().__init__(value_range, seed, data_format, **options)
        self.factor, self.scale = factor_range(self, "factor", factor, 0), factor_range(self, "scale", scale, 0)
        numbers = fill_value if isinstance(fill_value, (list, tuple)) else (0 if fill_value is None else fill_value,)
        if not all(_is_number(number) for number in numbers):
            raise ValueError(f"{described(self)}: fill_value must be None, a number, or one a channel, got {fill_value!r}")
        self.fill_value = fill_value

    def augment(self, x: Value) -> Value:
        """A rectangle filled."""
        fill = (self.fill_value,) if isinstance(self.fill_value, (int, float)) else self.fill_value
        return ops.random_erasing(x, self.scale, self.factor, fill, self.value_range, self.seed)


def factor_range(layer: Layer, name: str, factor: Any, least: float = -1) -> tuple[float, float]:
    """(least, most) of a factor that is such a pair, or one number for -number to number, but not below `least`. ValueError,
    naming the layer, for anything else and for numbers outside of least ... 1."""
    given = tuple(factor) if isinstance(factor, (list, tuple)) else (factor,)
    if not 1 <= len(given) <= 2 or not all(_is_number(n) and least <= n <= 1 for n in given):
        raise ValueError(f"{described(layer)}: {name} must be one number or two in the range {least} ... 1, got {factor!r}")
    ends = given if len(given) == 2 else (max(-abs(given[0]), least), abs(given[0]))
    return min(ends), max(ends)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _size(x: Value) -> tuple[int, ...]:
    """Height and width."""
    return tuple(n for n in x.shape[1:3] if n is not None)

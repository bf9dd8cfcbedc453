"""Convolutions over one, two and three spatial axes. A family is one layer for any number of them; the numbered ones name it.

Convolution            Conv1D Conv2D Conv3D
TransposedConvolution  Conv1DTranspose Conv2DTranspose Conv3DTranspose
DepthwiseConvolution   DepthwiseConv1D DepthwiseConv2D
SeparableConvolution   SeparableConv1D SeparableConv2D
Windowed               the base of all: the window, and the bias and activation behind it
"""

from collections.abc import Sequence
from typing import Any

from .. import activations, initializers, ops
from ..trace import Value
from ..utils.suggest import unknown
from .base import Layer, described, regularized
from .core import channels_last, positive

AXES = {
    1: "batch, steps, channels",
    2: "batch, height, width, channels",
    3: "batch, depth, height, width, channels",
}
"""The input_axes of layers with so many spatial axes."""


class Windowed(Layer):
    """What all convolutions share: the window that slides over the input, and the bias and activation behind it.

    kernel_size    of the window, one number or one a spatial axis
    strides        distance between windows
    padding        "valid": windows inside x, floor((n - k) / s) + 1 of them an axis; "same": ceil(n / s), x continued by zeros
    dilation_rate  distance between the pixels of a window
    activation     a name or function; None is linear
    use_bias       whether every filter has a number that is added
    """

    rank: int
    paddings: tuple[str, ...] = ("valid", "same")

    def _set_window(self, kernel_size: Any, strides: Any, padding: str, data_format: str | None, dilation_rate: Any) -> None:
        self.kernel_size = spatial(self, "kernel_size", kernel_size)
        self.strides = spatial(self, "strides", strides)
        self.padding = known_padding(padding, self.paddings)
        self.data_format = channels_last(self, data_format)
        self.dilation_rate = spatial(self, "dilation_rate", dilation_rate)

    def _set_epilogue(self, activation: Any, use_bias: bool, bias_initializer: Any) -> None:
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)

    def _add_bias(self, filters: int) -> None:
        self.bias = self._weight("bias", (filters,)) if self.use_bias else None

    def _geometry(self) -> dict[str, Any]:
        """What `ops.conv` and `ops.depthwise_conv` are told about the window."""
        return dict(strides=self.strides, padding=self.padding, dilation_rate=self.dilation_rate)


class Convolution(Windowed):
    """y = activation(cross-correlation of x with a kernel + bias): (None, ..., C_in) -> (None, ..., filters).

    filters  output channels
    groups   channels are divided into so many groups that do not see each other

    The other arguments: see `Windowed`. Weights: kernel (*kernel_size, C_in / groups, filters), bias (filters,).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: None = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **options)
        regularized(self, kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer)
        regularized(self, kernel_constraint=kernel_constraint, bias_constraint=bias_constraint)
        self.filters = positive(self, "filters", filters)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._set_epilogue(activation, use_bias, bias_initializer)
        self.groups = positive(self, "groups", groups)
        self.kernel_initializer = initializers.get(kernel_initializer)
        if self.filters % self.groups:
            raise ValueError(f"{described(self)}: {self.filters} filters cannot be divided into {self.groups} groups")

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        channels = input_shape[-1]
        if channels % self.groups:
            raise ValueError(f"the input's {channels} channels cannot be divided into {self.groups} groups")
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self._weight("kernel", shape)
        self._add_bias(self.filters)

    def call(self, inputs: Value) -> Value:
        """(None, ..., C_in) -> (None, ..., filters)."""
        return self.activation(ops.conv(inputs, self.kernel, self.bias, groups=self.groups, **self._geometry()))


class Conv1D(Convolution):
    """A convolution over sequences: (None, steps, C_in) -> (None, windows, filters). See `Convolution`.

    padding may also be "causal": ceil(n / s) windows, none of which sees a later step than the one it stands for.
    """

    rank, input_axes = 1, AXES[1]
    paddings = ("valid", "same", "causal")

    def _geometry(self) -> dict[str, Any]:
        geometry = super()._geometry()
        if self.padding == "causal":
            geometry["padding"] = (((self.kernel_size[0] - 1) * self.dilation_rate[0], 0),)
        return geometry


class Conv2D(Convolution):
    """A convolution over pictures: (None, height, width, C_in) -> (None, rows, columns, filters). See `Convolution`."""

    rank, input_axes = 2, AXES[2]


class Conv3D(Convolution):
    """A convolution over volumes: (None, depth, height, width, C_in) -> (None, ..., filters). See `Convolution`."""

    rank, input_axes = 3, AXES[3]


class TransposedConvolution(Windowed):
    """The way back through a convolution: every pixel adds its channels times the kernel to a window of the output.

    filters         output channels
    strides         distance between windows in the output
    padding         "valid": (n - 1) * s + k pixels an axis, at least n * s; "same": n * s
    output_padding  None, or less than strides: then there are (n - 1) * s + k + output_padding pixels, with k % 2 in place of k
                    where padding is "same"; k counts the gaps of a dilated window

    (None, ..., C_in) -> (None, ..., filters). The other arguments: see `Windowed`. Weights: kernel
    (*kernel_size, filters, C_in), bias (filters,).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: None = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **options)
        regularized(self, kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer)
        regularized(self, kernel_constraint=kernel_constraint, bias_constraint=bias_constraint)
        self.filters = positive(self, "filters", filters)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._set_epilogue(activation, use_bias, bias_initializer)
        self.output_padding = None if output_padding is None else spatial(self, "output_padding", output_padding, least=0)
        self.kernel_initializer = initializers.get(kernel_initializer)
        if self.output_padding and any(extra >= s for extra, s in zip(self.output_padding, self.strides, strict=True)):
            raise ValueError(
                f"{described(self)}: output_padding must be less than strides, got {self.output_padding} for {self.strides}"
            )

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        shape = (*self.kernel_size, self.filters, input_shape[-1])
        self.kernel = self._weight("kernel", shape)
        self._add_bias(self.filters)

    def call(self, inputs: Value) -> Value:
        """(None, ..., C_in) -> (None, ..., filters)."""
        options = dict(self._geometry(), output_padding=self.output_padding)
        return self.activation(ops.conv_transpose(inputs, self.kernel, self.bias, **options))


class Conv1DTranspose(TransposedConvolution):
    """A transposed convolution over sequences: (None, steps, C_in) -> (None, more steps, filters).

    Arguments: see `TransposedConvolution`.
    """

    rank, input_axes = 1, AXES[1]


class Conv2DTranspose(TransposedConvolution):
    """A transposed convolution over pictures: (None, height, width, C_in) -> (None, rows, columns, filters).

    Arguments: see `TransposedConvolution`.
    """

    rank, input_axes = 2, AXES[2]


class Conv3DTranspose(TransposedConvolution):
    """A transposed convolution over volumes: (None, depth, height, width, C_in) -> (None, ..., filters).

    Arguments: see `TransposedConvolution`.
    """

    rank, input_axes = 3, AXES[3]


class DepthwiseConvolution(Windowed):
    """A convolution of every channel on its own: (None, ..., C) -> (None, ..., C * depth_multiplier).

    depth_multiplier  output channels that each input channel has; they lie side by side

    The other arguments: see `Windowed`. Weights: kernel (*kernel_size, C, depth_multiplier), bias (C * depth_multiplier,).
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: None = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **options)
        regularized(self, depthwise_regularizer=depthwise_regularizer, bias_regularizer=bias_regularizer)
        regularized(self, depthwise_constraint=depthwise_constraint, bias_constraint=bias_constraint)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._set_epilogue(activation, use_bias, bias_initializer)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        shape = (*self.kernel_size, input_shape[-1], self.depth_multiplier)
        self.kernel = self._weight("depthwise", shape, "kernel")
        self._add_bias(input_shape[-1] * self.depth_multiplier)

    def call(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, ..., C * depth_multiplier)."""
        return self.activation(ops.depthwise_conv(inputs, self.kernel, self.bias, **self._geometry()))


class DepthwiseConv1D(DepthwiseConvolution):
    """A depthwise convolution over sequences. Arguments: see `DepthwiseConvolution`."""

    rank, input_axes = 1, AXES[1]


class DepthwiseConv2D(DepthwiseConvolution):
    """A depthwise convolution over pictures. Arguments: see `DepthwiseConvolution`."""

    rank, input_axes = 2, AXES[2]


class SeparableConvolution(Windowed):
    """A depthwise convolution, then one of single pixels that mixes the channels: (None, ..., C) -> (None, ..., filters).

    filters           output channels
    depth_multiplier  channels between the two that each input channel has

    The other arguments: see `Windowed`; bias and activation come after the second. Weights: depthwise_kernel
    (*kernel_size, C, depth_multiplier), pointwise_kernel (1, ..., C * depth_multiplier, filters), bias (filters,).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: None = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **options)
        regularized(self, depthwise_regularizer=depthwise_regularizer, pointwise_regularizer=pointwise_regularizer)
        regularized(self, depthwise_constraint=depthwise_constraint, pointwise_constraint=pointwise_constraint)
        regularized(self, bias_regularizer=bias_regularizer, bias_constraint=bias_constraint)
        self.filters = positive(self, "filters", filters)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._set_epilogue(activation, use_bias, bias_initializer)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)

    def build(self, input_shape: Any) -> None:
        """Make both kernels and the bias."""
        channels, ones = input_shape[-1], (1,) * self.rank
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        pointwise = (*ones, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = self._weight("depthwise", depthwise, "depthwise_kernel")
        self.pointwise_kernel = self._weight("pointwise", pointwise, "pointwise_kernel")
        self._add_bias(self.filters)

    def call(self, inputs: Value) -> Value:
        """(None, ..., C) -> (None, ..., filters)."""
        between = ops.depthwise_conv(inputs, self.depthwise_kernel, **self._geometry())
        return self.activation(ops.conv(between, self.pointwise_kernel, self.bias))


class SeparableConv1D(SeparableConvolution):
    """A separable convolution over sequences. Arguments: see `SeparableConvolution`."""

    rank, input_axes = 1, AXES[1]


class SeparableConv2D(SeparableConvolution):
    """A separable convolution over pictures. Arguments: see `SeparableConvolution`."""

    rank, input_axes = 2, AXES[2]


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D


def spatial(layer: Any, name: str, value: int | Sequence[int], least: int = 1) -> tuple[int, ...]:
    """`value` once a spatial axis of the layer; ValueError, naming the layer, unless whole numbers from `least` on."""
    try:
        return ops.extents(value, layer.rank, name, least)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{described(layer)}: {error}") from error


def known_padding(padding: str, paddings: Sequence[str] = ("valid", "same")) -> str:
    """The name in lower case; ValueError for one that is not in `paddings`."""
    if str(padding).lower() not in paddings:
        raise unknown("padding", padding, paddings)
    return padding.lower()

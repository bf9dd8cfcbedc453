"""Convolutions: `Convolution` is the layer for any number of spatial axes, Conv2D names it for two."""

from collections.abc import Sequence
from typing import Any

from .. import activations, initializers, ops
from ..trace import Value
from ..utils.suggest import unknown
from .base import Layer, described, refuse
from .core import channels_last, positive


class Convolution(Layer):
    """y = activation(cross-correlation of x with a kernel + bias): (None, ..., C_in) -> (None, ..., filters).

    filters        output channels
    kernel_size    of the window, one number or one a spatial axis
    strides        distance between windows
    padding        "valid": windows inside x, floor((n - k) / s) + 1 of them an axis; "same": ceil(n / s), x continued by zeros
    dilation_rate  distance between the pixels of a window
    groups         channels are divided into so many groups that do not see each other
    activation     a name or function; None is linear

    Weights: kernel (*kernel_size, C_in / groups, filters), bias (filters,) unless use_bias is False.
    """

    rank: int

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
        kernel_regularizer: None = None,
        bias_regularizer: None = None,
        activity_regularizer: None = None,
        kernel_constraint: None = None,
        bias_constraint: None = None,
        **options: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **options)
        refuse(self, kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer)
        refuse(self, kernel_constraint=kernel_constraint, bias_constraint=bias_constraint)
        self.filters = positive(self, "filters", filters)
        self.kernel_size = spatial(self, "kernel_size", kernel_size)
        self.strides = spatial(self, "strides", strides)
        self.padding = valid_or_same(padding)
        self.data_format = channels_last(self, data_format)
        self.dilation_rate = spatial(self, "dilation_rate", dilation_rate)
        self.groups = positive(self, "groups", groups)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        if self.filters % self.groups:
            raise ValueError(f"{described(self)}: {self.filters} filters cannot be divided into {self.groups} groups")

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        channels = input_shape[-1]
        if channels % self.groups:
            raise ValueError(f"the input's {channels} channels cannot be divided into {self.groups} groups")
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        self.bias = self.add_weight((self.filters,), self.bias_initializer, name="bias") if self.use_bias else None

    def call(self, inputs: Value) -> Value:
        """(None, ..., C_in) -> (None, ..., filters)."""
        result = ops.conv(
            inputs,
            self.kernel,
            self.bias,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            groups=self.groups,
        )
        return self.activation(result)


class Conv2D(Convolution):
    """A convolution over pictures: (None, height, width, C_in) -> (None, rows, columns, filters). See `Convolution`."""

    rank = 2
    input_axes = "batch, height, width, channels"


def spatial(layer: Any, name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    """`value` once a spatial axis of the layer; ValueError, naming the layer, unless positive whole numbers."""
    try:
        return ops.extents(value, layer.rank, name)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{described(layer)}: {error}") from error


def valid_or_same(padding: str) -> str:
    """The name in lower case; ValueError for another one."""
    if str(padding).lower() not in ("valid", "same"):
        raise unknown("padding", padding, ["valid", "same"])
    return padding.lower()

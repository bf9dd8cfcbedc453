"""The layers that every network has, Input and Dense, and those that move numbers: Flatten, Reshape, Permute, RepeatVector."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from .. import activations, initializers, ops
from ..graph import KerasTensor, Node
from ..trace import Value
from .base import Layer, described, refuse, regularized


class InputLayer(Layer):
    """The place where samples enter a model; its `output` is the tensor of shape (None, *shape). See `Input`."""

    def __init__(self, shape: Sequence[int] | None = None, **options: Any):
        options.setdefault("input_shape", shape)
        super().__init__(**options)
        if self._input_shape is None:
            raise ValueError("shape is needed, of one sample: Input((28, 28, 1))")
        self.shape = self._input_shape
        self.built = True
        self._place()

    def _place(self) -> None:
        node = Node(self)
        node.outputs = KerasTensor((None, *self.shape), "float32", self.name, node)
        self._nodes = [node]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._place()

    def call(self, inputs: Value) -> Value:
        """x itself."""
        return inputs


def Input(  # noqa: N802
    shape: Sequence[int] | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    name: str | None = None,
    **options: Any,
) -> KerasTensor:
    """The symbolic input of a model: a tensor (None, *shape) to call layers on.

    shape   of one sample, channels last: (height, width, channels)
    dtype   None or "float32": arrays of uint8, integers and float64 are converted as they are read
    name    of the input, by which data in a dict are matched

    batch_size must be None: fit, evaluate and predict decide it.
    """
    layer = InputLayer(shape, name=name, dtype=dtype, **options)
    refuse(layer, batch_size=batch_size)
    return layer.output


class Dense(Layer):
    """y = activation(x kernel + bias), over the last axis: (None, ..., features) -> (None, ..., units).

    Weights: kernel (features, units), bias (units,) unless use_bias is False.
    """

    def __init__(
        self,
        units: int,
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
        self.units = positive(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        if len(input_shape) < 2:
            raise ValueError("needs at least two axes (batch, features); put a Reshape((1,)) before this layer")
        self.kernel = self._weight("kernel", (input_shape[-1], self.units))
        self.bias = self._weight("bias", (self.units,)) if self.use_bias else None

    def call(self, inputs: Value) -> Value:
        """(None, ..., features) -> (None, ..., units)."""
        return self.activation(ops.dense(inputs, self.kernel, self.bias))


class Flatten(Layer):
    """(None, height, width, channels) -> (None, height * width * channels), in C order."""

    def __init__(self, data_format: str | None = None, **options: Any):
        super().__init__(**options)
        self.data_format = channels_last(self, data_format)

    def call(self, inputs: Value) -> Value:
        """(None, ...) -> (None, elements)."""
        return ops.flatten(inputs)


class Reshape(Layer):
    """(None, ...) -> (None, *target_shape), in C order; one entry of target_shape may be -1."""

    def __init__(self, target_shape: Sequence[int], **options: Any):
        super().__init__(**options)
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Value) -> Value:
        """(None, ...) -> (None, *target_shape)."""
        return ops.reshape(inputs, self.target_shape)


class Permute(Layer):
    """Another order of the axes: (None, ...) -> (None, ...), axis j of which is axis dims[j] of the input, counted from 1."""

    def __init__(self, dims: Sequence[int], **options: Any):
        super().__init__(**options)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"{described(self)}: dims must be the numbers 1 to the number of axes in some order, got {dims!r}")

    def call(self, inputs: Value) -> Value:
        """(None, ...) -> (None, ...), permuted."""
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """The same vector n times: (None, features) -> (None, n, features)."""

    input_axes = "batch, features"

    def __init__(self, n: int, **options: Any):
        super().__init__(**options)
        self.n = positive(self, "n", n)

    def call(self, inputs: Value) -> Value:
        """(None, features) -> (None, n, features)."""
        return ops.upsample(ops.reshape(inputs, (1, -1)), self.n)


def positive(layer: Layer, name: str, value: Any) -> int:
    """`value`, a whole number above 0; ValueError otherwise."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{described(layer)}: {name} must be a positive whole number, got {value!r}")
    return int(value)


def channels_last(layer: Layer, data_format: str | None) -> str:
    """The only order of axes, by name; ValueError for another one."""
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"{described(layer)}: data_format must be None or 'channels_last', got {data_format!r}; "
            "move the channels of your data to the last axis: numpy.moveaxis(x, 1, -1)"
        )
    return "channels_last"

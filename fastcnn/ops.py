"""The operations that layers, losses and custom layers are composed of.

Each takes the values of the open trace, checks shapes, appends one step and returns its result. Shapes are channels-last with
the batch axis first, (N, [D, [H,]] W, C); errors show the arithmetic.

    products        conv conv_transpose depthwise_conv dense scale embedding
    pooling         max_pool average_pool global_max_pool global_average_pool
    normalisation   batch_normalization group_normalization layer_normalization
    activations     relu leaky_relu sigmoid tanh softmax activation
                    elu selu gelu silu softplus softsign hard_sigmoid hard_silu relu6 mish
    elementwise     add subtract multiply maximum minimum add_n affine square abs exp log step
                    dropout gaussian_noise
    shape           reshape flatten concatenate mean transpose pad upsample
    augmentation    random_affine random_brightness random_contrast random_erasing
    losses          crossentropy softmax_crossentropy binary_crossentropy sigmoid_crossentropy pointwise_loss
"""

import math
from collections.abc import Sequence
from typing import Any

from fastcnn_kernels.api import FILL_MODES, INTERPOLATIONS, POINTWISE_LOSSES, TRANSFORMS

from .trace import Value, current_trace
from .utils.suggest import unknown
from .variables import Variable

Spatial = int | Sequence[int]
__all__ = [
    "conv", "conv_transpose", "depthwise_conv", "dense", "scale", "embedding",
    "max_pool", "average_pool", "global_max_pool", "global_average_pool", "batch_normalization",
    "group_normalization", "layer_normalization",
    "relu", "leaky_relu", "sigmoid", "tanh", "softmax", "activation",
    "elu", "selu", "gelu", "silu", "softplus", "softsign", "hard_sigmoid", "hard_silu", "relu6", "mish",
    "add", "subtract", "multiply", "maximum", "minimum", "add_n", "affine", "square", "abs", "exp", "log", "step", "dropout",
    "gaussian_noise",
    "reshape", "flatten", "concatenate", "mean", "transpose", "pad", "upsample",
    "random_affine", "random_brightness", "random_contrast", "random_erasing",
    "crossentropy", "softmax_crossentropy", "binary_crossentropy", "sigmoid_crossentropy", "pointwise_loss",
]  # fmt: skip


# Arithmetic of extents, shared with the layers.


def extents(value: Spatial, rank: int, name: str, least: int = 1) -> tuple[int, ...]:
    """`value` once a spatial axis; ValueError unless whole numbers, of which none is below `least`, 1 or 0."""
    entries = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(entries) != rank or not all(isinstance(n, int) and n >= least for n in entries):
        kind = "positive whole number" if least else "whole number, 0 or more,"
        raise ValueError(f"{name} must be one {kind} or {rank} of them, got {value!r}")
    return entries


def resolve_padding(
    padding: str | Sequence[tuple[int, int]], size: Sequence[int], window: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """(before, after) an axis. "same": the output has ceil(size / stride) and the odd pixel comes after, as in TensorFlow."""
    if padding == "valid":
        return ((0, 0),) * len(size)
    if padding == "same":
        totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, window, strides, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str):
        raise ValueError(f'padding must be "valid" or "same", got {padding!r}')
    return tuple((int(before), int(after)) for before, after in padding)


def output_extents(
    size: Sequence[int], window: Sequence[int], strides: Sequence[int], padding: Sequence[tuple[int, int]], what: str
) -> tuple[int, ...]:
    """floor((size + padding - window) / stride) + 1 an axis; ValueError, drawn out, where nothing is left."""
    result = []
    for axis, (n, k, s, (before, after)) in enumerate(zip(size, window, strides, padding, strict=True)):
        if n + before + after < k:
            raise ValueError(
                f"{what} shrinks axis {axis + 1} below one pixel: floor(({n} + {before + after} padding - {k} window) / {s} "
                f"stride) + 1 = {(n + before + after - k) // s + 1}. Use a smaller window, padding='same', or a larger input."
            )
        result.append((n + before + after - k) // s + 1)
    return tuple(result)


def transposed_extents(
    size: Sequence[int], window: Sequence[int], strides: Sequence[int], padding: str, output_padding: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Output extents of a transposed convolution, as Keras has them, and the padding (before, after) of the convolution that
    leads back from them to `size`.

    "valid": (size - 1) * stride + window, but at least size * stride; "same": size * stride. With output_padding, which is less
    than the strides, (size - 1) * stride + that + window, or window % 2 where padding is "same".
    """
    if padding not in ("valid", "same"):
        raise ValueError(f'the padding of a transposed convolution must be "valid" or "same", got {padding!r}')
    if output_padding is not None and any(extra >= s for extra, s in zip(output_padding, strides, strict=True)):
        raise ValueError(f"output_padding must be less than the strides, got {tuple(output_padding)} for {tuple(strides)}")
    extents, pads = [], []
    for axis, (n, k, s) in enumerate(zip(size, window, strides, strict=True)):
        base = (n - 1) * s + (k if padding == "valid" else k % 2)
        least = n * s if padding == "same" else max(base, n * s)
        extents.append(least if output_padding is None else base + output_padding[axis])
        cropped = max(0, (n - 1) * s + k - extents[-1])
        pads.append((cropped // 2, cropped - cropped // 2))
    if 0 in extents:
        raise ValueError(f"a transposed convolution of {tuple(size)} pixels gives {tuple(extents)}: use more output_padding")
    return tuple(extents), tuple(pads)


def _spatial(x: Value, what: str) -> tuple[int, ...]:
    if not 3 <= len(x.shape) <= 5:
        raise ValueError(f"{what} expects (batch, spatial axes ..., channels) with 1 to 3 spatial axes, got shape {x.shape}")
    return _known(x)[:-1]


def _known(x: Value) -> tuple[int, ...]:
    """The shape of one sample."""
    return tuple(n for n in x.shape[1:] if n is not None)


def _emit(op: str, reads: dict[str, Any], attributes: dict[str, Any], shape: Sequence[int | None], output: str = "y") -> Value:
    trace = current_trace()
    result = trace.new(tuple(shape))
    trace.append(op, {**reads, output: result}, attributes)
    return result


# Products.


def conv(
    x: Value,
    kernel: Any,
    bias: Any = None,
    *,
    strides: Spatial = 1,
    padding: str | Sequence[tuple[int, int]] = "valid",
    dilation_rate: Spatial = 1,
    groups: int = 1,
) -> Value:
    """Cross-correlation over 1, 2 or 3 spatial axes. kernel (..., C_in/groups, C_out); bias (C_out,) or None."""
    size = _spatial(x, "a convolution")
    rank = len(size)
    if len(kernel.shape) != rank + 2:
        raise ValueError(f"a kernel of shape {kernel.shape} does not fit an input of shape {x.shape}")
    if x.shape[-1] != kernel.shape[-2] * groups:
        raise ValueError(
            f"the input has {x.shape[-1]} channels, the kernel of shape {kernel.shape} with {groups} group(s) expects "
            f"{kernel.shape[-2]} * {groups} = {kernel.shape[-2] * groups}"
        )
    steps, dilation = extents(strides, rank, "strides"), extents(dilation_rate, rank, "dilation_rate")
    window = tuple((k - 1) * d + 1 for k, d in zip(kernel.shape[:-2], dilation, strict=True))
    pads = resolve_padding(padding, size, window, steps)
    shape = (x.shape[0], *output_extents(size, window, steps, pads, "this convolution"), kernel.shape[-1])
    attributes = dict(
        strides=steps, padding=pads, dilation=dilation, groups=groups, activation="linear", alpha=0.0
    )
    return _emit("conv_forward", dict(x=x, w=kernel, b=bias), attributes, shape)


def conv_transpose(
    x: Value,
    kernel: Any,
    bias: Any = None,
    *,
    strides: Spatial = 1,
    padding: str = "valid",
    output_padding: Sequence[int] | None = None,
    dilation_rate: Spatial = 1,
) -> Value:
    """The gradient of a convolution, used forwards: every pixel adds its channels times the kernel to a window of the output.

    kernel (..., C_out, C_in); bias (C_out,) or None. Extents: see `transposed_extents`.
    """
    size = _spatial(x, "a transposed convolution")
    rank = len(size)
    if len(kernel.shape) != rank + 2 or kernel.shape[-1] != x.shape[-1]:
        raise ValueError(
            f"a kernel of shape {kernel.shape} does not fit an input of shape {x.shape}: expected {rank} spatial axes, the "
            f"filters, and {x.shape[-1]} channels"
        )
    steps, dilation = extents(strides, rank, "strides"), extents(dilation_rate, rank, "dilation_rate")
    window = tuple((k - 1) * d + 1 for k, d in zip(kernel.shape[:-2], dilation, strict=True))
    outputs, pads = transposed_extents(size, window, steps, padding, output_padding)
    attributes = dict(strides=steps, padding=pads, dilation=dilation)
    return _emit("conv_transpose_forward", dict(x=x, w=kernel, b=bias), attributes, (x.shape[0], *outputs, kernel.shape[-2]))


def depthwise_conv(x: Value, kernel: Any, bias: Any = None, **options: Any) -> Value:
    """A convolution of every channel on its own. kernel (..., C, multiplier); bias (C * multiplier,) or None; see `conv`.

    Output channel c * multiplier + m is channel c under kernel[..., c, m].
    """
    *window, channels, multiplier = kernel.shape
    if x.shape[-1] != channels:
        raise ValueError(f"the input has {x.shape[-1]} channels, a depthwise kernel of shape {kernel.shape} expects {channels}")
    trace = current_trace()
    grouped = trace.new((*window, 1, channels * multiplier), kind="parameter")
    trace.append("reshape_parameters", dict(x=kernel, y=grouped))
    return conv(x, grouped, bias, groups=channels, **options)


def dense(x: Value, kernel: Any, bias: Any = None) -> Value:
    """x (N, ..., F_in) times kernel (F_in, F_out) plus bias (F_out,)."""
    if x.shape[-1] != kernel.shape[0]:
        raise ValueError(f"the input has {x.shape[-1]} features, the kernel of shape {kernel.shape} expects {kernel.shape[0]}")
    attributes = dict(activation="linear", alpha=0.0)
    return _emit("dense_forward", dict(x=x, w=kernel, b=bias), attributes, (*x.shape[:-1], kernel.shape[1]))


def scale(x: Value, gamma: Any, beta: Any = None) -> Value:
    """gamma[c] * x[..., c] + beta[c], a depthwise convolution of one pixel. gamma (C,); beta (C,) or None."""
    rank = max(1, len(x.shape) - 2)
    kernel = current_trace().new((*(1,) * (rank + 1), gamma.size), kind="parameter")
    current_trace().append("reshape_parameters", dict(x=gamma, y=kernel))
    image = x if len(x.shape) > 2 else reshape(x, (1, -1))
    return reshape(conv(image, kernel, beta, groups=gamma.size), _known(x))


def embedding(x: Value, table: Any) -> Value:
    """(N, ..., features): rows of table (count, features) by the whole numbers x (N, ...), NaN where there is no such row."""
    return _emit("embedding_forward", dict(x=x, w=table), {}, (*x.shape, table.shape[-1]))


# Pooling.


def _pool_geometry(
    x: Value, pool_size: Spatial, strides: Spatial | None, padding: str | Sequence[tuple[int, int]]
) -> tuple[dict[str, Any], tuple[int | None, ...]]:
    size = _spatial(x, "pooling")
    window = extents(pool_size, len(size), "pool_size")
    steps = window if strides is None else extents(strides, len(size), "strides")
    pads = resolve_padding(padding, size, window, steps)
    shape = (x.shape[0], *output_extents(size, window, steps, pads, "this pooling"), x.shape[-1])
    return dict(window=window, strides=steps, padding=pads), shape


def max_pool(x: Value, pool_size: Spatial = 2, strides: Spatial | None = None, padding: Any = "valid") -> Value:
    """The maximum of every window; strides default to the window."""
    attributes, shape = _pool_geometry(x, pool_size, strides, padding)
    trace = current_trace()
    many = math.prod(attributes["window"]) > 255
    y, argmax = trace.new(shape), trace.new(shape, "int32" if many else "uint8", f"{trace.source.rpartition('/')[2]}.argmax")
    trace.append("max_pool_forward", dict(x=x, y=y, argmax=argmax), attributes)
    return y


def average_pool(x: Value, pool_size: Spatial = 2, strides: Spatial | None = None, padding: Any = "valid") -> Value:
    """The mean of every window, over the pixels inside the image; strides default to the window."""
    attributes, shape = _pool_geometry(x, pool_size, strides, padding)
    return _emit("average_pool_forward", dict(x=x), attributes, shape)


def _global(pool: Any, x: Value, keepdims: bool) -> Value:
    y = pool(x, _spatial(x, "global pooling"))
    return y if keepdims else reshape(y, _known(x)[-1:])


def global_max_pool(x: Value, keepdims: bool = False) -> Value:
    """The maximum of each channel over all pixels: (N, C), or with unit axes."""
    return _global(max_pool, x, keepdims)


def global_average_pool(x: Value, keepdims: bool = False) -> Value:
    """The mean of each channel over all pixels: (N, C), or with unit axes."""
    return _global(average_pool, x, keepdims)


# Normalisation.


def batch_normalization(
    x: Value,
    gamma: Any,
    beta: Any,
    moving_mean: Variable,
    moving_variance: Variable,
    *,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    training: bool = False,
) -> Value:
    """Normalise each channel by the batch's statistics (training) or the moving ones; gamma and beta may be None."""
    trace = current_trace()
    reads = dict(x=x, gamma=gamma, beta=beta, moving_mean=moving_mean, moving_variance=moving_variance)
    if not training:
        return _emit("batch_norm_inference", reads, dict(epsilon=epsilon), x.shape)
    channels = (x.shape[-1],)
    writes = dict(mean=trace.new(channels, kind="parameter"), rstd=trace.new(channels, kind="parameter"))
    attributes = dict(momentum=momentum, epsilon=epsilon)
    return _emit("batch_norm_forward", {**reads, **writes}, attributes, x.shape)


def group_normalization(x: Value, groups: int, epsilon: float = 1e-3) -> Value:
    """(x - mean) / sqrt(variance + epsilon), over all pixels and the neighbouring channels of each of `groups` groups."""
    if groups < 1 or _known(x)[-1] % groups:
        raise ValueError(f"{x.shape[-1]} channels cannot be cut into {groups} groups of one size")
    return _emit("group_norm_forward", dict(x=x), dict(groups=groups, by_pixel=False, epsilon=float(epsilon)), x.shape)


def layer_normalization(x: Value, epsilon: float = 1e-3) -> Value:
    """(x - mean) / sqrt(variance + epsilon), over the last axis."""
    return _emit("group_norm_forward", dict(x=x), dict(groups=1, by_pixel=True, epsilon=float(epsilon)), x.shape)


# Activations.


def activation(x: Value, name: str, alpha: float = 0.0) -> Value:
    """One of linear, relu, leaky_relu, sigmoid, tanh, elementwise."""
    return x if name == "linear" else _emit("activation_forward", dict(x=x), dict(activation=name, alpha=alpha), x.shape)


def relu(x: Value) -> Value:
    """max(x, 0)."""
    return activation(x, "relu")


def leaky_relu(x: Value, negative_slope: float = 0.2) -> Value:
    """x where positive, negative_slope * x elsewhere."""
    return activation(x, "leaky_relu", float(negative_slope))


def sigmoid(x: Value) -> Value:
    """1 / (1 + exp(-x))."""
    return activation(x, "sigmoid")


def tanh(x: Value) -> Value:
    """The hyperbolic tangent."""
    return activation(x, "tanh")


def softmax(x: Value) -> Value:
    """exp(x) normalised to sum 1 over the last axis."""
    return _emit("softmax_forward", dict(x=x), {}, x.shape)


def elu(x: Value, alpha: float = 1.0) -> Value:
    """x where positive, alpha * (e^x - 1) elsewhere (Clevert, Unterthiner and Hochreiter 2016)."""
    if alpha == 1:
        return _unary("elu", x)
    return relu(x) + affine(_unary("elu", -relu(-x)), alpha)


def selu(x: Value) -> Value:
    """1.0507 * elu(x, 1.67326): its outputs tend to mean 0 and variance 1 (Klambauer et al. 2017)."""
    return _unary("selu", x)


def gelu(x: Value, approximate: bool = False) -> Value:
    """x times the share of the standard normal distribution below x; `approximate` by tanh (Hendrycks and Gimpel 2016)."""
    return _unary("gelu_tanh" if approximate else "gelu", x)


def silu(x: Value) -> Value:
    """x * sigmoid(x), also called swish."""
    return _unary("silu", x)


def softplus(x: Value) -> Value:
    """log(1 + e^x)."""
    return _unary("softplus", x)


def softsign(x: Value) -> Value:
    """x / (1 + |x|)."""
    return _unary("softsign", x)


def hard_sigmoid(x: Value) -> Value:
    """x / 6 + 1/2, limited to 0 ... 1."""
    return _unary("hard_sigmoid", x)


def hard_silu(x: Value) -> Value:
    """x * hard_sigmoid(x), also called hard swish (Howard et al. 2019)."""
    return _unary("hard_silu", x)


def relu6(x: Value) -> Value:
    """min(max(x, 0), 6)."""
    return _unary("relu6", x)


def mish(x: Value) -> Value:
    """x * tanh(softplus(x)) (Misra 2019)."""
    return _unary("mish", x)


# Elementwise.


def _binary(function: str, a: Value, b: Value) -> Value:
    if a.shape != b.shape:
        raise ValueError(f"{function} needs two tensors of one shape, got {a.shape} and {b.shape}")
    return _emit("binary_forward", dict(a=a, b=b), dict(function=function), a.shape)


def affine(x: Value, scale: float, offset: float = 0.0) -> Value:
    """scale * x + offset, both plain numbers."""
    return _emit("affine", dict(x=x), dict(scale=float(scale), offset=float(offset)), x.shape)


def add(a: Value, b: Any) -> Value:
    """a + b, b a tensor of a's shape or a number."""
    return _binary("add", a, b) if isinstance(b, Value) else affine(a, 1.0, b)


def subtract(a: Value, b: Any) -> Value:
    """a - b, b a tensor of a's shape or a number."""
    return _binary("subtract", a, b) if isinstance(b, Value) else affine(a, 1.0, -b)


def multiply(a: Value, b: Any) -> Value:
    """a * b, b a tensor of a's shape or a number."""
    return _binary("multiply", a, b) if isinstance(b, Value) else affine(a, b, 0.0)


def maximum(a: Value, b: Value) -> Value:
    """The larger of a and b, elementwise; a takes the gradient of a tie."""
    return _binary("maximum", a, b)


def minimum(a: Value, b: Value) -> Value:
    """The smaller of a and b, elementwise; a takes the gradient of a tie."""
    return _binary("minimum", a, b)


def add_n(xs: Sequence[Value]) -> Value:
    """The sum of tensors of one shape, from left to right."""
    shapes = {x.shape for x in xs}
    if len(shapes) != 1:
        raise ValueError(f"a sum needs tensors of one shape, got {[x.shape for x in xs]}")
    return _emit("add", dict(xs=list(xs)), {}, xs[0].shape)


def _unary(function: str, x: Value) -> Value:
    return _emit("unary_forward", dict(x=x), dict(function=function), x.shape)


def square(x: Value) -> Value:
    """x * x."""
    return _unary("square", x)


def abs(x: Value) -> Value:
    """|x|; its derivative at 0 is 0."""
    return _unary("abs", x)


def exp(x: Value) -> Value:
    """e to the x."""
    return _unary("exp", x)


def log(x: Value) -> Value:
    """The natural logarithm."""
    return _unary("log", x)


def step(x: Value) -> Value:
    """1 where x is positive, else 0; it has no slope."""
    return _unary("step", x)


def dropout(x: Value, rate: float, by_channel: bool = False) -> Value:
    """Zero a share `rate` of the elements, or of the channels of a sample whole, and scale the others by 1 / (1 - rate)."""
    trace = current_trace()
    attributes: dict[str, Any] = dict(rate=float(rate), op_id=trace.next_random_id(), by_channel=by_channel)
    return _emit("dropout_forward", dict(x=x, scalars=trace.scalars), attributes, x.shape)


def gaussian_noise(x: Value, stddev: float, multiplicative: bool = False) -> Value:
    """x + stddev * z, or x * (1 + stddev * z), z from the standard normal distribution, another one for each element."""
    trace = current_trace()
    attributes = dict(stddev=float(stddev), multiplicative=multiplicative, op_id=trace.next_random_id())
    return _emit("gaussian_noise", dict(x=x, scalars=trace.scalars), attributes, x.shape)


# Shape.


def reshape(x: Value, target_shape: Sequence[int]) -> Value:
    """The same elements in C order with shape (N, *target_shape); one entry may be -1."""
    size = math.prod(_known(x))
    target = tuple(int(n) for n in target_shape)
    known = math.prod(n for n in target if n != -1)
    if target.count(-1) > 1 or (-1 in target and (known == 0 or size % known)) or (-1 not in target and known != size):
        raise ValueError(f"cannot reshape {tuple(x.shape[1:])} ({size} elements a sample) to {target}")
    target = tuple(size // known if n == -1 else n for n in target)
    return x if (x.shape[0], *target) == x.shape else _emit("reshape", dict(x=x), {}, (x.shape[0], *target))


def flatten(x: Value) -> Value:
    """(N, everything else), in C order."""
    return reshape(x, (-1,))


def concatenate(xs: Sequence[Value], axis: int = -1) -> Value:
    """Join along one axis, not the batch's; the other axes agree."""
    rank = len(xs[0].shape)
    where = axis % rank if -rank <= axis < rank else 0
    rest = {(*x.shape[:where], *x.shape[where + 1 :]) for x in xs}
    if where == 0 or len(rest) != 1:
        raise ValueError(f"cannot concatenate {[x.shape for x in xs]} along axis {axis}: the other axes must agree, "
                         "and the batch axis cannot be joined")  # fmt: skip
    joined = sum(_known(x)[where - 1] for x in xs)
    shape = (*xs[0].shape[:where], joined, *xs[0].shape[where + 1 :])
    return _emit("concatenate_forward", dict(xs=list(xs)), dict(axis=where), shape)


def mean(x: Value) -> Value:
    """(N,): the mean of each sample's elements."""
    return x if len(x.shape) == 1 else _emit("mean_forward", dict(x=x), {}, x.shape[:1])


def transpose(x: Value, axes: Sequence[int]) -> Value:
    """Axis j of the result is axis axes[j] of x; axes[0] is 0, as the batch stays where it is. Rank at most 5."""
    order = tuple(int(axis) for axis in axes)
    if sorted(order) != list(range(len(x.shape))) or order[0] != 0 or len(order) > 5:
        raise ValueError(
            f"axes must be a permutation of the {len(x.shape)} axes of {x.shape}, at most 5, that begins with 0, got {axes!r}"
        )
    if order == tuple(range(len(order))):
        return x
    return _emit("transpose", dict(x=x), dict(axes=order), tuple(x.shape[axis] for axis in order))


def pad(x: Value, padding: Sequence[tuple[int, int]]) -> Value:
    """Zeros around the spatial axes, (before, after) of each; negative numbers crop."""
    size = _spatial(x, "padding")
    pads = tuple((int(before), int(after)) for before, after in padding)
    if len(pads) != len(size):
        raise ValueError(f"padding must be a pair (before, after) for each of {len(size)} spatial axes, got {padding!r}")
    crops = tuple((max(0, -before), max(0, -after)) for before, after in pads)
    if any(n <= sum(crop) for n, crop in zip(size, crops, strict=True)):
        raise ValueError(f"cropping {crops} pixels (before, after) from an image of {size} leaves nothing; crop less")
    padded = (n + before + after for n, (before, after) in zip(size, pads, strict=True))
    return _emit("pad", dict(x=x), dict(padding=pads), (x.shape[0], *padded, x.shape[-1]))


def upsample(x: Value, factors: Spatial, interpolation: str = "nearest") -> Value:
    """Each spatial axis enlarged by a whole factor: pixels repeated ("nearest"), or interpolated between their centres
    ("bilinear", constant beyond the outermost)."""
    size = _spatial(x, "upsampling")
    scale = extents(factors, len(size), "the factors of upsampling")
    if interpolation not in INTERPOLATIONS:
        raise unknown("interpolation", interpolation, INTERPOLATIONS)
    shape = (x.shape[0], *(n * factor for n, factor in zip(size, scale, strict=True)), x.shape[-1])
    return _emit("upsample_forward", dict(x=x), dict(factors=scale, interpolation=interpolation), shape)


# Augmentation: each sample of a batch is changed by random numbers of its own. They depend on the seed, on the training step
# and on the op's place in the network; with `seed`, on that and the step, so that ops of one seed draw the same. No gradient.

LARGEST_PICTURE = 8192
"""Pixels along an axis of which maps keep account."""


def random_affine(
    x: Value,
    transform: str,
    low: Sequence[float],
    high: Sequence[float],
    *,
    size: Sequence[int] | None = None,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: int | None = None,
) -> Value:
    """x (N, H, W, C) seen through a random map: (N, *size, C), by default as large as x.

    transform   "flip", "translation", "crop", "rotation" or "zoom"; its numbers: see TRANSFORMS in fastcnn_kernels.api
    low, high   ends of the range of the number of rows and of that of columns; or of one number for both
    fill_mode   what lies beyond the edges: "constant", "nearest", "reflect" or "wrap"
    """
    extents_of_x = _picture(x, "an affine map")
    for kind, name, known in (
        ("transform", transform, TRANSFORMS),
        ("interpolation", interpolation, INTERPOLATIONS),
        ("fill_mode", fill_mode, FILL_MODES),
    ):
        if name not in known:
            raise unknown(kind, name, known)
    target = tuple(size) if size is not None else extents_of_x
    if max(*target, *extents_of_x) > LARGEST_PICTURE:
        raise ValueError(f"pictures for affine maps have at most {LARGEST_PICTURE} pixels a side, got {extents_of_x}")
    trace = current_trace()
    maps = trace.new((x.shape[0], 6), "int32", f"{trace.source.rpartition('/')[2]}.maps")
    ends = dict(low=tuple(map(float, low)), high=tuple(map(float, high)))
    reads = dict(scalars=trace.scalars, before=None)
    trace.append("random_affine", {**reads, "y": maps}, {"transform": transform, **ends, **_stream(seed)})
    attributes = dict(interpolation=interpolation, fill_mode=fill_mode, fill_value=float(fill_value))
    return _emit("affine_sample", dict(x=x, maps=maps), attributes, (x.shape[0], *target, x.shape[-1]))


def random_brightness(
    x: Value, low: float, high: float, value_range: Sequence[float], seed: int | None = None
) -> Value:
    """x (N, H, W, C) plus a number from [low, high) for each sample, limited to value_range."""
    return _adjust(x, None, low, high, value_range, seed)


def random_contrast(x: Value, low: float, high: float, value_range: Sequence[float], seed: int | None = None) -> Value:
    """(x - mean) * factor + mean, limited to value_range: the mean of each channel of a sample of x (N, H, W, C), a factor from
    [low, high) for each sample."""
    return _adjust(x, global_average_pool(x, keepdims=True), low, high, value_range, seed)


def random_erasing(
    x: Value,
    scale: Sequence[float],
    probability: Sequence[float],
    fill: Sequence[float] | None,
    value_range: Sequence[float],
    seed: int | None = None,
) -> Value:
    """x (N, H, W, C) with a random rectangle filled, in some samples.

    scale        ends of the range of two shares; the rectangle's sides are their square roots times the picture's
    probability  ends of the range of the probability of a rectangle
    fill         one number, or one for each of at most four channels; None is noise: normal numbers (the sum of sixteen random
                 bytes, shifted and scaled) times value_range[1]. Limited to value_range
    """
    height, width = _picture(x, "erasing")
    if fill is not None and len(fill) != 1 and not (len(fill) == x.shape[-1] and len(fill) <= 4):
        raise ValueError(f"the fill must be one number, or one a channel of at most 4, got {tuple(fill)} for shape {x.shape}")
    trace, stream = current_trace(), _stream(seed)
    boxes = trace.new((x.shape[0], 4), "int32", f"{trace.source.rpartition('/')[2]}.boxes")
    ranges = dict(size=(height, width), scale=tuple(map(float, scale)), probability=tuple(map(float, probability)))
    trace.append("random_box", dict(scalars=trace.scalars, y=boxes), {**ranges, **stream})
    filling = dict(fill=None if fill is None else tuple(map(float, fill)), **_limits(value_range))
    return _emit("erase", dict(x=x, boxes=boxes, scalars=trace.scalars), {**filling, **stream}, x.shape)


def _adjust(x: Value, centre: Value | None, low: float, high: float, value_range: Sequence[float], seed: int | None) -> Value:
    _picture(x, "brightness and contrast")
    trace = current_trace()
    amounts = trace.new(x.shape[:1], name=f"{trace.source.rpartition('/')[2]}.amounts")
    attributes = dict(low=float(low), high=float(high), **_stream(seed))
    trace.append("random_uniform", dict(scalars=trace.scalars, y=amounts), attributes)
    return _emit("adjust", dict(x=x, centre=centre, amounts=amounts), _limits(value_range), x.shape)


def _limits(value_range: Sequence[float]) -> dict[str, Any]:
    return dict(low=float(value_range[0]), high=float(value_range[1]))


def _picture(x: Value, what: str) -> tuple[int, ...]:
    if len(x.shape) != 4:
        raise ValueError(f"{what} expects pictures (batch, height, width, channels), got shape {x.shape}")
    return _known(x)[:-1]


def _stream(seed: int | None) -> dict[str, Any]:
    return dict(op_id=current_trace().next_random_id() if seed is None else 0, seed=seed)


# Losses: one number a sample.


def crossentropy(y_true: Value, probabilities: Value, focus: float = 0.0) -> Value:
    """-log of the probability of the class: y_true one-hot (N, ..., C) or class numbers (N, ...).

    focus   the logarithm of p counts (1 - p)^focus times
    """
    attributes = dict(focus=float(focus)) if focus else {}
    return _emit("crossentropy_forward", dict(y=probabilities, labels=y_true), attributes, y_true.shape[:1], "loss")


def softmax_crossentropy(y_true: Value, logits: Value) -> Value:
    """crossentropy of softmax(logits), computed together so that nothing overflows."""
    y = current_trace().new(logits.shape)
    return _emit("softmax_crossentropy_forward", dict(x=logits, labels=y_true, y=y), {}, y_true.shape[:1], "loss")


def binary_crossentropy(y_true: Value, probabilities: Value) -> Value:
    """-(t log p + (1 - t) log(1 - p)), the mean of a sample's elements."""
    return _emit("binary_crossentropy_forward", dict(y=probabilities, labels=y_true), {}, y_true.shape[:1], "loss")


def sigmoid_crossentropy(y_true: Value, logits: Value) -> Value:
    """binary_crossentropy of sigmoid(logits), computed together so that nothing overflows."""
    y = current_trace().new(logits.shape)
    return _emit("sigmoid_crossentropy_forward", dict(x=logits, labels=y_true, y=y), {}, y_true.shape[:1], "loss")


def pointwise_loss(y_true: Value, y_pred: Value, function: str, parameters: Sequence[float] = ()) -> Value:
    """The mean over a sample's elements of a function of prediction and label, one of POINTWISE_LOSSES of
    fastcnn_kernels.api."""
    if function not in POINTWISE_LOSSES:
        raise unknown("pointwise loss", function, POINTWISE_LOSSES)
    attributes = dict(function=function, parameters=tuple(map(float, parameters)))
    if y_true.shape != y_pred.shape:
        raise ValueError(f"labels and predictions must have one shape, got {y_true.shape} and {y_pred.shape}")
    return _emit("pointwise_loss_forward", dict(y=y_pred, labels=y_true), attributes, y_true.shape[:1], "loss")

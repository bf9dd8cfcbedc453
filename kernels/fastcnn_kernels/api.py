"""The contract between a program and a backend: tensors, plans, and every op's signature, shapes and meaning, once.

    Tensor      a named value of a program: logical shape, dtype, kind, and its memory if that outlives the program
    Storage     memory that outlives a program: parameters, optimizer slots, accumulators, arrays of the host
    Plan        what ops append launches to; `finalize` places the tensors in memory, `run` executes the launches
    Backend     one method an op
    OPERATIONS  which operands of an op are read and written, derived from the annotations of Backend

Index letters, the same everywhere: N sample, D H W depth, height and width, C channel (Ci in, Co out), K the spatial
extents of a kernel, F feature of a flat tensor. An axis that a tensor lacks has extent 1: (N, F) is (N, 1, 1, 1, C=F), so
dense layers and 1-D, 2-D and 3-D images share every op. Spatial attributes (strides, window, ...) are tuples with one entry
a spatial axis, padding is a tuple of (before, after) pairs.

An op is called once, when a program is built. It computes nothing: it appends launches to the plan. Operands marked `Out` are
written completely, never accumulated into; `InOut` operands are updated in place. Operands that may be None are
switched off by None. Gradients are named after what they are the gradient of: dx, dw, db, dy.
"""

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Annotated, Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .registry import replaceable

Extents = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]
Kind = Literal["batch", "parameter", "plain", "external", "partial"]


class Storage(Protocol):
    """Memory that outlives a program, seen by the host as a logical, C-ordered array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self) -> NDArray[Any]:
        """A copy of the logical array."""

    def write(self, array: NDArray[Any], first: int = 0) -> None:
        """Overwrite rows `first`, `first` + 1, ... with `array`: all of them, unless it has fewer along its first axis."""


class External(Protocol):
    """A slot for a C-ordered host array that changes from step to step: data sets, indices, predictions."""

    def bind(self, array: NDArray[Any], first: int = 0) -> None:
        """Let the slot be `array[first:]`, which must stay alive and unmoved while the program runs."""


@dataclass(eq=False)
class Tensor:
    """A value of a program.

    kind    "batch"      the first axis counts samples; the backend chooses the physical layout
            "parameter"  weights, their gradients, optimizer slots, statistics by channel; the backend may pad the last axis
            "plain"      C-ordered, as NumPy has it: scalars, accumulators
            "external"   C-ordered host array, bound before each run
            "partial"    scratch of a backend: bytes that each slice of the batch has for itself
    storage the memory of a tensor that outlives the program; None where the plan allocates it
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    kind: Kind = "batch"
    storage: Any = None

    @property
    def size(self) -> int:
        """Number of logical elements."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the logical elements."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"{self.name}{list(self.shape)}"


In = Annotated[Tensor, "in"]
Out = Annotated[Tensor, "out"]
InOut = Annotated[Tensor, "inout"]
Ins = Annotated[Sequence[Tensor], "in"]
MaybeIn = Annotated[Tensor | None, "in"]
MaybeOut = Annotated[Tensor | None, "out"]
MaybeInOut = Annotated[Tensor | None, "inout"]
InOuts = Annotated[Sequence[Tensor], "inout"]


class Scalars:
    """Slots of the scalars buffer: eight bytes each, written by the host between runs, read by kernels.

    SEED and STEP (the number of training steps done before this one) are int64 and key the random numbers; LEARNING_RATE is
    float64, and so are the step's coefficients RATE, GRADIENT_RATE and EPSILON, which follow from it and from the number of
    optimizer steps (see RULES); NONFINITE (int64) is STEP + 1 of the first loss that was not finite, else 0; while it is set,
    optimizer steps do nothing.
    """

    SEED, STEP, LEARNING_RATE, RATE, GRADIENT_RATE, EPSILON, NONFINITE = range(7)
    COUNT = 8
    FLOATS = frozenset({LEARNING_RATE, RATE, GRADIENT_RATE, EPSILON})


class Plan(Protocol):
    """A list of launches being built for one batch size, then run many times."""

    batch_size: int

    def finalize(self) -> None:
        """Place every tensor in memory and resolve the launches' arguments. Nothing can be appended afterwards."""

    def run(self) -> None:
        """Execute the launches in order."""

    def begin(self, label: str) -> None:
        """Name the launches that follow, for printing and profiling."""

    def memory(self) -> int:
        """Bytes of the arenas that the plan allocated."""


class Backend(Protocol):
    """One device's implementation of every op. A value, not a global: programs hold the backend that they were built for."""

    name: str
    fusions: frozenset[str]
    """Which patterns lowering may fuse: "conv+activation", "dense+activation", "conv+activation+pool",
    "softmax+crossentropy", "sigmoid+crossentropy"."""
    dtype: np.dtype[Any]

    def plan(self, batch_size: int, frozen: bool = False) -> Plan:
        """An empty plan. `frozen`: no op in it writes a parameter, so what is computed from parameters alone may be kept from
        run to run, until one of them is written."""

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike, kind: Kind) -> Storage:
        """Zeroed memory that outlives programs."""

    def external(self, dtype: DTypeLike, shape: tuple[int, ...]) -> External:
        """A slot for host arrays of `dtype` whose rows (one a sample) have `shape`."""

    # ------ data

    def gather(self, plan: Any, source: In, index: In, y: Out, *, scale: float = 1.0, offset: float = 0.0) -> None:
        """y[n] = scale * source[index[n]] + offset, cast to y's dtype.

        source (M, ...) external, uint8 | int32 | int64 | float32 | float64; index (N,) external int64; y (N, ...).
        """

    def export(self, plan: Any, x: In, destination: Out) -> None:
        """destination[n] = x[n]: a batch tensor leaves for the host. x (N, ...); destination (N, ...) external, x's dtype."""

    # ------ convolution and dense

    def conv_forward(
        self, plan: Any, x: In, w: In, b: MaybeIn, y: Out, *,
        strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
        activation: str = "linear", alpha: float = 0.0,
    ) -> None:
        """y[n,o,co] = act(b[co] + sum over k, ci of x[n, o*stride + k*dilation - pad_before, ci] * w[k, ci, co]).

        x (N, [D, [H,]] W, Ci); w ([Kd, [Kh,]] Kw, Ci/groups, Co); b (Co,); y (N, ..., Co). Output channel co belongs to
        group co // (Co/groups) and sees that group's Ci/groups input channels. x is zero outside its extent.
        activation is one of ACTIVATIONS; alpha its parameter.
        """

    def conv_backward(
        self, plan: Any, x: In, w: In, y: In, dy: In, dx: MaybeOut, dw: MaybeOut, db: MaybeOut, *,
        strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
        activation: str = "linear", alpha: float = 0.0,
    ) -> None:
        """Gradients of conv_forward; with dz = dy * act'(y), taken from the output y:

        dx[n,i,ci] = sum over k, co, o with o*stride + k*dilation - pad = i of dz[n,o,co] * w[k,ci,co]
        dw[k,ci,co] = sum over n, o of x[n, o*stride + k*dilation - pad, ci] * dz[n,o,co];  db[co] = sum over n, o of dz
        """

    def conv_pool_forward(
        self, plan: Any, x: In, w: In, b: MaybeIn, y: Out, argmax: Out, *,
        strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
        activation: str = "linear", alpha: float = 0.0, window: Extents,
    ) -> None:
        """max_pool(conv_forward(x)) with pool strides equal to `window` and no pool padding; rows and columns that do not fill
        a window are not computed. argmax (y's shape, uint8): the position in the window, as in max_pool_forward."""

    def conv_pool_backward(
        self, plan: Any, x: In, w: In, y: In, argmax: In, dy: In, dx: MaybeOut, dw: MaybeOut, db: MaybeOut, *,
        strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
        activation: str = "linear", alpha: float = 0.0, window: Extents,
    ) -> None:
        """Gradients of conv_pool_forward: dy goes to the pixel that won its window."""

    def conv_transpose_forward(
        self, plan: Any, x: In, w: In, b: MaybeIn, y: Out, *, strides: Extents, padding: Padding, dilation: Extents
    ) -> None:
        """y[n,i,co] = b[co] + sum over k, ci, o with o*stride + k*dilation - pad = i of x[n,o,ci] * w[k,co,ci].

        x (N, [D, [H,]] W, Ci); w ([Kd, [Kh,]] Kw, Co, Ci); b (Co,); y (N, ..., Co): the data gradient of the convolution that
        takes y's shape to x's with these strides, padding and dilation, at x.
        """

    def conv_transpose_backward(
        self, plan: Any, x: In, w: In, dy: In, dx: MaybeOut, dw: MaybeOut, db: MaybeOut, *,
        strides: Extents, padding: Padding, dilation: Extents,
    ) -> None:
        """Gradients of conv_transpose_forward: dx is the convolution of dy with w, dw the weight gradient of that convolution
        with x as the gradient of its output, db[co] = sum over n, i of dy."""

    def dense_forward(
        self, plan: Any, x: In, w: In, b: MaybeIn, y: Out, *, activation: str = "linear", alpha: float = 0.0
    ) -> None:
        """y[n,o] = act(b[o] + sum over i of x[n,i] * w[i,o]). x (N, ..., Fi), contracted over its last axis; w (Fi, Fo)."""

    def dense_backward(
        self, plan: Any, x: In, w: In, y: In, dy: In, dx: MaybeOut, dw: MaybeOut, db: MaybeOut, *,
        activation: str = "linear", alpha: float = 0.0,
    ) -> None:
        """Gradients of dense_forward, with dz = dy * act'(y): dx = dz w^T, dw = x^T dz, db = sum of dz over all but F."""

    # ------ pooling

    def max_pool_forward(
        self, plan: Any, x: In, y: Out, argmax: Out, *, window: Extents, strides: Extents, padding: Padding
    ) -> None:
        """y[n,o,c] = max over k in window of x[n, o*stride + k - pad, c]; pixels outside x never win.

        argmax (y's shape, uint8, int32 where the window has more than 255 pixels): the first winning k, row-major in the
        window.
        """

    def max_pool_backward(
        self, plan: Any, argmax: In, dy: In, dx: Out, *, window: Extents, strides: Extents, padding: Padding
    ) -> None:
        """dx[i] = sum of dy over the windows that i won, in row-major order of the windows."""

    def average_pool_forward(
        self, plan: Any, x: In, y: Out, *, window: Extents, strides: Extents, padding: Padding
    ) -> None:
        """y[n,o,c] = mean of x over the pixels of the window that lie inside x."""

    def average_pool_backward(
        self, plan: Any, dy: In, dx: Out, *, window: Extents, strides: Extents, padding: Padding
    ) -> None:
        """dx[i] = sum over the windows that hold i of dy divided by the window's number of pixels inside x."""

    # ------ normalisation

    def batch_norm_forward(
        self, plan: Any, x: In, gamma: MaybeIn, beta: MaybeIn, moving_mean: InOut, moving_variance: InOut,
        y: Out, mean: Out, rstd: Out, *, momentum: float, epsilon: float,
    ) -> None:
        """Training mode over all axes but the last: y = gamma * (x - mean) * rstd + beta, rstd = 1/sqrt(var + epsilon) with the
        biased variance; moving = momentum * moving + (1 - momentum) * batch statistic, left as it is in channels whose
        batch statistic is not finite. (Ioffe and Szegedy 2015.)"""

    def batch_norm_backward(
        self, plan: Any, x: In, gamma: MaybeIn, mean: In, rstd: In, dy: In,
        dx: MaybeOut, dgamma: MaybeOut, dbeta: MaybeOut,
    ) -> None:
        """With xhat = (x - mean) * rstd and M values a channel: dbeta = sum dy, dgamma = sum dy*xhat,
        dx = gamma * rstd * (dy - dbeta/M - xhat*dgamma/M)."""

    def batch_norm_inference(
        self, plan: Any, x: In, gamma: MaybeIn, beta: MaybeIn, moving_mean: In, moving_variance: In, y: Out, *,
        epsilon: float,
    ) -> None:
        """y = gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta."""

    def batch_norm_inference_backward(
        self, plan: Any, gamma: MaybeIn, moving_variance: In, dy: In, dx: Out, *, epsilon: float
    ) -> None:
        """dx = dy * gamma / sqrt(moving_variance + epsilon)."""

    def group_norm_forward(self, plan: Any, x: In, y: Out, *, groups: int, by_pixel: bool, epsilon: float) -> None:
        """y = (x - mean) / sqrt(variance + epsilon), both over the C / groups neighbouring channels of a group: of all pixels
        of a sample (Wu and He 2018), or by_pixel, with one group, of a pixel (Ba, Kiros and Hinton 2016). Biased variance."""

    def group_norm_backward(
        self, plan: Any, x: In, dy: In, dx: Out, *, groups: int, by_pixel: bool, epsilon: float
    ) -> None:
        """dx = (dy - mean dy - y * mean (dy * y)) / sqrt(variance + epsilon), the means over the same numbers."""

    # ------ elementwise

    def activation_forward(self, plan: Any, x: In, y: Out, *, activation: str, alpha: float = 0.0) -> None:
        """y = act(x), one of ACTIVATIONS."""

    def activation_backward(self, plan: Any, y: In, dy: In, dx: Out, *, activation: str, alpha: float = 0.0) -> None:
        """dx = dy * act'(y), the derivative taken from the output y."""

    def unary_forward(self, plan: Any, x: In, y: Out, *, function: str) -> None:
        """y = function(x), one of UNARY."""

    def unary_backward(self, plan: Any, x: In, y: In, dy: In, dx: Out, *, function: str) -> None:
        """dx = dy * function'(x); abs has derivative 0 at 0, a function with two slopes the left one at its kink
        (hard_silu the right one at 3)."""

    def binary_forward(self, plan: Any, a: In, b: In, y: Out, *, function: str) -> None:
        """y = function(a, b), one of BINARY; a, b and y have one shape."""

    def binary_backward(
        self, plan: Any, a: In, b: In, dy: In, da: MaybeOut, db: MaybeOut, *, function: str
    ) -> None:
        """Gradients of binary_forward. Where maximum or minimum ties, a takes the gradient."""

    def affine(self, plan: Any, x: In, y: Out, *, scale: float, offset: float = 0.0) -> None:
        """y = scale * x + offset, scale and offset plain numbers."""

    def add(self, plan: Any, xs: Ins, y: Out) -> None:
        """y = sum of xs from left to right, all of one shape."""

    def add_parameters(self, plan: Any, xs: Ins, y: Out) -> None:
        """y = sum of xs from left to right, for tensors of kind "parameter": gradients of a shared weight."""

    def dropout_forward(
        self, plan: Any, x: In, scalars: In, y: Out, *, rate: float, op_id: int, by_channel: bool = False
    ) -> None:
        """y = x / (1 - rate) where u >= rate, else 0. u in [0, 1) is random.uniform of the element's logical, C-ordered index
        in the batch, or by_channel of n * C + c for all pixels, keyed by (SEED, STEP, op_id): see random/reference.py."""

    def dropout_backward(
        self, plan: Any, dy: In, scalars: In, dx: Out, *, rate: float, op_id: int, by_channel: bool = False
    ) -> None:
        """dx = dy / (1 - rate) where u >= rate, else 0, with the same u."""

    def gaussian_noise(
        self, plan: Any, x: In, scalars: In, y: Out, *, stddev: float, multiplicative: bool, op_id: int
    ) -> None:
        """y = x + stddev * z, or x * (1 + stddev * z) where multiplicative, of which this op is the gradient too.

        z is, to rounding, random.normal of the element's logical, C-ordered index in the batch, keyed as in dropout_forward.
        """

    # ------ embedding

    def embedding_forward(self, plan: Any, x: In, w: In, y: Out) -> None:
        """y[n, ..., c] = w[x[n, ...], c], NaN where w has no such row. x (N, ...) whole numbers as float32, fractions cut off;
        w (V, C); y (N, ..., C)."""

    def embedding_backward(self, plan: Any, x: In, dy: In, dw: Out) -> None:
        """dw[v, c] = sum of dy[n, ..., c] where x[n, ...] is v, in the order of samples and positions."""

    # ------ augmentation

    # What is random is drawn by sample, n counting from 0 in the batch, from the words 8 n ... 8 n + 7 of the stream (SEED,
    # STEP, op_id) of random/reference.py, with `seed` in place of SEED where it is not None. u is its upper 24 bits / 2^24.

    def random_affine(
        self, plan: Any, scalars: In, before: MaybeIn, y: Out, *, transform: str, low: tuple[float, ...],
        high: tuple[float, ...], op_id: int, seed: int | None,
    ) -> None:
        """y[n] = the map before[n], then a random one: one of TRANSFORMS with numbers low + (high - low) * u, a first one for
        rows and a second one for columns; low and high with one entry are of a number for both.

        before, y (N, 6) int32: maps as augment/geometry.py describes them, exact on every backend.
        """

    def random_uniform(self, plan: Any, scalars: In, y: Out, *, low: float, high: float, op_id: int, seed: int | None) -> None:
        """y[n] = low + (high - low) * u. y (N,)."""

    def random_box(
        self, plan: Any, scalars: In, y: Out, *, size: tuple[int, int], scale: tuple[float, float],
        probability: tuple[float, float], op_id: int, seed: int | None,
    ) -> None:
        """y[n] = (top, bottom, left, right) of a rectangle in a picture of `size`, its ends not in it; zeros for none.

        y (N, 4) int32, exact on every backend. The sides are sqrt(share) of the picture's, a share from `scale` for each; the
        place is uniform; there is one with a probability that is itself uniform in `probability`.
        """

    def affine_sample(
        self, plan: Any, x: In, maps: In, y: Out, *, interpolation: str, fill_mode: str, fill_value: float
    ) -> None:
        """y[n, v, h] = x[n] at the place that maps[n] says, "bilinear" between four pixels, or the "nearest" one.

        x (N, H, W, C); maps (N, 6) int32; y (N, OH, OW, C). Places are exact to 2^-24 pixels. Beyond x, by FILL_MODES:
        "constant" k k|a b c|k k of fill_value, "nearest" a a|a b c|c c, "reflect" b a|a b c|c b, "wrap" b c|a b c|a b.
        """

    def adjust(self, plan: Any, x: In, centre: MaybeIn, amounts: In, y: Out, *, low: float, high: float) -> None:
        """y = x + amounts[n], or with a centre (x - centre[n, c]) * amounts[n] + centre[n, c], limited to low ... high.

        x, y (N, H, W, C); centre (N, 1, 1, C); amounts (N,).
        """

    def erase(
        self, plan: Any, x: In, boxes: In, scalars: In, y: Out, *, fill: tuple[float, ...] | None, low: float, high: float,
        op_id: int, seed: int | None,
    ) -> None:
        """y = x, but in the rectangle boxes[n] the fill, limited to low ... high.

        x, y (N, H, W, C); boxes (N, 4) int32 as random_box has them. fill: a number for all channels, or one for each of at
        most four; None is noise times `high`: for element e of the batch, in C order, the sum of the sixteen bytes of the
        stream's counter e + 2^32, shifted and scaled to mean 0 and standard deviation 1. e < 2^32.
        """

    # ------ shape

    def reshape(self, plan: Any, x: In, y: Out) -> None:
        """y has x's elements in logical C order and its own shape; both keep the batch axis. Its gradient is reshape."""

    def reshape_parameters(self, plan: Any, x: In, y: Out) -> None:
        """reshape, for tensors of kind "parameter", without a batch axis."""

    def transpose(self, plan: Any, x: In, y: Out, *, axes: Extents) -> None:
        """Axis j of y is axis axes[j] of x; axes[0] = 0, the batch stays, and at most four others follow. Its gradient is
        transpose by the inverse permutation."""

    def pad(self, plan: Any, x: In, y: Out, *, padding: Padding) -> None:
        """y[n,i,c] = x[n, i - before, c], zero where that is outside x; a negative padding crops. Something of x is left.
        Its gradient is pad with the opposite signs."""

    def upsample_forward(self, plan: Any, x: In, y: Out, *, factors: Extents, interpolation: str) -> None:
        """y[n,o,c] = sum over pixels i of weight(o, i) * x[n,i,c], the product of one weight an axis; y's extents are x's times
        the factors.

        interpolation "nearest": weight 1 where i = o // factor, else 0. "bilinear", linear along each axis: pixels are squares,
        and beyond the outermost centres x continues unchanged, so that for s = (o + 1/2) / factor - 1/2, clamped to x's extent,
        the weight is max(0, 1 - |s - i|).
        """

    def upsample_backward(self, plan: Any, dy: In, dx: Out, *, factors: Extents, interpolation: str) -> None:
        """dx[n,i,c] = sum over o of weight(o, i) * dy[n,o,c]."""

    def concatenate_forward(self, plan: Any, xs: Ins, y: Out, *, axis: int) -> None:
        """y = xs joined along `axis` (1 .. rank-1, the batch axis cannot be joined)."""

    def concatenate_backward(self, plan: Any, dy: In, dx: Out, *, axis: int, start: int) -> None:
        """dx = the part of dy that begins at `start` along `axis` and has dx's extent: the gradient of one of xs."""

    def mean_forward(self, plan: Any, x: In, y: Out) -> None:
        """y[n] = mean of x[n] over all of its elements. x (N, ...); y (N,)."""

    def mean_backward(self, plan: Any, dy: In, dx: Out) -> None:
        """dx[n, ...] = dy[n] / number of elements of dx[n]."""

    # ------ softmax, losses, metrics

    def softmax_forward(self, plan: Any, x: In, y: Out) -> None:
        """y = exp(x - max x) / sum exp(x - max x) over the last axis."""

    def softmax_backward(self, plan: Any, y: In, dy: In, dx: Out) -> None:
        """dx = y * (dy - sum over the last axis of y*dy)."""

    def softmax_crossentropy_forward(self, plan: Any, x: In, labels: In, y: Out, loss: Out) -> None:
        """y = softmax(x); loss[n] = mean over the remaining axes of -sum over c of t[n,..,c] * log y[n,..,c].

        x, y (N, ..., C) logits and probabilities; labels (N, ..., C) float distribution t, or (N, ...) int32 class numbers.
        """

    def softmax_crossentropy_backward(self, plan: Any, y: In, labels: In, dloss: In, dx: Out) -> None:
        """dx = dloss[n] / positions * (y * sum of t - t), positions = product of the axes between batch and class."""

    def crossentropy_forward(self, plan: Any, y: In, labels: In, loss: Out, *, focus: float = 0.0) -> None:
        """loss[n] = mean over positions of -sum t * (1 - p)^focus * log p, p = clip(y / sum y, 1e-7, 1 - 1e-7), as Keras has it
        for probabilities. (Lin, Goyal, Girshick, He and Dollar 2017, where focus is not 0.)"""

    def crossentropy_backward(self, plan: Any, y: In, labels: In, dloss: In, dy: Out, *, focus: float = 0.0) -> None:
        """Gradient of crossentropy_forward; a clipped entry has derivative 0."""

    def sigmoid_crossentropy_forward(self, plan: Any, x: In, labels: In, y: Out, loss: Out) -> None:
        """y = sigmoid(x); loss[n] = mean over all elements of max(x,0) - x*t + log(1 + exp(-|x|)). labels float, x's shape."""

    def sigmoid_crossentropy_backward(self, plan: Any, y: In, labels: In, dloss: In, dx: Out) -> None:
        """dx = dloss[n] / elements * (y - t)."""

    def binary_crossentropy_forward(self, plan: Any, y: In, labels: In, loss: Out) -> None:
        """loss[n] = mean over elements of -(t log p + (1-t) log(1-p)), p = clip(y, 1e-7, 1 - 1e-7)."""

    def binary_crossentropy_backward(self, plan: Any, y: In, labels: In, dloss: In, dy: Out) -> None:
        """Gradient of binary_crossentropy_forward; a clipped entry has derivative 0."""

    def pointwise_loss_forward(
        self, plan: Any, y: In, labels: In, loss: Out, *, function: str, parameters: tuple[float, ...] = ()
    ) -> None:
        """loss[n] = mean over elements of function(y, t), one of POINTWISE_LOSSES. labels float, y's shape."""

    def pointwise_loss_backward(
        self, plan: Any, y: In, labels: In, dloss: In, dy: Out, *, function: str, parameters: tuple[float, ...] = ()
    ) -> None:
        """dy = dloss[n] / elements * derivative of function(y, t) by y; a clipped number has derivative 0."""

    def weighted_loss(
        self, plan: Any, loss: In, weight: In, dloss: MaybeOut, accumulator: InOut, scalars: InOut, *, scale: float
    ) -> None:
        """A loss becomes a number: L = sum over n, in order, of weight[n] * loss[n] / N.

        dloss[n] = scale * weight[n] / N, the gradient of scale * L; accumulator (2,) float64 plain gains (L * N, N); a
        non-finite L sets NONFINITE to STEP + 1 if it is still 0.
        """

    def accuracy(self, plan: Any, y: In, labels: In, weight: In, accumulator: InOut, *, form: str) -> None:
        """accumulator (2,) float64 plain gains (sum of weight[n] * hit, sum of weight[n]) over every sample and position.

        form "categorical": argmax y == argmax labels over the last axis; "sparse": argmax y == labels; "binary": (y > 0.5)
        == labels, every element a position. The first of equal maxima wins.
        """

    def mean_metric(self, plan: Any, values: In, weight: In, accumulator: InOut) -> None:
        """accumulator (2,) float64 plain gains (sum of weight[n] * values[n], sum of weight[n]). values (N,)."""

    # ------ optimizers

    def optimizer_step(
        self, plan: Any, w: InOut, dw: In, slots: InOuts, factor: MaybeIn, scalars: In, *,
        rule: str, beta_1: float = 0.0, beta_2: float = 0.0, weight_decay: float = 0.0, clipvalue: float | None = None,
    ) -> None:
        """w = (1 - weight_decay * LEARNING_RATE) * w - step, elementwise over a parameter, its gradient and its slots.

        The step is that of `rule`, one of RULES, for the gradient g = dw * factor[0], then limited to [-clipvalue, clipvalue];
        without factor or clipvalue g = dw. Nothing is written while NONFINITE is set.
        """

    def clip_factor(self, plan: Any, xs: Ins, factor: Out, *, limit: float) -> None:
        """factor[0] = limit / max(norm, limit), norm = the root of the sum of all squares in xs, which are of kind
        "parameter": times that, the norm of xs is at most `limit`. factor (1,) plain."""

    # ------ regularization

    def penalty(self, plan: Any, w: In, accumulator: InOut, *, l1: float, l2: float) -> None:
        """accumulator (2,) float64 plain gains (N * (l1 * sum |w| + l2 * sum w^2), N), N the batch size."""

    def penalty_gradient(self, plan: Any, w: In, dw: In, y: Out, *, l1: float, l2: float) -> None:
        """y = dw + l1 * sign(w) + 2 * l2 * w, all of kind "parameter"; sign is 0 at 0."""

    def constrain(
        self, plan: Any, w: InOut, scalars: In, *, axes: int, low: float, high: float, rate: float, positive: bool
    ) -> None:
        """w = max(w, 0) where positive; else w times (rate * clip(norm, low, high) + (1 - rate) * norm) / (1e-7 + norm), norm
        the root of the sum of squares over its first `axes` axes. Nothing is written while NONFINITE is set."""


ACTIVATIONS = ("linear", "relu", "leaky_relu", "sigmoid", "tanh")
"""Elementwise activations: each derivative is a function of the output. alpha is leaky_relu's slope below zero (>= 0)."""

INTERPOLATIONS = ("nearest", "bilinear")
TRANSFORMS = ("flip", "translation", "crop", "rotation", "zoom")
"""What random_affine draws, with the meaning of its numbers: flip, mirrored along an axis where the number is 1/2 or more;
translation, pixels that the picture moves down and to the right; crop, pixels that the window moves from the middle, of which
those beyond `low` are rounded down to whole ones; rotation, turns counter-clockwise; zoom, pixels of x for one of y."""
FILL_MODES = ("constant", "nearest", "reflect", "wrap")
UNARY = (
    "square", "abs", "exp", "log", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus", "softsign", "hard_sigmoid",
    "hard_silu", "relu6", "mish", "step",
)  # fmt: skip
"""Functions of one number, the activations with Keras 3's parameters: elu with alpha 1, gelu x * Phi(x), gelu_tanh its
approximation, hard_sigmoid min(max(x / 6 + 1/2, 0), 1). step is 1 above 0, else 0."""
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")

POINTWISE_LOSSES = (
    "squared", "absolute", "percentage", "squared_logarithmic", "huber", "log_cosh", "hinge", "squared_hinge", "poisson",
    "divergence", "focal",
)  # fmt: skip
"""What pointwise_loss averages, of a prediction y and a label t, with d = y - t and e = 1e-7:

    squared              d^2
    absolute             |d|
    percentage           100 |d| / max(|t|, e)
    squared_logarithmic  (log(1 + max(y, e)) - log(1 + max(t, e)))^2
    huber                d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); parameter delta
    log_cosh             log cosh d
    hinge                max(1 - s y, 0), s = -1 where t is 0, else t
    squared_hinge        max(1 - s y, 0)^2
    poisson              y - t log(y + e)
    divergence           q log(q / p), p and q = y and t limited to e ... 1
    focal                (t a + (1 - t) b) max(t (1 - y) + (1 - t) y, e)^gamma times the crossentropy of t and y limited to
                         e ... 1 - e; parameters gamma, a, b
"""

RULES = {
    "sgd": (),
    "momentum": ("velocity",),
    "nesterov": ("velocity",),
    "lion": ("momentum",),
    "adam": ("m", "v"),
    "amsgrad": ("m", "v", "v_hat"),
    "adamax": ("m", "u"),
    "adagrad": ("accumulator",),
    "adadelta": ("accumulated_grad", "accumulated_delta"),
    "rmsprop": ("velocity",),
    "rmsprop_momentum": ("velocity", "momentum"),
    "rmsprop_centered": ("velocity", "average_gradient"),
    "rmsprop_centered_momentum": ("velocity", "average_gradient", "momentum"),
}
"""The rules of optimizer_step and the slots that each keeps for a weight. What each subtracts from w, with r = RATE,
q = GRADIENT_RATE, e = EPSILON; `a <- b by beta` stands for a += (b - a)(1 - beta):

    sgd          r g
    momentum     -velocity;  velocity = beta_1 velocity - r g
    nesterov     r g - beta_1 velocity, with the new velocity
    lion         r sign(g + (momentum - g) beta_1), with the old momentum;  momentum <- g by beta_2
    adam         (r m + q g) / (sqrt(v) + e);  m <- g by beta_1, v <- g^2 by beta_2
    amsgrad      (r m + q g) / (sqrt(v_hat) + e);  v_hat = max(v_hat, v)
    adamax       r m / (u + e);  m <- g by beta_1, u = max(beta_2 u, |g|)
    adagrad      r g / sqrt(accumulator + e);  accumulator += g^2
    adadelta     r s, s = g sqrt(accumulated_delta + e) / sqrt(accumulated_grad + e);  accumulated_grad <- g^2 by beta_2,
                 then accumulated_delta <- s^2 by beta_2
    rmsprop      s = r g / sqrt(velocity + e);  velocity <- g^2 by beta_2
    _centered    s = r g / sqrt(velocity - average_gradient^2 + e);  average_gradient <- g by beta_2
    _momentum    momentum;  momentum = beta_1 momentum + s
"""


@dataclass(frozen=True)
class Operation:
    """The operands of an op, by name and in the order of its signature."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    lists: frozenset[str]
    """Operands that are sequences of tensors."""


def _operation(name: str) -> Operation | None:
    hints = typing.get_type_hints(getattr(Backend, name), include_extras=True)
    access = {p: h.__metadata__[0] for p, h in hints.items() if typing.get_origin(h) is Annotated}
    if not access:
        return None
    lists = frozenset(p for p in access if typing.get_origin(typing.get_args(hints[p])[0]) is Sequence)
    reads = tuple(p for p, a in access.items() if a in ("in", "inout"))
    return Operation(name, reads, tuple(p for p, a in access.items() if a in ("out", "inout")), lists)


@cache
def operations() -> dict[str, Operation]:
    """Every op of the protocol by name."""
    found = (_operation(name) for name, _ in inspect.getmembers(Backend, inspect.isfunction) if not name.startswith("_"))
    return {operation.name: operation for operation in found if operation}


AnyBackend = TypeVar("AnyBackend")


def with_ops_of(*modules: ModuleType) -> Callable[[type[AnyBackend]], type[AnyBackend]]:
    """Class decorator: a backend's ops are the functions of `modules` that have the protocol's names, or what was registered
    in their place.

    TypeError, when the backend is imported, for an op that none of them has.
    """

    def complete(backend: type[AnyBackend]) -> type[AnyBackend]:
        for name in operations():
            found = [f for module in modules if (f := vars(module).get(name)) and f.__module__ == module.__name__]
            if len(found) != 1:
                raise TypeError(f"{backend.__name__} needs one {name} in its modules, found {len(found)}")
            kind = found[0].__module__.split(".")[-1]
            setattr(backend, name, staticmethod(replaceable(found[0], name, kind)))
        return backend

    return complete

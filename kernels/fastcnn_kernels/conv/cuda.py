"""Convolution on the GPU, fused with its bias, activation and 2x2 max pool; dense layers are convolutions here too.

    conv_forward, conv_backward             y = act(x * w + b) and its gradients
    conv_pool_forward, conv_pool_backward   the same with a max pool behind it
    forward, backward                       the launches for any geometry; dense/cpu.py's twin on the GPU calls them
    Walk, Product                           what one launch of cuda_product.product needs

Forward and data gradient are products whose rows are pixels; the data gradient of a strided convolution is one such product for
each phase of its pixels. The weight gradient is a product whose sum runs over pixels. Long sums of small products are cut into
parts, which a second launch adds in order: the number of parts depends on shapes only, so results repeat bit by bit.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ..api import Extents, Padding, Tensor
from ..device.gemm import spans, tile_for
from ..device.tiles import ceil_div
from .cuda_direct import LANES, LINES, NARROW, direct_gradient_kernel, direct_product_kernel
from .cuda_gradient import THREADS, GradientVariant, output_gradient_kernel, sum_kernel, weight_gradient_kernel
from .cuda_product import Variant, product_kernel
from .geometry import Axis, Convolution, convolution

LEAST_TERMS, LEAST_PIXELS = 128, 256
"""Terms of a product's sum, and pixels of a weight gradient's, that are worth a part of their own."""
LEAST_LINES, MOST_PARTS = 8, 512
"""Pixels that a thread of output_gradient takes at least; partial sums of dz at most."""


def conv_forward(
    plan: Any, x: Any, w: Any, b: Any, y: Any, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
    activation: str = "linear", alpha: float = 0.0,
) -> None:
    """y = act(convolution of x with w, plus b)."""
    c = convolution(x.shape, w.shape, strides=strides, padding=padding, dilation=dilation, groups=groups)
    forward(plan, c, x, w, b, y, activation=activation, alpha=alpha)


def conv_backward(
    plan: Any, x: Any, w: Any, y: Any, dy: Any, dx: Any, dw: Any, db: Any, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
    activation: str = "linear", alpha: float = 0.0,
) -> None:
    """Gradients of conv_forward."""
    c = convolution(x.shape, w.shape, strides=strides, padding=padding, dilation=dilation, groups=groups)
    backward(plan, c, x, w, y, dy, dx, dw, db, activation=activation, alpha=alpha)


def conv_pool_forward(
    plan: Any, x: Any, w: Any, b: Any, y: Any, argmax: Any, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
    activation: str = "linear", alpha: float = 0.0, window: Extents,
) -> None:
    """y, argmax = max_pool(conv_forward(x)) with strides equal to the window; 2x2 windows in the product's epilogue."""
    c = convolution(
        x.shape, w.shape, strides=strides, padding=padding, dilation=dilation, groups=groups, window=window
    )
    if _three(window) == (1, 2, 2) and not is_narrow(c.groups, c.channels_out // c.groups):
        forward(plan, c, x, w, b, y, argmax, activation=activation, alpha=alpha)
        return
    from ..pool.cuda import max_pool_forward

    pixels = c.outputs[3 - len(window) :]
    z = plan.scratch("z", (x.shape[0], *pixels, c.channels_out))
    forward(plan, c, x, w, b, z, activation=activation, alpha=alpha)
    max_pool_forward(plan, z, y, argmax, window=window, strides=window, padding=((0, 0),) * len(window))


def conv_pool_backward(
    plan: Any, x: Any, w: Any, y: Any, argmax: Any, dy: Any, dx: Any, dw: Any, db: Any, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
    activation: str = "linear", alpha: float = 0.0, window: Extents,
) -> None:
    """Gradients of conv_pool_forward."""
    c = convolution(
        x.shape, w.shape, strides=strides, padding=padding, dilation=dilation, groups=groups, window=window
    )
    pool = Pool(argmax, _three(window))
    backward(plan, c, x, w, y, dy, dx, dw, db, activation=activation, alpha=alpha, pool=pool)


# ------ the launches for any geometry


@dataclass(frozen=True)
class Pool:
    """The max pool behind a convolution."""

    argmax: Tensor
    window: tuple[int, int, int]


def forward(
    plan: Any, c: Convolution, x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, argmax: Tensor | None = None, *,
    activation: str, alpha: float,
) -> None:
    """y = act(x * w + b); with `argmax`, the largest of every 2x2 window of it."""
    per_group = c.channels_in // c.groups, c.channels_out // c.groups
    Product(x, w, y, _forward_walks(c), *per_group, c.groups, b, argmax, activation=activation, alpha=alpha).launch(plan)


def backward(
    plan: Any, c: Convolution, x: Tensor, w: Tensor, y: Tensor, dy: Tensor,
    dx: Tensor | None, dw: Tensor | None, db: Tensor | None, *,
    activation: str, alpha: float, pool: Pool | None = None,
) -> None:
    """Gradients of forward."""
    dz = _output_gradient(plan, c, y, dy, db, activation, alpha, pool, wanted=bool(dx or dw))
    if dw:
        _weight_gradient(plan, c, x, dz, dw)
    if dx:
        _data_gradient(plan, c, dz, w, dx)


def _three(window: Extents) -> tuple[int, int, int]:
    return (*(1,) * (3 - len(window)), *window)  # type: ignore[return-value]


def is_narrow(groups: int, columns: int) -> bool:
    """Whether groups are too narrow for tiles."""
    return groups > 1 and columns <= NARROW


def _wide(*channels: int) -> bool:
    """Whether runs of these many channels consist of aligned fours."""
    return all(count % 4 == 0 for count in channels)


def _u32(values: Sequence[int]) -> list[int]:
    """Negative numbers as kernels see them."""
    return [value % (1 << 32) for value in values]


# ------ products


@dataclass(frozen=True)
class Walk:
    """One axis of a product: row o < rows meets tap t < taps at place o*stride + first + t*step of x, zero outside of it."""

    extent: int = 1
    rows: int = 1
    stride: int = 1
    first: int = 0
    taps: int = 1
    step: int = 1

    @property
    def straight(self) -> bool:
        """Whether rows are places, one tap each: then the axis is part of the next one."""
        return (self.rows, self.stride, self.first, self.taps) == (self.extent, 1, 0, 1)


def _forward_walks(c: Convolution) -> tuple[Walk, ...]:
    return tuple(Walk(a.extent, a.outputs, a.stride, -a.before, a.kernel, a.dilation) for a in c.axes)


def _fold(walks: Sequence[Walk], least: int, batch: int, only_units: bool = False) -> tuple[int, tuple[Walk, ...]]:
    """How many axes, `least` or more, have to be walked, and three walks, those that are not needed of extent 1.

    Leading straight axes are as good as samples, unless `only_units` and they have more than one pixel. If all are straight,
    the batch is a line of pixels.
    """
    rest = list(walks)
    while len(rest) > least and rest[0].straight and (not only_units or rest[0].extent == 1):
        batch *= rest.pop(0).extent
    if len(rest) == 1 and rest[0].straight and not only_units:
        rest = [Walk(batch * rest[0].extent, batch * rest[0].extent)]
    return len(rest), (*(Walk(),) * (3 - len(rest)), *rest)


def _walked(walks: Sequence[Walk]) -> list[int]:
    """A kernel's arguments strides, firsts, taps, steps."""
    columns = [[getattr(walk, name) for walk in walks] for name in ("stride", "first", "step")]
    taps = [max(1, walk.taps) for walk in walks]
    return [*columns[0], *columns[1], *taps[1:], *columns[2]]


@dataclass(frozen=True)
class Product:
    """y = act(x * w + b) for rows and taps as `walks` say; channels and columns are those of one group.

    numbers  number in w of the first tap, and what a step of each axis adds to it; given where w is used transposed
    places   place in y of the first row, and what a step of each axis (N, D, H, W) adds to it; given where rows are scattered
    """

    x: Tensor
    w: Tensor
    y: Tensor
    walks: tuple[Walk, ...]
    channels: int
    columns: int
    groups: int
    b: Tensor | None = None
    argmax: Tensor | None = None
    numbers: tuple[int, ...] | None = None
    places: tuple[int, ...] | None = None
    activation: str = "linear"
    alpha: float = 0.0

    @property
    def rows(self) -> int:
        """Rows in all samples."""
        return self.x.shape[0] * prod(walk.rows for walk in self.walks)

    @property
    def terms(self) -> int:
        """Terms of a sum."""
        return self.channels * prod(walk.taps for walk in self.walks)

    def launch(self, plan: Any) -> None:
        """Append the launch, or two of them, to the plan."""
        if is_narrow(self.groups, self.columns):
            self._launch_direct(plan)
            return
        pooled, scattered = self.argmax is not None, self.places is not None
        most = 1 if pooled or scattered else max(1, self.terms // LEAST_TERMS)
        tile = tile_for(self.rows, self.columns, self.groups, most)
        blocks = ceil_div(self.rows, tile.rows), ceil_div(self.columns, tile.columns)
        parts, span = spans(prod(blocks) * self.groups, self.terms, most, tile.depth)
        wide_in, wide_out = _wide(self.channels, self.x.shape[-1]), _wide(self.columns, self.y.shape[-1])
        bias, activation = (self.b is not None, self.activation) if parts == 1 else (False, "linear")
        axes, numbers = self._numbers((1, 2, 2) if pooled else (1, 1, 1))
        variant = Variant(tile, axes, wide_in, wide_out, self.numbers is not None, scattered, pooled, bias, activation)
        target = self.y if parts == 1 else plan.scratch("parts", (parts, *self.y.shape))
        arguments = (self.x, self.w, self.b, target, self.argmax, self.alpha, span, self.y.size, *numbers)
        plan.launch(product_kernel(variant), (*blocks, parts * self.groups), arguments, writes=(target, self.argmax))
        if parts > 1:
            _sum(plan, target, self.y, self.b, self.activation, self.alpha)

    def _launch_direct(self, plan: Any) -> None:
        axes, numbers = self._numbers()
        flags = self.numbers is not None, self.places is not None, self.b is not None
        kernel = direct_product_kernel(axes, *flags, self.activation)
        grid = ceil_div(self.rows * self.y.shape[-1], THREADS)
        plan.launch(kernel, grid, (self.x, self.w, self.b, self.y, self.alpha, *numbers), writes=(self.y,))

    def _numbers(self, window: Extents = (1, 1, 1)) -> tuple[int, list[int]]:
        """How many axes are walked, and the numbers that describe the product to a kernel; rows come in `window`s."""
        axes, walks = _fold(self.walks, 1 if prod(window) == 1 else 2, self.x.shape[0], self.places is not None)
        return axes, _u32([
            *(self.rows, self.columns, self.groups, self.channels, self.terms),
            *(walk.extent for walk in walks), self.x.shape[-1],
            *(walk.rows // k for walk, k in zip(walks, window, strict=True)),
            *_walked(walks),
            *(self.w.shape[-1], *(self.numbers or (0, 0, 0, 0))),
            *(self.y.shape[-1], *(self.places or (0, 0, 0, 0, 0))),
        ])  # fmt: skip


def _sum(plan: Any, parts: Tensor, y: Tensor, b: Tensor | None = None, activation: str = "linear", alpha: float = 0.0) -> None:
    """y = act(b + sum of parts (P, *y.shape) over P)."""
    count = parts.shape[0]
    lines = 8 if count <= 64 else 32
    kernel = sum_kernel(lines, activation, b is not None)
    arguments = (parts, b, y, alpha, y.size, y.shape[-1], count)
    plan.launch(kernel, ceil_div(y.size, THREADS // lines), arguments, writes=(y,))


# ------ gradients


def _output_gradient(
    plan: Any, c: Convolution, y: Tensor, dy: Tensor, db: Tensor | None, activation: str, alpha: float, pool: Pool | None,
    wanted: bool,
) -> Tensor:  # fmt: skip
    """dz, which is dy itself where nothing lies between; db with it."""
    writes = wanted and (activation != "linear" or pool is not None)
    if not writes and not db:
        return dy
    dz = plan.scratch("dz", (y.shape[0], *c.outputs, c.channels_out)) if writes else None
    channels, pixels = c.channels_out, dy.size // c.channels_out
    lanes = min(32, 1 << (channels - 1).bit_length())
    lines = THREADS // lanes
    span = max(LEAST_LINES, ceil_div(pixels, lines * MOST_PARTS)) * lines
    parts = ceil_div(pixels, span)
    sums = plan.scratch("db_parts", (parts, channels)) if db and parts > 1 else db
    window = pool.window if pool else (1, 1, 1)
    windows = [extent // k for extent, k in zip(c.outputs, window, strict=True)]
    operands = (dy, y, pool and pool.argmax, dz, sums)
    kernel = output_gradient_kernel(lanes, activation, pool is not None, writes, db is not None)
    arguments = (*operands, alpha, pixels, channels, span, *windows, *window)
    plan.launch(kernel, (parts, ceil_div(channels, lanes)), arguments, writes=(dz, sums))
    if db and sums and sums is not db:
        _sum(plan, sums, db)
    return dz or dy


def _weight_gradient(plan: Any, c: Convolution, x: Tensor, dz: Tensor, dw: Tensor) -> None:
    """dw = x^T dz."""
    axes, walks = _fold(_forward_walks(c), 1, x.shape[0])
    channels, columns = c.channels_in // c.groups, c.channels_out // c.groups
    rows, pixels = channels * prod(c.kernel), x.shape[0] * prod(c.outputs)
    most = max(1, pixels // LEAST_PIXELS)
    if is_narrow(c.groups, columns):
        kernel = direct_gradient_kernel(axes)
        blocks, depth = (ceil_div(c.channels_out, LANES), rows, 1), LINES
    else:
        tile = tile_for(rows, columns, c.groups, most)
        wide_in, wide_out = _wide(channels, c.channels_in), _wide(columns, c.channels_out)
        kernel = weight_gradient_kernel(GradientVariant(tile, axes, wide_in, wide_out))
        blocks, depth = (ceil_div(rows, tile.rows), ceil_div(columns, tile.columns), c.groups), tile.depth
    parts, span = spans(prod(blocks), pixels, most, depth)
    target = dw if parts == 1 else plan.scratch("dw_parts", (parts, *dw.shape))
    numbers = [
        *(rows, columns, c.groups, channels, pixels, span, dw.size),
        *(walk.extent for walk in walks), c.channels_in, *(walk.rows for walk in walks), *_walked(walks), c.channels_out,
    ]  # fmt: skip
    plan.launch(kernel, (*blocks[:2], blocks[2] * parts), (x, dz, target, *_u32(numbers)), writes=(target,))
    if parts > 1:
        _sum(plan, target, dw)


@dataclass(frozen=True)
class Phase:
    """The pixels first, first + stride, ... of x along one axis: a walk over dz, under every tap_step-th tap from tap_0 on."""

    walk: Walk
    first: int
    tap_0: int
    tap_step: int


def _phases(axis: Axis) -> list[Phase]:
    """The residues of an axis's pixels modulo the stride. The taps that a residue sees are evenly spaced."""
    phases = []
    for first in range(min(axis.stride, axis.extent)):
        shifts = ((k, first - offset) for k, offset in enumerate(axis.offsets))
        seen = [(k, shift // axis.stride) for k, shift in shifts if shift % axis.stride == 0]
        (k, shift), (next_k, next_shift) = (*seen, *seen[:1], (0, 0), (0, 0))[:2]
        walk = Walk(axis.outputs, ceil_div(axis.extent - first, axis.stride), 1, shift, len(seen), next_shift - shift)
        phases.append(Phase(walk, first, k, next_k - k))
    return phases


def _data_gradient(plan: Any, c: Convolution, dz: Tensor, w: Tensor, dx: Tensor) -> None:
    """dx = dz * w transposed: for each phase of x's pixels a product over the taps that they see."""
    _, height, width = c.kernel
    depth, rows, columns = c.extents
    numbers, places = (height * width, width, 1), [n * c.channels_in for n in (rows * columns, columns, 1)]
    per_group = c.channels_out // c.groups, c.channels_in // c.groups
    for phases in itertools.product(*(_phases(axis) for axis in c.axes)):
        taps = [(n * phase.tap_0, n * phase.tap_step) for n, phase in zip(numbers, phases, strict=True)]
        tap_0, steps = sum(first for first, _ in taps), [step for _, step in taps]
        scattered = None
        if prod(c.strides) > 1:
            origin = sum(place * phase.first for place, phase in zip(places, phases, strict=True))
            along = [place * stride for place, stride in zip(places, c.strides, strict=True)]
            scattered = (origin, depth * places[0], *along)
        walks = tuple(phase.walk for phase in phases)
        Product(dz, w, dx, walks, *per_group, c.groups, numbers=(tap_0, *steps), places=scattered).launch(plan)

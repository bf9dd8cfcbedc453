"""Convolution on the GPU, fused with its bias, activation and 2x2 max pool; dense layers are convolutions here too.

    conv_forward, conv_backward             y = act(x * w + b) and its gradients
    conv_pool_forward, conv_pool_backward   the same with a max pool behind it
    forward, backward                       the launches for any geometry; dense/cpu.py's twin on the GPU calls them
    Walk, Product                           what one launch of cuda_product.product needs
    OutputGradient, WeightGradient          the other works of a backward pass

Forward and data gradient are products whose rows are pixels; the data gradient of a strided convolution is one such product for
each phase of its pixels. First layers, and small images on tensor cores, have kernels of their own. The weight gradient is a
product whose sum runs over pixels. Long sums of small products are cut into parts, which the last block, the optimizer or a
second launch adds in order: the number of parts depends on shapes only, so results repeat bit by bit.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

from ..api import Extents, Padding, Tensor
from ..device import gemm, tensor
from ..device.gemm import Tile, Tiles, spans, tile_for
from ..device.kernel import CudaKernel
from ..device.plan import Table
from ..device.tiles import ceil_div
from .cuda_behind import NOTHING, Behind, Drop, Through, extra
from .cuda_direct import LANES, LINES, NARROW, direct_gradient_kernel, direct_product_kernel
from .cuda_first import CHANNELS, band_for, first_layer_kernel, other_floats, tile_of
from .cuda_gradient import THREADS, GradientVariant, output_gradient_kernel, sum_kernel, weight_gradient_kernel
from .cuda_product import Variant, product_kernel
from .cuda_resident import Images, resident_for, resident_kernel
from .cuda_tensor import tensor_product_kernel
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
    plan.add(Product(x, w, y, _forward_walks(c), *per_group, c.groups, b, argmax, activation=activation, alpha=alpha))


def backward(
    plan: Any, c: Convolution, x: Tensor, w: Tensor, y: Tensor, dy: Tensor,
    dx: Tensor | None, dw: Tensor | None, db: Tensor | None, *,
    activation: str, alpha: float, pool: Pool | None = None,
) -> None:
    """Gradients of forward."""
    changed = activation != "linear" or pool is not None
    dz = plan.scratch("dz", (y.shape[0], *c.outputs, c.channels_out)) if changed and (dx or dw) else None
    # The kernel of the weight gradient sees all of dz, and sums it on the way.
    with_dw = db if dw and not is_narrow(c.groups, c.channels_out // c.groups) else None
    alone = None if with_dw else db
    if dz or alone:
        plan.add(OutputGradient(c, y, dy, dz, alone, activation, alpha, pool))
    if dw:
        plan.add(WeightGradient(c, x, dz or dy, dw, with_dw, plan.precision))
    if dx:
        _data_gradient(plan, c, dz or dy, w, dx)


def _three(window: Extents) -> tuple[int, int, int]:
    return (*(1,) * (3 - len(window)), *window)  # type: ignore[return-value]


def is_narrow(groups: int, columns: int) -> bool:
    """Whether groups are too narrow for tiles."""
    return groups > 1 and columns <= NARROW


def _wide(*channels: int) -> bool:
    """Whether runs of these many channels consist of aligned fours."""
    return all(count % 4 == 0 for count in channels)


def _precision(plan: Any, wide_in: bool, wide_out: bool) -> str:
    """What a product is computed in.

    Tensor cores are fed 16 bytes at a time. What is narrower, pictures of three channels or the logits of ten classes, has too
    little arithmetic to need them, and stays float32.
    """
    return plan.precision if wide_in and wide_out else "float32"


def _tiles(precision: str) -> Tiles:
    return gemm.TILES if precision == "float32" else tensor.TILES


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
    drop, through   what is done with the result on its way; `into` is where it then goes instead of y
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
    drop: Drop | None = None
    through: Through | None = None
    into: Tensor | None = None

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """Operands, and what is read on the way to memory."""
        dropped = (self.drop.scalars,) if self.drop else ()
        through = (self.through.y, self.through.argmax) if self.through else ()
        return tuple(t for t in (self.x, self.w, self.b, *dropped, *through) if t is not None)

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """The result, and which pixels won."""
        return tuple(t for t in (self.into or self.y, self.argmax) if t is not None)

    @property
    def plain(self) -> bool:
        """Whether something may come behind it: a kernel with tiles, and nothing there yet."""
        return self.into is None and not is_narrow(self.groups, self.columns)

    @property
    def wide(self) -> bool:
        """Whether four columns always lie together."""
        below = self.through.channels if self.through and self.through.argmax else 0
        return _wide(self.columns, self.y.shape[-1], below)

    @property
    def pooled(self) -> bool:
        """Whether rows come as 2x2 windows, of which y gets the largest."""
        return self.argmax is not None

    @property
    def window(self) -> tuple[int, int, int]:
        """What rows come in."""
        return (1, 2, 2) if self.pooled else (1, 1, 1)

    @property
    def few_channels(self) -> bool:
        """Whether it is a first layer's forward pass: pictures of so few channels that nearly all of a sum are taps."""
        forward = self.numbers is None and self.places is None
        return forward and self.groups == 1 and self.channels <= CHANNELS and self.terms > self.channels

    @property
    def rows(self) -> int:
        """Rows in all samples."""
        return self.x.shape[0] * prod(walk.rows for walk in self.walks)

    @property
    def flops(self) -> int:
        """Two for each product of a term."""
        return 2 * self.rows * self.columns * self.groups * self.terms

    @property
    def terms(self) -> int:
        """Terms of a sum."""
        return self.channels * prod(walk.taps for walk in self.walks)

    def launch(self, plan: Any) -> None:
        """Append the launch of the first kernel that is made for such products."""
        if is_narrow(self.groups, self.columns):
            self._launch_direct(plan)
        elif not (self._launch_first(plan) or self._launch_resident(plan)):
            self._launch_tiles(plan)

    def _launch_tiles(self, plan: Any) -> None:
        precision, (tile, parts, span) = self._precision(plan), self._cut(plan)
        blocks = ceil_div(self.rows, tile.rows), ceil_div(self.columns, tile.columns)
        axes, numbers = self._numbers()
        variant = self._variant(tile, axes, precision, parts > 1)
        partial, extra = self._extra(plan, variant, parts, prod(blocks) * self.groups)
        target = self.into or self.y
        arguments = (self.x, self.w, self.b, target, self.argmax, self.alpha, span, 0, *numbers, extra)
        kernel = product_kernel(variant) if precision == "float32" else tensor_product_kernel(variant)
        plan.launch(kernel, (*blocks, parts * self.groups), arguments, writes=(target, self.argmax, partial))

    def _launch_first(self, plan: Any) -> bool:
        """Append the launch of the kernel for few channels; False, and nothing, where it is not for this product."""
        if self._precision(plan) != "float32" or not self.few_channels:
            return False
        tile, (axes, walks) = tile_of(self.columns), self._folded()
        variant = self._variant(tile, axes, "float32")
        samples, tiles = self.rows // prod(walk.rows for walk in walks), ceil_div(self.columns, tile.columns)
        band = band_for(walks, axes, self.window, samples * tiles, self.channels, other_floats(variant, self.terms))
        if band is None:
            return False
        target, (_, extra) = self.into or self.y, self._extra(plan, variant)
        numbers = (*band.numbers, *self._numbers()[1])
        arguments = (self.x, self.w, self.b, target, self.argmax, self.alpha, *numbers, extra)
        kernel, grid = first_layer_kernel(variant, self.channels), (samples * band.bands, tiles)
        plan.launch(kernel, grid, arguments, writes=(target, self.argmax), shared_bytes=band.shared_bytes)
        return True

    def _launch_resident(self, plan: Any) -> bool:
        """Append the launch of the kernel for small images; False, and nothing, where it is not for this product."""
        images = None if self._precision(plan) == "float32" else self._images()
        way = resident_for(images, *self._cut(plan)[:2]) if images else None
        if way is None:
            return False
        axes, numbers = self._numbers()
        variant = self._variant(way.tile, axes, plan.precision)
        target, (_, extra) = self.into or self.y, self._extra(plan, variant)
        places = way.lines, way.width, way.apart
        arguments = (self.x, self.w, self.b, target, self.argmax, self.alpha, *places, *numbers, extra)
        kernel, writes = resident_kernel(variant, way.buffers), (target, self.argmax)
        plan.launch(kernel, (*way.blocks, 1), arguments, writes=writes, shared_bytes=way.shared_bytes)
        return True

    def _precision(self, plan: Any) -> str:
        return _precision(plan, _wide(self.channels, self.x.shape[-1]), self.wide)

    def _cut(self, plan: Any) -> tuple[Tile, int, int]:
        """The tile, into how many parts sums are cut, and the terms of each."""
        most = max(1, self.terms // LEAST_TERMS)
        tile = tile_for(self.rows, self.columns, self.groups, most, _tiles(self._precision(plan)))
        return tile, *spans(tile.blocks(self.rows, self.columns) * self.groups, self.terms, most, tile.depth)

    def _variant(self, tile: Tile, axes: int, precision: str, split: bool = False) -> Variant:
        flags = self.numbers is not None, self.places is not None, self.pooled, self.b is not None
        through = self.through.activation if self.through else ""
        behind = Behind(split, self.drop is not None, through, bool(self.through and self.through.argmax))
        wide_in = _wide(self.channels, self.x.shape[-1])
        return Variant(tile, axes, wide_in, self.wide, *flags, self.activation, precision, behind=behind)

    def _images(self) -> Images | None:
        """The product as one of images, if it has two axes and one group."""
        axes, (_, down, across) = self._folded()
        if axes != 2 or self.groups > 1:
            return None
        return Images(self.rows // (down.rows * across.rows), down, across, self.channels, self.columns, self.pooled)

    def _extra(self, plan: Any, variant: Variant, parts: int = 1, tiles: int = 0) -> tuple[Tensor | None, Table | None]:
        """Memory for parts of the sums of so many tiles, and what the epilogue reads."""
        if variant.behind == NOTHING:
            return None, None
        split = variant.behind.split
        partial = plan.scratch("parts", (tiles * parts, variant.tile.outputs * variant.tile.threads)) if split else None
        counters = plan.zeroed("tickets", tiles) if split else None
        return partial, Table(extra(partial, counters, self.drop, self.through))

    def _launch_direct(self, plan: Any) -> None:
        axes, numbers = self._numbers()
        flags = self.numbers is not None, self.places is not None, self.b is not None
        kernel = direct_product_kernel(axes, *flags, self.activation)
        grid = ceil_div(self.rows * self.y.shape[-1], THREADS)
        plan.launch(kernel, grid, (self.x, self.w, self.b, self.y, self.alpha, *numbers), writes=(self.y,))

    def _folded(self) -> tuple[int, tuple[Walk, ...]]:
        return _fold(self.walks, 1 + self.pooled, self.x.shape[0], self.places is not None)

    def _numbers(self) -> tuple[int, list[int]]:
        """How many axes are walked, and the numbers that describe the product to a kernel."""
        axes, walks = self._folded()
        return axes, _u32([
            *(self.rows, self.columns, self.groups, self.channels, self.terms),
            *(walk.extent for walk in walks), self.x.shape[-1],
            *(walk.rows // k for walk, k in zip(walks, self.window, strict=True)),
            *_walked(walks),
            *(self.w.shape[-1], *(self.numbers or (0, 0, 0, 0))),
            *(self.y.shape[-1], *(self.places or (0, 0, 0, 0, 0))),
        ])  # fmt: skip


# ------ gradients


def _parts(name: str, count: int, size: int) -> Tensor:
    """Parts of a sum of `size` floats, each rounded up to fours."""
    return Tensor(f"{name}.parts", (count, ceil_div(size, 4) * 4))


def _sum(plan: Any, parts: Tensor, y: Tensor) -> None:
    """y = sum of parts (P, elements of y, rounded up) over P."""
    count, pitch = parts.shape
    lines = 8 if count <= 64 else 32
    arguments = (parts, y, y.size, pitch, count)
    plan.launch(sum_kernel(lines), ceil_div(y.size, THREADS // lines), arguments, writes=(y,))


@dataclass(eq=False)
class OutputGradient:
    """dz = scale * dy * act'(y), at the pixels that won where there is a pool; db, its sum. Either may be None."""

    c: Convolution
    y: Tensor
    dy: Tensor
    dz: Tensor | None
    db: Tensor | None
    activation: str
    alpha: float
    pool: Pool | None
    scale: float = 1.0

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """dy, and what says where it goes."""
        return (self.dy, self.y, self.pool.argmax) if self.pool else (self.dy, self.y)

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """dz and db."""
        return tuple(t for t in (self.dz, self.db) if t is not None)

    @property
    def window(self) -> tuple[int, int, int]:
        """The pool's, of one pixel where there is none."""
        return self.pool.window if self.pool else (1, 1, 1)

    def launch(self, plan: Any) -> None:
        """One launch, and one for the sum of parts of db."""
        channels, pixels = self.c.channels_out, self.dy.size // self.c.channels_out
        lanes = min(32, 1 << (channels - 1).bit_length())
        lines = THREADS // lanes
        span = max(LEAST_LINES, ceil_div(pixels, lines * MOST_PARTS)) * lines
        parts = ceil_div(pixels, span)
        sums = plan.scratch("db_parts", (parts, channels)) if self.db and parts > 1 else self.db
        windows = [extent // k for extent, k in zip(self.c.outputs, self.window, strict=True)]
        operands = (self.dy, self.y, self.pool and self.pool.argmax, self.dz, sums)
        pooled, writes = self.pool is not None, self.dz is not None
        kernel = output_gradient_kernel(lanes, self.activation, pooled, writes, self.db is not None)
        arguments = (*operands, self.alpha, self.scale, pixels, channels, span, *windows, *self.window)
        plan.launch(kernel, (parts, ceil_div(channels, lanes)), arguments, writes=(self.dz, sums))
        if self.db and sums and sums is not self.db:
            _sum(plan, sums, self.db)


@dataclass(eq=False)
class WeightGradient:
    """dw = x^T dz, and db, the sum of dz, or None.

    dw_parts, db_parts   where parts of the sums are left for somebody else to add; None where they are added here
    """

    c: Convolution
    x: Tensor
    dz: Tensor
    dw: Tensor
    db: Tensor | None
    precision: str
    dw_parts: Tensor | None = None
    db_parts: Tensor | None = None

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """x and dz."""
        return self.x, self.dz

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """The sums, or their parts."""
        return tuple(t for t in (self.dw_parts or self.dw, self.db_parts or self.db) if t is not None)

    @property
    def flops(self) -> int:
        """Two for each weight and pixel."""
        return 2 * self.dw.size * self.x.shape[0] * prod(self.c.outputs)

    def leaving_parts(self, tensor: Tensor) -> "tuple[WeightGradient, Tensor] | None":
        """The same work with the sum `tensor`, dw or db, left in parts, and these parts; None where there is but one."""
        if self._cut.parts == 1 or tensor not in (self.dw, self.db):
            return None
        parts = _parts(tensor.name, self._cut.parts, tensor.size)
        return (replace(self, dw_parts=parts) if tensor is self.dw else replace(self, db_parts=parts)), parts

    @cached_property
    def _cut(self) -> "Cut":
        c = self.c
        channels, columns = c.channels_in // c.groups, c.channels_out // c.groups
        rows, pixels = channels * prod(c.kernel), self.x.shape[0] * prod(c.outputs)
        most = max(1, pixels // LEAST_PIXELS)
        wide_in, wide_out = _wide(channels, c.channels_in), _wide(columns, c.channels_out)
        precision = self.precision if wide_in and wide_out else "float32"
        if is_narrow(c.groups, columns):
            blocks, depth, tile = (ceil_div(c.channels_out, LANES), rows, 1), LINES, None
        else:
            tile = tile_for(rows, columns, c.groups, most, _tiles(precision))
            blocks, depth = (ceil_div(rows, tile.rows), ceil_div(columns, tile.columns), c.groups), tile.depth
        parts, span = spans(prod(blocks), pixels, most, depth)
        return Cut(tile, blocks, parts, span, (rows, columns, c.groups, channels, pixels), (wide_in, wide_out), precision)

    def launch(self, plan: Any) -> None:
        """One launch, and one for each sum of parts that is not left to others."""
        cut = self._cut
        dw, db = self.dw_parts or self._target(self.dw), self.db_parts or (self.db and self._target(self.db))
        kernel, arguments = self._kernel(cut, dw, db)
        plan.launch(kernel, (*cut.blocks[:2], cut.blocks[2] * cut.parts), arguments, writes=(dw, db))
        if cut.parts > 1 and not self.dw_parts:
            _sum(plan, dw, self.dw)
        if cut.parts > 1 and self.db and db and not self.db_parts:
            _sum(plan, db, self.db)

    def _target(self, tensor: Tensor) -> Tensor:
        return tensor if self._cut.parts == 1 else _parts(tensor.name, self._cut.parts, tensor.size)

    def _kernel(self, cut: "Cut", dw: Tensor, db: Tensor | None) -> tuple[CudaKernel, tuple[Any, ...]]:
        axes, walks = _fold(_forward_walks(self.c), 1, self.x.shape[0])
        extents = *(walk.extent for walk in walks), self.c.channels_in, *(walk.rows for walk in walks)
        geometry = _u32([*extents, *_walked(walks), self.c.channels_out])
        dw_part, db_part = dw.size // cut.parts, db.size // cut.parts if db else 0
        spans = cut.span, dw_part
        if cut.tile is None:
            return direct_gradient_kernel(axes), (self.x, self.dz, dw, *cut.sizes, *spans, *geometry)
        if cut.precision == "float32":
            kernel = weight_gradient_kernel(GradientVariant(cut.tile, axes, *cut.wide, db is not None))
            return kernel, (self.x, self.dz, dw, db, *cut.sizes, *spans, *geometry, db_part)
        variant = Variant(cut.tile, axes, *cut.wide, precision=cut.precision, gradient=True, sums=db is not None)
        places = (db_part, 0, 0, 0, self.c.channels_out, *(0,) * 5, None)
        return tensor_product_kernel(variant), (self.x, self.dz, db, dw, None, 0.0, *spans, *cut.sizes, *geometry, *places)


@dataclass(frozen=True)
class Cut:
    """How a weight gradient is cut: blocks of rows, columns and groups, parts of the sum and pixels of each.

    tile     None for narrow groups
    sizes    rows, columns, groups, channels, pixels
    wide     whether fours of x, and of dz, lie together
    """

    tile: Tile | None
    blocks: tuple[int, int, int]
    parts: int
    span: int
    sizes: tuple[int, int, int, int, int]
    wide: tuple[bool, bool]
    precision: str


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
        plan.add(Product(dz, w, dx, walks, *per_group, c.groups, numbers=(tap_0, *steps), places=scattered))

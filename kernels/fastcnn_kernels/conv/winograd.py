"""Convolutions by minimal filtering: which tile, and the launches of winograd_kernels.py.

    choose      the tile that needs the fewest products for a geometry, or None where direct products are as good
    forward     y = pool(max(floor, x * w + b))
    backward    dx, dw, db from dy

A launch works through its slice in groups of tiles: transforms, one product a frequency, transforms back; what passes between
them is scratch of the slice, small enough for the second-level cache.

Tiles lie in rows and columns. A kernel with planes is taken plane by plane: what its planes see of an image are so many times
more channels, which one product contracts over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from math import prod
from typing import Any

import numpy as np

from ..api import Tensor
from ..host.functions import activation_number
from ..host.layout import blocks_of
from ..host.plan import float_bits
from ..host.runner import kernel
from ..simd import LANES
from . import winograd_kernels as kernels
from .filtering import MOST, Filtering, Tile
from .geometry import Axis, Convolution
from .tables import VECTOR, Once, Panels, Table, address, panels_of, pixel_grid
from .weights import add_slices, packed

Stage = tuple[kernel, list[int]]

WORTHWHILE = 1.5
"""How many times fewer products make up for the transforms."""
FEWEST_CHANNELS, FEWEST_TILES, FEWEST_TILES_OF_CONSTANTS = 6, 32, 8
FEW_TILES, MANY_TILES, SMALL_FILTERS = 36, 72, 1 << 20
"""How many tiles pass through all stages together, in whole register tiles: few, so that scratch and filters stay in the
second-level cache, unless the filters have more bytes than that, and want to be read seldom."""
ROOM = 16
"""Tiles beyond a group that a register tile may touch."""
LARGE_SUMS = 40 << 20
"""Bytes of a weight gradient in the frequency domain above which it is summed directly."""


def choose(plan: Any, c: Convolution, window: tuple[int, int, int] = (1, 1, 1)) -> Tile | None:
    """The tile for a convolution and the max pool behind it, as plan.conv_algorithm says:

    "direct"     none
    "winograd2"  tiles of 2 outputs an axis wherever these are possible
    "winograd4"  up to 4 outputs an axis
    "auto"       up to 4 where it pays: enough fewer products, channels that fill vectors, and so many tiles in the batch that
                 transforming the filters is cheap beside them, or, where that is done once, that tiles fill registers
    """
    if plan.conv_algorithm == "direct" or not _possible(c, window):
        return None
    most = 2 if plan.conv_algorithm == "winograd2" else 4
    rows, columns = (_filtering(axis, w, most) for axis, w in zip(c.axes[1:], window[1:], strict=True))
    if rows is None or columns is None:
        return None
    tile = Tile(rows, columns)
    tiles = prod(tiles_of(c, tile))
    fewer = prod(c.outputs) * prod(c.kernel[1:]) >= WORTHWHILE * tiles * tile.frequencies
    enough = plan.batch_size * tiles >= (FEWEST_TILES_OF_CONSTANTS if plan.frozen else FEWEST_TILES)
    pays = fewer and enough and min(c.channels_in, c.channels_out) >= FEWEST_CHANNELS
    return tile if pays or plan.conv_algorithm != "auto" else None


def _possible(c: Convolution, window: tuple[int, int, int]) -> bool:
    plain = all(axis.stride == 1 and (axis.dilation == 1 or axis.kernel == 1) and axis.before >= 0 for axis in c.axes)
    whole = c.kernel[0] == 1 or c.channels_in % LANES == 0
    return plain and whole and window[0] == 1 and c.groups == 1 and prod(c.kernel[1:]) > 1


def _filtering(axis: Axis, window: int, most: int) -> Filtering | None:
    """The F(m, r) that covers an axis with the fewest products, whole windows a tile."""
    if axis.kernel == 1:
        return Filtering(1, 1) if window == 1 else None
    sizes = [m for m in range(2, min(most, MOST + 1 - axis.kernel) + 1) if m % window == 0]
    candidates = [Filtering(m, axis.kernel) for m in sizes]
    return min(candidates, key=lambda f: -(-axis.outputs // f.m) * f.alpha, default=None)


def tiles_of(c: Convolution, tile: Tile) -> tuple[int, int, int]:
    """Planes, rows and columns of tiles of an image."""
    rows, columns = (-(-axis.outputs // m) for axis, m in zip(c.axes[1:], tile.outputs, strict=True))
    return c.outputs[0], rows, columns


def nbytes_of(c: Convolution, tile: Tile) -> int:
    """Bytes of the filters, or of their gradients, in the frequency domain."""
    return 4 * tile.frequencies * rows_of(c) * c.channels_out


def rows_of(c: Convolution) -> int:
    """What a tile's output contracts over: the channels under every plane of the kernel."""
    return c.kernel[0] * c.channels_in


def sums_in_frequencies(c: Convolution, tile: Tile) -> bool:
    """Whether a slice's weight gradient is small enough to be kept in the frequency domain."""
    return nbytes_of(c, tile) <= LARGE_SUMS


# ------ what the stages share


@dataclass(frozen=True)
class Scratch:
    """A matrix (tiles, channels) a frequency. Frequencies are an odd number of cache lines apart, so that the vectors of one
    tile, written together, do not fall into the same set of the first-level cache."""

    tensor: Tensor
    frequency: int
    block: int

    @staticmethod
    def of(plan: Any, name: str, tile: Tile, channels: int, group: int) -> "Scratch":
        """Room for a group of tiles."""
        block = VECTOR * (group + ROOM)
        frequency = VECTOR * (blocks_of(channels) * block // VECTOR | 1)
        return Scratch(plan.partial(name, tile.frequencies * frequency), frequency, block)


@dataclass(frozen=True)
class Filters:
    """Weights, or their gradients, in the frequency domain: [frequency][panel][rows][lanes of a panel].

    first   the block of their product that the first panel gives
    """

    tensor: Tensor
    panels: Panels
    rows: int
    first: int

    @property
    def panel(self) -> int:
        """Bytes of a panel."""
        return self.rows * self.panels.row

    @property
    def frequency(self) -> int:
        """Bytes from one frequency to the next."""
        return self.panels.count * self.panel


def _filters(plan: Any, c: Convolution, tile: Tile, w: Tensor) -> list[Filters]:
    """U = G w G^T, computed once a run before the batch: rows are the channels under each plane of the kernel."""
    found, lanes = [], VECTOR * blocks_of(c.channels_out)
    for panels in panels_of(blocks_of(c.channels_out)):
        floats = tile.frequencies * panels.count * rows_of(c) * panels.row // 4
        filters = Filters(plan.scratch(f"u{panels.first}", (floats,), kind="plain"), panels, rows_of(c), panels.first)
        for plane in range(c.kernel[0]):
            start = VECTOR * panels.first + plane * prod(c.kernel[1:]) * c.channels_in * lanes
            strides = (c.channels_in * lanes, lanes, panels.row)
            _transform(plan, tile, (w, start, *strides), filters, plane * c.channels_in, c.channels_in)
        found.append(filters)
    return found


def _transposed(plan: Any, c: Convolution, tile: Tile, w: Tensor) -> list[Filters]:
    """The same for each plane of the kernel on its own, and transposed: rows are output channels."""
    found, rows = [], LANES * blocks_of(c.channels_out)
    for panels in panels_of(blocks_of(c.channels_in)):
        weights, tap = packed(plan, c, w, panels, True, False), rows * panels.row
        for plane in range(c.kernel[0]):
            floats = tile.frequencies * panels.count * rows * panels.row // 4
            tensor = plan.scratch(f"ut{plane}_{panels.first}", (floats,), kind="plain")
            filters = Filters(tensor, panels, rows, plane * blocks_of(c.channels_in) + panels.first)
            start = plane * prod(c.kernel[1:]) * tap
            _transform(plan, tile, (weights.tensor, start, tap, panels.row, weights.panel), filters, 0, rows)
            found.append(filters)
    return found


def _transform(plan: Any, tile: Tile, source: tuple[Tensor, int, int, int, int], filters: Filters, row: int, rows: int) -> None:
    """Fill `rows` rows of filters from `row` on. `source`: a tensor, where in it, bytes to the next tap, row and panel."""
    weights, start, *strides = source
    panels = filters.panels
    plan.launch(
        kernels.filter_transform(tile),
        lambda at: [
            at(weights) + start, *strides,
            at(filters.tensor) + row * panels.row, filters.frequency, filters.panel, panels.count, panels.blocks,
        ],
        reads=[weights],
        writes=[filters.tensor],
        outputs=rows,
    )  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """The tiles of an image, and the halo that tiles which hang over its edge need."""

    c: Convolution
    tile: Tile
    window: tuple[int, int, int]

    @property
    def tiles(self) -> int:
        """Tiles of a sample."""
        return prod(tiles_of(self.c, self.tile))

    @property
    def halo(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Pixels around x that tiles read, and around dx that they write."""
        borders = [self.c.axes[0].halo]
        for axis, filtering, count in zip(
            self.c.axes[1:], (self.tile.rows, self.tile.columns), tiles_of(self.c, self.tile)[1:], strict=True
        ):
            covered = (count - 1) * filtering.m + filtering.alpha - axis.before
            borders.append((axis.before, max(0, covered - axis.extent)))
        return borders[0], borders[1], borders[2]

    def table(self, at: Any, x: Tensor | None, *outputs: Tensor | None) -> Table:
        """The entry of each tile for x, under the kernel's first plane, and three tensors of the output's extents: see
        winograd_kernels.py."""
        corners, before = self._corners(), np.array([axis.before for axis in self.c.axes])
        columns = [self._offsets(at, x, corners - before)]
        columns += [self._offsets(at, tensor, corners // self.window) for tensor in outputs]
        inside = np.minimum(self.tile.outputs, np.array(self.c.outputs[1:]) - corners[:, 1:]) // self.window[1:]
        return np.ascontiguousarray(np.column_stack([*columns, inside]).astype(np.int64))

    def _corners(self) -> Table:
        """(tiles, 3): plane, row and column of each tile's first output."""
        return pixel_grid(tiles_of(self.c, self.tile), step=(1, *self.tile.outputs))

    def _offsets(self, at: Any, tensor: Tensor | None, positions: Table) -> Table:
        if tensor is None:
            return np.zeros(len(positions), np.int64)
        layout = at.layout(tensor)
        return positions @ np.array((layout.plane, layout.row, layout.pixel))

    def group(self, plan: Any) -> int:
        """Tiles that pass through all stages together."""
        tiles = int(np.diff(plan.bounds).max()) * self.tiles
        return min(tiles, FEW_TILES if nbytes_of(self.c, self.tile) <= SMALL_FILTERS else MANY_TILES)


def _pipeline(tiles: int, group: int, stages: Sequence[Stage]) -> list[int]:
    """The argument row of by_groups, the rows of its stages behind it."""
    header = 3 + 2 * len(stages)
    starts = accumulate((len(row) for _, row in stages), initial=header)
    places = [entry for (stage, _), start in zip(stages, starts, strict=False) for entry in (stage.address, start)]
    return [tiles, group, len(stages), *places, *(number for _, row in stages for number in row)]


def _image(at: Any, tensor: Tensor | None) -> list[int]:
    """Address, and bytes from sample to sample, block to block, row to row."""
    if tensor is None:
        return [0] * 4
    layout = at.layout(tensor)
    return [at(tensor), layout.sample, layout.block, layout.row]


# ------ forward


def forward(
    plan: Any,
    c: Convolution,
    tile: Tile,
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    *,
    floor: float,
    window: tuple[int, int, int] = (1, 1, 1),
    argmax: Tensor | None = None,
) -> None:
    """y = the largest of each window of max(floor, x * w + b)."""
    grid = Grid(c, tile, window)
    plan.halo(x, grid.halo)
    filters, group = _filters(plan, c, tile, w), grid.group(plan)
    v, m = (Scratch.of(plan, name, tile, n, group) for name, n in (("v", rows_of(c)), ("m", c.channels_out)))
    edge = plan.partial("edge", VECTOR * prod(tile.outputs))
    tables = Once(lambda at: (grid.table(at, x, y, None, argmax), np.zeros(LANES, np.float32)))

    def arguments(at: Any) -> list[int]:
        table, zeros = tables(at)
        walk = [address(table), grid.tiles]
        bias = [at(b), VECTOR] if b else [address(zeros), 0]
        image = _image(at, y)
        return _pipeline(grid.tiles, group, (
            *_reading(at, c, tile, x, walk, v),
            *(_multiplying(at, v, rows_of(c), part, m, tile) for part in filters),
            (kernels.output_transform(tile, window[1:]), [
                at(m.tensor), m.frequency, m.block, blocks_of(c.channels_out), *image, *walk,
                *bias, float_bits(floor), at(edge), *_image(at, argmax),
            ]),
        ))  # fmt: skip

    plan.launch(
        kernels.by_groups, arguments,
        reads=[x, *(part.tensor for part in filters), b],
        writes=[y, argmax, v.tensor, m.tensor, edge],
        name=f"conv.winograd_{tile}",
    )  # fmt: skip


def _reading(at: Any, c: Convolution, tile: Tile, x: Tensor, walk: list[int], v: Scratch) -> list[Stage]:
    """V, the channels of each plane of the kernel by a stage of their own."""
    (start, *strides), layout = _image(at, x), at.layout(x)
    return [
        (kernels.input_transform(tile), [
            start + plane * layout.plane, *strides, *walk,
            at(v.tensor) + plane * layout.blocks * v.block, v.frequency, v.block, layout.blocks,
        ])
        for plane in range(c.kernel[0])
    ]  # fmt: skip


def _multiplying(at: Any, source: Scratch, rows: int, filters: Filters, target: Scratch, tile: Tile) -> Stage:
    panels = filters.panels
    return kernels.multiply(panels.blocks), [
        at(source.tensor), source.frequency, source.block, rows,
        at(filters.tensor), filters.frequency, filters.panel, panels.count,
        at(target.tensor) + filters.first * target.block, target.frequency, target.block, tile.frequencies,
    ]  # fmt: skip


# ------ backward


@dataclass(frozen=True)
class Gradient:
    """Where dz comes from: dy, the output and its activation (y is None for a linear one), the pool's winners."""

    dy: Tensor
    y: Tensor | None
    argmax: Tensor | None
    activation: str = "linear"
    alpha: float = 0.0
    window: tuple[int, int, int] = (1, 1, 1)


def backward(
    plan: Any,
    c: Convolution,
    tile: Tile,
    x: Tensor,
    w: Tensor,
    gradient: Gradient,
    dx: Tensor | None,
    dw: Tensor | None,
    db: Tensor | None,
) -> None:
    """The gradients that are wanted; dx or dw is."""
    grid = Grid(c, tile, gradient.window)
    filters, group = _transposed(plan, c, tile, w) if dx else [], grid.group(plan)
    z, v = (Scratch.of(plan, name, tile, n, group) for name, n in (("z", c.channels_out), ("v", rows_of(c))))
    edge = plan.partial("edge", VECTOR * prod(tile.outputs))
    bias = plan.partial("db", VECTOR * blocks_of(c.channels_out)) if db else None
    sums = _sums(plan, c, tile) if dw else []
    for tensor in ([x] if dw else []) + ([dx] if dx else []):
        plan.halo(tensor, grid.halo)
    tables = Once(lambda at: [grid.table(at, t, gradient.dy, gradient.y, gradient.argmax) for t in (x if dw else None, dx)])

    def arguments(at: Any) -> list[int]:
        from_x, from_dx = ([address(table), grid.tiles] for table in tables(at))
        begin = at.first_sample * grid.tiles
        kind = activation_number(gradient.activation)
        stages: list[Stage] = [(kernels.gradient_transform(tile, gradient.window[1:], kind), [
            *_image(at, gradient.dy), *_image(at, gradient.y), *_image(at, gradient.argmax), *from_x,
            at(z.tensor), z.frequency, z.block, blocks_of(c.channels_out), at(bias), begin,
            float_bits(gradient.alpha), at(edge),
        ])]  # fmt: skip
        if dw:
            stages += _reading(at, c, tile, x, from_x, v)
        for part in sums:
            stages.append((kernels.accumulate(part.panels.blocks), [
                at(v.tensor), v.frequency, v.block, rows_of(c),
                at(z.tensor) + part.first * z.block, z.frequency, z.block, part.panels.count,
                at(part.tensor), part.frequency, part.panel, tile.frequencies, begin,
            ]))  # fmt: skip
        if dx:
            stages += [_multiplying(at, z, c.channels_out, part, v, tile) for part in filters]
            stages += _writing(at, c, tile, dx, from_dx, v)
        return _pipeline(grid.tiles, group, stages)

    plan.launch(
        kernels.by_groups, arguments,
        reads=[x if dw else None, *(part.tensor for part in filters), gradient.dy, gradient.y, gradient.argmax],
        writes=[dx, bias, *(part.tensor for part in sums), z.tensor, v.tensor, edge],
        name=f"conv.winograd_gradient_{tile}",
    )  # fmt: skip
    if dw:
        _finish(plan, c, tile, sums, dw)
    if bias and db:
        add_slices(plan, bias, db)


def _writing(at: Any, c: Convolution, tile: Tile, dx: Tensor, walk: list[int], d: Scratch) -> list[Stage]:
    """dx, from the channels of each plane of the kernel by a stage of their own."""
    layout, last = at.layout(dx), c.kernel[0] - 1
    return [
        (kernels.input_gradient(tile), [
            at(d.tensor) + plane * layout.blocks * d.block, d.frequency, d.block, layout.blocks,
            *_image(at, dx), *walk, plane * layout.plane, plane == 0, plane == last,
            layout.depth, layout.height, layout.width, *(pixels for border in layout.halo for pixels in border),
        ])
        for plane in range(c.kernel[0])
    ]  # fmt: skip


def _sums(plan: Any, c: Convolution, tile: Tile) -> list[Filters]:
    """A slice's weight gradient in the frequency domain; rows in whole blocks, as `accumulate` writes them."""
    rows, found = LANES * blocks_of(rows_of(c)), []
    for panels in panels_of(blocks_of(c.channels_out)):
        partial = plan.partial(f"du{panels.first}", tile.frequencies * panels.count * rows * panels.row)
        found.append(Filters(partial, panels, rows, panels.first))
    return found


def _finish(plan: Any, c: Convolution, tile: Tile, sums: Sequence[Filters], dw: Tensor) -> None:
    """dw = G^T dU G slice by slice, then the sum over slices."""
    lanes = VECTOR * blocks_of(c.channels_out)
    partial = plan.partial("dw", prod(c.kernel) * c.channels_in * lanes)
    for part, plane in product(sums, range(c.kernel[0])):
        start = VECTOR * part.panels.first + plane * prod(c.kernel[1:]) * c.channels_in * lanes
        plan.launch(
            kernels.filter_gradient(tile),
            lambda at, part=part, row=plane * c.channels_in, start=start: [
                at(part.tensor) + row * part.panels.row, part.frequency, part.panel, part.panels.count, part.panels.blocks,
                at(partial) + start, c.channels_in * lanes, lanes, c.channels_in,
            ],
            reads=[part.tensor],
            writes=[partial],
        )  # fmt: skip
    add_slices(plan, partial, dw)

"""Convolution on the CPU, fused with its bias, activation and max pool; dense layers are convolutions here too.

    conv_forward, conv_backward             y = act(x * w + b) and its gradients
    conv_pool_forward, conv_pool_backward   the same with a max pool behind it
    forward, backward                       the launches for any geometry; dense/cpu.py calls them
    Weights, Product                        what one launch of tiles.product needs

Every product walks tables (tables.py) with the kernels of tiles.py. Weights are packed into panels by launches that depend on
nothing of the batch, so they run before it. Small products run slice by slice; where weights are so large and images so small
that reading weights is the cost, a launch runs over panels instead, with all samples, and reads each weight once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, inf, prod
from typing import Any

import numpy as np

from ..activation.cpu import activation_forward
from ..api import Extents, Padding, Tensor
from ..host.functions import activation_number
from ..host.layout import blocks_of
from ..host.plan import float_bits
from ..simd import TILE_BLOCKS
from . import depthwise, polyphase, tiles, winograd
from .geometry import Convolution, Tap, convolution
from .tables import (
    VECTOR,
    Once,
    Panels,
    Table,
    address,
    group_size,
    panel_ranges,
    panels_of,
    pixel_grid,
    pixel_table,
    row_offsets,
    row_table,
    rows_of_tap,
    unpacked_index,
    widest_panel,
    window_grid,
)
from .weights import Weights, add_slices, forward_weights, gather, packed

POOL_CHUNK = GRADIENT_CHUNK = 96
"""Pixels whose outputs, and whose output gradients, stay in the first-level cache."""
GRADIENT_ROWS = 192
"""Rows of the weight gradient that stay in the first-level cache, and one output of a launch over rows."""
UNIT = (1, 1, 1)
FEW_ROWS = 64
"""Rows of w up to which a first layer's gradient of the output is made anew for every tile of rows, and never stored."""
LARGE_WEIGHTS, FEW_PIXELS, LARGE_PARTIALS = 1 << 20, 8, 8 << 20


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
    """y, argmax = max_pool(conv_forward(x)) with strides equal to the window.

    Activations never decrease, so smooth ones are applied after the maximum.
    """
    c = convolution(
        x.shape, w.shape, strides=strides, padding=padding, dilation=dilation, groups=groups, window=window
    )
    forward(plan, c, x, w, b, y, activation=activation, alpha=alpha, pool=Pool(argmax, _three(window)))


def conv_pool_backward(
    plan: Any, x: Any, w: Any, y: Any, argmax: Any, dy: Any, dx: Any, dw: Any, db: Any, *,
    strides: Extents, padding: Padding, dilation: Extents, groups: int = 1,
    activation: str = "linear", alpha: float = 0.0, window: Extents,
) -> None:
    """Gradients of conv_pool_forward."""
    c = convolution(
        x.shape, w.shape, strides=strides, padding=padding, dilation=dilation, groups=groups, window=window
    )
    backward(plan, c, x, w, y, dy, dx, dw, db, activation=activation, alpha=alpha, pool=Pool(argmax, _three(window)))


# ------ the launches for any geometry


@dataclass(frozen=True)
class Pool:
    """The max pool behind a convolution."""

    argmax: Tensor
    window: tuple[int, int, int]

    @property
    def pixels(self) -> int:
        """Pixels of a window."""
        return prod(self.window)

    def outputs(self, extents: Sequence[int]) -> tuple[int, ...]:
        """Windows along each axis."""
        return tuple(n // w for n, w in zip(extents, self.window, strict=True))


def forward(
    plan: Any, c: Convolution, x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, *,
    activation: str, alpha: float, pool: Pool | None = None,
) -> None:
    """y = pool(act(x * w + b))."""
    smooth = activation not in ("linear", "relu")
    floor = 0.0 if activation == "relu" else -inf
    window, argmax = (pool.window, pool.argmax) if pool else (UNIT, None)
    tile, phases = winograd.choose(plan, c, window), polyphase.choose(plan, c, window)
    if tile:
        winograd.forward(plan, c, tile, x, w, b, y, floor=floor, window=window, argmax=argmax)
    elif phases:
        polyphase.forward(plan, phases, x, w, b, y, floor=floor, window=window, argmax=argmax)
    elif pool is None and depthwise.possible(c):
        depthwise.forward(plan, c, x, w, b, y, floor)
    else:
        _products(plan, c, x, w, b, y, floor, pool)
    if smooth:
        activation_forward(plan, y, y, activation=activation, alpha=alpha)


def _products(
    plan: Any, c: Convolution, x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, floor: float, pool: Pool | None
) -> None:
    """Direct products, panel by panel."""
    plan.halo(x, c.halo)
    by_panel = pool is None and c.groups == 1 and _streams(c.outputs, w)
    pixels = window_grid(c.outputs, pool.window) if pool else pixel_grid(c.outputs)
    targets = pixel_grid(pool.outputs(c.outputs)) if pool else pixels
    for panels in panels_of(blocks_of(c.channels_out), widest_panel(c.channels_out // c.groups, c.groups)):
        weights = forward_weights(plan, c, w, panels, by_panel)
        ranges, sources = panel_ranges(c, panels, transposed=False), pixels * np.array(c.strides)
        Product(x, y, b, weights, panels, ranges, c.taps, sources, targets, floor, pool, by_panel).launch(plan)


def backward(
    plan: Any, c: Convolution, x: Tensor, w: Tensor, y: Tensor, dy: Tensor,
    dx: Tensor | None, dw: Tensor | None, db: Tensor | None, *,
    activation: str, alpha: float, pool: Pool | None = None,
) -> None:
    """Gradients of forward."""
    window, argmax = (pool.window, pool.argmax) if pool else (UNIT, None)
    gradient = winograd.Gradient(dy, None if activation == "linear" else y, argmax, activation, alpha, window)
    tile = winograd.choose(plan, c, window) if dx or dw else None
    if tile and (dw is None or winograd.sums_in_frequencies(c, tile)):
        winograd.backward(plan, c, tile, x, w, gradient, dx, dw, db)
        return
    phases = polyphase.choose(plan, c, window) if dx is None else None
    if phases and dw and winograd.sums_in_frequencies(phases.unstrided, phases.tile):
        polyphase.backward(plan, phases, x, w, gradient, dw, db)
        return
    if dw and dx is None and c.groups == 1 and prod(c.kernel) * c.channels_in <= FEW_ROWS:
        _narrow_gradient(plan, c, x, y, dy, dw, db, activation, alpha, pool)
        return
    if depthwise.possible(c):
        dz = _output_gradient(plan, c, y, dy, dx or dw, None if dw else db, activation, alpha, pool)
        depthwise.backward(plan, c, x, w, dz, dx, dw, db if dw else None)
        return
    dz = _output_gradient(plan, c, y, dy, dx or dw, db, activation, alpha, pool)
    if dw:
        plan.halo(x, c.halo)
        _weight_gradient(plan, c, x, dz, dw)
    if dx and tile:
        winograd.backward(plan, c, tile, x, w, winograd.Gradient(dz, None, None), dx, None, None)
    elif dx:
        plan.halo(dz, c.gradient_halo)
        _data_gradient(plan, c, w, dz, dx)


def _three(window: Extents) -> tuple[int, int, int]:
    return (*(1,) * (3 - len(window)), *window)  # type: ignore[return-value]


def _streams(pixels: Extents, w: Tensor) -> bool:
    """Whether reading w once a slice would cost more than computing with it."""
    return prod(pixels) <= FEW_PIXELS and w.nbytes > LARGE_WEIGHTS


def _data_gradient(plan: Any, c: Convolution, w: Tensor, dz: Tensor, dx: Tensor) -> None:
    """dx = dz * w transposed: for each phase of x's pixels a product over the taps that they see."""
    phases_of = list(c.phases())
    by_panel = c.groups == 1 and len(phases_of) == 1 and _streams(c.extents, w)
    if not all(taps for _, taps in phases_of):
        plan.launch(
            tiles.clear, lambda at: [at(dx) - at.layout(dx).origin, at.layout(dx).sample], reads=[], writes=[dx]
        )
    for panels in panels_of(blocks_of(c.channels_in), widest_panel(c.channels_in // c.groups, c.groups)):
        weights = packed(plan, c, w, panels, True, by_panel)
        ranges = panel_ranges(c, panels, transposed=True)
        for phases, taps in (found for found in phases_of if found[1]):
            counts, firsts = [p.count for p in phases], [p.first for p in phases]
            sources, targets = pixel_grid(counts), pixel_grid(counts, c.strides, firsts)
            Product(dz, dx, None, weights, panels, ranges, taps, sources, targets, -inf, None, by_panel).launch(plan)


# ------ forward and data gradient


@dataclass(frozen=True)
class Product:
    """target[targets] = max(floor, bias + rows under `taps` from source[sources] times weights), for some panels of lanes."""

    source: Tensor
    target: Tensor
    bias: Tensor | None
    weights: Weights
    panels: Panels
    ranges: list[tuple[int, int]]
    taps: Sequence[Tap]
    sources: Table
    targets: Table
    floor: float
    pool: Pool | None
    by_panel: bool

    def launch(self, plan: Any) -> None:
        """Append the launch to the plan."""
        tables, w = Once(lambda at: self._tables(at, plan)), self.weights
        scratch = plan.partial("window", self._chunk() * self.panels.row) if self.pool else None
        packs = [w.tensor] if w.source else []
        plan.launch(
            tiles.product(self.panels.blocks),
            lambda at: self._arguments(at, tables(at), scratch),
            reads=[self.source, w.source or w.tensor, self.bias],
            writes=[self.target, self.pool and self.pool.argmax, scratch, *packs],
            outputs=self.panels.count if self.by_panel else None,
            packed=[self.source],
        )

    def _chunk(self) -> int:
        """Pixels of whole windows that fill whole tiles: about POOL_CHUNK."""
        window = self.pool.pixels if self.pool else 1
        pixels = tiles.pixels_of(self.panels.blocks)
        whole = pixels // gcd(pixels, window)
        return -(-POOL_CHUNK // (window * whole)) * whole * window

    def _group(self, plan: Any) -> int:
        samples = int(np.diff(plan.bounds).max())
        return plan.batch_size if self.by_panel else group_size(len(self.sources), samples)

    def _tables(self, at: Any, plan: Any) -> dict[str, Table]:
        group, w = self._group(plan), self.weights
        rows = [row_table(at.layout(self.source), self.taps, *r, w.rows, w.ld) for r in dict.fromkeys(self.ranges)]
        by_range = dict(zip(dict.fromkeys(self.ranges), rows, strict=True))
        panels = np.zeros((self.panels.count, 6), np.int64)
        for q, r in enumerate(self.ranges):
            table, runs = by_range[r]
            panels[q] = address(table), *runs, q * w.panel, self.panels.first + q * self.panels.blocks
        found = {
            "x": pixel_table(at.layout(self.source), self.sources, group),
            "y": pixel_table(at.layout(self.target), self.targets, group),
            "panels": panels,
            "zeros": np.zeros(self.panels.row // 8, np.int64),
            "window": np.arange(group * len(self.sources)) * self.panels.row,
            **{f"rows {i}": table for i, (table, _) in enumerate(rows)},
        }
        if self.pool:
            found["argmax"] = pixel_table(at.layout(self.pool.argmax), self.targets, group)
        return found

    def _arguments(self, at: Any, tables: dict[str, Table], scratch: Tensor | None) -> list[int]:
        x, y, w, pixels = at.layout(self.source), at.layout(self.target), self.weights, len(self.sources)
        group = len(tables["x"]) // pixels
        bias = (at(self.bias), VECTOR) if self.bias else (address(tables["zeros"]), 0)
        return [
            at(self.source), x.sample, address(tables["x"]),
            at(self.target), y.sample, y.block, address(tables["y"]),
            at(w.tensor), w.ld, *bias,
            address(tables["panels"]), self.panels.count, w.panel, address(w.packing(at)) if w.packing else 0,
            pixels, group, self._chunk() if self.pool else group * pixels, at.batch_size if self.by_panel else 0,
            float_bits(self.floor), *self._pool_arguments(at, tables, scratch), x.block, 0 if x.packed else x.blocks,
        ]

    def _pool_arguments(self, at: Any, tables: dict[str, Table], scratch: Tensor | None) -> list[int]:
        if not self.pool:
            return [0] * 7
        layout = at.layout(self.pool.argmax)
        argmax = (at(self.pool.argmax), layout.sample, layout.block, address(tables["argmax"]))
        return [at(scratch), address(tables["window"]), self.pool.pixels, *argmax]


# ------ gradients of the output and of the weights


def _output_gradient(
    plan: Any, c: Convolution, y: Tensor, dy: Tensor, needed: Tensor | None, db: Tensor | None,
    activation: str, alpha: float, pool: Pool | None,
) -> Tensor:
    """dz, which is dy itself for a linear activation without a pool; db on the way."""
    is_dy = activation == "linear" and pool is None
    if is_dy and db is None:
        return dy
    value = None if activation == "linear" else y
    dz = None if is_dy or needed is None else plan.scratch("dz", (plan.batch_size, *c.outputs, c.channels_out))
    blocks, argmax = blocks_of(c.channels_out), pool and pool.argmax
    partial = plan.partial("db", VECTOR * blocks) if db else None
    outputs = pixel_grid(pool.outputs(c.outputs) if pool else c.outputs)
    pixels = window_grid(c.outputs, pool.window) if pool else outputs

    def build(at: Any) -> list[Table]:
        grids = ((dy, outputs), (value, outputs), (argmax, outputs), (dz, pixels))
        return [pixel_table(at.layout(t), grid, 1) if t else np.zeros(0, np.int64) for t, grid in grids]

    tables = Once(build)

    def arguments(at: Any) -> list[int]:
        row: list[int] = []
        for tensor, table in zip((dy, value, argmax, dz), tables(at), strict=True):
            row += [at(tensor), at.layout(tensor).sample, at.layout(tensor).block, address(table)] if tensor else [0] * 4
        window = pool.pixels if pool else 1
        return [*row, at(partial), blocks, len(outputs), window, activation_number(activation), float_bits(alpha)]

    plan.launch(tiles.output_gradient, arguments, reads=[dy, value, argmax], writes=[dz, partial])
    if db and partial:
        add_slices(plan, partial, db)
    return dz or dy


def _weight_gradient(plan: Any, c: Convolution, x: Tensor, dz: Tensor, dw: Tensor) -> None:
    """dw as sums over slices; where these would take much memory, over rows with all samples."""
    parts = panels_of(blocks_of(c.channels_out), widest_panel(c.channels_out // c.groups, c.groups))
    places = _gradient_places(c, parts)
    nbytes, slices = places[-1], len(plan.bounds) - 1
    by_rows = slices > 1 and slices * nbytes > LARGE_PARTIALS
    target = dw if by_rows else plan.partial("dw", nbytes)
    if by_rows and c.groups > 1:
        target = plan.scratch("dw", (nbytes // 4,), kind="plain")
    for panels, first in zip(parts, places, strict=False):
        WeightGradient(c, x, dz, target, panels, first, by_rows).launch(plan)
    if c.groups > 1:
        gather(plan, target, dw, Once(lambda at: unpacked_index(c, parts)), 1 if by_rows else slices)
    elif not by_rows:
        add_slices(plan, target, dw)


def _narrow_gradient(
    plan: Any, c: Convolution, x: Tensor, y: Tensor, dy: Tensor, dw: Tensor, db: Tensor | None,
    activation: str, alpha: float, pool: Pool | None,
) -> None:
    """dw and db of a layer with few rows of weights, whose dx nobody wants."""
    plan.halo(x, c.halo)
    lanes, count = blocks_of(c.channels_out), prod(c.kernel) * c.channels_in
    width = next(n for n in (2, 1) if n <= TILE_BLOCKS and lanes % n == 0)
    height, window = -(-count // -(-count // tiles.narrow_rows(width))), pool.pixels if pool else 1
    partial, sums = plan.partial("dw", count * VECTOR * lanes), plan.partial("db", VECTOR * lanes) if db else None
    scratch = plan.partial("dz", window * width * VECTOR)
    value, argmax = (None if activation == "linear" else y), pool and pool.argmax
    outputs = pixel_grid(pool.outputs(c.outputs) if pool else c.outputs)
    pixels = window_grid(c.outputs, pool.window) if pool else outputs

    def build(at: Any) -> list[Table]:
        in_x = row_offsets(at.layout(x), c.taps, range(c.channels_in)).reshape(-1)
        rows = np.stack((in_x, np.arange(count) * VECTOR * lanes), 1)
        grids = [pixel_table(at.layout(t), outputs, 1) if t else np.zeros(0, np.int64) for t in (dy, value, argmax)]
        return [pixel_table(at.layout(x), pixels * np.array(c.strides), 1), np.ascontiguousarray(rows), *grids]

    tables = Once(build)

    def arguments(at: Any) -> list[int]:
        x_pixels, rows, *others = tables(at)
        row = [at(x), at.layout(x).sample, address(x_pixels), at(partial), address(rows), count]
        for tensor, table in zip((dy, value, argmax), others, strict=True):
            row += [at(tensor), at.layout(tensor).sample, at.layout(tensor).block, address(table)] if tensor else [0] * 4
        return [*row, at(sums), lanes // width, len(outputs), float_bits(alpha), at(scratch)]

    plan.launch(
        tiles.narrow_gradient(width, height, window, activation_number(activation)), arguments,
        reads=[x, dy, value, argmax], writes=[partial, sums, scratch], packed=[x],
    )  # fmt: skip
    add_slices(plan, partial, dw)
    if sums and db:
        add_slices(plan, sums, db)


def _gradient_places(c: Convolution, parts: Sequence[Panels]) -> list[int]:
    """Bytes to the gradient of each part's first panel, and the number of bytes: as w lies, packed where there are groups."""
    if c.groups == 1:
        nbytes = prod(c.kernel) * c.channels_in * VECTOR * blocks_of(c.channels_out)
        return [*(VECTOR * panels.first for panels in parts), nbytes]
    places = [0]
    for panels in parts:
        places.append(places[-1] + prod(c.kernel) * rows_of_tap(c, panels, False) * panels.count * panels.row)
    return places


@dataclass(frozen=True)
class WeightGradient:
    """target[row, lanes] = sum over pixels of x[pixel + row] * dz[pixel, lanes], for some panels of lanes."""

    c: Convolution
    x: Tensor
    dz: Tensor
    target: Tensor
    panels: Panels
    first: int
    by_rows: bool

    def launch(self, plan: Any) -> None:
        """Append the launch to the plan."""
        tables = Once(lambda at: self._tables(at, plan))
        plan.launch(
            tiles.weight_gradient(self.panels.blocks),
            lambda at: self._arguments(at, *tables(at)),
            reads=[self.x, self.dz],
            writes=[self.target],
            outputs=self._items() if self.by_rows else None,
            packed=[self.x],
        )

    def _rows(self) -> int:
        """Rows of a panel."""
        return prod(self.c.kernel) * rows_of_tap(self.c, self.panels, False)

    def _items(self) -> int:
        return self.panels.count * -(-self._rows() // GRADIENT_ROWS)

    def _tables(self, at: Any, plan: Any) -> tuple[Table, Table, Table, list[Table]]:
        c, pixels = self.c, pixel_grid(self.c.outputs)
        group = plan.batch_size if self.by_rows else group_size(len(pixels), int(np.diff(plan.bounds).max()))
        x_pixels = pixel_table(at.layout(self.x), pixels * np.array(c.strides), group)
        ranges = panel_ranges(c, self.panels, transposed=False)
        rows = {r: self._row_table(at, *r) for r in dict.fromkeys(ranges)}
        panels = np.zeros((self.panels.count, 4), np.int64)
        for q, r in enumerate(ranges):
            place, block = self.first + q * self._panel(), self.panels.first + q * self.panels.blocks
            panels[q] = address(rows[r]), len(rows[r]), place, block
        return panels, x_pixels, pixel_table(at.layout(self.dz), pixels, group), list(rows.values())

    def _ld(self) -> int:
        return VECTOR * blocks_of(self.c.channels_out) if self.c.groups == 1 else self.panels.row

    def _panel(self) -> int:
        return self.panels.row if self.c.groups == 1 else self._rows() * self.panels.row

    def _row_table(self, at: Any, begin: int, end: int) -> Table:
        """(rows, 2): bytes in x and in dw of row (tap, channel)."""
        in_x = row_offsets(at.layout(self.x), self.c.taps, range(begin, end))
        taps, rows = np.arange(len(in_x))[:, None], rows_of_tap(self.c, self.panels, False)
        return np.stack((in_x, (taps * rows + np.arange(end - begin)) * self._ld()), -1).reshape(-1, 2)

    def _arguments(self, at: Any, panels: Table, x_pixels: Table, z_pixels: Table, _: list[Table]) -> list[int]:
        x, z, pixels = at.layout(self.x), at.layout(self.dz), prod(self.c.outputs)
        return [
            at(self.x), x.sample, address(x_pixels),
            at(self.dz), z.sample, z.block, address(z_pixels),
            at(self.target), address(panels), pixels, len(x_pixels) // pixels, GRADIENT_CHUNK,
            self._items(), GRADIENT_ROWS, self._items() // self.panels.count, at.batch_size if self.by_rows else 0,
        ]

"""Weights on their way into a product and gradients on their way out: launches that know nothing of pixels.

    Weights            where a product finds its rows
    forward_weights    w as the forward product reads it: in place where its panels cover w, else packed
    packed             panels of w, transposed for the data gradient
    gather             elements moved by a table, sums over slices on the way
    add_slices         sums over slices, in order
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..api import Tensor
from ..host.layout import blocks_of
from ..simd import LANES
from . import tiles
from .geometry import Convolution
from .tables import VECTOR, Once, Panels, Table, address, packed_index, rows_of_tap


@dataclass(frozen=True)
class Weights:
    """Where a product finds row (tap, channel) of a panel: at (tap * rows + channel - the range's begin) * ld bytes.

    Panels lie `panel` bytes apart. Where the product packs them itself, it does so from `source` by the table `packing`.
    """

    tensor: Tensor
    ld: int
    rows: int
    panel: int
    source: Tensor | None = None
    packing: Once | None = None


def forward_weights(plan: Any, c: Convolution, w: Tensor, panels: Panels, by_panel: bool) -> Weights:
    """Panels of w as it lies, where one panel spans its lanes, else packed."""
    blocks = blocks_of(c.channels_out)
    if c.groups == 1 and blocks == panels.blocks:
        return Weights(w, panels.row, c.channels_in, 0)
    return packed(plan, c, w, panels, False, by_panel)


def packed(plan: Any, c: Convolution, w: Tensor, panels: Panels, transposed: bool, by_panel: bool) -> Weights:
    """Panels of w; packed by a launch of their own unless the product does it (`by_panel`)."""
    rows = rows_of_tap(c, panels, transposed)
    if transposed and c.groups == 1:
        rows = LANES * blocks_of(rows)
    nbytes = prod(c.kernel) * rows * panels.row
    panelled = plan.scratch(f"{'wt' if transposed else 'w'}{panels.first}", (panels.count * nbytes // 4,), kind="plain")
    if c.groups > 1:
        gather(plan, w, panelled, Once(lambda at: packed_index(c, panels, transposed).reshape(-1)))
        return Weights(panelled, panels.row, rows, nbytes)
    table = Once(lambda at: _packing(at(w), c, panels, transposed))
    if by_panel:
        return Weights(panelled, panels.row, rows, nbytes, source=w, packing=table)
    arguments = lambda at: [address(table(at)), at(panelled), nbytes]  # noqa: E731
    plan.launch(tiles.pack, arguments, reads=[w], writes=[panelled], outputs=panels.count)
    return Weights(panelled, panels.row, rows, nbytes)


def _packing(w: int, c: Convolution, panels: Panels, transposed: bool) -> Table:
    """The argument row of tiles.pack_panel."""
    blocks = blocks_of(c.channels_out)
    extents = (prod(c.kernel), c.channels_in, blocks)
    return np.array([w, VECTOR * blocks, *extents, panels.first, panels.blocks, transposed], np.int64)


def gather(plan: Any, source: Tensor, target: Tensor, index: Once, slices: int = 1) -> None:
    """target[i] = sum over slices of source[index[i]]; `index` covers target's physical elements."""

    def arguments(at: Any) -> list[int]:
        stride = at.stride(source) if slices > 1 else 0
        return [at(target), at(source), address(index(at)), len(index(at)), slices, stride]

    count = prod(target.shape[:-1]) * LANES * blocks_of(target.shape[-1])
    plan.launch(tiles.gather, arguments, reads=[source], writes=[target], outputs=-(-4 * count // tiles.GATHER_RUN))


def add_slices(plan: Any, partial: Tensor, target: Tensor) -> None:
    """target = the sum of the slices' parts, in slice order."""
    nbytes = prod(target.shape[:-1]) * VECTOR * blocks_of(target.shape[-1])
    plan.launch(
        tiles.add_slices,
        lambda at: [at(target), at(partial), nbytes, at.slices, at.stride(partial)],
        reads=[partial],
        writes=[target],
        outputs=-(-nbytes // tiles.ADD_RUN),
    )

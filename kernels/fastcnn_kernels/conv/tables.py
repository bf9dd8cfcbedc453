"""Tables of int64 that kernels of convolution walk instead of computing: built once, when a plan is finalized.

Every product here is out[pixel, lanes] = sum over rows of x[pixel address + row offset] * w[row, lanes], where a row is one
channel under one tap of the kernel. So one kernel serves every rank, stride, padding, dilation and group, given

    pixel_table    bytes from a sample's origin to each pixel of a group of samples
    row_table      bytes to each row in x and in w: first rows in fours (consecutive channels of one block), then shorter runs
    Panels         V blocks of 16 lanes each that a register tile is wide: panels_of cuts a number of blocks into them
    channel_range  the channels that a panel contracts over, where there are groups
    packed_index   where the elements of grouped weights go in packed panels, and unpacked_index back
    Once           a table, or several, built when first asked for and kept alive with the plan
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..host.layout import Layout, blocks_of
from ..simd import LANES, TILE_BLOCKS
from .geometry import Convolution, Tap

Table = NDArray[np.int64]
VECTOR = 64
"""Bytes of 16 lanes of float32."""
RUNS = (4, 3, 1)
"""Rows that one turn of the contraction takes where they lie side by side: channels of a block, taps of a grey picture."""
GROUP_PIXELS = 256
"""Small images are taken several at a time, until a group has about this many pixels."""


class Once:
    """`build(at)` on the first call, its result ever after: tables depend on layouts, which all slices share."""

    def __init__(self, build: Callable[[Any], Any]):
        self.build, self.kept = build, None

    def __call__(self, at: Any) -> Any:
        if self.kept is None:
            self.kept = self.build(at)
        return self.kept


def group_size(pixels: int, samples: int) -> int:
    """Samples in a group, for images of `pixels` pixels in slices of at most `samples`."""
    return max(1, min(samples, -(-GROUP_PIXELS // max(1, pixels))))


def pixel_grid(extents: Sequence[int], step: Sequence[int] = (1, 1, 1), first: Sequence[int] = (0, 0, 0)) -> Table:
    """(pixels, 3): first + step * every position in `extents`, row-major."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in extents), indexing="ij"), -1).reshape(-1, 3)
    return grid * np.array(step) + np.array(first)


def window_grid(extents: Sequence[int], window: Sequence[int]) -> Table:
    """(pixels, 3): every position in `extents`, window after window, row-major in each. Windows divide the extents."""
    corners = pixel_grid([n // w for n, w in zip(extents, window, strict=True)], window)
    return (corners[:, None] + pixel_grid(window)).reshape(-1, 3)


def pixel_table(layout: Layout, positions: Table, samples: int) -> Table:
    """Bytes from the origin of a group's first sample to `positions` in each of its `samples`."""
    offsets = positions @ np.array((layout.plane, layout.row, layout.pixel))
    return (np.arange(samples)[:, None] * layout.sample + offsets).reshape(-1).astype(np.int64)


@dataclass(frozen=True)
class Panels:
    """`count` panels of `blocks` blocks of 16 lanes, from block `first` on."""

    blocks: int
    first: int
    count: int

    @property
    def row(self) -> int:
        """Bytes of a row of a packed panel."""
        return self.blocks * VECTOR


def panels_of(blocks: int, widest: int = TILE_BLOCKS) -> list[Panels]:
    """`blocks` blocks as panels as wide as the register tile, and narrower ones for the rest."""
    found, first, width = [], 0, widest
    while first < blocks:
        count = (blocks - first) // width
        if count:
            found.append(Panels(width, first, count))
        first, width = first + count * width, max(1, width // 2)
    return found


def widest_panel(lanes_of_a_group: int, groups: int) -> int:
    """Blocks of a panel: where groups are narrow, a wide panel would multiply mostly zeros."""
    width = TILE_BLOCKS
    while groups > 1 and width > 1 and width * LANES > lanes_of_a_group:
        width //= 2
    return width


def channel_range(first_lane: int, last_lane: int, lanes: int, channels: int, groups: int) -> tuple[int, int]:
    """The contracted channels [begin, end) that lanes [first_lane, last_lane) of `lanes` see, all groups they touch."""
    per_group = lanes // groups
    last = min(last_lane, lanes) - 1
    return first_lane // per_group * (channels // groups), (last // per_group + 1) * (channels // groups)


def split_rows(rows: Table, ld: int) -> tuple[Table, list[int]]:
    """(runs, 2), bytes in x and in w of the first row of each run of rows that follow each other by one float in x and by `ld`
    in w: runs of RUNS[0] rows, then of RUNS[1], ...; how many there are of each."""
    follows = [*((np.diff(rows[:, 0]) == 4) & (np.diff(rows[:, 1]) == ld)).tolist(), False]
    found: dict[int, list[int]] = {length: [] for length in RUNS}
    r = 0
    while r < len(rows):
        length = next(n for n in RUNS if n == 1 or all(follows[r : r + n - 1]))
        found[length].append(r)
        r += length
    return np.ascontiguousarray(rows[[r for runs in found.values() for r in runs]]), [len(runs) for runs in found.values()]


def row_offsets(layout: Layout, taps: Sequence[Tap], channels: Sequence[int]) -> Table:
    """(taps, channels): bytes from a pixel to a channel under each tap."""
    places = np.array([place for _, place in taps], np.int64).reshape(-1, 3)
    c = np.array(channels, np.int64)
    in_pixel = c // LANES * layout.block + c % LANES * layout.itemsize
    return (places @ np.array((layout.plane, layout.row, layout.pixel)))[:, None] + in_pixel


def row_table(layout: Layout, taps: Sequence[Tap], begin: int, end: int, rows_of_tap: int, ld: int) -> tuple[Table, list[int]]:
    """The runs of all rows, see split_rows: bytes in x and in w.

    Row (tap, c) of w lies at (tap * rows_of_tap + c - begin) * ld.
    """
    numbers, channels = np.array([number for number, _ in taps], np.int64), range(begin, end)
    in_w = (numbers[:, None] * rows_of_tap + np.array(channels, np.int64) - begin) * ld
    return split_rows(np.stack((row_offsets(layout, taps, channels), in_w), -1).reshape(-1, 2).astype(np.int64), ld)


def rows_of_tap(c: Convolution, panels: Panels, transposed: bool) -> int:
    """Rows under one tap of a panel of grouped weights: as many as its widest panel needs."""
    return max(end - begin for begin, end in panel_ranges(c, panels, transposed))


def panel_ranges(c: Convolution, panels: Panels, transposed: bool) -> list[tuple[int, int]]:
    """channel_range of every panel: lanes are output channels, input channels where transposed."""
    lanes, channels = (c.channels_in, c.channels_out) if transposed else (c.channels_out, c.channels_in)
    step = panels.blocks * LANES
    firsts = range(panels.first * LANES, panels.first * LANES + panels.count * step, step)
    return [channel_range(first, first + step, lanes, channels, c.groups) for first in firsts]


def packed_index(c: Convolution, panels: Panels, transposed: bool) -> Table:
    """(panels, taps, rows, lanes): element of the physical w (taps, Ci/groups, Co padded) at each place of its packed
    panels, -1 where lane and row belong to different groups or to nothing."""
    begins = np.array([begin for begin, _ in panel_ranges(c, panels, transposed)])[:, None, None, None]
    lanes = panels.blocks * LANES
    lane = panels.first * LANES + np.arange(panels.count * lanes).reshape(-1, 1, 1, lanes)
    channel = begins + np.arange(rows_of_tap(c, panels, transposed))[:, None]
    tap = np.arange(math.prod(c.kernel))[:, None, None]
    ci, co = (lane, channel) if transposed else (channel, lane)
    in_group, out_group = c.channels_in // c.groups, c.channels_out // c.groups
    element = (tap * in_group + ci % in_group) * (blocks_of(c.channels_out) * LANES) + co
    real = (ci < c.channels_in) & (co < c.channels_out) & (ci // in_group == co // out_group)
    return np.where(real, element, -1).astype(np.int64)


def unpacked_index(c: Convolution, parts: Sequence[Panels]) -> Table:
    """The inverse of packed_index for panels laid out one after the other: where each element of the physical w lies."""
    packed = np.concatenate([packed_index(c, panels, transposed=False).reshape(-1) for panels in parts])
    found = np.full(math.prod(c.kernel) * (c.channels_in // c.groups) * blocks_of(c.channels_out) * LANES, -1, np.int64)
    places = np.flatnonzero(packed >= 0)
    found[packed[places]] = places
    return found


def address(table: NDArray[Any]) -> int:
    """Where a table lies."""
    return int(table.ctypes.data)

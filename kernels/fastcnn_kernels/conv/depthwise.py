"""Depthwise convolutions, whose output channels see the input channel of the same number only: see depthwise_kernels.py.

    possible   whether a geometry is depthwise
    forward    y = max(floor, x * w + b)
    backward   dx, dw and db in one walk
"""

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from ..api import Tensor
from ..host.layout import blocks_of
from ..host.plan import float_bits
from . import depthwise_kernels as kernels
from .geometry import Convolution, Tap
from .tables import VECTOR, Once, Table, address, pixel_grid, pixel_table, row_offsets
from .weights import add_slices


def possible(c: Convolution) -> bool:
    """Whether every channel is a group of its own, with one output."""
    return c.groups == c.channels_in == c.channels_out > 1


Entry = tuple[Sequence[Tap], Table, Table]
"""Taps, the pixels of x that they count from, and the pixels of y: one for each of those."""


def forward(plan: Any, c: Convolution, x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, floor: float) -> None:
    """y = max(floor, x * w + b)."""
    plan.halo(x, c.halo)
    outputs = pixel_grid(c.outputs)
    tables = Once(lambda at: _entries(at, c, x, y, [(c.taps, outputs * np.array(c.strides), outputs)]))

    def arguments(at: Any) -> list[int]:
        entries, zeros, *_ = tables(at)
        bias = (at(b), VECTOR) if b else (address(zeros), 0)
        image, result = at.layout(x), at.layout(y)
        return [
            at(x), image.sample, image.block, at(y), result.sample, result.block,
            at(w), *bias, address(entries), len(entries), image.blocks, float_bits(floor),
        ]  # fmt: skip

    plan.launch(kernels.depthwise_forward, arguments, reads=[x, w, b], writes=[y])


def backward(
    plan: Any, c: Convolution, x: Tensor, w: Tensor, dz: Tensor, dx: Tensor | None, dw: Tensor | None, db: Tensor | None
) -> None:
    """dx phase by phase, pixels that see the same taps; dw and db as sums over slices. db only together with dw."""
    if dx:
        plan.halo(dz, c.gradient_halo)
    if dw:
        plan.halo(x, c.halo)
    blocks, outputs = blocks_of(c.channels_out), pixel_grid(c.outputs)
    weights = plan.partial("dw", prod(c.kernel) * VECTOR * blocks) if dw else None
    biases = plan.partial("db", VECTOR * blocks) if db else None

    def build(at: Any) -> tuple[Table, ...]:
        x_pixels = pixel_table(at.layout(x), outputs * np.array(c.strides), 1)
        taps = _tap_table(at, c, x, c.taps if dw else [])
        return x_pixels, pixel_table(at.layout(dz), outputs, 1), taps, *_entries(at, c, dz, dx, _phases(c) if dx else [])

    tables = Once(build)

    def arguments(at: Any) -> list[int]:
        x_pixels, z_pixels, taps, entries, zeros, *_ = tables(at)
        image, gradients = at.layout(x), at.layout(dz)
        result = (at(dx), at.layout(dx).sample, at.layout(dx).block) if dx else (0, 0, 0)
        return [
            at(x), image.sample, image.block, address(x_pixels), at(dz), gradients.sample, gradients.block, address(z_pixels),
            at(weights), at(biases), address(taps), len(taps), blocks, len(outputs),
            *result, at(w), address(zeros), address(entries), len(entries),
        ]  # fmt: skip

    plan.launch(kernels.depthwise_backward, arguments, reads=[x, dz, w], writes=[dx, weights, biases])
    for partial, target in ((weights, dw), (biases, db)):
        if partial and target:
            add_slices(plan, partial, target)


def _phases(c: Convolution) -> Iterator[Entry]:
    for phases, taps in c.phases():
        counts, firsts = [p.count for p in phases], [p.first for p in phases]
        yield taps, pixel_grid(counts), pixel_grid(counts, c.strides, firsts)


def _entries(at: Any, c: Convolution, x: Tensor, y: Tensor | None, entries: Iterable[Entry]) -> list[Table]:
    """The table of entries for `contract`, a vector of zeros, and the tables that the entries name."""
    found, counts = [], []
    for taps, sources, targets in entries:
        places = pixel_table(at.layout(x), sources, 1), pixel_table(at.layout(y), targets, 1)
        found += [*places, _tap_table(at, c, x, taps)]
        counts.append((len(taps), len(sources)))
    addresses = np.array([address(table) for table in found], np.int64).reshape(-1, 3)
    table = np.column_stack([addresses, np.array(counts, np.int64).reshape(-1, 2)])
    return [np.ascontiguousarray(table), np.zeros(VECTOR // 8, np.int64), *found]


def _tap_table(at: Any, c: Convolution, x: Tensor, taps: Sequence[Tap]) -> Table:
    """(taps, 2): bytes from a pixel of x to what a tap reads, and to the tap's weights."""
    numbers = np.array([number for number, _ in taps], np.int64)
    in_w = numbers * VECTOR * blocks_of(c.channels_out)
    return np.ascontiguousarray(np.stack((row_offsets(at.layout(x), taps, [0]).reshape(-1), in_w), -1))

"""Depthwise convolutions, whose output channels see the input channel of the same number only: see depthwise_kernels.py.

    possible           whether a geometry is depthwise
    forward            y = max(floor, x * w + b)
    data_gradient      dx, phase by phase: pixels that see the same taps
    weight_gradient    dw
"""

from collections.abc import Sequence
from math import inf, prod
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


Product = tuple[Sequence[Tap], Table, Table]
"""Taps, the pixels of x that they count from, and the pixels of y: one for each of those."""


def forward(plan: Any, c: Convolution, x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, floor: float) -> None:
    """y = max(floor, x * w + b)."""
    plan.halo(x, c.halo)
    outputs = pixel_grid(c.outputs)
    _products(plan, c, x, y, w, b, [(c.taps, outputs * np.array(c.strides), outputs)], floor)


def data_gradient(plan: Any, c: Convolution, w: Tensor, dz: Tensor, dx: Tensor) -> None:
    """dx = dz * w transposed."""
    plan.halo(dz, c.gradient_halo)
    products: list[Product] = []
    for phases, taps in c.phases():
        counts, firsts = [p.count for p in phases], [p.first for p in phases]
        products.append((taps, pixel_grid(counts), pixel_grid(counts, c.strides, firsts)))
    _products(plan, c, dz, dx, w, None, products, -inf)


def _products(
    plan: Any, c: Convolution, x: Tensor, y: Tensor, w: Tensor, b: Tensor | None, products: Sequence[Product], floor: float
) -> None:
    def build(at: Any) -> tuple[Table, ...]:
        made: list[Table] = []
        for taps, sources, targets in products:
            places = (pixel_table(at.layout(x), sources, 1), pixel_table(at.layout(y), targets, 1))
            made += [*places, _tap_table(at, c, x, taps)]
        addresses = np.array([address(table) for table in made]).reshape(-1, 3)
        counts = [(len(taps), len(sources)) for taps, sources, _ in products]
        return np.ascontiguousarray(np.column_stack([addresses, counts]).astype(np.int64)), np.zeros(16, np.int64), *made

    tables = Once(build)

    def arguments(at: Any) -> list[int]:
        entries, zeros, *_ = tables(at)
        bias = (at(b), VECTOR) if b else (address(zeros), 0)
        image, result = at.layout(x), at.layout(y)
        return [
            at(x), image.sample, image.block, at(y), result.sample, result.block,
            at(w), *bias, address(entries), len(entries), image.blocks, float_bits(floor),
        ]  # fmt: skip

    plan.launch(kernels.depthwise_product, arguments, reads=[x, w, b], writes=[y])


def weight_gradient(plan: Any, c: Convolution, x: Tensor, dz: Tensor, dw: Tensor) -> None:
    """dw, as a sum over slices."""
    plan.halo(x, c.halo)
    partial, outputs = plan.partial("dw", prod(c.kernel) * VECTOR * blocks_of(c.channels_out)), pixel_grid(c.outputs)

    def build(at: Any) -> tuple[Table, ...]:
        x_pixels = pixel_table(at.layout(x), outputs * np.array(c.strides), 1)
        return x_pixels, pixel_table(at.layout(dz), outputs, 1), _tap_table(at, c, x, c.taps)

    tables = Once(build)

    def arguments(at: Any) -> list[int]:
        x_pixels, z_pixels, rows = tables(at)
        image, result = at.layout(x), at.layout(dz)
        return [
            at(x), image.sample, image.block, address(x_pixels), at(dz), result.sample, result.block, address(z_pixels),
            at(partial), address(rows), len(rows), image.blocks, len(outputs),
        ]  # fmt: skip

    plan.launch(kernels.depthwise_weight_gradient, arguments, reads=[x, dz], writes=[partial])
    add_slices(plan, partial, dw)


def _tap_table(at: Any, c: Convolution, x: Tensor, taps: Sequence[Tap]) -> Table:
    """(taps, 2): bytes from a pixel of x to what a tap reads, and to the tap's weights."""
    numbers = np.array([number for number, _ in taps], np.int64)
    in_w = numbers * VECTOR * blocks_of(c.channels_out)
    return np.ascontiguousarray(np.stack((row_offsets(at.layout(x), taps, [0]).reshape(-1), in_w), -1))

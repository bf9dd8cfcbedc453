"""Reshaping, joining and averaging on the CPU.

    reshape                                    runs of channels, from the blocks of x to the blocks of y
    reshape_parameters                         number by number: weights are small
    concatenate_forward concatenate_backward   strided copies; a misaligned channel offset splits each vector in two
    mean_forward mean_backward                 the mean of a sample
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..host.functions import inlined
from ..host.layout import blocks_of
from ..host.runner import kernel
from ..host.walk import (
    BLOCK,
    CHANNELS,
    LINES,
    PIXELS,
    PLANE,
    ROW,
    ROWS,
    WIDTH,
    number,
    parameter_rows,
    real,
    row,
    sample_address,
    stride,
    walk,
)
from ..simd import (
    f32_to_f64,
    first_lanes,
    horizontal_sum_f64,
    load_f32,
    load_f32x16,
    quotient,
    select,
    splat,
    splat_f64,
    store_f32,
    store_f32x16,
    store_first,
)


def reshape(plan: Any, x: Any, y: Any) -> None:
    """y has x's elements in logical C order."""
    numbers = (x.size // x.shape[0],)
    plan.launch(
        reshape_kernel, lambda at: walk(at, (), numbers, others=(x, y), like=x), reads=[x], writes=[y]
    )


def reshape_parameters(plan: Any, x: Any, y: Any) -> None:
    """The same for parameters."""
    widths = x.shape[-1], y.shape[-1]

    def arguments(at: Any) -> list[int]:
        return [at(x), at(y), *widths, *(64 * blocks_of(width) for width in widths)]

    plan.launch(reshape_parameters_kernel, arguments, reads=[x], writes=[y], outputs=parameter_rows(y))


def concatenate_forward(plan: Any, xs: Sequence[Any], y: Any, *, axis: int) -> None:
    """y = xs joined along `axis`."""
    start = 0
    for x in xs:
        _copy_part(plan, x, y, axis, start, inward=True)
        start += x.shape[axis]


def concatenate_backward(plan: Any, dy: Any, dx: Any, *, axis: int, start: int) -> None:
    """dx = the part of dy that begins at `start` along `axis`."""
    _copy_part(plan, dx, dy, axis, start, inward=False)


def mean_forward(plan: Any, x: Any, y: Any) -> None:
    """y[n] = mean of x[n]."""
    share = float(x.shape[0] / x.size)
    plan.launch(
        mean_forward_kernel,
        lambda at: walk(at, (x,), (at.layout(x).blocks, share), others=(y,), blocks=1),
        reads=[x],
        writes=[y],
    )


def mean_backward(plan: Any, dy: Any, dx: Any) -> None:
    """dx[n, ...] = dy[n] / number of elements."""
    share = float(dx.shape[0] / dx.size)
    plan.launch(
        mean_backward_kernel, lambda at: walk(at, (dx,), (share,), others=(dy,)), reads=[dy], writes=[dx]
    )


def _copy_part(plan: Any, part: Any, whole: Any, axis: int, start: int, inward: bool) -> None:
    """Copy `part` to its place in `whole`, or back."""
    blocks = blocks_of(part.shape[-1])
    if axis < len(part.shape) - 1:
        stride_of = ("pixel", "row", "plane")[len(part.shape) - 2 - axis]
        _copy(plan, part, whole, inward, blocks, 16, lambda t: (0, start * getattr(t, stride_of)))
        return
    block, lane = divmod(start, 16)
    # A block of the part covers the end of one block of the whole and the beginning of the next.
    _copy(plan, part, whole, inward, blocks, 16 - lane, lambda t: (0, block * t.block + 4 * lane))
    crossing = blocks_of(part.shape[-1] + lane) - 1
    if lane and crossing:
        _copy(plan, part, whole, inward, crossing, lane, lambda t: (4 * (16 - lane), (block + 1) * t.block))


def _copy(plan: Any, part: Any, whole: Any, inward: bool, blocks: int, lanes: int, shifts: Any) -> None:
    """Copy `lanes` lanes of `blocks` blocks; `shifts(layout of whole)` are the bytes to the first of part and of whole."""

    def arguments(at: Any) -> list[int]:
        of_part, of_whole = shifts(at.layout(whole))
        operands = ((part, of_part), (whole, of_whole))
        return walk(at, operands if inward else operands[::-1], (lanes,), like=part, blocks=blocks)

    source, destination = (part, whole) if inward else (whole, part)
    plan.launch(copy_kernel, arguments, reads=[source], writes=[destination])


@kernel
def copy_kernel(a, first, last):
    """The first lanes of every pixel of y = those of x. Operands x, y; number lanes."""
    lanes = number(a, 0)
    for n in range(first, last):
        for i in range(a[ROWS]):
            x, y = row(a, 0, n, i), row(a, 1, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                if lanes == 16:
                    store_f32x16(y + p, load_f32x16(x + p))
                else:
                    store_first(y + p, lanes, load_f32x16(x + p))


@inlined
def _next(a, operand, c, w, h, d, count):
    """The position `count` channels after (c, w, h, d), where the pixel has at least that many left."""
    c += count
    if c == stride(a, operand, CHANNELS):
        c, w = 0, w + 1
        if w == stride(a, operand, PIXELS):
            w, h = 0, h + 1
            if h == stride(a, operand, LINES):
                h, d = 0, d + 1
    return c, w, h, d


@inlined
def _at(a, operand, n, c, w, h, d):
    """Address of channel c of the pixel (d, h, w)."""
    line = sample_address(a, operand, n) + d * stride(a, operand, PLANE) + h * stride(a, operand, ROW)
    return line + 64 * w + (c >> 4) * stride(a, operand, BLOCK) + 4 * (c & 15)


@kernel
def reshape_kernel(a, first, last):
    """y = x element by element in logical order, in runs of channels that neither x nor y breaks. Operands x, y; number size.

    Where the channels of both are multiples of 16, as in flattening (H, W, 64), every run is a whole vector.
    """
    for n in range(first, last):
        xc, xw, xh, xd, yc, yw, yh, yd = 0, 0, 0, 0, 0, 0, 0, 0
        done = 0
        while done < number(a, 0):
            in_x = min(16 - (xc & 15), stride(a, 0, CHANNELS) - xc)
            count = min(in_x, min(16 - (yc & 15), stride(a, 1, CHANNELS) - yc))
            store_first(_at(a, 1, n, yc, yw, yh, yd), count, load_f32x16(_at(a, 0, n, xc, xw, xh, xd)))
            xc, xw, xh, xd = _next(a, 0, xc, xw, xh, xd, count)
            yc, yw, yh, yd = _next(a, 1, yc, yw, yh, yd, count)
            done += count


@kernel
def reshape_parameters_kernel(a, first, last):
    """Rows first .. last - 1 of y = x's elements in logical order. a: x, y, their last extents, bytes of a row of each."""
    for r in range(first, last):
        for c in range(a[3]):
            source = quotient(r * a[3] + c, a[2])
            value = load_f32(a[0] + source * a[4] + 4 * (r * a[3] + c - source * a[2]))
            store_f32(a[1] + r * a[5] + 4 * c, value)


@kernel
def mean_forward_kernel(a, first, last):
    """y[n] = share * sum of x[n], in float64. Operands x, y; numbers blocks, share."""
    nothing = splat(np.float32(0))
    for n in range(first, last):
        total = splat_f64(0.0)
        for b in range(number(a, 0)):
            lanes = first_lanes(stride(a, 0, CHANNELS) - 16 * b)
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    total = total + f32_to_f64(select(lanes, load_f32x16(x + p), nothing))
        store_f32(sample_address(a, 1, n), np.float32(horizontal_sum_f64(total) * real(a, 1)))


@kernel
def mean_backward_kernel(a, first, last):
    """dx[n, ...] = share * dy[n]. Operands dx, dy; number share."""
    for n in range(first, last):
        gradient = splat(np.float32(load_f32(sample_address(a, 1, n)) * real(a, 0)))
        for i in range(a[ROWS]):
            dx = row(a, 0, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                store_f32x16(dx + p, gradient)

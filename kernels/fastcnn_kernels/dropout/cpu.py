"""Dropout and Gaussian noise on the CPU. What is random is drawn in place, from the logical index of each element, and drawn
again for the gradient.

    dropout_forward dropout_backward   y = x / (1 - rate) where u >= rate, else 0: one function, two names
    gaussian_noise                     y = x + stddev * z, or x * (1 + stddev * z)

Element i takes word i % 4 of the counter i // 4. Where the channels are a multiple of four, sixteen lanes of one pixel are four
whole counters, so one Philox of sixteen counters serves four pixels (or four blocks of a tensor of one pixel); otherwise every
lane works out a counter of its own, at four times the cost.
"""

from functools import cache
from typing import Any

import numpy as np

from ..api import Scalars
from ..host.functions import inlined
from ..host.layout import NO_HALO
from ..host.runner import kernel
from ..host.walk import BLOCK, ROWS, WIDTH, number, real, row, stride, walk
from ..random.cpu import normal, philox
from ..random.reference import uniform_limit
from ..simd import (
    f32_as_u32,
    fma,
    interleave,
    lane_numbers,
    load_f32x16,
    load_i64,
    select,
    select_u32,
    splat,
    splat_u32,
    store_f32x16,
    u32_as_f32,
)

BLOCKS, PIXEL_STEP, SIZE, LIMIT, SCALE, OP_ID, SCALARS = range(7)
"""Numbers: blocks to step through; elements from one pixel to the next; elements of a sample; uniform_limit(rate), of dropout;
1 / (1 - rate), or the standard deviation; op_id; address of the scalars."""
SEED, STEP = 8 * Scalars.SEED, 8 * Scalars.STEP
DROPPED, ADDED, MULTIPLIED = range(3)
"""What becomes of an element and its random number: dropout, or noise of two kinds."""


def dropout_forward(
    plan: Any, x: Any, scalars: Any, y: Any, *, rate: float, op_id: int, by_channel: bool = False
) -> None:
    """y = x / (1 - rate) where u >= rate, else 0."""
    numbers = (uniform_limit(rate), 1 / (1 - rate), op_id)
    if by_channel:
        _launch_by_channel(plan, x, scalars, y, numbers)
    else:
        _launch(plan, x, scalars, y, DROPPED, numbers)


def dropout_backward(
    plan: Any, dy: Any, scalars: Any, dx: Any, *, rate: float, op_id: int, by_channel: bool = False
) -> None:
    """dx = dy / (1 - rate) where u >= rate, else 0."""
    dropout_forward(plan, dy, scalars, dx, rate=rate, op_id=op_id, by_channel=by_channel)


def gaussian_noise(
    plan: Any, x: Any, scalars: Any, y: Any, *, stddev: float, multiplicative: bool, op_id: int
) -> None:
    """y = x + stddev * z, or x * (1 + stddev * z)."""
    _launch(plan, x, scalars, y, MULTIPLIED if multiplicative else ADDED, (0, float(stddev), op_id))


def _launch(plan: Any, x: Any, scalars: Any, y: Any, change: int, numbers: tuple[float, ...]) -> None:
    def arguments(at: Any) -> list[int]:
        layout = at.layout(x)
        one_pixel = layout.pixels == 1 and at.layout(y).halo == layout.halo == NO_HALO
        # The blocks of a tensor of one pixel are walked as if they were its pixels.
        blocks, step = (1, 16) if one_pixel else (layout.blocks, layout.channels)
        size = layout.pixels * layout.channels
        return walk(at, (x, y), (blocks, step, size, *numbers, at(scalars)), blocks=None if one_pixel else 1)

    whole = x.shape[-1] % 4 == 0 and len(x.shape) > 1
    chosen = whole_counters_kernel if whole else any_channels_kernel
    plan.launch(chosen(change), arguments, reads=[x, scalars], writes=[y])


def _launch_by_channel(plan: Any, x: Any, scalars: Any, y: Any, numbers: tuple[float, ...]) -> None:
    def arguments(at: Any) -> list[int]:
        layout = at.layout(x)
        return walk(at, (x, y), (layout.blocks, 0, layout.channels, *numbers, at(scalars)), blocks=1)

    plan.launch(dropout_by_channel_kernel, arguments, reads=[x, scalars], writes=[y])


@inlined
def _change(change, x, y, drawn, limit, scale):
    """Write 16 elements, changed by their words, or by normal numbers that `drawn` has the bits of."""
    value = load_f32x16(x)
    if change == DROPPED:
        kept = (drawn >> splat_u32(np.uint32(8))) >= limit
        store_f32x16(y, select(kept, value * scale, splat(np.float32(0))))
    else:
        z = u32_as_f32(drawn) * scale
        store_f32x16(y, fma(value, z, value) if change == MULTIPLIED else value + z)


@inlined
def _normal_bits(first, second):
    """The bits of two normal numbers from each pair of words."""
    even, odd = normal(first, second)
    return f32_as_u32(even), f32_as_u32(odd)


@cache
def whole_counters_kernel(change: int) -> kernel:
    """The kernel for channels that are a multiple of four."""

    def whole_counters(a, first, last):
        """Four pixels at a time, their 16 lanes being the words of four counters each. Operands x, y; see the numbers above."""
        limit, scale = splat_u32(np.uint32(number(a, LIMIT))), splat(np.float32(real(a, SCALE)))
        seed, step = load_i64(number(a, SCALARS) + SEED), splat_u32(np.uint32(load_i64(number(a, SCALARS) + STEP)))
        op_id, width, lanes = splat_u32(np.uint32(number(a, OP_ID))), a[WIDTH], lane_numbers(np.uint32(0))
        counters_a_pixel = splat_u32(np.uint32(number(a, PIXEL_STEP) >> 2))
        offsets = (lanes >> splat_u32(np.uint32(2))) * counters_a_pixel + (lanes & splat_u32(np.uint32(3)))
        for n in range(first, last):
            for b in range(number(a, BLOCKS)):
                for i in range(a[ROWS]):
                    x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                    y = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                    element = n * number(a, SIZE) + i * width * number(a, PIXEL_STEP) + 16 * b
                    for p in range(0, width, 4):
                        counter = (element + p * number(a, PIXEL_STEP)) >> 2
                        low, high = splat_u32(np.uint32(counter)) + offsets, splat_u32(np.uint32(counter >> 32))
                        c0, c1, c2, c3 = philox(low, high, step, op_id, seed)
                        if change != DROPPED:
                            c0, c1 = _normal_bits(c0, c1)
                            c2, c3 = _normal_bits(c2, c3)
                        drawn = interleave(c0, c1, c2, c3)
                        _change(change, x + 64 * p, y + 64 * p, drawn[0], limit, scale)
                        if p + 1 < width:
                            _change(change, x + 64 * (p + 1), y + 64 * (p + 1), drawn[1], limit, scale)
                        if p + 2 < width:
                            _change(change, x + 64 * (p + 2), y + 64 * (p + 2), drawn[2], limit, scale)
                        if p + 3 < width:
                            _change(change, x + 64 * (p + 3), y + 64 * (p + 3), drawn[3], limit, scale)

    return _named(whole_counters, change)


@inlined
def _drawn(start, step, op_id, seed, change):
    """The words of 16 elements from index `start` on, or the bits of their normal numbers: a counter for each lane."""
    one, two, lanes = splat_u32(np.uint32(1)), splat_u32(np.uint32(2)), lane_numbers(np.uint32(start & 3))
    low = splat_u32(np.uint32(start >> 2)) + (lanes >> splat_u32(np.uint32(2)))
    c0, c1, c2, c3 = philox(low, splat_u32(np.uint32(start >> 34)), step, op_id, seed)
    later = (lanes & two) == two
    even, odd = select_u32(later, c2, c0), select_u32(later, c3, c1)
    if change != DROPPED:
        even, odd = _normal_bits(even, odd)
    return select_u32((lanes & one) == one, odd, even)


@cache
def any_channels_kernel(change: int) -> kernel:
    """The kernel for any number of channels."""

    def any_channels(a, first, last):
        """One pixel at a time, a counter for each lane. Operands x, y; see the numbers above."""
        limit, scale = splat_u32(np.uint32(number(a, LIMIT))), splat(np.float32(real(a, SCALE)))
        seed, step = load_i64(number(a, SCALARS) + SEED), splat_u32(np.uint32(load_i64(number(a, SCALARS) + STEP)))
        op_id = splat_u32(np.uint32(number(a, OP_ID)))
        for n in range(first, last):
            for b in range(number(a, BLOCKS)):
                for i in range(a[ROWS]):
                    x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                    y = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                    element = n * number(a, SIZE) + i * a[WIDTH] * number(a, PIXEL_STEP) + 16 * b
                    for p in range(a[WIDTH]):
                        drawn = _drawn(element + p * number(a, PIXEL_STEP), step, op_id, seed, change)
                        _change(change, x + 64 * p, y + 64 * p, drawn, limit, scale)

    return _named(any_channels, change)


def _named(function: Any, change: int) -> kernel:
    function.__name__ = ("dropout", "gaussian_noise", "gaussian_dropout")[change] + "_" + function.__name__
    return kernel(function)


@kernel
def dropout_by_channel_kernel(a, first, last):
    """A mask of 16 channels, then all pixels of a sample. Operands x, y; see the numbers above, of which SIZE is C."""
    limit, scale = splat_u32(np.uint32(number(a, LIMIT))), splat(np.float32(real(a, SCALE)))
    seed, step = load_i64(number(a, SCALARS) + SEED), splat_u32(np.uint32(load_i64(number(a, SCALARS) + STEP)))
    op_id = splat_u32(np.uint32(number(a, OP_ID)))
    for n in range(first, last):
        for b in range(number(a, BLOCKS)):
            word = _drawn(n * number(a, SIZE) + 16 * b, step, op_id, seed, DROPPED)
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                y = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    _change(DROPPED, x + p, y + p, word, limit, scale)

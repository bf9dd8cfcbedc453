"""Dropout on the CPU. The mask is drawn in place, from the logical index of each element, and drawn again for the gradient.

    dropout_forward dropout_backward   y = x / (1 - rate) where u >= rate, else 0: one function, two names
    gaussian_noise                     y = x + stddev * z, or x * (1 + stddev * z)

Element i takes word i % 4 of the counter i // 4. Where the channels are a multiple of four, sixteen lanes of one pixel are four
whole counters, so one Philox of sixteen counters serves four pixels (or four blocks of a tensor of one pixel); otherwise every
lane works out a counter of its own, at four times the cost.
"""

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
)

BLOCKS, PIXEL_STEP, SIZE, LIMIT, SCALE, OP_ID, SCALARS = range(7)
"""Numbers: blocks to step through; elements from one pixel to the next; elements of a sample; uniform_limit(rate);
1 / (1 - rate); op_id; address of the scalars."""
SEED, STEP = 8 * Scalars.SEED, 8 * Scalars.STEP


def dropout_forward(
    plan: Any, x: Any, scalars: Any, y: Any, *, rate: float, op_id: int, by_channel: bool = False
) -> None:
    """y = x / (1 - rate) where u >= rate, else 0."""
    (_dropout_by_channel if by_channel else _dropout)(plan, x, scalars, y, rate, op_id)


def dropout_backward(
    plan: Any, dy: Any, scalars: Any, dx: Any, *, rate: float, op_id: int, by_channel: bool = False
) -> None:
    """dx = dy / (1 - rate) where u >= rate, else 0."""
    (_dropout_by_channel if by_channel else _dropout)(plan, dy, scalars, dx, rate, op_id)


def gaussian_noise(
    plan: Any, x: Any, scalars: Any, y: Any, *, stddev: float, multiplicative: bool, op_id: int
) -> None:
    """y = x + stddev * z, or x * (1 + stddev * z)."""

    def arguments(at: Any) -> list[int]:
        layout = at.layout(x)
        size = layout.pixels * layout.channels
        numbers = (layout.blocks, layout.channels, size, multiplicative, float(stddev), op_id, at(scalars))
        return walk(at, (x, y), numbers, blocks=1)

    plan.launch(gaussian_noise_kernel, arguments, reads=[x, scalars], writes=[y])


def _dropout_by_channel(plan: Any, x: Any, scalars: Any, y: Any, rate: float, op_id: int) -> None:
    def arguments(at: Any) -> list[int]:
        layout = at.layout(x)
        numbers = (layout.blocks, 0, layout.channels, uniform_limit(rate), 1 / (1 - rate), op_id, at(scalars))
        return walk(at, (x, y), numbers, blocks=1)

    plan.launch(dropout_by_channel_kernel, arguments, reads=[x, scalars], writes=[y])


def _dropout(plan: Any, x: Any, scalars: Any, y: Any, rate: float, op_id: int) -> None:
    def arguments(at: Any) -> list[int]:
        layout = at.layout(x)
        one_pixel = layout.pixels == 1 and at.layout(y).halo == layout.halo == NO_HALO
        # The blocks of a tensor of one pixel are walked as if they were its pixels.
        blocks, step = (1, 16) if one_pixel else (layout.blocks, layout.channels)
        size = layout.pixels * layout.channels
        numbers = (blocks, step, size, uniform_limit(rate), 1 / (1 - rate), op_id, at(scalars))
        return walk(at, (x, y), numbers, blocks=None if one_pixel else 1)

    chosen = dropout_kernel if x.shape[-1] % 4 == 0 and len(x.shape) > 1 else dropout_any_kernel
    plan.launch(chosen, arguments, reads=[x, scalars], writes=[y])


@inlined
def _drop(x, y, word, limit, scale):
    """Keep 16 elements where their word reaches the limit."""
    kept = (word >> splat_u32(np.uint32(8))) >= limit
    store_f32x16(y, select(kept, load_f32x16(x) * scale, splat(np.float32(0))))


@kernel
def dropout_kernel(a, first, last):
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
                    words = interleave(c0, c1, c2, c3)
                    _drop(x + 64 * p, y + 64 * p, words[0], limit, scale)
                    if p + 1 < width:
                        _drop(x + 64 * (p + 1), y + 64 * (p + 1), words[1], limit, scale)
                    if p + 2 < width:
                        _drop(x + 64 * (p + 2), y + 64 * (p + 2), words[2], limit, scale)
                    if p + 3 < width:
                        _drop(x + 64 * (p + 3), y + 64 * (p + 3), words[3], limit, scale)


@inlined
def _words(start, step, op_id, seed):
    """The four words of each lane's counter, and which of them is the lane's own, for 16 elements from index `start` on."""
    lanes = lane_numbers(np.uint32(start & 3))
    low = splat_u32(np.uint32(start >> 2)) + (lanes >> splat_u32(np.uint32(2)))
    c0, c1, c2, c3 = philox(low, splat_u32(np.uint32(start >> 34)), step, op_id, seed)
    return c0, c1, c2, c3, lanes & splat_u32(np.uint32(3))


@inlined
def _word(start, step, op_id, seed):
    """The words of 16 elements from index `start` on."""
    c0, c1, c2, c3, which = _words(start, step, op_id, seed)
    two, three = splat_u32(np.uint32(2)), splat_u32(np.uint32(3))
    word = select_u32(which == two, c2, select_u32(which == three, c3, c1))
    return select_u32(which == splat_u32(np.uint32(0)), c0, word)


@kernel
def dropout_any_kernel(a, first, last):
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
                    word = _word(element + p * number(a, PIXEL_STEP), step, op_id, seed)
                    _drop(x + 64 * p, y + 64 * p, word, limit, scale)


@kernel
def dropout_by_channel_kernel(a, first, last):
    """A mask of 16 channels, then all pixels of a sample. Operands x, y; see the numbers above, of which SIZE is C."""
    limit, scale = splat_u32(np.uint32(number(a, LIMIT))), splat(np.float32(real(a, SCALE)))
    seed, step = load_i64(number(a, SCALARS) + SEED), splat_u32(np.uint32(load_i64(number(a, SCALARS) + STEP)))
    op_id = splat_u32(np.uint32(number(a, OP_ID)))
    for n in range(first, last):
        for b in range(number(a, BLOCKS)):
            word = _word(n * number(a, SIZE) + 16 * b, step, op_id, seed)
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                y = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    _drop(x + p, y + p, word, limit, scale)


@kernel
def gaussian_noise_kernel(a, first, last):
    """One pixel at a time, a counter for each lane. Operands x, y; see the numbers above, of which LIMIT says whether the noise
    is multiplied and SCALE is its standard deviation."""
    multiplied, scale = number(a, LIMIT) == 1, splat(np.float32(real(a, SCALE)))
    seed, step = load_i64(number(a, SCALARS) + SEED), splat_u32(np.uint32(load_i64(number(a, SCALARS) + STEP)))
    op_id, two, one = splat_u32(np.uint32(number(a, OP_ID))), splat_u32(np.uint32(2)), splat_u32(np.uint32(1))
    for n in range(first, last):
        for b in range(number(a, BLOCKS)):
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                y = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                element = n * number(a, SIZE) + i * a[WIDTH] * number(a, PIXEL_STEP) + 16 * b
                for p in range(a[WIDTH]):
                    c0, c1, c2, c3, which = _words(element + p * number(a, PIXEL_STEP), step, op_id, seed)
                    pair = which >= two
                    z = scale * normal(select_u32(pair, c2, c0), select_u32(pair, c3, c1), (which & one) == one)
                    value = load_f32x16(x + 64 * p)
                    store_f32x16(y + 64 * p, fma(value, z, value) if multiplied else value + z)

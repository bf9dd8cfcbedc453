"""Augmentation on the CPU.

    random_affine random_uniform random_box   a few hundred integer operations a sample
    affine_sample                             pixel by pixel of y, sixteen channels at a time
    adjust erase                              pixel by pixel

What is decided is decided by geometry.py, and where a pixel of y lies in x is a matter of int64 numbers.
"""

from typing import Any

import numpy as np

from ..api import FILL_MODES, TRANSFORMS, Scalars
from ..host.functions import inlined
from ..host.runner import kernel
from ..host.walk import (
    BLOCK,
    CHANNELS,
    HEIGHT,
    LINES,
    PIXELS,
    ROWS,
    WIDTH,
    line_address,
    number,
    present,
    real,
    row,
    sample_address,
    stride,
    walk,
)
from ..random.cpu import philox
from ..simd import (
    fma,
    lane_numbers,
    lane_u32,
    load_f32,
    load_f32x16,
    load_i32,
    load_i64,
    maximum,
    minimum,
    remainder,
    select,
    splat,
    splat_u32,
    store_f32,
    store_f32x16,
    store_i32,
    u32_to_f32,
)
from .geometry import box_ranges, fixed_range, functions
from .reference import MIDDLE, SPREAD

SCALARS, SEEDED, SEED, OP_ID, OWN = range(5)
"""Numbers of every kernel that draws: address of the scalars; whether SEED is the seed; op_id; its own numbers from OWN on."""
SEED_AT, STEP_AT = 8 * Scalars.SEED, 8 * Scalars.STEP
random_number, drawn, composed, rectangle = functions(inlined)
CONSTANT, _, REFLECT, WRAP = range(len(FILL_MODES))


def _stream(at: Any, scalars: Any, op_id: int, seed: int | None) -> tuple[int, ...]:
    return at(scalars), int(seed is not None), seed or 0, op_id


@inlined
def _draw(a, counter, high):
    """Philox of the counters (counter, high) of the op's stream."""
    scalars = number(a, SCALARS)
    seed = number(a, SEED) if number(a, SEEDED) else load_i64(scalars + SEED_AT)
    step = splat_u32(np.uint32(load_i64(scalars + STEP_AT)))
    return philox(counter, splat_u32(np.uint32(high)), step, splat_u32(np.uint32(number(a, OP_ID))), seed)


@inlined
def _draws(a, n, part):
    """Four random whole numbers in [0, 2^24): the first ones of sample n, or, as part 1, the next."""
    c0, c1, c2, c3 = _draw(a, splat_u32(np.uint32(2 * n + part)), 0)
    return (
        np.int64(lane_u32(c0, 0)) >> 8, np.int64(lane_u32(c1, 0)) >> 8,
        np.int64(lane_u32(c2, 0)) >> 8, np.int64(lane_u32(c3, 0)) >> 8,
    )  # fmt: skip


# ------ what is drawn by sample


def random_affine(
    plan: Any, scalars: Any, before: Any, y: Any, *, transform: str, low: tuple[float, ...], high: tuple[float, ...],
    op_id: int, seed: int | None,
) -> None:
    """y[n] = before[n], then a random map."""
    own = (TRANSFORMS.index(transform), *fixed_range(transform, low, high), int(len(low) == 1))
    plan.launch(
        random_affine_kernel,
        lambda at: walk(at, (y, before), (*_stream(at, scalars, op_id, seed), *own)),
        reads=[scalars, before], writes=[y],
    )  # fmt: skip


@inlined
def _six(where):
    """The map at an address."""
    return (
        np.int64(load_i32(where)), np.int64(load_i32(where + 4)), np.int64(load_i32(where + 8)),
        np.int64(load_i32(where + 12)), np.int64(load_i32(where + 16)), np.int64(load_i32(where + 20)),
    )  # fmt: skip


@kernel
def random_affine_kernel(a, first, last):
    """y[n] = before[n], then a random map. Operands y, before; own numbers: kind, twice low and span, whether both are one."""
    kind = number(a, OWN)
    for n in range(first, last):
        u, v, _, _ = _draws(a, n, 0)
        rows = random_number(kind, number(a, OWN + 1), number(a, OWN + 2), u)
        columns = random_number(kind, number(a, OWN + 3), number(a, OWN + 4), u if number(a, OWN + 5) else v)
        entries = drawn(kind, rows, columns)
        if present(a, 1):
            entries = composed(_six(sample_address(a, 1, n)), entries)
        y = sample_address(a, 0, n)
        for k in range(6):
            store_i32(y + 4 * k, np.int32(entries[k]))


def random_uniform(plan: Any, scalars: Any, y: Any, *, low: float, high: float, op_id: int, seed: int | None) -> None:
    """y[n] in [low, high)."""
    plan.launch(
        random_uniform_kernel,
        lambda at: walk(at, (y,), (*_stream(at, scalars, op_id, seed), float(low), float(high - low))),
        reads=[scalars], writes=[y],
    )  # fmt: skip


@kernel
def random_uniform_kernel(a, first, last):
    """y[n] = low + span * u. Operand y; own numbers low and span."""
    for n in range(first, last):
        u = np.float64(_draws(a, n, 0)[0]) * 2.0**-24
        store_f32(sample_address(a, 0, n), np.float32(real(a, OWN) + real(a, OWN + 1) * u))


def random_box(
    plan: Any, scalars: Any, y: Any, *, size: tuple[int, int], scale: tuple[float, float], probability: tuple[float, float],
    op_id: int, seed: int | None,
) -> None:
    """y[n] = a random rectangle."""
    own = (*size, *box_ranges(scale, probability))
    plan.launch(
        random_box_kernel,
        lambda at: walk(at, (y,), (*_stream(at, scalars, op_id, seed), *own)),
        reads=[scalars], writes=[y],
    )  # fmt: skip


@kernel
def random_box_kernel(a, first, last):
    """y[n] = (top, bottom, left, right). Operand y; own numbers height, width and those of box_ranges."""
    for n in range(first, last):
        u0, u1, u2, u3 = _draws(a, n, 0)
        u4, u5, _, _ = _draws(a, n, 1)
        sides = rectangle(
            number(a, OWN), number(a, OWN + 1), number(a, OWN + 2), number(a, OWN + 3), number(a, OWN + 4), number(a, OWN + 5),
            u0, u1, u2, u3, u4, u5,
        )  # fmt: skip
        y = sample_address(a, 0, n)
        for k in range(4):
            store_i32(y + 4 * k, np.int32(sides[k]))


# ------ pictures through maps

BLOCKS, MODE, FILL = range(3)
"""Numbers of affine_sample: blocks of channels; fill mode; fill value."""


def affine_sample(
    plan: Any, x: Any, maps: Any, y: Any, *, interpolation: str, fill_mode: str, fill_value: float
) -> None:
    """y[n] = x[n] seen through maps[n]."""

    def arguments(at: Any) -> list[int]:
        numbers = (at.layout(x).blocks, FILL_MODES.index(fill_mode), float(fill_value))
        return walk(at, (y, x), numbers, others=(maps,), join=False)

    chosen = nearest_kernel if interpolation == "nearest" else bilinear_kernel
    plan.launch(chosen, arguments, reads=[x, maps], writes=[y])


@inlined
def _within(i, extent, mode):
    """The pixel of an axis that stands for pixel i."""
    if i >= 0 and i < extent:
        return i
    if mode == REFLECT:
        # What lies before the first pixel is its own mirror image: pixel -1 - i is pixel i.
        j = remainder(i if i >= 0 else -1 - i, 2 * extent)
        return min(j, 2 * extent - 1 - j)
    if mode == WRAP:
        return remainder(i, extent) if i >= 0 else extent - 1 - remainder(-1 - i, extent)
    return max(0, min(i, extent - 1))


@inlined
def _share(i, extent, mode, weight):
    """The weight of pixel i: none where what lies outside is constant."""
    return np.float32(0) if mode == CONSTANT and (i < 0 or i >= extent) else weight


@inlined
def _line(a, entries, h):
    """Where line h of y begins in x, and the steps from pixel to pixel: rows, columns, in units of 2^-25 pixels."""
    a_, b, s, c, d, t = entries
    v, left = 2 * h + 1 - a[HEIGHT], 1 - a[WIDTH]
    rows = a_ * v + b * left + (s << 8) + ((stride(a, 1, LINES) - 1) << 24)
    columns = c * v + d * left + (t << 8) + ((stride(a, 1, PIXELS) - 1) << 24)
    return rows, columns, 2 * b, 2 * d


@kernel
def nearest_kernel(a, first, last):
    """y[n, h, w] = the pixel of x[n] nearest to its place. Operands y, x, maps."""
    mode, height, width = number(a, MODE), stride(a, 1, LINES), stride(a, 1, PIXELS)
    fill, half = splat(np.float32(real(a, FILL))), 1 << 24
    for n in range(first, last):
        entries = _six(sample_address(a, 2, n))
        for h in range(a[HEIGHT]):
            rows, columns, down, right = _line(a, entries, h)
            for w in range(a[WIDTH]):
                i, j = (rows + w * down + half) >> 25, (columns + w * right + half) >> 25
                outside = mode == CONSTANT and (i < 0 or i >= height or j < 0 or j >= width)
                x = line_address(a, 1, n, 0, 0, _within(i, height, mode)) + 64 * _within(j, width, mode)
                y = line_address(a, 0, n, 0, 0, h) + 64 * w
                for b in range(number(a, BLOCKS)):
                    value = fill if outside else load_f32x16(x + b * stride(a, 1, BLOCK))
                    store_f32x16(y + b * stride(a, 0, BLOCK), value)


@kernel
def bilinear_kernel(a, first, last):
    """y[n, h, w] = the four pixels of x[n] around its place, weighted. Operands y, x, maps.

    Pixels outside of a constant border have weight 0, and what is missing to 1 is the fill value's.
    """
    mode, height, width = number(a, MODE), stride(a, 1, LINES), stride(a, 1, PIXELS)
    fill, fraction = np.float32(real(a, FILL)), (1 << 24) - 1
    for n in range(first, last):
        entries = _six(sample_address(a, 2, n))
        for h in range(a[HEIGHT]):
            rows, columns, down, right = _line(a, entries, h)
            for w in range(a[WIDTH]):
                i, j = rows + w * down, columns + w * right
                share_i = np.float32((i >> 1) & fraction) * np.float32(2.0**-24)
                share_j = np.float32((j >> 1) & fraction) * np.float32(2.0**-24)
                i, j = i >> 25, j >> 25
                top, bottom = _share(i, height, mode, np.float32(1) - share_i), _share(i + 1, height, mode, share_i)
                left, right_ = _share(j, width, mode, np.float32(1) - share_j), _share(j + 1, width, mode, share_j)
                rest = splat((np.float32(1) - (top + bottom) * (left + right_)) * fill)
                x0 = line_address(a, 1, n, 0, 0, _within(i, height, mode))
                x1 = line_address(a, 1, n, 0, 0, _within(i + 1, height, mode))
                j0, j1 = 64 * _within(j, width, mode), 64 * _within(j + 1, width, mode)
                w00, w01, w10, w11 = splat(top * left), splat(top * right_), splat(bottom * left), splat(bottom * right_)
                y = line_address(a, 0, n, 0, 0, h) + 64 * w
                for b in range(number(a, BLOCKS)):
                    block = b * stride(a, 1, BLOCK)
                    total = fma(w00, load_f32x16(x0 + j0 + block), rest)
                    total = fma(w01, load_f32x16(x0 + j1 + block), total)
                    total = fma(w10, load_f32x16(x1 + j0 + block), total)
                    total = fma(w11, load_f32x16(x1 + j1 + block), total)
                    store_f32x16(y + b * stride(a, 0, BLOCK), total)


# ------ brightness, contrast, rectangles


def adjust(plan: Any, x: Any, centre: Any, amounts: Any, y: Any, *, low: float, high: float) -> None:
    """y = x brighter, or with more contrast."""

    def arguments(at: Any) -> list[int]:
        return walk(at, (y, x), (at.layout(x).blocks, float(low), float(high)), others=(amounts, centre), blocks=1)

    plan.launch(adjust_kernel, arguments, reads=[x, centre, amounts], writes=[y])


@kernel
def adjust_kernel(a, first, last):
    """y = (x - centre) * amount + centre, or x + amount, in [low, high]. Operands y, x, amounts, centre.

    Numbers: blocks, low, high. Without a centre, that is (x - 0) * 1 + amount."""
    low, high = splat(np.float32(real(a, 1))), splat(np.float32(real(a, 2)))
    for n in range(first, last):
        amount = splat(load_f32(sample_address(a, 2, n)))
        for b in range(number(a, BLOCKS)):
            centre, factor, shift = splat(np.float32(0)), splat(np.float32(1)), amount
            if present(a, 3):
                centre = load_f32x16(sample_address(a, 3, n) + b * stride(a, 3, BLOCK))
                factor, shift = amount, centre
            for i in range(a[ROWS]):
                x, y = row(a, 1, n, i) + b * stride(a, 1, BLOCK), row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                for w in range(a[WIDTH]):
                    value = (load_f32x16(x + 64 * w) - centre) * factor + shift
                    store_f32x16(y + 64 * w, minimum(maximum(value, low), high))


NOISY, LOWEST, HIGHEST, FILLS = range(OWN + 1, OWN + 5)
"""Numbers of erase from OWN on: blocks; whether the fill is noise; what it is limited to; the fill of four channels."""


def erase(
    plan: Any, x: Any, boxes: Any, scalars: Any, y: Any, *, fill: tuple[float, ...] | None, low: float, high: float,
    op_id: int, seed: int | None,
) -> None:
    """y = x with a rectangle filled."""
    fills = [float(value) for value in fill or (0.0,)]
    fills += fills[-1:] * (4 - len(fills))

    def arguments(at: Any) -> list[int]:
        own = (at.layout(x).blocks, int(fill is None), float(low), float(high), *fills)
        return walk(at, (y, x), (*_stream(at, scalars, op_id, seed), *own), others=(boxes,), join=False)

    plan.launch(erase_kernel, arguments, reads=[x, boxes, scalars], writes=[y])


@inlined
def _bytes(word):
    """The sum of the four bytes of each word, in two halves of it."""
    even = splat_u32(np.uint32(0x00FF00FF))
    return (word & even) + ((word >> splat_u32(np.uint32(8))) & even)


@inlined
def _noise(a, element):
    """Sums of sixteen random bytes, shifted to mean 0 and scaled to the deviation HIGHEST, for sixteen elements."""
    c0, c1, c2, c3 = _draw(a, lane_numbers(np.uint32(element)), 1)
    halves = _bytes(c0) + _bytes(c1) + _bytes(c2) + _bytes(c3)
    total = (halves & splat_u32(np.uint32(0xFFFF))) + (halves >> splat_u32(np.uint32(16)))
    return (u32_to_f32(total) - splat(np.float32(MIDDLE))) * splat(np.float32(real(a, HIGHEST) / SPREAD))


@inlined
def _constant(a):
    """The fill by channel: lane c has that of channel c, lanes 3 and up the last one."""
    lanes, value = lane_numbers(np.uint32(0)), splat(np.float32(real(a, FILLS + 3)))
    value = select(lanes < splat_u32(np.uint32(3)), splat(np.float32(real(a, FILLS + 2))), value)
    value = select(lanes < splat_u32(np.uint32(2)), splat(np.float32(real(a, FILLS + 1))), value)
    return select(lanes < splat_u32(np.uint32(1)), splat(np.float32(real(a, FILLS))), value)


@kernel
def erase_kernel(a, first, last):
    """y = x, in the rectangle the fill or noise, in [low, high]. Operands y, x, boxes. Noise is drawn only where it shows."""
    low, high = splat(np.float32(real(a, LOWEST))), splat(np.float32(real(a, HIGHEST)))
    noisy, constant, channels = number(a, NOISY), _constant(a), stride(a, 0, CHANNELS)
    for n in range(first, last):
        box = sample_address(a, 2, n)
        top, bottom, left, right = load_i32(box), load_i32(box + 4), load_i32(box + 8), load_i32(box + 12)
        for b in range(number(a, OWN)):
            for h in range(a[HEIGHT]):
                x, y = line_address(a, 1, n, b, 0, h), line_address(a, 0, n, b, 0, h)
                for w in range(a[WIDTH]):
                    value = load_f32x16(x + 64 * w)
                    if top <= h and h < bottom and left <= w and w < right:
                        value = constant
                        if noisy:
                            value = _noise(a, ((n * a[HEIGHT] + h) * a[WIDTH] + w) * channels + 16 * b)
                        value = minimum(maximum(value, low), high)
                    store_f32x16(y + 64 * w, value)

"""Data in and out of the blocks of the CPU.

    gather   rows of a host array of any dtype, converted and scaled in float64, to float32, int32 or uint8
    export   a batch tensor to a host array
"""

from typing import Any

import numpy as np

from ..host.functions import inlined
from ..host.runner import kernel
from ..host.walk import BLOCK, CHANNELS, ROWS, WIDTH, number, real, row, stride, walk
from ..simd import (
    f32_to_f64,
    f64_to_f32,
    f64_to_i32,
    i32_to_f64,
    i64_to_f64,
    insert,
    load_f32,
    load_f32x16,
    load_f64,
    load_f64x16,
    load_i32,
    load_i64,
    load_i64x16,
    load_u8,
    load_u8x16,
    load_u32x16,
    quotient,
    splat_f64,
    store_f32x16,
    store_first,
    store_u8,
    store_u8x16,
    store_u32x16,
    u8_to_u32,
    u32_to_u8,
)

DTYPES = ("uint8", "int32", "int64", "float32", "float64")
UINT8, INT32, INT64, FLOAT32, FLOAT64 = range(len(DTYPES))
CELL, INDEX, ENTRY, TYPE, TARGET, SIZE, BLOCKS, SCALE, OFFSET = range(9)
"""Numbers of gather: cells of source and index; bytes of an entry; its dtype; y's dtype; elements of a sample; blocks; scale;
offset."""


def gather(plan: Any, source: Any, index: Any, y: Any, *, scale: float = 1.0, offset: float = 0.0) -> None:
    """y[n] = scale * source[index[n]] + offset."""
    dtype = DTYPES.index(source.dtype.name)

    def arguments(at: Any) -> list[int]:
        layout = at.layout(y)
        size, target = layout.pixels * layout.channels, DTYPES.index(y.dtype.name)
        numbers = (at(source), at(index), source.dtype.itemsize, dtype, target, size, 0 if layout.packed else layout.blocks)
        return walk(at, (y,), (*numbers, float(scale), float(offset)), blocks=1)

    plan.launch(gather_kernel, arguments, reads=[source, index], writes=[y], packed=[y])


def export(plan: Any, x: Any, destination: Any) -> None:
    """destination[n] = x[n]."""

    def arguments(at: Any) -> list[int]:
        layout = at.layout(x)
        numbers = (at(destination), layout.pixels * layout.channels, layout.blocks, layout.itemsize)
        return walk(at, (x,), numbers, blocks=1)

    plan.launch(export_kernel, arguments, reads=[x], writes=[destination])


@inlined
def _load16(where, dtype):
    """Sixteen entries of the source as float64."""
    if dtype == UINT8:
        return i32_to_f64(u8_to_u32(load_u8x16(where)))
    if dtype == INT32:
        return i32_to_f64(load_u32x16(where))
    if dtype == INT64:
        return i64_to_f64(load_i64x16(where))
    if dtype == FLOAT32:
        return f32_to_f64(load_f32x16(where))
    return load_f64x16(where)


@inlined
def _load1(where, dtype):
    """One entry of the source as float64."""
    if dtype == UINT8:
        return np.float64(load_u8(where))
    if dtype == INT32:
        return np.float64(load_i32(where))
    if dtype == INT64:
        return np.float64(load_i64(where))
    if dtype == FLOAT32:
        return np.float64(load_f32(where))
    return load_f64(where)


@inlined
def _store16(where, value, dtype):
    """Sixteen elements of y."""
    if dtype == FLOAT32:
        store_f32x16(where, f64_to_f32(value))
    elif dtype == INT32:
        store_u32x16(where, f64_to_i32(value))
    else:
        store_u8x16(where, u32_to_u8(f64_to_i32(value)))


@kernel
def gather_kernel(a, first, last):
    """y[n] = scale * source[index[n]] + offset, in float64, as y's dtype. Operand y; see the numbers above.

    A pixel's sixteen lanes are read at once, its own channels and the next pixels' after them; the last pixels of a
    sample, where that would leave it, are read channel by channel into a vector. Where y is packed, BLOCKS is 0 and rows are
    copied, the ends of rows element by element.
    """
    entry, dtype, target, width = number(a, ENTRY), number(a, TYPE), number(a, TARGET), a[WIDTH]
    step, pixel = entry * stride(a, 0, CHANNELS), 16 if target == UINT8 else 64
    scale, offset = splat_f64(real(a, SCALE)), splat_f64(real(a, OFFSET))
    for n in range(first, last):
        source = load_i64(number(a, CELL)) + load_i64(load_i64(number(a, INDEX)) + 8 * n) * number(a, SIZE) * entry
        end = source + number(a, SIZE) * entry
        for i in range(a[ROWS]):
            if number(a, BLOCKS) == 0:
                x, y, size = source + i * width * step, row(a, 0, n, i), width * stride(a, 0, CHANNELS)
                for e in range(0, size - 15, 16):
                    store_f32x16(y + 4 * e, f64_to_f32(_load16(x + e * entry, dtype) * scale + offset))
                for e in range(size & ~15, size):
                    value = f64_to_f32(splat_f64(_load1(x + e * entry, dtype)) * scale + offset)
                    store_first(y + 4 * e, 1, value)
            for b in range(number(a, BLOCKS)):
                x, y = source + i * width * step + 16 * b * entry, row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                whole = min(width, quotient(max(0, end - 16 * entry - x + step), step))
                for p in range(whole):
                    _store16(y + p * pixel, _load16(x + p * step, dtype) * scale + offset, target)
                for p in range(whole, width):
                    value = splat_f64(0.0)
                    for c in range(min(16, quotient(end - x - p * step, entry))):
                        value = insert(value, c, _load1(x + p * step + c * entry, dtype))
                    _store16(y + p * pixel, value * scale + offset, target)


@kernel
def export_kernel(a, first, last):
    """destination[n] = x[n] for entries of one or four bytes. Operand x; numbers cell of destination, elements of a sample,
    blocks, bytes of an entry."""
    size, blocks, entry, width = number(a, 1), number(a, 2), number(a, 3), a[WIDTH]
    channels, block = stride(a, 0, CHANNELS), stride(a, 0, BLOCK)
    for n in range(first, last):
        destination = load_i64(number(a, 0)) + n * size * entry
        for i in range(a[ROWS]):
            x = row(a, 0, n, i)
            for p in range(width):
                for b in range(blocks):
                    count, where = min(16, channels - 16 * b), x + 16 * p * entry + b * block
                    start = destination + ((i * width + p) * channels + 16 * b) * entry
                    if entry == 4:
                        store_first(start, count, load_f32x16(where))
                    else:
                        for c in range(count):
                            store_u8(start + c, load_u8(where + c))

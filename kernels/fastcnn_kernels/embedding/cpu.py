"""Rows of a table by number, on the CPU.

    embedding_forward    a row of w copied for each number
    embedding_backward   dw, rows first .. last - 1: one pass over all numbers, each adding its dy to its row
"""

from typing import Any

import numpy as np

from ..host.functions import inlined
from ..host.layout import blocks_of
from ..host.runner import kernel
from ..host.walk import BLOCK, ROWS, WIDTH, element, number, row, stride, walk
from ..simd import load_f32, load_f32x16, splat, store_f32x16

BLOCKS, COUNT, TABLE, SAMPLES = range(4)
"""Numbers: blocks of a row of the table; its rows; its address; samples."""


def embedding_forward(plan: Any, x: Any, w: Any, y: Any) -> None:
    """y = w[x]."""
    plan.launch(embedding_forward_kernel, lambda at: _arguments(at, x, w, y), reads=[x, w], writes=[y])


def embedding_backward(plan: Any, x: Any, dy: Any, dw: Any) -> None:
    """dw[v] = sum of dy where x is v."""
    plan.launch(
        embedding_backward_kernel, lambda at: _arguments(at, x, dw, dy), reads=[x, dy], writes=[dw], outputs=dw.shape[0]
    )


def _arguments(at: Any, x: Any, table: Any, y: Any) -> list[int]:
    numbers = (blocks_of(table.shape[-1]), table.shape[0], at(table), at.batch_size)
    return walk(at, (y,), numbers, others=(x,), blocks=1)


@inlined
def _index(a, n, t):
    """Number t of sample n, -1 where the table has no such row."""
    value = load_f32(element(a, 1, n, t))
    if value >= np.float32(0) and value < np.float32(number(a, COUNT)):
        return np.int64(value)
    return np.int64(-1)


@kernel
def embedding_forward_kernel(a, first, last):
    """y[n, t] = w[x[n, t]], NaN where there is no such row. Operands y, x; see the numbers above."""
    blocks = number(a, BLOCKS)
    for n in range(first, last):
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                v, y = _index(a, n, i * a[WIDTH] + p), row(a, 0, n, i) + 64 * p
                for b in range(blocks):
                    value = splat(np.float32(np.nan))
                    if v >= 0:
                        value = load_f32x16(number(a, TABLE) + 64 * (v * blocks + b))
                    store_f32x16(y + b * stride(a, 0, BLOCK), value)


@kernel
def embedding_backward_kernel(a, first, last):
    """dw[v] = sum over n, t, in order, of dy[n, t] where x[n, t] = v, for rows first .. last - 1. Operands dy, x; see the
    numbers above. Every range of rows reads all of x, and the dy of its own numbers."""
    blocks, table = number(a, BLOCKS), number(a, TABLE)
    for p in range(64 * blocks * first, 64 * blocks * last, 64):
        store_f32x16(table + p, splat(np.float32(0)))
    for n in range(number(a, SAMPLES)):
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                v, dy = _index(a, n, i * a[WIDTH] + p), row(a, 0, n, i) + 64 * p
                if v >= first and v < last:
                    for b in range(blocks):
                        place = table + 64 * (v * blocks + b)
                        store_f32x16(place, load_f32x16(place) + load_f32x16(dy + b * stride(a, 0, BLOCK)))

"""What many threads have found becomes one number, always in the same order.

    lanes_for              how many threads share a row of some length
    rows_grid              blocks for so many rows
    row_of                 which row a thread works on, and where
    total_of, largest_of   the sum, or the largest, of what the lanes of a row have, for every one of them
    sum_rows               y[r] = scale * sum of row r: its launch and its kernel

A row's lanes are neighbouring threads: a power of two up to a warp, or the whole block for long rows. Row r of x is
x[r*length : (r+1)*length].
"""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..ptx import inlined
from .kernel import CudaKernel, kernel
from .tiles import ceil_div

THREADS, WARP = 256, 32
WARPS = THREADS // WARP
LONG = 2048
"""Rows of more elements get a whole block."""


def lanes_for(length: int) -> int:
    """Threads that share a row: two or more, as many as have something to do up to a warp, or a block for a long row."""
    return THREADS if length > LONG else min(WARP, max(2, 1 << (length - 1).bit_length()))


def rows_grid(rows: int, lanes: int) -> int:
    """Blocks of THREADS threads for so many rows."""
    return ceil_div(rows, THREADS // lanes)


@cache
def row_of(lanes: int) -> Any:
    """row_of(rows, length) -> (row, i, end): the elements of the thread's row are i, i + lanes, ... < end, none if there is no
    such row. Every thread of a block must go on to the functions below."""

    shift, mask = lanes.bit_length() - 1, lanes - 1

    def row_of(rows, length):
        thread = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        row = uint32(thread >> shift)
        first = uint32(row * length)
        end = uint32(first + length) if row < rows else uint32(0)
        return row, uint32(first + (thread & mask)), end

    return inlined(row_of)


def _add(a, b):
    return a + b


def _larger(a, b):
    return b if b > a else a


def total_of(lanes: int) -> Any:
    """total(value): the sum of the lanes' values. Once in a kernel at each place, reached by every thread."""
    return _reduction(lanes, _add)


def largest_of(lanes: int) -> Any:
    """largest(value): the largest of the lanes' values; NaN may be ignored."""
    return _reduction(lanes, _larger)


@cache
def _reduction(lanes: int, function: Any) -> Any:
    combine, within = inlined(function), min(lanes, WARP)

    def across_warp(value):
        distance = within // 2
        while distance > 0:
            value = combine(value, cuda.shfl_xor_sync(0xFFFFFFFF, value, distance))
            distance //= 2
        return value

    across = inlined(across_warp)

    def across_block(value):
        found, thread = cuda.shared.array(WARPS, float32), uint32(cuda.threadIdx.x)
        value = across(value)
        if thread % uint32(WARP) == 0:
            found[thread // uint32(WARP)] = value
        cuda.syncthreads()
        value = found[0]
        for warp in range(1, WARPS):
            value = combine(value, found[warp])
        return value

    return inlined(across_block) if lanes > WARP else across


def sum_rows(plan: Any, x: Any, y: Any, *, scale: float = 1.0) -> None:
    """y[r] = scale * sum of row r of x, whose elements are shared out evenly among the elements of y."""
    rows = y.size
    lanes = lanes_for(x.size // rows)
    plan.launch(sum_rows_kernel(lanes), rows_grid(rows, lanes), (x, y, rows, x.size // rows, scale), writes=(y,))


@cache
def sum_rows_kernel(lanes: int) -> CudaKernel:
    """The kernel for rows that `lanes` threads share."""
    place, total_across, mask = row_of(lanes), total_of(lanes), lanes - 1

    @kernel("f32*, f32*, u32, u32, f32", threads=THREADS, registers=32, variant=str(lanes))
    def sum_rows(x, y, rows, length, scale):
        """y[r] = scale * sum of x[r, :], r < rows. Lanes take every lanes-th element; reads 4 bytes an element, coalesced."""
        row, i, end = place(rows, length)
        total = float32(0)
        while i < end:
            total += x[i]
            i = uint32(i + lanes)
        total = total_across(total)
        if row < rows and cuda.threadIdx.x & mask == 0:
            y[row] = scale * total

    return sum_rows

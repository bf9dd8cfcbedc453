"""Reshape, concatenation and the mean of a sample on the GPU. In C order each of the first two copies runs of rows.

    reshape                 a view, or one row; reshape_parameters the same
    concatenate_forward     a launch an input: its runs go to every row of y
    concatenate_backward    a run of every row of dy
    mean_forward, mean_backward
"""

from functools import cache
from math import prod
from typing import Any

from numba import cuda
from numba.cuda import types
from numba.cuda.types import uint32

from ..device.kernel import CudaKernel, kernel
from ..device.reduction import sum_rows
from ..device.tiles import ceil_div, elementwise_grid
from ..device.works import View
from ..ptx import load_quad, store_quad

THREADS = 256


def reshape(plan: Any, x: Any, y: Any) -> None:
    """y = x's elements in C order, in y's shape."""
    plan.add(View(x, y, lambda plan, x, y: _copy(plan, x, y, rows=1, width=x.size)))


def reshape_parameters(plan: Any, x: Any, y: Any) -> None:
    """The same for parameters."""
    reshape(plan, x, y)


def concatenate_forward(plan: Any, xs: Any, y: Any, *, axis: int) -> None:
    """y = xs joined along `axis`."""
    start, rows, pitch = 0, prod(y.shape[:axis]), prod(y.shape[axis:])
    for x in xs:
        width = prod(x.shape[axis:])
        _copy(plan, x, y, rows=rows, width=width, target=(pitch, start))
        start += width


def concatenate_backward(plan: Any, dy: Any, dx: Any, *, axis: int, start: int) -> None:
    """dx = the part of dy that begins at `start` along `axis`."""
    source = prod(dy.shape[axis:]), start * prod(dy.shape[axis + 1 :])
    _copy(plan, dy, dx, rows=prod(dy.shape[:axis]), width=prod(dx.shape[axis:]), source=source)


def mean_forward(plan: Any, x: Any, y: Any) -> None:
    """y[n] = mean of x[n]."""
    sum_rows(plan, x, y, scale=y.size / x.size)


def mean_backward(plan: Any, dy: Any, dx: Any) -> None:
    """dx[n, ...] = dy[n] / elements of dx[n]."""
    size = dx.size // dy.size
    plan.launch(mean_backward_kernel(), elementwise_grid(dx.size, THREADS), (dy, dx, size, 1 / size, dx.size), writes=(dx,))


def _copy(
    plan: Any, x: Any, y: Any, *, rows: int, width: int, source: tuple[int, int] | None = None,
    target: tuple[int, int] | None = None,
) -> None:
    """Copy `rows` runs of `width` elements; source and target are (elements from row to row, first element)."""
    source, target = source or (width, 0), target or (width, 0)
    words = f"u{8 * x.dtype.itemsize}"
    # A single run may end with fewer than four elements, one of many may not.
    wide = words != "u64" and (rows == 1 or width % 4 == 0) and not any(n % 4 for n in (source[1], target[1])) and (
        rows == 1 or not any(n % 4 for n in (source[0], target[0]))
    )
    groups = ceil_div(width, 4 if wide else 1)
    arguments = (x, y, rows, groups, width, *source, *target)
    plan.launch(copy_kernel(words, wide), elementwise_grid(rows * groups, THREADS), arguments, writes=(y,))


@cache
def copy_kernel(words: str, wide: bool) -> CudaKernel:
    """The kernel for elements of a size, `wide` where they are copied by fours."""
    own, variant = getattr(types, words.replace("u", "uint")), ",".join([words, *["wide"] * wide])

    @kernel(f"{words}*, {words}*" + ", u32" * 7, threads=THREADS, registers=40, variant=variant)
    def copy(x, y, rows, groups, width, x_pitch, x_first, y_pitch, y_first):
        """y[r*y_pitch + y_first + j] = x[r*x_pitch + x_first + j], r < rows, j < width; groups = number of fours, or of ones,
        in a row. Reads and writes each element once, coalesced within rows."""
        value = cuda.local.array(4, own)
        i = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        while i < rows * groups:
            row = uint32(i // groups)
            j = uint32(i - row * groups)
            here, there = uint32(row * x_pitch + x_first), uint32(row * y_pitch + y_first)
            if wide:
                load_quad(value, x, uint32(here + 4 * j), uint32(here + width))
                store_quad(y, uint32(there + 4 * j), uint32(there + width), value)
            else:
                y[uint32(there + j)] = x[uint32(here + j)]
            i = uint32(i + THREADS * cuda.gridDim.x)

    return copy


@cache
def mean_backward_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, u32, f32, u32", threads=THREADS, registers=32)
    def mean_backward(dy, dx, size, share, n):
        """dx[i] = share * dy[i // size], i < n. Writes 4 bytes an element."""
        i = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        while i < n:
            dx[i] = share * dy[uint32(i // size)]
            i = uint32(i + THREADS * cuda.gridDim.x)

    return mean_backward

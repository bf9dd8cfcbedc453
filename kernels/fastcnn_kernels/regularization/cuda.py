"""Penalties on weights, and the sets that weights are kept in, on the GPU.

    penalty            sums a block, then one block that adds them in order
    penalty_gradient   elementwise, four weights a thread
    constrain          elementwise, or a block a norm
"""

import math
from functools import cache
from math import prod
from typing import Any

from numba import cuda
from numba.cuda.types import float32, float64, uint32

from ..api import Scalars
from ..device.kernel import CudaKernel, kernel
from ..device.reduction import total_of
from ..device.tiles import quad_grid
from ..ptx import load_quad, store_quad

THREADS, PARTS = 256, 256
"""Threads of a block; blocks that add up one tensor at most."""
EPSILON, NONFINITE = 1e-7, Scalars.NONFINITE
REASON = "totals are float64: one thread adds one number to each"


def penalty(plan: Any, w: Any, accumulator: Any, *, l1: float, l2: float) -> None:
    """Accumulate batch size * penalty, and the batch size."""
    blocks = min(PARTS, quad_grid(w.size, THREADS))
    sums = plan.scratch("penalties", (blocks,))
    plan.launch(penalty_sums_kernel(), blocks, (w, sums, l1, l2, w.size), writes=(sums,))
    plan.launch(penalty_kernel(), 1, (sums, accumulator, plan.batch_size, blocks), writes=(accumulator,))


def penalty_gradient(plan: Any, w: Any, dw: Any, y: Any, *, l1: float, l2: float) -> None:
    """y = dw + l1 * sign(w) + 2 * l2 * w."""
    grid = quad_grid(w.size, THREADS)
    plan.launch(penalty_gradient_kernel(), grid, (w, dw, y, l1, 2 * l2, w.size), writes=(y,))


def constrain(plan: Any, w: Any, scalars: Any, *, axes: int, low: float, high: float, rate: float, positive: bool) -> None:
    """Scale w to norms within limits, or cut off what is below 0."""
    if positive:
        plan.launch(positive_kernel(), quad_grid(w.size, THREADS), (w, scalars, w.size), writes=(w,))
        return
    rows, columns = prod(w.shape[:axes]), prod(w.shape[axes:])
    plan.launch(norm_kernel(), columns, (w, scalars, low, min(high, 3e38), rate, 1 - rate, rows, columns), writes=(w,))


@cache
def penalty_sums_kernel() -> CudaKernel:
    """The kernel."""
    total_across = total_of(THREADS)

    @kernel("f32*, f32*, f32, f32, u32", threads=THREADS, registers=40)
    def penalty_sums(w, sums, l1, l2, n):
        """sums[block] = sum of l1 |w| + l2 w^2 over the elements that the block strides over; reads 4 bytes each."""
        value, total = cuda.local.array(4, float32), float32(0)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, w, i, n)
            for k in range(4):
                total += l1 * abs(value[k]) + l2 * value[k] * value[k]
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)
        total = total_across(total)
        if cuda.threadIdx.x == 0:
            sums[uint32(cuda.blockIdx.x)] = total

    return penalty_sums


@cache
def penalty_kernel() -> CudaKernel:
    """The kernel."""
    total_across = total_of(THREADS)

    @kernel("f32*, f64*, u32, u32", threads=THREADS, registers=40, allow_f64=REASON)
    def penalty(sums, accumulator, samples, n):
        """accumulator += (samples * sum of sums[:n], samples); one block."""
        total, i = float32(0), uint32(cuda.threadIdx.x)
        while i < n:
            total += sums[i]
            i = uint32(i + THREADS)
        total = total_across(total)
        if cuda.threadIdx.x == 0:
            accumulator[0] += float64(samples) * float64(total)
            accumulator[1] += float64(samples)

    return penalty


@cache
def penalty_gradient_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, f32*, f32, f32, u32", threads=THREADS, registers=40)
    def penalty_gradient(w, dw, y, l1, twice_l2, n):
        """y = dw + l1 * sign(w) + 2 l2 * w; a thread four elements; 12 bytes each."""
        value, gradient = cuda.local.array(4, float32), cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, w, i, n)
            load_quad(gradient, dw, i, n)
            for k in range(4):
                sign = l1 if value[k] > float32(0) else (-l1 if value[k] < float32(0) else float32(0))
                gradient[k] += sign + twice_l2 * value[k]
            store_quad(y, i, n, gradient)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return penalty_gradient


@cache
def positive_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, u64*, u32", threads=THREADS, registers=32)
    def positive(w, scalars, n):
        """w = max(w, 0); a thread four elements; 8 bytes each. Nothing while NONFINITE is set."""
        value = cuda.local.array(4, float32)
        if scalars[NONFINITE] != 0:
            return
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, w, i, n)
            for k in range(4):
                value[k] = float32(0) if value[k] < float32(0) else value[k]
            store_quad(w, i, n, value)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return positive


@cache
def norm_kernel() -> CudaKernel:
    """The kernel."""
    total_across = total_of(THREADS)

    @kernel("f32*, u64*, f32, f32, f32, f32, u32, u32", threads=THREADS, registers=40)
    def scaled(w, scalars, low, high, rate, rest, rows, columns):
        """w[:, c] *= (rate * clip(norm, low, high) + rest * norm) / (1e-7 + norm), norm that of w[:, c], c the block's number.

        Thread t takes the rows t, t + THREADS, ...; 12 bytes a weight. Nothing while NONFINITE is set.
        """
        if scalars[NONFINITE] != 0:
            return
        total, r, c = float32(0), uint32(cuda.threadIdx.x), uint32(cuda.blockIdx.x)
        while r < rows:
            value = w[uint32(r * columns + c)]
            total += value * value
            r = uint32(r + THREADS)
        norm = math.sqrt(total_across(total))
        scale = (rate * min(max(norm, low), high) + rest * norm) / (float32(EPSILON) + norm)
        r = uint32(cuda.threadIdx.x)
        while r < rows:
            w[uint32(r * columns + c)] *= scale
            r = uint32(r + THREADS)

    return scaled

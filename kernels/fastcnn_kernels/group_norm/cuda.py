"""Normalisation over groups of channels, of a sample or of each pixel, on the GPU: neighbouring threads share a group.

Nothing is kept for the gradient: mean and deviation are worked out again, from numbers that are mostly in cache.
"""

import math
from functools import cache
from typing import Any

from numba.cuda.types import float32, uint32

from ..device.kernel import CudaKernel, kernel
from ..device.reduction import THREADS, lanes_for, row_of, rows_grid, total_of
from ..ptx import inlined


def group_norm_forward(plan: Any, x: Any, y: Any, *, groups: int, by_pixel: bool, epsilon: float) -> None:
    """y = (x - mean) / sqrt(variance + epsilon)."""
    rows, lanes, numbers = _geometry(x, groups, by_pixel)
    plan.launch(group_norm_forward_kernel(lanes), rows_grid(rows, lanes), (x, y, epsilon, *numbers), writes=(y,))


def group_norm_backward(plan: Any, x: Any, dy: Any, dx: Any, *, groups: int, by_pixel: bool, epsilon: float) -> None:
    """dx = (dy - mean dy - y * mean (dy * y)) / sqrt(variance + epsilon)."""
    rows, lanes, numbers = _geometry(x, groups, by_pixel)
    plan.launch(group_norm_backward_kernel(lanes), rows_grid(rows, lanes), (x, dy, dx, epsilon, *numbers), writes=(dx,))


def _geometry(x: Any, groups: int, by_pixel: bool) -> tuple[int, int, tuple[int, ...]]:
    """Rows, each of which is a group of a sample (or pixel), lanes of a row, and the numbers of both kernels."""
    channels = x.shape[-1]
    pixels = 1 if by_pixel else x.size // (x.shape[0] * channels)
    rows = x.size // (pixels * (channels // groups))
    length = x.size // rows
    return rows, lanes_for(length), (rows, length, pixels * channels, groups, channels // groups, channels)


@inlined
def _element(j, row, size, G, S, C):
    """Where number j of a row lies: channel j % S of its group, pixel j // S of its sample."""
    sample, pixel = uint32(row // G), uint32(j // S)
    return uint32(sample * size + pixel * C + uint32(row - sample * G) * S + uint32(j - pixel * S))


@cache
def group_norm_forward_kernel(lanes: int) -> CudaKernel:
    """The kernel for rows that `lanes` threads share."""
    place, total_across = row_of(lanes), total_of(lanes)

    @kernel("f32*, f32*, f32, u32, u32, u32, u32, u32, u32", threads=THREADS, registers=40, variant=str(lanes))
    def group_norm_forward(x, y, epsilon, rows, length, size, G, S, C):
        """y = (x - mean) / sqrt(variance + epsilon) of row r = (sample, group), r < rows, of `length` numbers; a sample has
        `size`, a group S channels. Three reads of x, the last two from cache where a row fits there."""
        row, first, end = place(rows, length)
        start, share = uint32(row * length), float32(1) / float32(length)
        total, i = float32(0), first
        while i < end:
            total += x[_element(uint32(i - start), row, size, G, S, C)]
            i = uint32(i + lanes)
        mean = total_across(total) * share
        square, i = float32(0), first
        while i < end:
            deviation = x[_element(uint32(i - start), row, size, G, S, C)] - mean
            square += deviation * deviation
            i = uint32(i + lanes)
        rstd, i = float32(1) / math.sqrt(total_across(square) * share + epsilon), first
        while i < end:
            place_of_i = _element(uint32(i - start), row, size, G, S, C)
            y[place_of_i] = (x[place_of_i] - mean) * rstd
            i = uint32(i + lanes)

    return group_norm_forward


@cache
def group_norm_backward_kernel(lanes: int) -> CudaKernel:
    """The kernel for rows that `lanes` threads share."""
    place, total_across = row_of(lanes), total_of(lanes)

    @kernel("f32*, f32*, f32*, f32, u32, u32, u32, u32, u32, u32", threads=THREADS, registers=48, variant=str(lanes))
    def group_norm_backward(x, dy, dx, epsilon, rows, length, size, G, S, C):
        """dx = rstd * (dy - mean dy - xhat * mean (dy * xhat)) of row r, numbered as in the forward kernel. Four reads of x,
        two of dy."""
        row, first, end = place(rows, length)
        start, share = uint32(row * length), float32(1) / float32(length)
        total, i = float32(0), first
        while i < end:
            total += x[_element(uint32(i - start), row, size, G, S, C)]
            i = uint32(i + lanes)
        mean = total_across(total) * share
        square, gradient, projected, i = float32(0), float32(0), float32(0), first
        while i < end:
            here = _element(uint32(i - start), row, size, G, S, C)
            deviation = x[here] - mean
            square += deviation * deviation
            gradient += dy[here]
            projected += dy[here] * deviation
            i = uint32(i + lanes)
        rstd = float32(1) / math.sqrt(total_across(square) * share + epsilon)
        of_dy = total_across(gradient) * share
        slope, i = total_across(projected) * share * rstd * rstd, first
        while i < end:
            here = _element(uint32(i - start), row, size, G, S, C)
            dx[here] = rstd * (dy[here] - of_dy - (x[here] - mean) * slope)
            i = uint32(i + lanes)

    return group_norm_backward

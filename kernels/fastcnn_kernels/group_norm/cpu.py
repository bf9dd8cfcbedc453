"""Normalisation over groups of channels, of a sample or of each pixel, on the CPU.

    of a sample     sums by channel, sixteen at a time, in float64; then by group; then y or dx: x is read three times
    of each pixel   the blocks of a pixel hold its channels: sums over them, masked beyond the last channel

Nothing is kept for the gradient: mean and deviation are worked out again, while the sample is in cache.
"""

from typing import Any

import numpy as np

from ..host.functions import inlined
from ..host.layout import blocks_of
from ..host.runner import kernel
from ..host.walk import BLOCK, ROWS, WIDTH, number, real, row, stride, walk
from ..simd import (
    f32_to_f64,
    f64_to_f32,
    first_lanes,
    horizontal_sum,
    load_f32x16,
    load_f64,
    load_f64x16,
    select,
    splat,
    splat_f64,
    sqrt,
    store_f32x16,
    store_f64,
    store_f64x16,
)

BLOCKS, CHANNELS, EPSILON, GROUPS, PIXELS, SUMS, TABLE = range(7)
"""Numbers: blocks and channels of a pixel; epsilon; groups; pixels of a sample; address of the sums, four tables (mean,
variance, mean of dy, mean of dy * xhat) of one float64 a channel; bytes of a table."""


def group_norm_forward(plan: Any, x: Any, y: Any, *, groups: int, by_pixel: bool, epsilon: float) -> None:
    """y = (x - mean) / sqrt(variance + epsilon)."""
    if by_pixel:
        plan.launch(pixel_norm_forward_kernel, lambda at: _of_pixels(at, (x, y), epsilon), reads=[x], writes=[y])
        return
    sums = plan.partial("sums", 2 * 128 * blocks_of(x.shape[-1]))
    plan.launch(
        group_norm_forward_kernel, lambda at: _of_samples(at, (x, y), groups, epsilon, sums), reads=[x], writes=[y, sums]
    )


def group_norm_backward(plan: Any, x: Any, dy: Any, dx: Any, *, groups: int, by_pixel: bool, epsilon: float) -> None:
    """dx = (dy - mean dy - y * mean (dy * y)) / sqrt(variance + epsilon)."""
    operands = (x, dy, dx)
    if by_pixel:
        plan.launch(pixel_norm_backward_kernel, lambda at: _of_pixels(at, operands, epsilon), reads=[x, dy], writes=[dx])
        return
    sums = plan.partial("sums", 4 * 128 * blocks_of(x.shape[-1]))
    plan.launch(
        group_norm_backward_kernel,
        lambda at: _of_samples(at, operands, groups, epsilon, sums),
        reads=[x, dy],
        writes=[dx, sums],
    )


def _of_pixels(at: Any, operands: tuple[Any, ...], epsilon: float) -> list[int]:
    layout = at.layout(operands[0])
    return walk(at, operands, (layout.blocks, layout.channels, float(epsilon)), blocks=1)


def _of_samples(at: Any, operands: tuple[Any, ...], groups: int, epsilon: float, sums: Any) -> list[int]:
    layout = at.layout(operands[0])
    numbers = (layout.blocks, layout.channels, float(epsilon), groups, layout.pixels, at(sums), 128 * layout.blocks)
    return walk(at, operands, numbers, blocks=1)


# ------ groups of a sample


@inlined
def _share_out(a, table):
    """Every channel of a table of sums gets the mean of its group."""
    size = number(a, CHANNELS) // number(a, GROUPS)
    for g in range(number(a, GROUPS)):
        first = table + 8 * size * g
        total = 0.0
        for p in range(first, first + 8 * size, 8):
            total += load_f64(p)
        for p in range(first, first + 8 * size, 8):
            store_f64(p, total / (size * number(a, PIXELS)))


@inlined
def _sample_moments(a, n):
    """The first two tables: mean and mean squared deviation of each channel's group in sample n."""
    means, squares = number(a, SUMS), number(a, SUMS) + number(a, TABLE)
    for b in range(number(a, BLOCKS)):
        total = splat_f64(0.0)
        for i in range(a[ROWS]):
            x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
            for p in range(0, 64 * a[WIDTH], 64):
                total = total + f32_to_f64(load_f32x16(x + p))
        store_f64x16(means + 128 * b, total)
    _share_out(a, means)
    for b in range(number(a, BLOCKS)):
        total, mean = splat_f64(0.0), load_f64x16(means + 128 * b)
        for i in range(a[ROWS]):
            x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
            for p in range(0, 64 * a[WIDTH], 64):
                deviation = f32_to_f64(load_f32x16(x + p)) - mean
                total = total + deviation * deviation
        store_f64x16(squares + 128 * b, total)
    _share_out(a, squares)


@inlined
def _mean_and_rstd(a, b):
    """Those of 16 channels, as float32."""
    mean = f64_to_f32(load_f64x16(number(a, SUMS) + 128 * b))
    variance = f64_to_f32(load_f64x16(number(a, SUMS) + number(a, TABLE) + 128 * b))
    return mean, splat(np.float32(1)) / sqrt(variance + splat(np.float32(real(a, EPSILON))))


@kernel
def group_norm_forward_kernel(a, first, last):
    """y = (x - mean) * rstd, sample by sample. Operands x, y; see the numbers above."""
    for n in range(first, last):
        _sample_moments(a, n)
        for b in range(number(a, BLOCKS)):
            mean, rstd = _mean_and_rstd(a, b)
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                y = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    store_f32x16(y + p, (load_f32x16(x + p) - mean) * rstd)


@kernel
def group_norm_backward_kernel(a, first, last):
    """dx = rstd * (dy - mean dy - xhat * mean (dy * xhat)), sample by sample. Operands x, dy, dx; see the numbers above."""
    gradients = number(a, SUMS) + 2 * number(a, TABLE)
    projections = gradients + number(a, TABLE)
    for n in range(first, last):
        _sample_moments(a, n)
        for b in range(number(a, BLOCKS)):
            mean, rstd = _mean_and_rstd(a, b)
            total, projected = splat_f64(0.0), splat_f64(0.0)
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                dy = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    gradient = load_f32x16(dy + p)
                    total = total + f32_to_f64(gradient)
                    projected = projected + f32_to_f64(gradient * ((load_f32x16(x + p) - mean) * rstd))
            store_f64x16(gradients + 128 * b, total)
            store_f64x16(projections + 128 * b, projected)
        _share_out(a, gradients)
        _share_out(a, projections)
        for b in range(number(a, BLOCKS)):
            mean, rstd = _mean_and_rstd(a, b)
            of_dy, slope = f64_to_f32(load_f64x16(gradients + 128 * b)), f64_to_f32(load_f64x16(projections + 128 * b))
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                dy = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                dx = row(a, 2, n, i) + b * stride(a, 2, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    xhat = (load_f32x16(x + p) - mean) * rstd
                    store_f32x16(dx + p, rstd * (load_f32x16(dy + p) - of_dy - xhat * slope))


# ------ each pixel


@inlined
def _masked(a, operand, where, b, offset):
    """The channels of block b of the pixel at address `where` minus `offset`, 0 in the lanes after the last channel."""
    value = load_f32x16(where + b * stride(a, operand, BLOCK)) - offset
    return select(first_lanes(number(a, CHANNELS) - 16 * b), value, splat(np.float32(0)))


@inlined
def _pixel_moments(a, x):
    """Mean and 1 / sqrt(variance + epsilon) of the channels of the pixel at address x, in every lane."""
    total, squares = splat(np.float32(0)), splat(np.float32(0))
    channels = np.float32(number(a, CHANNELS))
    for b in range(number(a, BLOCKS)):
        total = total + _masked(a, 0, x, b, splat(np.float32(0)))
    mean = splat(horizontal_sum(total) / channels)
    for b in range(number(a, BLOCKS)):
        deviation = _masked(a, 0, x, b, mean)
        squares = squares + deviation * deviation
    variance = splat(horizontal_sum(squares) / channels)
    return mean, splat(np.float32(1)) / sqrt(variance + splat(np.float32(real(a, EPSILON))))


@kernel
def pixel_norm_forward_kernel(a, first, last):
    """y = (x - mean) * rstd, pixel by pixel. Operands x, y; numbers blocks, channels, epsilon."""
    for n in range(first, last):
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                x, y = row(a, 0, n, i) + 64 * p, row(a, 1, n, i) + 64 * p
                mean, rstd = _pixel_moments(a, x)
                for b in range(number(a, BLOCKS)):
                    store_f32x16(y + b * stride(a, 1, BLOCK), (load_f32x16(x + b * stride(a, 0, BLOCK)) - mean) * rstd)


@kernel
def pixel_norm_backward_kernel(a, first, last):
    """dx = rstd * (dy - mean dy - xhat * mean (dy * xhat)), pixel by pixel. Operands x, dy, dx; numbers as in forward."""
    zero, channels = splat(np.float32(0)), np.float32(number(a, CHANNELS))
    for n in range(first, last):
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                x, dy, dx = row(a, 0, n, i) + 64 * p, row(a, 1, n, i) + 64 * p, row(a, 2, n, i) + 64 * p
                mean, rstd = _pixel_moments(a, x)
                total, projected = zero, zero
                for b in range(number(a, BLOCKS)):
                    gradient = _masked(a, 1, dy, b, zero)
                    total = total + gradient
                    projected = projected + gradient * (_masked(a, 0, x, b, mean) * rstd)
                of_dy, slope = splat(horizontal_sum(total) / channels), splat(horizontal_sum(projected) / channels)
                for b in range(number(a, BLOCKS)):
                    xhat = (load_f32x16(x + b * stride(a, 0, BLOCK)) - mean) * rstd
                    gradient = load_f32x16(dy + b * stride(a, 1, BLOCK))
                    store_f32x16(dx + b * stride(a, 2, BLOCK), rstd * (gradient - of_dy - xhat * slope))

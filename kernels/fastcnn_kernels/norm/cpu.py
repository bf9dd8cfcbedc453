"""Batch normalisation on the CPU. Statistics are float64; passes over x and dy run at the speed of memory.

    batch_norm_forward             statistics of each slice -> combined, in slice order -> y = (x - mean) * scale + beta
    batch_norm_backward            sums of each slice -> combined -> dx
    batch_norm_inference           coefficients from the moving statistics -> the same last pass as forward
    batch_norm_inference_backward  the same with neither mean nor beta

A slice takes its own mean first and then the squared deviations from it, so nothing cancels; slices are combined by the
parallel-axis theorem (Chan, Golub and LeVeque 1979).
"""

from typing import Any

import numpy as np

from ..host.functions import inlined
from ..host.layout import blocks_of
from ..host.plan import float_bits
from ..host.runner import kernel
from ..host.walk import BLOCK, ROWS, WIDTH, number, row, stride, walk
from ..simd import (
    absolute,
    bits_as_f64,
    f32_to_f64,
    f64_to_f32,
    fma,
    load_f32x16,
    load_f64x16,
    select,
    splat,
    splat_f64,
    sqrt_f64,
    store_f32x16,
    store_f64x16,
)

RECORD = 3 * 16 * 8
"""Bytes of a slice's statistics of one block: count, mean, sum of squared deviations, for 16 channels each."""
SUMS = 2 * 16 * 8
"""Bytes of a slice's gradient sums of one block: sum of dy, sum of dy * xhat."""


def batch_norm_forward(
    plan: Any, x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_variance: Any,
    y: Any, mean: Any, rstd: Any, *, momentum: float, epsilon: float,
) -> None:
    """y = gamma * (x - mean) * rstd + beta with the statistics of the batch."""
    blocks = blocks_of(x.shape[-1])
    partial = plan.partial("statistics", blocks * RECORD)
    coefficients = plan.scratch("coefficients", (3, 16 * blocks), kind="parameter")
    operands = (gamma, beta, moving_mean, moving_variance, mean, rstd, coefficients)

    def combine(at: Any) -> list[int]:
        reals = map(float_bits, (momentum, epsilon))
        return [at(partial), at.stride(partial), at.slices, 64 * blocks, *reals, *map(at, operands)]

    plan.launch(
        statistics_kernel, lambda at: walk(at, (x,), (blocks, at(partial)), blocks=1), reads=[x], writes=[partial]
    )
    plan.launch(
        combine_statistics_kernel,
        combine,
        reads=[partial, gamma, beta, moving_mean, moving_variance],
        writes=[moving_mean, moving_variance, mean, rstd, coefficients],
        outputs=blocks,
    )
    _normalise(plan, x, coefficients, y)


def batch_norm_backward(
    plan: Any, x: Any, gamma: Any, mean: Any, rstd: Any, dy: Any, dx: Any, dgamma: Any, dbeta: Any
) -> None:
    """dx = gamma * rstd * (dy - dbeta/M - xhat*dgamma/M)."""
    blocks = blocks_of(x.shape[-1])
    partial = plan.partial("sums", blocks * SUMS)
    coefficients = plan.scratch("coefficients", (4, 16 * blocks), kind="parameter")

    def sums(at: Any) -> list[int]:
        return walk(at, (x, dy), (blocks, at(partial), at(mean), at(rstd)), blocks=1)

    def combine(at: Any) -> list[int]:
        count = float_bits(float(x.size // x.shape[-1]))
        operands = (gamma, mean, rstd, dgamma, dbeta, coefficients)
        return [at(partial), at.stride(partial), at.slices, 64 * blocks, count, *map(at, operands)]

    def apply(at: Any) -> list[int]:
        return walk(at, (x, dy, dx), (blocks, at(coefficients), 64 * blocks), blocks=1)

    plan.launch(gradient_sums_kernel, sums, reads=[x, dy, mean, rstd], writes=[partial])
    plan.launch(
        combine_gradients_kernel,
        combine,
        reads=[partial, gamma, mean, rstd],
        writes=[dgamma, dbeta, coefficients],
        outputs=blocks,
    )
    if dx is not None:
        plan.launch(input_gradient_kernel, apply, reads=[x, dy, coefficients], writes=[dx])


def batch_norm_inference(
    plan: Any, x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_variance: Any, y: Any, *, epsilon: float
) -> None:
    """y = gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta."""
    _normalise(plan, x, _moving_coefficients(plan, x, gamma, beta, moving_mean, moving_variance, epsilon), y)


def batch_norm_inference_backward(
    plan: Any, gamma: Any, moving_variance: Any, dy: Any, dx: Any, *, epsilon: float
) -> None:
    """dx = dy * gamma / sqrt(moving_variance + epsilon)."""
    _normalise(plan, dy, _moving_coefficients(plan, dy, gamma, None, None, moving_variance, epsilon), dx)


def _moving_coefficients(
    plan: Any, x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_variance: Any, epsilon: float
) -> Any:
    blocks = blocks_of(x.shape[-1])
    coefficients = plan.scratch("coefficients", (3, 16 * blocks), kind="parameter")
    operands = (gamma, beta, moving_mean, moving_variance)

    def arguments(at: Any) -> list[int]:
        return [64 * blocks, float_bits(epsilon), *map(at, operands), at(coefficients)]

    plan.launch(moving_coefficients_kernel, arguments, reads=operands, writes=[coefficients], outputs=blocks)
    return coefficients


def _normalise(plan: Any, x: Any, coefficients: Any, y: Any) -> None:
    blocks = blocks_of(x.shape[-1])

    def arguments(at: Any) -> list[int]:
        return walk(at, (x, y), (blocks, at(coefficients), 64 * blocks), blocks=1)

    plan.launch(normalise_kernel, arguments, reads=[x, coefficients], writes=[y])


@inlined
def _channels(address, block, default):
    """16 channels of a parameter as float64, or the default where there is none."""
    if address == 0:
        return splat_f64(default)
    return f32_to_f64(load_f32x16(address + 64 * block))


@inlined
def _put(address, block, value):
    """Store 16 channels of a parameter, if it is there."""
    if address != 0:
        store_f32x16(address + 64 * block, f64_to_f32(value))


@inlined
def _move(address, keep, gain, statistic):
    """moving = keep * moving + gain * statistic in the channels whose statistic is finite."""
    moving, value = load_f32x16(address), f64_to_f32(statistic)
    moved = f64_to_f32(keep * f32_to_f64(moving) + gain * statistic)
    store_f32x16(address, select(absolute(value) < splat(np.float32(np.inf)), moved, moving))


@kernel
def statistics_kernel(a, first, last):
    """partial[b] = (count, mean, sum of squared deviations from it) of the slice's values, by channel of block b.

    Two passes over the slice's samples, block by block. Operand x; numbers blocks, partial.
    """
    zero = splat_f64(0.0)
    count = splat_f64(np.float64((last - first) * a[ROWS] * a[WIDTH]))
    for b in range(number(a, 0)):
        total, squares = zero, zero
        for n in range(first, last):
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    total = total + f32_to_f64(load_f32x16(x + p))
        mean = total / count
        for n in range(first, last):
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    deviation = f32_to_f64(load_f32x16(x + p)) - mean
                    squares = squares + deviation * deviation
        record = number(a, 1) + RECORD * b
        store_f64x16(record, count)
        store_f64x16(record + 128, mean)
        store_f64x16(record + 256, squares)


@inlined
def _combined(partial, slice_stride, slices):
    """(mean, biased variance) of all slices' records of one block."""
    count, total, squares = splat_f64(0.0), splat_f64(0.0), splat_f64(0.0)
    for s in range(slices):
        record = partial + s * slice_stride
        count = count + load_f64x16(record)
        total = total + load_f64x16(record) * load_f64x16(record + 128)
    mean = total / count
    for s in range(slices):
        record = partial + s * slice_stride
        deviation = load_f64x16(record + 128) - mean
        squares = squares + load_f64x16(record + 256) + load_f64x16(record) * deviation * deviation
    return mean, squares / count


@kernel
def combine_statistics_kernel(a, first, last):
    """mean, rstd, the moving statistics and the coefficients (mean, gamma * rstd, beta) of blocks first .. last - 1.

    a: partial, its stride, slices, bytes of a row of coefficients, momentum, epsilon, gamma, beta, moving_mean,
    moving_variance, mean, rstd, coefficients.
    """
    row_bytes, gamma, beta, moving_mean, moving_variance, coefficients = a[3], a[6], a[7], a[8], a[9], a[12]
    keep, gain = splat_f64(bits_as_f64(a[4])), splat_f64(1.0 - bits_as_f64(a[4]))
    for b in range(first, last):
        mean, variance = _combined(a[0] + RECORD * b, a[1], a[2])
        rstd = splat_f64(1.0) / sqrt_f64(variance + splat_f64(bits_as_f64(a[5])))
        _put(a[10], b, mean)
        _put(a[11], b, rstd)
        _move(moving_mean + 64 * b, keep, gain, mean)
        _move(moving_variance + 64 * b, keep, gain, variance)
        _put(coefficients, b, mean)
        _put(coefficients + row_bytes, b, rstd * _channels(gamma, b, 1.0))
        _put(coefficients + 2 * row_bytes, b, _channels(beta, b, 0.0))


@kernel
def moving_coefficients_kernel(a, first, last):
    """Coefficients (moving_mean, gamma / sqrt(moving_variance + epsilon), beta) of blocks first .. last - 1.

    a: bytes of a row of coefficients, epsilon, gamma, beta, moving_mean, moving_variance, coefficients.
    """
    row_bytes, coefficients = a[0], a[6]
    for b in range(first, last):
        deviation = sqrt_f64(_channels(a[5], b, 0.0) + splat_f64(bits_as_f64(a[1])))
        _put(coefficients, b, _channels(a[4], b, 0.0))
        _put(coefficients + row_bytes, b, _channels(a[2], b, 1.0) / deviation)
        _put(coefficients + 2 * row_bytes, b, _channels(a[3], b, 0.0))


@kernel
def normalise_kernel(a, first, last):
    """y = (x - c0) * c1 + c2 by channel. Operands x, y; numbers blocks, coefficients, bytes of a row of them."""
    for n in range(first, last):
        for b in range(number(a, 0)):
            c = number(a, 1) + 64 * b
            c0, c1, c2 = load_f32x16(c), load_f32x16(c + number(a, 2)), load_f32x16(c + 2 * number(a, 2))
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                y = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    store_f32x16(y + p, fma(load_f32x16(x + p) - c0, c1, c2))


@kernel
def gradient_sums_kernel(a, first, last):
    """partial[b] = (sum of dy, sum of dy * xhat) over the slice. Operands x, dy; numbers blocks, partial, mean, rstd."""
    for b in range(number(a, 0)):
        mean, rstd = load_f32x16(number(a, 2) + 64 * b), load_f32x16(number(a, 3) + 64 * b)
        total, projected = splat_f64(0.0), splat_f64(0.0)
        for n in range(first, last):
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                dy = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    gradient = load_f32x16(dy + p)
                    total = total + f32_to_f64(gradient)
                    projected = projected + f32_to_f64(gradient * ((load_f32x16(x + p) - mean) * rstd))
        store_f64x16(number(a, 1) + SUMS * b, total)
        store_f64x16(number(a, 1) + SUMS * b + 128, projected)


@kernel
def combine_gradients_kernel(a, first, last):
    """dgamma, dbeta and the coefficients of dx = c0 * dy + c1 * (x - c3) + c2, for blocks first .. last - 1.

    a: partial, its stride, slices, bytes of a row of coefficients, M, gamma, mean, rstd, dgamma, dbeta, coefficients.
    """
    row_bytes, count, coefficients = a[3], splat_f64(bits_as_f64(a[4])), a[10]
    for b in range(first, last):
        dbeta, dgamma = splat_f64(0.0), splat_f64(0.0)
        for s in range(a[2]):
            sums = a[0] + SUMS * b + s * a[1]
            dbeta = dbeta + load_f64x16(sums)
            dgamma = dgamma + load_f64x16(sums + 128)
        _put(a[8], b, dgamma)
        _put(a[9], b, dbeta)
        rstd = _channels(a[7], b, 1.0)
        scale = rstd * _channels(a[5], b, 1.0)
        _put(coefficients, b, scale)
        _put(coefficients + row_bytes, b, splat_f64(0.0) - scale * rstd * dgamma / count)
        _put(coefficients + 2 * row_bytes, b, splat_f64(0.0) - scale * dbeta / count)
        _put(coefficients + 3 * row_bytes, b, _channels(a[6], b, 0.0))


@kernel
def input_gradient_kernel(a, first, last):
    """dx = c0 * dy + c1 * (x - c3) + c2 by channel. Operands x, dy, dx; numbers as of normalise_kernel."""
    for n in range(first, last):
        for b in range(number(a, 0)):
            c, row_bytes = number(a, 1) + 64 * b, number(a, 2)
            c0, c1 = load_f32x16(c), load_f32x16(c + row_bytes)
            c2, c3 = load_f32x16(c + 2 * row_bytes), load_f32x16(c + 3 * row_bytes)
            for i in range(a[ROWS]):
                x = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                dy = row(a, 1, n, i) + b * stride(a, 1, BLOCK)
                dx = row(a, 2, n, i) + b * stride(a, 2, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    centred = load_f32x16(x + p) - c3
                    store_f32x16(dx + p, fma(load_f32x16(dy + p), c0, fma(centred, c1, c2)))

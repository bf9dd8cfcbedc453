"""Batch normalisation on the GPU (Ioffe and Szegedy 2015), over all axes but the last.

    batch_norm_forward              moments of parts, of the whole, then y: x is read twice
    batch_norm_backward             sums of parts, of the whole, then dx: x and dy are read twice
    batch_norm_inference, batch_norm_inference_backward     one launch
    Columns                         how pixels and channels are dealt out, the same for every kernel

A thread keeps its channels and walks down the pixels, so what belongs to a channel is read once and stays in registers. Mean
and variance are updated together (Welford 1962) and merged pairwise (Chan, Golub and LeVeque 1979): no digits are lost where
the mean is large. Everything is added in an order that depends on shapes only.
"""

import math
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device.kernel import CudaKernel, kernel
from ..device.tiles import ceil_div
from ..ptx import inlined, load4, store4

THREADS = 256
BLOCKS = 512
"""Blocks of a launch, about: several for each multiprocessor of a large GPU."""
LEAST = 4
"""Pixels that a thread takes at least, where there are as many."""


def batch_norm_forward(
    plan: Any, x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_variance: Any,
    y: Any, mean: Any, rstd: Any, *, momentum: float, epsilon: float,
) -> None:
    """Normalise by the statistics of the batch, and update the moving ones."""
    c = Columns(x)
    moments = plan.scratch("moments", (c.parts, 2, c.channels), kind="plain")
    plan.launch(moments_kernel(c.vector), c.grid, (x, moments, *c.numbers), writes=(moments,))
    plan.launch(
        combine_moments_kernel(),
        ceil_div(c.channels, c.combined),
        (moments, mean, rstd, moving_mean, moving_variance, momentum, epsilon, *c.combination),
        writes=(mean, rstd, moving_mean, moving_variance),
    )
    _normalise(plan, c, x, gamma, beta, mean, rstd, y)


def batch_norm_backward(
    plan: Any, x: Any, gamma: Any, mean: Any, rstd: Any, dy: Any, dx: Any, dgamma: Any, dbeta: Any
) -> None:
    """Gradients of batch_norm_forward."""
    c = Columns(x)
    parts = plan.scratch("sums of parts", (c.parts, 2, c.channels), kind="plain")
    sums = [t or plan.scratch(name, (c.channels,), kind="plain") for t, name in ((dbeta, "sum dy"), (dgamma, "sum dy xhat"))]
    plan.launch(gradient_sums_kernel(c.vector), c.grid, (x, dy, mean, rstd, parts, *c.numbers), writes=(parts,))
    plan.launch(
        combine_sums_kernel(), ceil_div(c.channels, c.combined), (parts, *sums, *c.combination), writes=sums
    )
    if dx is not None:
        arguments = (x, dy, gamma, mean, rstd, *sums, dx, 1 / c.pixels, *c.numbers)
        plan.launch(input_gradient_kernel(c.vector, gamma is not None), c.grid, arguments, writes=(dx,))


def batch_norm_inference(
    plan: Any, x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_variance: Any, y: Any, *, epsilon: float
) -> None:
    """Normalise by the moving statistics."""
    _normalise(plan, Columns(x), x, gamma, beta, moving_mean, moving_variance, y, epsilon)


def batch_norm_inference_backward(
    plan: Any, gamma: Any, moving_variance: Any, dy: Any, dx: Any, *, epsilon: float
) -> None:
    """dx = dy * gamma / sqrt(moving_variance + epsilon)."""
    c = Columns(dy)
    _normalise(plan, c, dy, gamma, None, None, moving_variance, dx, epsilon)


def _normalise(
    plan: Any, c: "Columns", x: Any, gamma: Any, beta: Any, mean: Any, spread: Any, y: Any, epsilon: float | None = None
) -> None:
    """y = gamma * (x - mean) * rstd + beta; with epsilon, `spread` is the variance, else rstd."""
    chosen = normalise_kernel(c.vector, gamma is not None, beta is not None, mean is not None, epsilon is not None)
    plan.launch(chosen, c.grid, (x, gamma, beta, mean, spread, y, epsilon or 0.0, *c.numbers), writes=(y,))


class Columns:
    """How the pixels and channels of a tensor (N, ..., C) are dealt out to blocks and threads.

    vector   channels of a thread: 4 where rows of channels are aligned to that, else 1
    lanes    threads side by side, each with its own channels: a power of two
    lines    threads above each other: the j-th takes every lines-th pixel of a part, from the j-th on
    parts    blocks above each other, each with `span` consecutive pixels
    """

    def __init__(self, x: Any):
        self.channels, self.pixels = x.shape[-1], x.size // x.shape[-1]
        self.vector = 1 if self.channels % 4 else 4
        columns = self.channels // self.vector
        self.lanes = min(THREADS, 1 << (columns - 1).bit_length())
        self.lines, self.tiles = THREADS // self.lanes, ceil_div(columns, self.lanes)
        parts = min(ceil_div(BLOCKS, self.tiles), ceil_div(self.pixels, LEAST * self.lines))
        self.span = ceil_div(self.pixels, parts)
        self.parts = ceil_div(self.pixels, self.span)

    @property
    def grid(self) -> tuple[int, int]:
        """Blocks: parts, and tiles of channels."""
        return self.parts, self.tiles

    @property
    def numbers(self) -> tuple[int, ...]:
        """What kernels over pixels are told."""
        return self.pixels, self.channels, self.span, self.lanes

    @property
    def combined(self) -> int:
        """Channels of a block that combines parts: few parts leave room for many."""
        return max(1, THREADS >> (self.parts - 1).bit_length())

    @property
    def combination(self) -> tuple[int, ...]:
        """What kernels that combine parts are told."""
        return *self.numbers[:3], self.parts, self.combined


@cache
def _place(vector: int) -> Any:
    """place(M, span, lanes) -> (part, line, lines, channel, m, end): the thread's first channel, and its pixels m, m + lines,
    ... < end. See Columns."""

    def place(M, span, lanes):
        thread, part = uint32(cuda.threadIdx.x), uint32(cuda.blockIdx.x)
        line = uint32(thread // lanes)
        channel = uint32((cuda.blockIdx.y * lanes + thread - line * lanes) * vector)
        first = uint32(part * span)
        return part, line, uint32(THREADS // lanes), channel, uint32(first + line), min(uint32(first + span), M)

    return inlined(place)


# ------ moments


@inlined
def _merge(count, mean, square, other_count, other_mean, other_square):
    """(number, mean, sum of squared distances from the mean) of two sets together."""
    total = count + other_count
    share = other_count / total if total > float32(0) else float32(0)
    delta = other_mean - mean
    return total, mean + delta * share, square + other_square + delta * delta * count * share


@cache
def _merge_lines(vector: int) -> Any:
    """merge_lines(count, mean, square, lines, lanes): the moments of all lines, in line 0. Halves are merged until one is
    left."""
    size = THREADS * vector

    def merge_lines(count, mean, square, lines, lanes):
        counts, means = cuda.shared.array(THREADS, float32), cuda.shared.array(size, float32)
        squares, thread, half = cuda.shared.array(size, float32), uint32(cuda.threadIdx.x), uint32(lines)
        total = count
        while half > 0:
            if thread < half * lanes:
                counts[thread] = total
                for e in range(vector):
                    means[e * THREADS + thread], squares[e * THREADS + thread] = mean[e], square[e]
            cuda.syncthreads()
            half = uint32(half >> 1)
            if thread < half * lanes:
                other = uint32(thread + half * lanes)
                count = total
                for e in range(vector):
                    here = e * THREADS + other
                    total, mean[e], square[e] = _merge(count, mean[e], square[e], counts[other], means[here], squares[here])
            cuda.syncthreads()

    return inlined(merge_lines)


@cache
def moments_kernel(vector: int) -> CudaKernel:
    """The kernel for threads with `vector` channels."""
    place, merge_lines = _place(vector), _merge_lines(vector)

    @kernel("f32*, f32*, u32, u32, u32, u32", threads=THREADS, registers=64, variant=str(vector))
    def moments(x, moments, M, C, span, lanes):
        """moments[p, 0, c], moments[p, 1, c] = mean, and sum of squared distances from it, of x[m, c] over the pixels m of
        part p.

        Reads 4 bytes an element, coalesced; a division a pixel serves all channels of a thread.
        """
        mean, square = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        value = cuda.local.array(vector, float32)
        part, line, lines, channel, m, end = place(M, span, lanes)
        for e in range(vector):
            mean[e], square[e] = float32(0), float32(0)
        count = float32(0)
        while m < end and channel < C:
            if vector == 4:
                load4(value, 0, x, uint32(m * C + channel))
            else:
                value[0] = x[uint32(m * C + channel)]
            count += float32(1)
            share = float32(1) / count
            for e in range(vector):
                delta = value[e] - mean[e]
                mean[e] += delta * share
                square[e] += delta * (value[e] - mean[e])
            m = uint32(m + lines)
        merge_lines(count, mean, square, lines, lanes)
        if line == 0 and channel < C:
            for e in range(vector):
                moments[uint32(2 * part * C + channel + e)] = mean[e]
                moments[uint32((2 * part + 1) * C + channel + e)] = square[e]

    return moments


@cache
def combine_moments_kernel() -> CudaKernel:
    """The kernel."""
    merge_lines = _merge_lines(1)

    @inlined
    def moved(momentum, moving, statistic):
        # inf - inf and nan - nan are nan, which equals nothing.
        return momentum * moving + (float32(1) - momentum) * statistic if statistic - statistic == float32(0) else moving

    @kernel("f32*, f32*, f32*, f32*, f32*, f32, f32, u32, u32, u32, u32, u32", threads=THREADS, registers=48)
    def combine_moments(
        moments, mean, rstd, moving_mean, moving_variance, momentum, epsilon, M, C, span, parts, lanes
    ):  # fmt: skip
        """mean[c], rstd[c] = 1 / sqrt(variance + epsilon) from the moments of the parts; moving[c] = momentum * moving[c] +
        (1 - momentum) * statistic where that is finite. A block has `lanes` channels; line j merges the parts j, j + lines,
        ..."""
        whole_mean, square = cuda.local.array(1, float32), cuda.local.array(1, float32)
        thread = uint32(cuda.threadIdx.x)
        line = uint32(thread // lanes)
        channel = uint32(cuda.blockIdx.x * lanes + thread - line * lanes)
        lines, part, count = uint32(THREADS // lanes), line, float32(0)
        whole_mean[0], square[0] = float32(0), float32(0)
        while part < parts and channel < C:
            pixels = float32(uint32(min(uint32(part * span + span), M) - part * span))
            of_mean, of_square = moments[uint32(2 * part * C + channel)], moments[uint32((2 * part + 1) * C + channel)]
            count, whole_mean[0], square[0] = _merge(count, whole_mean[0], square[0], pixels, of_mean, of_square)
            part = uint32(part + lines)
        merge_lines(count, whole_mean, square, lines, lanes)
        if line == 0 and channel < C:
            variance = square[0] / float32(M)
            mean[channel], rstd[channel] = whole_mean[0], float32(1) / math.sqrt(variance + epsilon)
            moving_mean[channel] = moved(momentum, moving_mean[channel], whole_mean[0])
            moving_variance[channel] = moved(momentum, moving_variance[channel], variance)

    return combine_moments


# ------ sums


@cache
def _add_lines(vector: int) -> Any:
    """add_lines(first, second, lines, lanes): two sums over all lines, in line 0. Halves are added until one is left."""
    size = THREADS * vector

    def add_lines(first, second, lines, lanes):
        firsts, seconds = cuda.shared.array(size, float32), cuda.shared.array(size, float32)
        thread, half = uint32(cuda.threadIdx.x), uint32(lines)
        while half > 0:
            if thread < half * lanes:
                for e in range(vector):
                    firsts[e * THREADS + thread], seconds[e * THREADS + thread] = first[e], second[e]
            cuda.syncthreads()
            half = uint32(half >> 1)
            if thread < half * lanes:
                other = uint32(thread + half * lanes)
                for e in range(vector):
                    first[e] += firsts[e * THREADS + other]
                    second[e] += seconds[e * THREADS + other]
            cuda.syncthreads()

    return inlined(add_lines)


@cache
def gradient_sums_kernel(vector: int) -> CudaKernel:
    """The kernel for threads with `vector` channels."""
    place, add_lines = _place(vector), _add_lines(vector)

    @kernel("f32*, f32*, f32*, f32*, f32*, u32, u32, u32, u32", threads=THREADS, registers=64, variant=str(vector))
    def gradient_sums(x, dy, mean, rstd, sums, M, C, span, lanes):
        """sums[p, 0, c], sums[p, 1, c] = sum of dy[m, c], and of dy[m, c] * (x[m, c] - mean[c]) * rstd[c], over the pixels m
        of part p. Reads 8 bytes an element, coalesced."""
        value, gradient = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        first, second = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        centre, spread = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        part, line, lines, channel, m, end = place(M, span, lanes)
        for e in range(vector):
            first[e], second[e], centre[e], spread[e] = float32(0), float32(0), float32(0), float32(0)
            if channel < C:
                centre[e], spread[e] = mean[uint32(channel + e)], rstd[uint32(channel + e)]
        while m < end and channel < C:
            i = uint32(m * C + channel)
            if vector == 4:
                load4(value, 0, x, i)
                load4(gradient, 0, dy, i)
            else:
                value[0], gradient[0] = x[i], dy[i]
            for e in range(vector):
                first[e] += gradient[e]
                second[e] += gradient[e] * (value[e] - centre[e]) * spread[e]
            m = uint32(m + lines)
        add_lines(first, second, lines, lanes)
        if line == 0 and channel < C:
            for e in range(vector):
                sums[uint32(2 * part * C + channel + e)] = first[e]
                sums[uint32((2 * part + 1) * C + channel + e)] = second[e]

    return gradient_sums


@cache
def combine_sums_kernel() -> CudaKernel:
    """The kernel."""
    add_lines = _add_lines(1)

    @kernel("f32*, f32*, f32*, u32, u32, u32, u32, u32", threads=THREADS, registers=40)
    def combine_sums(sums, dbeta, dgamma, M, C, span, parts, lanes):
        """dbeta[c], dgamma[c] = sum over p of sums[p, 0, c], sums[p, 1, c]. A block has `lanes` channels; line j adds the
        parts j, j + lines, ..."""
        first, second = cuda.local.array(1, float32), cuda.local.array(1, float32)
        thread = uint32(cuda.threadIdx.x)
        line = uint32(thread // lanes)
        channel = uint32(cuda.blockIdx.x * lanes + thread - line * lanes)
        lines, part = uint32(THREADS // lanes), line
        first[0], second[0] = float32(0), float32(0)
        while part < parts and channel < C:
            first[0] += sums[uint32(2 * part * C + channel)]
            second[0] += sums[uint32((2 * part + 1) * C + channel)]
            part = uint32(part + lines)
        add_lines(first, second, lines, lanes)
        if line == 0 and channel < C:
            dbeta[channel], dgamma[channel] = first[0], second[0]

    return combine_sums


# ------ one pixel after the other


@cache
def normalise_kernel(vector: int, scaled: bool, shifted: bool, centred: bool, from_variance: bool) -> CudaKernel:
    """The kernel for threads with `vector` channels: with gamma, with beta, with a mean, with a variance instead of rstd."""
    place, flags = _place(vector), dict(scaled=scaled, shifted=shifted, centred=centred, from_variance=from_variance)
    variant = ",".join([str(vector), *(flag for flag, on in flags.items() if on)])
    signature = "f32*, f32*, f32*, f32*, f32*, f32*, f32, u32, u32, u32, u32"

    @kernel(signature, threads=THREADS, registers=64, variant=variant)
    def normalise(x, gamma, beta, mean, spread, y, epsilon, M, C, span, lanes):
        """y[m, c] = gamma[c] * (x[m, c] - mean[c]) * rstd[c] + beta[c]. Reads 4 and writes 4 bytes an element, coalesced."""
        value, gain = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        centre, shift = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        _, _, lines, channel, m, end = place(M, span, lanes)
        if channel >= C:
            return
        for e in range(vector):
            c = uint32(channel + e)
            gain[e] = float32(1) / math.sqrt(spread[c] + epsilon) if from_variance else spread[c]
            if scaled:
                gain[e] *= gamma[c]
            if centred:
                centre[e] = mean[c]
            if shifted:
                shift[e] = beta[c]
        while m < end:
            i = uint32(m * C + channel)
            if vector == 4:
                load4(value, 0, x, i)
            else:
                value[0] = x[i]
            for e in range(vector):
                if centred:
                    value[e] -= centre[e]
                value[e] *= gain[e]
                if shifted:
                    value[e] += shift[e]
            if vector == 4:
                store4(y, i, value, 0)
            else:
                y[i] = value[0]
            m = uint32(m + lines)

    return normalise


@cache
def input_gradient_kernel(vector: int, scaled: bool) -> CudaKernel:
    """The kernel for threads with `vector` channels, with or without gamma."""
    place, variant = _place(vector), ",".join([str(vector), *["scaled"] * scaled])
    signature = "f32*, f32*, f32*, f32*, f32*, f32*, f32*, f32*, f32, u32, u32, u32, u32"

    @kernel(signature, threads=THREADS, registers=64, variant=variant)
    def input_gradient(x, dy, gamma, mean, rstd, dbeta, dgamma, dx, share, M, C, span, lanes):
        """dx[m, c] = gamma[c] * rstd[c] * (dy[m, c] - dbeta[c] / M - (x[m, c] - mean[c]) * rstd[c] * dgamma[c] / M), share = 1
        / M. Reads 8 and writes 4 bytes an element, coalesced."""
        value, gradient = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        centre, gain = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        shift, slope = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        _, _, lines, channel, m, end = place(M, span, lanes)
        if channel >= C:
            return
        for e in range(vector):
            c = uint32(channel + e)
            centre[e], gain[e], shift[e] = mean[c], rstd[c], share * dbeta[c]
            slope[e] = share * dgamma[c] * gain[e]
            if scaled:
                gain[e] *= gamma[c]
        while m < end:
            i = uint32(m * C + channel)
            if vector == 4:
                load4(value, 0, x, i)
                load4(gradient, 0, dy, i)
            else:
                value[0], gradient[0] = x[i], dy[i]
            for e in range(vector):
                value[e] = gain[e] * (gradient[e] - shift[e] - (value[e] - centre[e]) * slope[e])
            if vector == 4:
                store4(dx, i, value, 0)
            else:
                dx[i] = value[0]
            m = uint32(m + lines)

    return input_gradient

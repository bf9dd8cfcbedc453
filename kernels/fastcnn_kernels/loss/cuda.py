"""From losses of samples to one number, and metrics, on the GPU.

    weighted_loss   one block: a batch has few samples
    accuracy        hits of rows, of samples, then as mean_metric
    mean_metric     one block

Sums are float32 with the rounding errors of every addition summed beside them, which is as good as float64; the totals are
float64, and one thread adds one number to each.
"""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda import libdevice
from numba.cuda.types import float32, float64, int32, uint32

from ..api import Scalars
from ..device.kernel import CudaKernel, kernel
from ..device.reduction import THREADS, WARP, lanes_for, row_of, rows_grid, sum_rows, total_of
from ..device.works import op
from ..ptx import inlined

STEP, NONFINITE = Scalars.STEP, Scalars.NONFINITE
REASON = "totals are float64: one thread adds one number to each"
NOBODY = 0xFFFFFFFF


@op("weighted_loss", "dloss", "accumulator", "scalars")
def weighted_loss(
    plan: Any, loss: Any, weight: Any, dloss: Any, accumulator: Any, scalars: Any, *, scale: float
) -> None:
    """L = sum of weight * loss / N, accumulated; dloss = scale * weight / N."""
    arguments = (loss, weight, dloss, accumulator, scalars, scale / loss.size, loss.size)
    plan.launch(weighted_loss_kernel(dloss is not None), 1, arguments, writes=(dloss, accumulator, scalars))


@op("accuracy", "accumulator")
def accuracy(plan: Any, y: Any, labels: Any, weight: Any, accumulator: Any, *, form: str) -> None:
    """Accumulate weight * hit, and weight."""
    samples, hits = y.shape[0], plan.scratch("hits", y.shape[:1])
    if form == "binary":
        positions = y.size // samples
        lanes = lanes_for(positions)
        plan.launch(binary_hits_kernel(lanes), rows_grid(samples, lanes), (y, labels, hits, samples, positions), writes=(hits,))
    else:
        rows, lanes = y.size // y.shape[-1], min(WARP, lanes_for(y.shape[-1]))
        positions = rows // samples
        of_rows = hits if positions == 1 else plan.scratch("hits of rows", (samples, positions))
        chosen = hits_kernel(lanes, form == "sparse")
        plan.launch(chosen, rows_grid(rows, lanes), (y, labels, of_rows, rows, y.shape[-1]), writes=(of_rows,))
        if of_rows is not hits:
            sum_rows(plan, of_rows, hits)
    _accumulate(plan, hits, weight, accumulator, positions)


def mean_metric(plan: Any, values: Any, weight: Any, accumulator: Any) -> None:
    """Accumulate weight * value, and weight."""
    _accumulate(plan, values, weight, accumulator, 1)


def _accumulate(plan: Any, values: Any, weight: Any, accumulator: Any, positions: int) -> None:
    arguments = (values, weight, accumulator, positions, values.size)
    plan.launch(accumulate_kernel(), 1, arguments, writes=(accumulator,))


# ------ sums


@inlined
def two_sum(high, low, value):
    """(high, low) + value: high is the rounded sum, low gathers what rounding lost (Knuth's two-sum, 1969)."""
    total = high + value
    part = total - high
    return total, low + ((high - (total - part)) + (value - part))


@inlined
def sum_block(high, low):
    """The sum of (high, low) of all threads, in thread 0: halves of the block are added until one thread is left."""
    highs, lows = cuda.shared.array(THREADS, float32), cuda.shared.array(THREADS, float32)
    thread, half = uint32(cuda.threadIdx.x), uint32(THREADS // 2)
    highs[thread], lows[thread] = high, low
    while half > 0:
        cuda.syncthreads()
        if thread < half:
            other = uint32(thread + half)
            high, low = two_sum(high, low + lows[other], highs[other])
            highs[thread], lows[thread] = high, low
        half = uint32(half >> 1)
    return high, low


@inlined
def widened(high, low):
    """The float64 of a sum. Of one that is not finite `low` says nothing."""
    return float64(high) + float64(low) if high - high == float32(0) else float64(high)


@cache
def weighted_loss_kernel(with_gradient: bool) -> CudaKernel:
    """The kernel for training, with a gradient, or for evaluation."""
    variant = "training" if with_gradient else "evaluation"

    @kernel("f32*, f32*, f32*, f64*, i64*, f32, u32", threads=THREADS, registers=40, variant=variant, allow_f64=REASON)
    def weighted_loss(loss, weight, dloss, accumulator, scalars, share, n):
        """accumulator += (sum over i < n of weight[i] * loss[i], n); dloss[i] = share * weight[i]; one block.

        Where the sum is not finite, NONFINITE = STEP + 1 unless it is set already. Thread t adds the terms t, t + THREADS, ...
        """
        high, low, i = float32(0), float32(0), uint32(cuda.threadIdx.x)
        while i < n:
            high, low = two_sum(high, low, libdevice.fmul_rn(weight[i], loss[i]))
            if with_gradient:
                dloss[i] = share * weight[i]
            i = uint32(i + THREADS)
        high, low = sum_block(high, low)
        if cuda.threadIdx.x == 0:
            accumulator[0] += widened(high, low)
            accumulator[1] += float64(n)
            # inf - inf and nan - nan are nan, which equals nothing.
            if high - high != float32(0) and scalars[NONFINITE] == 0:
                scalars[NONFINITE] = scalars[STEP] + 1

    return weighted_loss


@cache
def accumulate_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, f64*, u32, u32", threads=THREADS, registers=40, allow_f64=REASON)
    def accumulate(values, weight, accumulator, positions, n):
        """accumulator += (sum over i < n of weight[i] * values[i], positions * sum over i < n of weight[i]); one block."""
        high, low, weights, lost = float32(0), float32(0), float32(0), float32(0)
        i = uint32(cuda.threadIdx.x)
        while i < n:
            high, low = two_sum(high, low, libdevice.fmul_rn(weight[i], values[i]))
            weights, lost = two_sum(weights, lost, weight[i])
            i = uint32(i + THREADS)
        high, low = sum_block(high, low)
        weights, lost = sum_block(weights, lost)
        if cuda.threadIdx.x == 0:
            accumulator[0] += widened(high, low)
            accumulator[1] += float64(positions) * widened(weights, lost)

    return accumulate


# ------ hits


@cache
def winner_of(lanes: int) -> Any:
    """winner(values, i, end, first): the place in the row of its largest element, the first of equal ones; at most a warp
    of lanes."""

    def winner(values, i, end, first):
        best, place = float32(0), uint32(NOBODY)
        while i < end:
            if place == uint32(NOBODY) or values[i] > best:
                best, place = values[i], uint32(i - first)
            i = uint32(i + lanes)
        distance = lanes // 2
        while distance > 0:
            other = cuda.shfl_xor_sync(0xFFFFFFFF, best, distance)
            there = uint32(cuda.shfl_xor_sync(0xFFFFFFFF, int32(place), distance))
            # A lane without elements is behind every other.
            ahead = best > other or (best == other and place < there)
            if there != uint32(NOBODY) and (place == uint32(NOBODY) or not ahead):
                best, place = other, there
            distance //= 2
        return place

    return inlined(winner)


@cache
def hits_kernel(lanes: int, sparse: bool) -> CudaKernel:
    """The kernel for rows that `lanes` threads share, and one kind of labels."""
    place, winner, mask = row_of(lanes), winner_of(lanes), lanes - 1
    variant = ",".join([str(lanes), *["sparse"] * sparse])

    @kernel(f"f32*, {'i32*' if sparse else 'f32*'}, f32*, u32, u32", threads=THREADS, registers=40, variant=variant)
    def hits(y, labels, hits, rows, C):
        """hits[r] = 1 where the largest of y[r, :] is at labels[r], or where that of labels[r, :] is, else 0; r < rows."""
        row, i, end = place(rows, C)
        first = uint32(row * C)
        guess = winner(y, i, end, first)
        if not sparse:
            truth = winner(labels, i, end, first)
        if row < rows and cuda.threadIdx.x & mask == 0:
            if sparse:
                truth = uint32(labels[row])
            hits[row] = float32(1) if guess == truth else float32(0)

    return hits


@cache
def binary_hits_kernel(lanes: int) -> CudaKernel:
    """The kernel for samples that `lanes` threads share."""
    place, total_across, mask = row_of(lanes), total_of(lanes), lanes - 1

    @kernel("f32*, f32*, f32*, u32, u32", threads=THREADS, registers=40, variant=str(lanes))
    def binary_hits(y, labels, hits, samples, size):
        """hits[n] = number of n's `size` elements with (y > 0.5) == label. Reads 8 bytes an element."""
        sample, i, end = place(samples, size)
        total = float32(0)
        while i < end:
            guess = float32(1) if y[i] > float32(0.5) else float32(0)
            total += float32(1) if guess == labels[i] else float32(0)
            i = uint32(i + lanes)
        total = total_across(total)
        if sample < samples and cuda.threadIdx.x & mask == 0:
            hits[sample] = total

    return binary_hits

"""From losses of samples to one number, and metrics, on the CPU. Sums are float64, over the samples in order.

    weighted_loss   the gradient with the batch, which waits for nothing; the sum in one serial launch: a batch has few samples
    accuracy        hits of each sample, then as mean_metric
    mean_metric     one serial launch
"""

from typing import Any

import numpy as np

from ..api import Scalars
from ..host.functions import inlined
from ..host.runner import kernel
from ..host.walk import BLOCK, CHANNELS, ROWS, WIDTH, element, number, real, row, sample_address, stride, walk
from ..simd import (
    first_lanes,
    horizontal_maximum,
    horizontal_minimum_u32,
    horizontal_sum,
    lane_numbers,
    load_f32,
    load_f32x16,
    load_f64,
    load_i32,
    load_i64,
    select,
    select_u32,
    splat,
    splat_u32,
    store_f32,
    store_f64,
    store_i64,
)

CATEGORICAL, SPARSE = 0, 1
STEP, NONFINITE = 8 * Scalars.STEP, 8 * Scalars.NONFINITE


def weighted_loss(
    plan: Any, loss: Any, weight: Any, dloss: Any, accumulator: Any, scalars: Any, *, scale: float
) -> None:
    """L = sum of weight * loss / N, accumulated; dloss = scale * weight / N."""

    if dloss:
        plan.launch(
            loss_gradient_kernel,
            lambda at: walk(at, (), (scale / at.batch_size,), others=(weight, dloss), like=loss),
            reads=[weight],
            writes=[dloss],
        )
    plan.launch(
        weighted_loss_kernel,
        lambda at: walk(at, (), (at.batch_size, at(accumulator), at(scalars)), others=(loss, weight), like=loss),
        reads=[loss, weight, accumulator, scalars],
        writes=[accumulator, scalars],
        outputs=1,
    )


def accuracy(plan: Any, y: Any, labels: Any, weight: Any, accumulator: Any, *, form: str) -> None:
    """Accumulate weight * hit, and weight."""
    hits = plan.scratch("hits", y.shape[:1])
    positions = y.size // y.shape[0]
    if form == "binary":
        plan.launch(
            binary_hits_kernel,
            lambda at: walk(at, (y, labels), (at.layout(y).blocks,), others=(hits,), blocks=1),
            reads=[y, labels],
            writes=[hits],
        )
    else:
        positions //= y.shape[-1]
        numbers = (SPARSE if form == "sparse" else CATEGORICAL,)
        plan.launch(
            hits_kernel,
            lambda at: walk(at, (y,), (at.layout(y).blocks, *numbers), others=(labels, hits), blocks=1, join=False),
            reads=[y, labels],
            writes=[hits],
        )
    _accumulate(plan, hits, weight, accumulator, positions)


def mean_metric(plan: Any, values: Any, weight: Any, accumulator: Any) -> None:
    """Accumulate weight * value, and weight."""
    _accumulate(plan, values, weight, accumulator, 1)


def _accumulate(plan: Any, values: Any, weight: Any, accumulator: Any, positions: int) -> None:
    def arguments(at: Any) -> list[int]:
        return walk(at, (), (at.batch_size, positions, at(accumulator)), others=(values, weight), like=values)

    plan.launch(
        accumulate_kernel, arguments, reads=[values, weight, accumulator], writes=[accumulator], outputs=1
    )


@inlined
def _add(where, value):
    store_f64(where, load_f64(where) + value)


@kernel
def loss_gradient_kernel(a, first, last):
    """dloss = weight * scale / N. Operands weight, dloss; number scale / N."""
    for n in range(first, last):
        weight = np.float64(load_f32(sample_address(a, 0, n)))
        store_f32(sample_address(a, 1, n), np.float32(weight * real(a, 0)))


@kernel
def weighted_loss_kernel(a, first, last):
    """accumulator += (sum of weight * loss, N).

    Where the sum is not finite, NONFINITE = STEP + 1 unless it is set already.

    Operands loss, weight; numbers N, accumulator, scalars.
    """
    total = 0.0
    for n in range(number(a, 0)):
        weight = np.float64(load_f32(sample_address(a, 1, n)))
        total += weight * np.float64(load_f32(sample_address(a, 0, n)))
    _add(number(a, 1), total)
    _add(number(a, 1) + 8, np.float64(number(a, 0)))
    scalars = number(a, 2)
    # inf - inf and nan - nan are nan, which equals nothing.
    if total - total != 0.0 and load_i64(scalars + NONFINITE) == 0:
        store_i64(scalars + NONFINITE, load_i64(scalars + STEP) + 1)


@kernel
def accumulate_kernel(a, first, last):
    """accumulator += (sum of weight * value, sum of weight * positions). Operands values, weight; numbers N, positions,
    accumulator."""
    total, weights = 0.0, 0.0
    for n in range(number(a, 0)):
        weight = np.float64(load_f32(sample_address(a, 1, n)))
        total += weight * np.float64(load_f32(sample_address(a, 0, n)))
        weights += weight
    _add(number(a, 2), total)
    _add(number(a, 2) + 8, weights * np.float64(number(a, 1)))


@inlined
def _argmax(a, operand, where):
    """The first class with the largest value, at the pixel of address `where`."""
    best, winner = splat(np.float32(-np.inf)), lane_numbers(np.uint32(0))
    for b in range(number(a, 0)):
        value = load_f32x16(where + b * stride(a, operand, BLOCK))
        wins = (value > best) & first_lanes(stride(a, operand, CHANNELS) - 16 * b)
        best = select(wins, value, best)
        winner = select_u32(wins, lane_numbers(np.uint32(16 * b)), winner)
    # Each lane has its own first winner; the first of all is the least among the lanes with the largest value.
    largest = best == splat(horizontal_maximum(best))
    return horizontal_minimum_u32(select_u32(largest, winner, splat_u32(np.uint32(0xFFFFFFFF))))


@kernel
def hits_kernel(a, first, last):
    """hits[n] = number of positions whose argmax of y is the label, or the argmax of the labels. Operands y, labels, hits."""
    for n in range(first, last):
        hits = 0
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                guess = np.int64(_argmax(a, 0, row(a, 0, n, i) + 64 * p))
                if number(a, 1) == SPARSE:
                    label = np.int64(load_i32(element(a, 1, n, i * a[WIDTH] + p)))
                else:
                    label = np.int64(_argmax(a, 1, row(a, 1, n, i) + 64 * p))
                hits += guess == label
        store_f32(sample_address(a, 2, n), np.float32(hits))


@kernel
def binary_hits_kernel(a, first, last):
    """hits[n] = number of elements with (y > 0.5) == label. Operands y, labels, hits."""
    zero, one, half = splat(np.float32(0)), splat(np.float32(1)), splat(np.float32(0.5))
    for n in range(first, last):
        hits = zero
        for i in range(a[ROWS]):
            y, labels = row(a, 0, n, i), row(a, 1, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                for b in range(number(a, 0)):
                    guess = select(load_f32x16(y + p + b * stride(a, 0, BLOCK)) > half, one, zero)
                    agrees = guess == load_f32x16(labels + p + b * stride(a, 1, BLOCK))
                    lanes = first_lanes(stride(a, 0, CHANNELS) - 16 * b)
                    hits = hits + select(agrees & lanes, one, zero)
        store_f32(sample_address(a, 2, n), horizontal_sum(hits))

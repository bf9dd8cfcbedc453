"""Penalties on weights, and the sets that weights are kept in, on the CPU: over the rows of a parameter.

    penalty            sums of chunks of rows in float64, then one serial launch that adds them in order
    penalty_gradient   elementwise
    constrain          columns of sixteen weights: their norms, then their new values
"""

from math import prod
from typing import Any

import numpy as np

from ..api import Scalars
from ..host.functions import inlined
from ..host.layout import blocks_of
from ..host.runner import kernel
from ..host.walk import WIDTH, number, parameter_rows, real, sample_address, walk_parameters
from ..simd import (
    absolute,
    f32_to_f64,
    first_lanes,
    horizontal_sum_f64,
    load_f32x16,
    load_f64,
    load_i64,
    maximum,
    minimum,
    select,
    splat,
    splat_f64,
    sqrt,
    store_f32x16,
    store_f64,
)

EPSILON, NONFINITE = np.float32(1e-7), 8 * Scalars.NONFINITE
CHUNKS = 64
"""Parts that a parameter's rows are cut into to add them up: as many on any number of threads."""


def penalty(plan: Any, w: Any, accumulator: Any, *, l1: float, l2: float) -> None:
    """Accumulate batch size * penalty, and the batch size."""
    rows = parameter_rows(w)
    sums = plan.scratch("penalties", (min(rows, CHUNKS),), np.float64, "plain")
    plan.launch(
        penalty_sums_kernel,
        lambda at: walk_parameters(at, (w,), (at(sums), sums.size, rows, w.shape[-1], float(l1), float(l2))),
        reads=[w],
        writes=[sums],
        outputs=sums.size,
    )
    plan.launch(
        penalty_kernel,
        lambda at: [at(sums), sums.size, at(accumulator), at.batch_size],
        reads=[sums, accumulator],
        writes=[accumulator],
        outputs=1,
    )


def penalty_gradient(plan: Any, w: Any, dw: Any, y: Any, *, l1: float, l2: float) -> None:
    """y = dw + l1 * sign(w) + 2 * l2 * w."""
    plan.launch(
        penalty_gradient_kernel,
        lambda at: walk_parameters(at, (w, dw, y), (float(l1), 2 * float(l2))),
        reads=[w, dw],
        writes=[y],
        outputs=parameter_rows(w),
    )


def constrain(plan: Any, w: Any, scalars: Any, *, axes: int, low: float, high: float, rate: float, positive: bool) -> None:
    """Scale w to norms within limits, or cut off what is below 0."""
    # The last axis is padded to whole vectors, so that the axes after the first `axes` are columns of vectors.
    rows, columns = prod(w.shape[:axes]), prod(w.shape[axes:-1]) * blocks_of(w.shape[-1])
    if axes == len(w.shape):
        rows, columns = parameter_rows(w), 1
    length = w.shape[-1] if axes == len(w.shape) else 0
    numbers = (rows, columns, float(low), float(high), float(rate), positive, length)
    plan.launch(
        constrain_kernel,
        lambda at: walk_parameters(at, (w,), (*numbers, at(scalars))),
        reads=[w, scalars],
        writes=[w],
        outputs=columns,
    )


@kernel
def penalty_sums_kernel(a, first, last):
    """sums[c] = sum of l1 |w| + l2 w^2 over the rows of chunk c, in float64. Operand w; numbers sums, chunks, rows, columns,
    l1, l2."""
    chunks, rows = number(a, 1), number(a, 2)
    l1, l2 = splat_f64(real(a, 4)), splat_f64(real(a, 5))
    for c in range(first, last):
        total = splat_f64(0.0)
        for n in range(rows * c // chunks, rows * (c + 1) // chunks):
            for v in range(a[WIDTH]):
                inside = first_lanes(number(a, 3) - 16 * v)
                value = select(inside, load_f32x16(sample_address(a, 0, n) + 64 * v), splat(np.float32(0)))
                wide = f32_to_f64(value)
                total = total + l1 * f32_to_f64(absolute(value)) + l2 * wide * wide
        store_f64(number(a, 0) + 8 * c, horizontal_sum_f64(total))


@kernel
def penalty_kernel(a, first, last):
    """accumulator += (samples * sum of the sums, samples). Arguments sums, how many, accumulator, samples."""
    total = 0.0
    for c in range(a[1]):
        total += load_f64(a[0] + 8 * c)
    store_f64(a[2], load_f64(a[2]) + a[3] * total)
    store_f64(a[2] + 8, load_f64(a[2] + 8) + a[3])


@kernel
def penalty_gradient_kernel(a, first, last):
    """y = dw + l1 * sign(w) + 2 l2 * w, rows first .. last - 1. Operands w, dw, y; numbers l1, 2 l2."""
    zero, l1, twice_l2 = splat(np.float32(0)), splat(np.float32(real(a, 0))), splat(np.float32(real(a, 1)))
    for n in range(first, last):
        for p in range(0, 64 * a[WIDTH], 64):
            w = load_f32x16(sample_address(a, 0, n) + p)
            sign = select(w > zero, l1, select(w < zero, zero - l1, zero))
            store_f32x16(sample_address(a, 2, n) + p, load_f32x16(sample_address(a, 1, n) + p) + sign + twice_l2 * w)


@inlined
def _scale(norm, low, high, rate):
    """What weights of this norm are multiplied by."""
    wanted = maximum(minimum(norm, splat(high)), splat(low))
    return (splat(rate) * wanted + splat(np.float32(1) - rate) * norm) / (splat(EPSILON) + norm)


@kernel
def constrain_kernel(a, first, last):
    """w = max(w, 0), or w * scale(norm), norm the root of the sum of squares over `rows` rows, for the columns first .. last -
    1 of vectors. Operand w; numbers rows, columns, low, high, rate, positive, where all weights have one norm the length of the
    last axis, else 0, and scalars."""
    if load_i64(number(a, 7) + NONFINITE) != 0:
        return
    rows, columns, positive, length = number(a, 0), number(a, 1), number(a, 5), number(a, 6)
    low, high, rate = np.float32(real(a, 2)), np.float32(real(a, 3)), np.float32(real(a, 4))
    zero, vectors = splat(np.float32(0)), a[WIDTH] if length > 0 else 1
    for c in range(first, last):
        w, squares = sample_address(a, 0, 0) + 64 * c, splat(np.float32(0))
        for n in range(rows):
            for v in range(vectors):
                place = w + 64 * (n * columns * vectors + v)
                value = load_f32x16(place)
                if positive:
                    store_f32x16(place, maximum(value, zero))
                elif length > 0:
                    value = select(first_lanes(length - 16 * v), value, zero)
                squares = squares + value * value
        if not positive:
            if length > 0:
                squares = splat(np.float32(horizontal_sum_f64(f32_to_f64(squares))))
            scale = _scale(sqrt(squares), low, high, rate)
            for n in range(rows):
                for v in range(vectors):
                    place = w + 64 * (n * columns * vectors + v)
                    store_f32x16(place, load_f32x16(place) * scale)

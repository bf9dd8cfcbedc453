"""Optimizers on the CPU: elementwise over the rows of a parameter, sixteen lanes at a time, at the speed of memory.

    optimizer_step   one kernel a rule: 12 bytes a weight, and 8 a slot
    clip_factor      sums of squares of chunks of rows, then one serial launch that adds them in order

Whatever a rule needs of the number of steps done comes from the host as RATE, GRADIENT_RATE and EPSILON.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..api import RULES, Scalars
from ..host.functions import inlined
from ..host.plan import float_bits
from ..host.runner import kernel
from ..host.walk import WIDTH, number, parameter_rows, real, sample_address, walk_parameters
from ..simd import (
    absolute,
    bits_as_f64,
    f32_to_f64,
    first_lanes,
    fma,
    horizontal_sum_f64,
    load_f32,
    load_f32x16,
    load_f64,
    load_i64,
    maximum,
    minimum,
    select,
    splat,
    splat_f64,
    sqrt,
    store_f32,
    store_f32x16,
    store_f64,
)

LEARNING_RATE, RATE, GRADIENT_RATE, EPSILON, NONFINITE = (
    8 * slot
    for slot in (Scalars.LEARNING_RATE, Scalars.RATE, Scalars.GRADIENT_RATE, Scalars.EPSILON, Scalars.NONFINITE)
)
(
    SGD, MOMENTUM, NESTEROV, LION, ADAM, AMSGRAD, ADAMAX, ADAGRAD, ADADELTA, RMSPROP, RMSPROP_MOMENTUM, RMSPROP_CENTERED,
    RMSPROP_CENTERED_MOMENTUM,
) = range(len(RULES))  # fmt: skip
CHUNKS = 64
"""Parts that a parameter's rows are cut into to add up their squares: as many on any number of threads."""


def optimizer_step(
    plan: Any, w: Any, dw: Any, slots: Sequence[Any], factor: Any, scalars: Any, *,
    rule: str, beta_1: float = 0.0, beta_2: float = 0.0, weight_decay: float = 0.0, clipvalue: float | None = None,
) -> None:
    """w = (1 - weight_decay * LEARNING_RATE) * w - step of the rule for the clipped gradient."""
    limit = math.inf if clipvalue is None else clipvalue

    def arguments(at: Any) -> list[int]:
        numbers = (at(scalars), at(factor), float(weight_decay), float(limit), float(beta_1), float(beta_2))
        return walk_parameters(at, (w, dw, *slots), numbers)

    reads, writes = [w, dw, *slots, factor, scalars], [w, *slots]
    plan.launch(step_kernel(rule), arguments, reads=reads, writes=writes, outputs=parameter_rows(w))


def clip_factor(plan: Any, xs: Sequence[Any], factor: Any, *, limit: float) -> None:
    """factor = limit / max(norm, limit)."""
    sums = [_square_sums(plan, x) for x in xs]

    def arguments(at: Any) -> list[int]:
        return [at(factor), float_bits(float(limit)), len(sums), *(n for s in sums for n in (at(s), s.size))]

    plan.launch(clip_factor_kernel, arguments, reads=sums, writes=[factor], outputs=1)


def _square_sums(plan: Any, x: Any) -> Any:
    rows = parameter_rows(x)
    sums = plan.scratch("sums of squares", (min(rows, CHUNKS),), np.float64, "plain")
    plan.launch(
        square_sums_kernel,
        lambda at: walk_parameters(at, (x,), (at(sums), sums.size, rows, x.shape[-1])),
        reads=[x],
        writes=[sums],
        outputs=sums.size,
    )
    return sums


# ------ the step of each rule for sixteen weights, and its slots x, y, z afterwards
# r, q, e: RATE, GRADIENT_RATE, EPSILON; b1, b2: the betas; c1, c2: 1 - beta


@inlined
def _sign(x):
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    return select(x > zero, one, select(x < zero, zero - one, x))


@inlined
def _descent(rule, g, x, r, b1, c2):
    """(step, x) of sgd, momentum, nesterov and lion."""
    step = r * g
    if rule == SGD:
        return step, x
    if rule == LION:
        return r * _sign(fma(x - g, b1, g)), fma(g - x, c2, x)
    velocity = b1 * x - step
    if rule == MOMENTUM:
        return splat(np.float32(0)) - velocity, velocity
    return step - b1 * velocity, velocity


@inlined
def _moments(rule, g, x, y, z, r, q, e, b2, c1, c2):
    """(step, x, y, z) of adam, amsgrad and adamax."""
    m = fma(g - x, c1, x)
    if rule == ADAMAX:
        u = maximum(b2 * y, absolute(g))
        return r * m / (u + e), m, u, z
    v = fma(g * g - y, c2, y)
    largest = maximum(z, v)
    if rule == AMSGRAD:
        return fma(r, m, q * g) / (sqrt(largest) + e), m, v, largest
    return fma(r, m, q * g) / (sqrt(v) + e), m, v, z


@inlined
def _accumulated(rule, g, x, y, r, e, c2):
    """(step, x, y) of adagrad and adadelta."""
    if rule == ADAGRAD:
        squares = fma(g, g, x)
        return r * g / sqrt(squares + e), squares, y
    squares = fma(g * g - x, c2, x)
    step = g * sqrt(y + e) / sqrt(squares + e)
    return r * step, squares, fma(step * step - y, c2, y)


@inlined
def _rmsprop(rule, g, x, y, z, r, e, b1, c2):
    """(step, x, y, z) of rmsprop with and without its two additions."""
    v, mean = fma(g * g - x, c2, x), fma(g - y, c2, y)
    if rule == RMSPROP:
        return r * g / sqrt(v + e), v, y, z
    if rule == RMSPROP_MOMENTUM:
        step = fma(b1, y, r * g / sqrt(v + e))
        return step, v, step, z
    step = r * g / sqrt(v - mean * mean + e)
    if rule == RMSPROP_CENTERED_MOMENTUM:
        step = fma(b1, z, step)
    return step, v, mean, step


@inlined
def _stepped(rule, g, x, y, z, r, q, e, b1, b2, c1, c2):
    """(step, x, y, z) of a rule by its number."""
    if rule <= LION:
        step, x = _descent(rule, g, x, r, b1, c2)
        return step, x, y, z
    if rule <= ADAMAX:
        return _moments(rule, g, x, y, z, r, q, e, b2, c1, c2)
    if rule <= ADADELTA:
        step, x, y = _accumulated(rule, g, x, y, r, e, c2)
        return step, x, y, z
    return _rmsprop(rule, g, x, y, z, r, e, b1, c2)


# ------ kernels


@inlined
def _scalar(scalars, slot):
    return splat(np.float32(load_f64(scalars + slot)))


@cache
def step_kernel(rule: str) -> kernel:
    """The kernel of a rule."""
    chosen, slots = list(RULES).index(rule), len(RULES[rule])

    def step(a, first, last):
        """w = keep * w - step, rows first .. last - 1. Operands w, dw and the rule's slots; numbers scalars, factor or 0,
        weight decay, clipvalue, beta_1, beta_2."""
        scalars = number(a, 0)
        if load_i64(scalars + NONFINITE) != 0:
            return
        r, q, e = _scalar(scalars, RATE), _scalar(scalars, GRADIENT_RATE), _scalar(scalars, EPSILON)
        keep = splat(np.float32(1.0 - real(a, 2) * load_f64(scalars + LEARNING_RATE)))
        factor = splat(load_f32(number(a, 1)) if number(a, 1) != 0 else np.float32(1))
        highest, lowest = splat(np.float32(real(a, 3))), splat(np.float32(-real(a, 3)))
        b1, b2 = splat(np.float32(real(a, 4))), splat(np.float32(real(a, 5)))
        c1, c2 = splat(np.float32(1.0 - real(a, 4))), splat(np.float32(1.0 - real(a, 5)))
        zero = splat(np.float32(0))
        for n in range(first, last):
            w, dw = sample_address(a, 0, n), sample_address(a, 1, n)
            place_x, place_y, place_z = sample_address(a, 2, n), sample_address(a, 3, n), sample_address(a, 4, n)
            for p in range(0, 64 * a[WIDTH], 64):
                g = maximum(minimum(load_f32x16(dw + p) * factor, highest), lowest)
                x = load_f32x16(place_x + p) if slots > 0 else zero
                y = load_f32x16(place_y + p) if slots > 1 else zero
                z = load_f32x16(place_z + p) if slots > 2 else zero
                change, x, y, z = _stepped(chosen, g, x, y, z, r, q, e, b1, b2, c1, c2)
                if slots > 0:
                    store_f32x16(place_x + p, x)
                if slots > 1:
                    store_f32x16(place_y + p, y)
                if slots > 2:
                    store_f32x16(place_z + p, z)
                store_f32x16(w + p, keep * load_f32x16(w + p) - change)

    step.__name__ = f"step_{rule}"
    return kernel(step)


@kernel
def square_sums_kernel(a, first, last):
    """sums[c] = sum of x^2 over the rows of chunk c, in float64. Operand x; numbers sums, chunks, rows, columns."""
    chunks, rows = number(a, 1), number(a, 2)
    for c in range(first, last):
        total = splat_f64(0.0)
        for n in range(rows * c // chunks, rows * (c + 1) // chunks):
            x = sample_address(a, 0, n)
            for v in range(a[WIDTH]):
                inside = first_lanes(number(a, 3) - 16 * v)
                value = f32_to_f64(select(inside, load_f32x16(x + 64 * v), splat(np.float32(0))))
                total = total + value * value
        store_f64(number(a, 0) + 8 * c, horizontal_sum_f64(total))


@kernel
def clip_factor_kernel(a, first, last):
    """factor = limit / max(norm, limit). Arguments factor, limit, number of arrays of sums, then address and length of each."""
    total, limit = 0.0, bits_as_f64(a[1])
    for k in range(a[2]):
        for i in range(a[4 + 2 * k]):
            total += load_f64(a[3 + 2 * k] + 8 * i)
    norm = math.sqrt(total)
    # A norm that is not a number is passed on.
    store_f32(a[0], np.float32(1.0 if norm <= limit else limit / norm))

"""Optimizers on the GPU: elementwise over parameters, four weights a thread, at the speed of memory.

    optimizer_step   one kernel a rule: 12 bytes a weight, and 8 a slot
    clip_factor      sums of squares a block, then one block that adds them in order

Nothing is computed in float64: what a rule needs of the number of steps done comes from the host as RATE, GRADIENT_RATE and
EPSILON, narrowed by integer arithmetic.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..api import RULES, Scalars
from ..device.kernel import CudaKernel, kernel
from ..device.reduction import total_of
from ..device.tiles import quad_grid
from ..ptx import inlined, load_quad, narrowed, store_quad

THREADS = 256
PARTS = 256
"""Blocks that add up the squares of one tensor at most."""
LEARNING_RATE, RATE, GRADIENT_RATE, EPSILON, NONFINITE = (
    Scalars.LEARNING_RATE, Scalars.RATE, Scalars.GRADIENT_RATE, Scalars.EPSILON, Scalars.NONFINITE,
)  # fmt: skip


def optimizer_step(
    plan: Any, w: Any, dw: Any, slots: Sequence[Any], factor: Any, scalars: Any, *,
    rule: str, beta_1: float = 0.0, beta_2: float = 0.0, weight_decay: float = 0.0, clipvalue: float | None = None,
) -> None:
    """w = (1 - weight_decay * LEARNING_RATE) * w - step of the rule for the clipped gradient."""
    limit = math.inf if clipvalue is None else clipvalue
    places = (*slots, *[None] * (3 - len(slots)))
    numbers = (weight_decay, limit, beta_1, beta_2, 1 - beta_1, 1 - beta_2)
    chosen = step_kernel(rule, factor is not None)
    plan.launch(
        chosen, quad_grid(w.size, THREADS), (w, dw, *places, factor, scalars, *numbers, w.size), writes=(w, *slots)
    )


def clip_factor(plan: Any, xs: Sequence[Any], factor: Any, *, limit: float) -> None:
    """factor = limit / max(norm, limit)."""
    grids = [min(PARTS, quad_grid(x.size, THREADS)) for x in xs]
    sums = plan.scratch("sums of squares", (sum(grids),))
    for k, (x, blocks) in enumerate(zip(xs, grids, strict=True)):
        plan.launch(square_sums_kernel(), blocks, (x, sums, sum(grids[:k]), x.size), writes=(sums,))
    plan.launch(clip_factor_kernel(), 1, (sums, factor, limit, sums.size), writes=(factor,))


# ------ the step of each rule for one weight, and its slots x, y, z afterwards
# r, q, e: RATE, GRADIENT_RATE, EPSILON; b1, b2: the betas; c1, c2: 1 - beta


def _sgd(g, x, y, z, r, q, e, b1, b2, c1, c2):
    return r * g, x, y, z


def _momentum(g, x, y, z, r, q, e, b1, b2, c1, c2):
    velocity = b1 * x - r * g
    return -velocity, velocity, y, z


def _nesterov(g, x, y, z, r, q, e, b1, b2, c1, c2):
    velocity = b1 * x - r * g
    return r * g - b1 * velocity, velocity, y, z


def _lion(g, x, y, z, r, q, e, b1, b2, c1, c2):
    direction = g + (x - g) * b1
    sign = float32(1) if direction > float32(0) else (float32(-1) if direction < float32(0) else direction)
    return r * sign, x + (g - x) * c2, y, z


def _adam(g, x, y, z, r, q, e, b1, b2, c1, c2):
    m, v = x + (g - x) * c1, y + (g * g - y) * c2
    return (r * m + q * g) / (math.sqrt(v) + e), m, v, z


def _amsgrad(g, x, y, z, r, q, e, b1, b2, c1, c2):
    m, v = x + (g - x) * c1, y + (g * g - y) * c2
    largest = z if z > v else v
    return (r * m + q * g) / (math.sqrt(largest) + e), m, v, largest


def _adamax(g, x, y, z, r, q, e, b1, b2, c1, c2):
    m, past = x + (g - x) * c1, b2 * y
    u = past if past > abs(g) else abs(g)
    return r * m / (u + e), m, u, z


def _adagrad(g, x, y, z, r, q, e, b1, b2, c1, c2):
    squares = x + g * g
    return r * g / math.sqrt(squares + e), squares, y, z


def _adadelta(g, x, y, z, r, q, e, b1, b2, c1, c2):
    squares = x + (g * g - x) * c2
    step = g * math.sqrt(y + e) / math.sqrt(squares + e)
    return r * step, squares, y + (step * step - y) * c2, z


def _rmsprop(g, x, y, z, r, q, e, b1, b2, c1, c2):
    v = x + (g * g - x) * c2
    return r * g / math.sqrt(v + e), v, y, z


def _rmsprop_momentum(g, x, y, z, r, q, e, b1, b2, c1, c2):
    v = x + (g * g - x) * c2
    step = b1 * y + r * g / math.sqrt(v + e)
    return step, v, step, z


def _rmsprop_centered(g, x, y, z, r, q, e, b1, b2, c1, c2):
    v, mean = x + (g * g - x) * c2, y + (g - y) * c2
    return r * g / math.sqrt(v - mean * mean + e), v, mean, z


def _rmsprop_centered_momentum(g, x, y, z, r, q, e, b1, b2, c1, c2):
    v, mean = x + (g * g - x) * c2, y + (g - y) * c2
    step = b1 * z + r * g / math.sqrt(v - mean * mean + e)
    return step, v, mean, step


STEPS = {
    "sgd": _sgd, "momentum": _momentum, "nesterov": _nesterov, "lion": _lion, "adam": _adam, "amsgrad": _amsgrad,
    "adamax": _adamax, "adagrad": _adagrad, "adadelta": _adadelta, "rmsprop": _rmsprop, "rmsprop_momentum": _rmsprop_momentum,
    "rmsprop_centered": _rmsprop_centered, "rmsprop_centered_momentum": _rmsprop_centered_momentum,
}  # fmt: skip


# ------ kernels

SIGNATURE = "f32*, f32*, f32*, f32*, f32*, f32*, u64*, f32, f32, f32, f32, f32, f32, u32"


@cache
def step_kernel(rule: str, scaled: bool) -> CudaKernel:
    """The kernel of a rule, with or without a factor for the gradient."""
    stepped, slots = inlined(STEPS[rule]), len(RULES[rule])

    @kernel(SIGNATURE, threads=THREADS, registers=56, variant=f"{rule},scaled" if scaled else rule)
    def step(w, dw, slot_x, slot_y, slot_z, factor, scalars, decay, limit, b1, b2, c1, c2, n):
        """w[i] = (1 - decay * learning rate) * w[i] - step, and the rule's slots, i < n, for the gradient dw[i] * factor[0],
        limited to [-limit, limit]. Nothing while NONFINITE is set. Reads 8 and writes 4 bytes a weight, 4 and 4 a slot.
        """
        weight, gradient = cuda.local.array(4, float32), cuda.local.array(4, float32)
        x, y, z = cuda.local.array(4, float32), cuda.local.array(4, float32), cuda.local.array(4, float32)
        if scalars[NONFINITE] != 0:
            return
        r, q, e = narrowed(scalars[RATE]), narrowed(scalars[GRADIENT_RATE]), narrowed(scalars[EPSILON])
        keep = float32(1) - decay * narrowed(scalars[LEARNING_RATE])
        scale = factor[0] if scaled else float32(1)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(weight, w, i, n)
            load_quad(gradient, dw, i, n)
            if slots > 0:
                load_quad(x, slot_x, i, n)
            if slots > 1:
                load_quad(y, slot_y, i, n)
            if slots > 2:
                load_quad(z, slot_z, i, n)
            for k in range(4):
                g = scale * gradient[k]
                # min.f32 and max.f32 would turn NaN into a number and hide where it began.
                g = limit if g > limit else (-limit if g < -limit else g)
                change, x[k], y[k], z[k] = stepped(g, x[k], y[k], z[k], r, q, e, b1, b2, c1, c2)
                weight[k] = keep * weight[k] - change
            if slots > 0:
                store_quad(slot_x, i, n, x)
            if slots > 1:
                store_quad(slot_y, i, n, y)
            if slots > 2:
                store_quad(slot_z, i, n, z)
            store_quad(w, i, n, weight)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return step


@cache
def square_sums_kernel() -> CudaKernel:
    """The kernel."""
    total_across = total_of(THREADS)

    @kernel("f32*, f32*, u32, u32", threads=THREADS, registers=40)
    def square_sums(x, sums, first, n):
        """sums[first + block] = sum of the squares of the elements of x that the block strides over; reads 4 bytes each."""
        value, total = cuda.local.array(4, float32), float32(0)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, x, i, n)
            for k in range(4):
                total += value[k] * value[k]
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)
        total = total_across(total)
        if cuda.threadIdx.x == 0:
            sums[first + uint32(cuda.blockIdx.x)] = total

    return square_sums


@cache
def clip_factor_kernel() -> CudaKernel:
    """The kernel."""
    total_across = total_of(THREADS)

    @kernel("f32*, f32*, f32, u32", threads=THREADS, registers=40)
    def clip_factor(sums, factor, limit, n):
        """factor[0] = limit / max(norm, limit), norm = sqrt of the sum of sums[:n]; one block."""
        total, i = float32(0), uint32(cuda.threadIdx.x)
        while i < n:
            total += sums[i]
            i = uint32(i + THREADS)
        norm = math.sqrt(total_across(total))
        if cuda.threadIdx.x == 0:
            # A norm that is not a number is passed on.
            factor[0] = float32(1) if norm <= limit else limit / norm

    return clip_factor

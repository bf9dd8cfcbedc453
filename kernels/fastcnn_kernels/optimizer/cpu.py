"""Optimizers on the CPU: elementwise over the rows of a parameter, sixteen lanes at a time, at the speed of memory.

    sgd    momentum and nesterov; 12 bytes a weight, 20 with velocity
    adam   28 bytes a weight
"""

from typing import Any

import numpy as np

from ..api import Scalars
from ..host.runner import kernel
from ..host.walk import WIDTH, number, parameter_rows, present, real, sample_address, walk_parameters
from ..simd import f64_to_f32, fma, load_f32x16, load_f64, load_i64, splat, splat_f64, sqrt, sqrt_f64, store_f32x16

LEARNING_RATE, ITERATION, NONFINITE = (
    8 * slot for slot in (Scalars.LEARNING_RATE, Scalars.ITERATION, Scalars.NONFINITE)
)


def sgd(
    plan: Any, w: Any, dw: Any, velocity: Any, scalars: Any, *, momentum: float, nesterov: bool
) -> None:
    """w -= lr*dw, or with velocity v = momentum*v - lr*dw and w += v, or w += momentum*v - lr*dw with nesterov."""

    def arguments(at: Any) -> list[int]:
        return walk_parameters(at, (w, dw, velocity), (at(scalars), float(momentum), nesterov))

    plan.launch(
        sgd_kernel,
        arguments,
        reads=[w, dw, velocity, scalars],
        writes=[w, velocity],
        outputs=parameter_rows(w),
    )


def adam(
    plan: Any, w: Any, dw: Any, m: Any, v: Any, scalars: Any, *, beta_1: float, beta_2: float, epsilon: float
) -> None:
    """m += (dw - m)(1 - beta_1); v += (dw^2 - v)(1 - beta_2); w -= lr_t * m / (sqrt(v) + epsilon)."""

    def arguments(at: Any) -> list[int]:
        return walk_parameters(at, (w, dw, m, v), (at(scalars), float(beta_1), float(beta_2), float(epsilon)))

    plan.launch(
        adam_kernel, arguments, reads=[w, dw, m, v, scalars], writes=[w, m, v], outputs=parameter_rows(w)
    )


@kernel
def sgd_kernel(a, first, last):
    """Rows first .. last - 1 of w. Operands w, dw, velocity or None; numbers scalars, momentum, nesterov."""
    scalars = number(a, 0)
    if load_i64(scalars + NONFINITE) != 0:
        return
    rate, momentum = splat(np.float32(load_f64(scalars + LEARNING_RATE))), splat(np.float32(real(a, 1)))
    for n in range(first, last):
        w, dw, velocity = sample_address(a, 0, n), sample_address(a, 1, n), sample_address(a, 2, n)
        for p in range(0, 64 * a[WIDTH], 64):
            step = splat(np.float32(0)) - rate * load_f32x16(dw + p)
            if present(a, 2):
                speed = fma(momentum, load_f32x16(velocity + p), step)
                store_f32x16(velocity + p, speed)
                step = fma(momentum, speed, step) if number(a, 2) else speed
            store_f32x16(w + p, load_f32x16(w + p) + step)


@kernel
def adam_kernel(a, first, last):
    """Rows first .. last - 1 of w. Operands w, dw, m, v; numbers scalars, beta_1, beta_2, epsilon."""
    scalars = number(a, 0)
    if load_i64(scalars + NONFINITE) != 0:
        return
    t = np.float64(load_i64(scalars + ITERATION))
    correction = sqrt_f64(splat_f64(1.0 - real(a, 2) ** t)) / splat_f64(1.0 - real(a, 1) ** t)
    rate = f64_to_f32(splat_f64(load_f64(scalars + LEARNING_RATE)) * correction)
    gain_1, gain_2 = splat(np.float32(1.0 - real(a, 1))), splat(np.float32(1.0 - real(a, 2)))
    epsilon = splat(np.float32(real(a, 3)))
    for n in range(first, last):
        w, dw, m, v = sample_address(a, 0, n), sample_address(a, 1, n), sample_address(a, 2, n), sample_address(a, 3, n)
        for p in range(0, 64 * a[WIDTH], 64):
            gradient, old_m, old_v = load_f32x16(dw + p), load_f32x16(m + p), load_f32x16(v + p)
            new_m = fma(gradient - old_m, gain_1, old_m)
            new_v = fma(gradient * gradient - old_v, gain_2, old_v)
            store_f32x16(m + p, new_m)
            store_f32x16(v + p, new_v)
            store_f32x16(w + p, load_f32x16(w + p) - rate * new_m / (sqrt(new_v) + epsilon))

"""Optimizers on the GPU: elementwise over parameters, four weights a thread, at the speed of memory.

    sgd    momentum and nesterov; 12 bytes a weight, 20 with velocity
    adam   28 bytes a weight

Nothing is computed in float64: the learning rate is narrowed by integer arithmetic, and 1 - beta^t = -expm1(t log beta) keeps
its digits where beta^t is close to 1.
"""

import math
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..api import Scalars
from ..device.kernel import CudaKernel, kernel
from ..device.tiles import quad_grid
from ..ptx import load_quad, narrowed, store_quad

THREADS = 256
LEARNING_RATE, ITERATION, NONFINITE = Scalars.LEARNING_RATE, Scalars.ITERATION, Scalars.NONFINITE


def sgd(plan: Any, w: Any, dw: Any, velocity: Any, scalars: Any, *, momentum: float, nesterov: bool) -> None:
    """w -= lr*dw, or with velocity v = momentum*v - lr*dw and w += v, or w += momentum*v - lr*dw with nesterov."""
    chosen = sgd_kernel(velocity is not None, nesterov)
    plan.launch(chosen, quad_grid(w.size, THREADS), (w, dw, velocity, scalars, momentum, w.size), writes=(w, velocity))


def adam(
    plan: Any, w: Any, dw: Any, m: Any, v: Any, scalars: Any, *, beta_1: float, beta_2: float, epsilon: float
) -> None:
    """m += (dw - m)(1 - beta_1); v += (dw^2 - v)(1 - beta_2); w -= lr_t * m / (sqrt(v) + epsilon)."""
    numbers = (1 - beta_1, 1 - beta_2, _log(beta_1), _log(beta_2), epsilon)
    plan.launch(adam_kernel(), quad_grid(w.size, THREADS), (w, dw, m, v, scalars, *numbers, w.size), writes=(w, m, v))


def _log(beta: float) -> float:
    return math.log(beta) if beta else -math.inf


@cache
def sgd_kernel(with_velocity: bool, nesterov: bool) -> CudaKernel:
    """The kernel for plain descent, momentum, or Nesterov's."""
    variant = "plain" if not with_velocity else "nesterov" if nesterov else "momentum"

    @kernel("f32*, f32*, f32*, u64*, f32, u32", threads=THREADS, registers=40, variant=variant)
    def sgd(w, dw, velocity, scalars, momentum, n):
        """w[i] -= rate * dw[i], i < n; or, with velocity, v[i] = momentum * v[i] - rate * dw[i] and w[i] += v[i], or
        momentum * v[i] - rate * dw[i]. Nothing while NONFINITE is set. Reads 8 and writes 4 bytes a weight, 12 and 8 with
        velocity.
        """
        weight, step, speed = cuda.local.array(4, float32), cuda.local.array(4, float32), cuda.local.array(4, float32)
        if scalars[NONFINITE] != 0:
            return
        rate = narrowed(scalars[LEARNING_RATE])
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(weight, w, i, n)
            load_quad(step, dw, i, n)
            if with_velocity:
                load_quad(speed, velocity, i, n)
            for e in range(4):
                step[e] *= -rate
                if with_velocity:
                    speed[e] = momentum * speed[e] + step[e]
                    step[e] = momentum * speed[e] + step[e] if nesterov else speed[e]
                weight[e] += step[e]
            if with_velocity:
                store_quad(velocity, i, n, speed)
            store_quad(w, i, n, weight)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return sgd


@cache
def adam_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, f32*, f32*, u64*, f32, f32, f32, f32, f32, u32", threads=THREADS, registers=56)
    def adam(w, dw, m, v, scalars, gain_1, gain_2, log_1, log_2, epsilon, n):
        """m[i] += (dw[i] - m[i]) gain_1; v[i] += (dw[i]^2 - v[i]) gain_2; w[i] -= rate * m[i] / (sqrt(v[i]) + epsilon), i < n,

        with rate = learning rate * sqrt(1 - exp(t log_2)) / (1 - exp(t log_1)), t = ITERATION. Nothing while NONFINITE is set.
        Reads 16 and writes 12 bytes a weight; every thread computes the rate, about 100 instructions.
        """
        weight, gradient = cuda.local.array(4, float32), cuda.local.array(4, float32)
        first, second = cuda.local.array(4, float32), cuda.local.array(4, float32)
        if scalars[NONFINITE] != 0:
            return
        t = float32(uint32(scalars[ITERATION]))
        rate = narrowed(scalars[LEARNING_RATE]) * math.sqrt(-math.expm1(t * log_2)) / -math.expm1(t * log_1)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(weight, w, i, n)
            load_quad(gradient, dw, i, n)
            load_quad(first, m, i, n)
            load_quad(second, v, i, n)
            for e in range(4):
                first[e] += (gradient[e] - first[e]) * gain_1
                second[e] += (gradient[e] * gradient[e] - second[e]) * gain_2
                weight[e] -= rate * first[e] / (math.sqrt(second[e]) + epsilon)
            store_quad(m, i, n, first)
            store_quad(v, i, n, second)
            store_quad(w, i, n, weight)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return adam

"""Elementwise activations on the GPU: four elements a thread, grid-stride, so any size fits one launch."""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device.functions import activate, derivative
from ..device.kernel import CudaKernel, kernel
from ..device.tiles import quad_grid
from ..ptx import load_quad, store_quad

THREADS = 256


def activation_forward(plan: Any, x: Any, y: Any, *, activation: str, alpha: float = 0.0) -> None:
    """y = act(x)."""
    plan.launch(activation_forward_kernel(activation), quad_grid(x.size, THREADS), (x, y, alpha, x.size), writes=(y,))


def activation_backward(plan: Any, y: Any, dy: Any, dx: Any, *, activation: str, alpha: float = 0.0) -> None:
    """dx = dy * act'(y)."""
    grid = quad_grid(y.size, THREADS)
    plan.launch(activation_backward_kernel(activation), grid, (y, dy, dx, alpha, y.size), writes=(dx,))


@cache
def activation_forward_kernel(activation: str) -> CudaKernel:
    """The kernel for one activation."""
    act = activate(activation)

    @kernel("f32*, f32*, f32, u32", threads=THREADS, registers=32, variant=activation)
    def activation_forward(x, y, alpha, n):
        """y[i] = act(x[i]), i < n, four elements a thread and step. Reads 4 and writes 4 bytes an element, coalesced."""
        value = cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, x, i, n)
            for e in range(4):
                value[e] = act(value[e], alpha)
            store_quad(y, i, n, value)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return activation_forward


@cache
def activation_backward_kernel(activation: str) -> CudaKernel:
    """The kernel for one activation's derivative."""
    slope = derivative(activation)

    @kernel("f32*, f32*, f32*, f32, u32", threads=THREADS, registers=32, variant=activation)
    def activation_backward(y, dy, dx, alpha, n):
        """dx[i] = dy[i] * act'(y[i]), i < n, four elements a thread and step. Reads 8 and writes 4 bytes an element,
        coalesced."""
        value, gradient = cuda.local.array(4, float32), cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, y, i, n)
            load_quad(gradient, dy, i, n)
            for e in range(4):
                gradient[e] *= slope(value[e], alpha)
            store_quad(dx, i, n, gradient)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return activation_backward

"""Elementwise functions of one, two and many tensors on the GPU: four elements a thread, grid-stride.

    unary_forward, unary_backward       square, abs, exp, log, and the activations of UNARY
    binary_forward, binary_backward     add, subtract, multiply, maximum, minimum
    affine                              scale and offset
    add, add_parameters                 sums of many, up to four in a launch
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device.functions import FUNCTIONS
from ..device.kernel import CudaKernel, kernel
from ..device.tiles import quad_grid
from ..device.works import op
from ..ptx import inlined, load_quad, store_quad

THREADS = 256
SUMMANDS = 4
"""Tensors that one launch of `add` reads at most."""


def unary_forward(plan: Any, x: Any, y: Any, *, function: str) -> None:
    """y = function(x)."""
    plan.launch(unary_forward_kernel(function), quad_grid(x.size, THREADS), (x, y, x.size), writes=(y,))


def unary_backward(plan: Any, x: Any, y: Any, dy: Any, dx: Any, *, function: str) -> None:
    """dx = dy * function'(x)."""
    # Each derivative is taken from one of x and y.
    operand = y if function == "exp" else x
    plan.launch(unary_backward_kernel(function), quad_grid(x.size, THREADS), (operand, dy, dx, x.size), writes=(dx,))


def binary_forward(plan: Any, a: Any, b: Any, y: Any, *, function: str) -> None:
    """y = function(a, b)."""
    plan.launch(binary_forward_kernel(function), quad_grid(y.size, THREADS), (a, b, y, y.size), writes=(y,))


def binary_backward(plan: Any, a: Any, b: Any, dy: Any, da: Any, db: Any, *, function: str) -> None:
    """da, db = dy times the derivatives of function(a, b)."""
    chosen = binary_backward_kernel(function, da is not None, db is not None)
    plan.launch(chosen, quad_grid(dy.size, THREADS), (a, b, dy, da, db, dy.size), writes=(da, db))


@op("affine", "y")
def affine(plan: Any, x: Any, y: Any, *, scale: float, offset: float = 0.0) -> None:
    """y = scale * x + offset."""
    plan.launch(affine_kernel(), quad_grid(x.size, THREADS), (x, y, scale, offset, x.size), writes=(y,))


def add(plan: Any, xs: Any, y: Any) -> None:
    """y = sum of xs."""
    summands = list(xs)
    while summands:
        now, summands = summands[:SUMMANDS], summands[SUMMANDS:]
        operands = (*now, *[None] * (SUMMANDS - len(now)))
        plan.launch(add_kernel(len(now)), quad_grid(y.size, THREADS), (*operands, y, y.size), writes=(y,))
        # The sum so far is the first summand of the next launch.
        summands = [y, *summands] if summands else []


def add_parameters(plan: Any, xs: Any, y: Any) -> None:
    """y = sum of xs, parameters."""
    add(plan, xs, y)


# ------ functions of numbers


def _square(x):
    return x * x


def _abs(x):
    return abs(x)


def _exp(x):
    return math.exp(x)


def _log(x):
    return math.log(x)


def _square_gradient(x, dy):
    return dy * (x + x)


def _abs_gradient(x, dy):
    # 0 * x rather than 0: NaN stays NaN.
    sign = float32(1) if x > float32(0) else float32(-1) if x < float32(0) else float32(0) * x
    return dy * sign


def _exp_gradient(y, dy):
    return dy * y


def _log_gradient(x, dy):
    return dy / x


_UNARY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "square": (_square, _square_gradient),
    "abs": (_abs, _abs_gradient),
    "exp": (_exp, _exp_gradient),
    "log": (_log, _log_gradient),
    **FUNCTIONS,
}


def _add(a, b):
    return a + b


def _subtract(a, b):
    return a - b


def _multiply(a, b):
    return a * b


def _maximum(a, b):
    # As NumPy has it, NaN where either is: max.f32 would hide it.
    return b if b > a or b != b else a


def _minimum(a, b):
    return b if b < a or b != b else a


def _add_gradient(a, b, dy):
    return dy, dy


def _subtract_gradient(a, b, dy):
    return dy, -dy


def _multiply_gradient(a, b, dy):
    return dy * b, dy * a


def _maximum_gradient(a, b, dy):
    return (dy, float32(0)) if a >= b else (float32(0), dy)


def _minimum_gradient(a, b, dy):
    return (dy, float32(0)) if a <= b else (float32(0), dy)


_BINARY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (_add, _add_gradient),
    "subtract": (_subtract, _subtract_gradient),
    "multiply": (_multiply, _multiply_gradient),
    "maximum": (_maximum, _maximum_gradient),
    "minimum": (_minimum, _minimum_gradient),
}


# ------ kernels


@cache
def unary_forward_kernel(function: str) -> CudaKernel:
    """The kernel for one function."""
    f = inlined(_UNARY[function][0])

    @kernel("f32*, f32*, u32", threads=THREADS, registers=32, variant=function)
    def unary_forward(x, y, n):
        """y[i] = f(x[i]), i < n. Reads 4 and writes 4 bytes an element, coalesced."""
        value = cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, x, i, n)
            for e in range(4):
                value[e] = f(value[e])
            store_quad(y, i, n, value)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return unary_forward


@cache
def unary_backward_kernel(function: str) -> CudaKernel:
    """The kernel for one function's derivative."""
    f = inlined(_UNARY[function][1])

    @kernel("f32*, f32*, f32*, u32", threads=THREADS, registers=32, variant=function)
    def unary_backward(x, dy, dx, n):
        """dx[i] = dy[i] * f'(x[i]), i < n; of exp, x is its output. Reads 8 and writes 4 bytes an element, coalesced."""
        value, gradient = cuda.local.array(4, float32), cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, x, i, n)
            load_quad(gradient, dy, i, n)
            for e in range(4):
                gradient[e] = f(value[e], gradient[e])
            store_quad(dx, i, n, gradient)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return unary_backward


@cache
def binary_forward_kernel(function: str) -> CudaKernel:
    """The kernel for one function."""
    f = inlined(_BINARY[function][0])

    @kernel("f32*, f32*, f32*, u32", threads=THREADS, registers=32, variant=function)
    def binary_forward(a, b, y, n):
        """y[i] = f(a[i], b[i]), i < n. Reads 8 and writes 4 bytes an element, coalesced."""
        left, right = cuda.local.array(4, float32), cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(left, a, i, n)
            load_quad(right, b, i, n)
            for e in range(4):
                left[e] = f(left[e], right[e])
            store_quad(y, i, n, left)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return binary_forward


@cache
def binary_backward_kernel(function: str, a_wanted: bool, b_wanted: bool) -> CudaKernel:
    """The kernel for one function's derivatives, with respect to those of a and b that are wanted."""
    f = inlined(_BINARY[function][1])
    variant = ",".join([function, *["da"] * a_wanted, *["db"] * b_wanted])

    @kernel("f32*, f32*, f32*, f32*, f32*, u32", threads=THREADS, registers=40, variant=variant)
    def binary_backward(a, b, dy, da, db, n):
        """da[i], db[i] = dy[i] times the derivatives of f(a[i], b[i]), i < n. Reads 12, writes 4 bytes an element each."""
        left, right = cuda.local.array(4, float32), cuda.local.array(4, float32)
        gradient = cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(left, a, i, n)
            load_quad(right, b, i, n)
            load_quad(gradient, dy, i, n)
            for e in range(4):
                left[e], right[e] = f(left[e], right[e], gradient[e])
            if a_wanted:
                store_quad(da, i, n, left)
            if b_wanted:
                store_quad(db, i, n, right)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return binary_backward


@cache
def affine_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, f32, f32, u32", threads=THREADS, registers=32)
    def affine(x, y, scale, offset, n):
        """y[i] = scale * x[i] + offset, i < n. Reads 4 and writes 4 bytes an element, coalesced."""
        value = cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, x, i, n)
            for e in range(4):
                value[e] = scale * value[e] + offset
            store_quad(y, i, n, value)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return affine


@cache
def add_kernel(count: int) -> CudaKernel:
    """The kernel for `count` summands."""

    @kernel("f32*, f32*, f32*, f32*, f32*, u32", threads=THREADS, registers=40, variant=str(count))
    def add(a, b, c, d, y, n):
        """y[i] = ((a[i] + b[i]) + c[i]) + d[i], as many as there are, i < n. y may be a.

        Reads 4 bytes an element and summand and writes 4, coalesced.
        """
        total, value = cuda.local.array(4, float32), cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(total, a, i, n)
            if count > 1:
                load_quad(value, b, i, n)
                for e in range(4):
                    total[e] += value[e]
            if count > 2:
                load_quad(value, c, i, n)
                for e in range(4):
                    total[e] += value[e]
            if count > 3:
                load_quad(value, d, i, n)
                for e in range(4):
                    total[e] += value[e]
            store_quad(y, i, n, total)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return add

"""Dropout on the GPU. The mask is not kept: backward draws the same numbers again."""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..api import Scalars
from ..device.kernel import CudaKernel, kernel
from ..device.tiles import quad_grid
from ..device.works import op
from ..ptx import load_quad, store_quad
from ..random.cuda import philox
from ..random.reference import uniform_limit

THREADS = 256
SEED, STEP = 2 * Scalars.SEED, 2 * Scalars.STEP
"""Where the numbers begin in the scalars buffer, in words of 32 bits."""


@op("dropout_forward", "y")
def dropout_forward(plan: Any, x: Any, scalars: Any, y: Any, *, rate: float, op_id: int) -> None:
    """y = x / (1 - rate) where u >= rate, else 0."""
    _launch(plan, x, scalars, y, rate, op_id)


@op("dropout_backward", "dx")
def dropout_backward(plan: Any, dy: Any, scalars: Any, dx: Any, *, rate: float, op_id: int) -> None:
    """dx = dy / (1 - rate) where u >= rate, else 0."""
    _launch(plan, dy, scalars, dx, rate, op_id)


def _launch(plan: Any, x: Any, scalars: Any, y: Any, rate: float, op_id: int) -> None:
    arguments = (x, scalars, y, uniform_limit(rate), 1 / (1 - rate), op_id % (1 << 32), x.size)
    plan.launch(dropout_kernel(), quad_grid(x.size, THREADS), arguments, writes=(y,))


@cache
def dropout_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, u32*, f32*, u32, f32, u32, u32", threads=THREADS, registers=40)
    def dropout(x, scalars, y, limit, scale, op_id, n):
        """y[i] = scale * x[i] where word i of the stream (SEED, STEP, op_id) has upper 24 bits >= limit, else 0; i < n.

        A quad of elements is one counter: about 70 integer operations for 16 bytes read and 16 written.
        """
        value = cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, x, i, n)
            words = philox(uint32(i // uint32(4)), uint32(0), scalars[STEP], op_id, scalars[SEED], scalars[SEED + 1])
            value[0] = scale * value[0] if words[0] >> uint32(8) >= limit else float32(0)
            value[1] = scale * value[1] if words[1] >> uint32(8) >= limit else float32(0)
            value[2] = scale * value[2] if words[2] >> uint32(8) >= limit else float32(0)
            value[3] = scale * value[3] if words[3] >> uint32(8) >= limit else float32(0)
            store_quad(y, i, n, value)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return dropout

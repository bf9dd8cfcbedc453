"""Permutation of axes on the GPU: a thread has one element of y; four channels where these stay last and are aligned."""

from functools import cache
from math import prod
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..api import Extents
from ..device.kernel import CudaKernel, kernel
from ..device.pixels import THREADS, loader, place, storer
from ..device.tiles import ceil_div


def transpose(plan: Any, x: Any, y: Any, *, axes: Extents) -> None:
    """Axis j of y is axis axes[j] of x."""
    strides = [prod(x.shape[axis + 1 :]) for axis in axes]
    vector = 4 if axes[-1] == len(axes) - 1 and y.shape[-1] % 4 == 0 else 1
    unit = 5 - len(axes)
    extents, steps = (*(1,) * unit, *y.shape[1:]), (*(0,) * unit, *strides[1:])
    blocks = ceil_div(y.size // vector, THREADS)
    plan.launch(transpose_kernel(vector), blocks, (x, y, y.size, *extents, strides[0], *steps), writes=(y,))


@cache
def transpose_kernel(vector: int) -> CudaKernel:
    """The kernel for threads of `vector` channels."""
    at, load, store = place(vector), loader(vector), storer(vector)

    @kernel("f32*, f32*" + ", u32" * 10, threads=THREADS, registers=40, variant=str(vector))
    def transpose(x, y, total, D, H, W, C, step_n, step_d, step_h, step_w, step_c):
        """y[n, d, h, w, c] = x[n*step_n + d*step_d + h*step_h + w*step_w + c*step_c]. Writes are coalesced; reads are where the
        last axis stays, else each takes a sector of its own, which neighbouring blocks find in the cache."""
        value = cuda.local.array(vector, float32)
        i, n, d, h, w, c = at(D, H, W, C)
        if i >= total:
            return
        load(value, x, uint32(n * step_n + d * step_d + h * step_h + w * step_w + c * step_c))
        store(y, i, value)

    return transpose

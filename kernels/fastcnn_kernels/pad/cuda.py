"""Padding and cropping on the GPU: a thread has one pixel of y, four channels of it where they are aligned."""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..api import Padding
from ..device.kernel import CudaKernel, kernel
from ..device.pixels import THREADS, Pixels, loader, pixel, place, storer


def pad(plan: Any, x: Any, y: Any, *, padding: Padding) -> None:
    """y = x with a border of zeros, or without a border where padding is negative."""
    p = Pixels(y)
    before = (*(0,) * (3 - len(padding)), *(before % (1 << 32) for before, _ in padding))
    arguments = (x, y, y.size, *Pixels(x).extents, *p.extents, p.channels, *before)
    plan.launch(pad_kernel(p.vector), p.blocks, arguments, writes=(y,))


@cache
def pad_kernel(vector: int) -> CudaKernel:
    """The kernel for threads of `vector` channels."""
    at, load, store = place(vector), loader(vector), storer(vector)

    @kernel("f32*, f32*" + ", u32" * 11, threads=THREADS, registers=40, variant=str(vector))
    def pad(x, y, total, D, H, W, OD, OH, OW, C, before_d, before_h, before_w):
        """y[n, i, c] = x[n, i - before, c], 0 where that is outside D, H, W; before is taken modulo 2^32.

        Reads an element of x at most once and writes one of y once, coalesced."""
        value = cuda.local.array(vector, float32)
        i, n, d, h, w, c = at(OD, OH, OW, C)
        if i >= total:
            return
        x_d, x_h, x_w = uint32(d - before_d), uint32(h - before_h), uint32(w - before_w)
        for e in range(vector):
            value[e] = float32(0)
        if x_d < D and x_h < H and x_w < W:
            load(value, x, pixel(n, x_d, x_h, x_w, c, D, H, W, C))
        store(y, i, value)

    return pad

"""What kernels over images have in common: a thread has one pixel, four channels of it where they are aligned.

    Pixels              the geometry of a tensor, in three dimensions, and the blocks of a launch over it
    place, pixel        a thread's coordinates, and the element at coordinates
    loader, storer      the channels of a thread from memory and to it
"""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import uint32

from ..ptx import inlined, load4, store4
from .tiles import ceil_div

THREADS = 256


class Pixels:
    """A tensor (N, ..., C) as (N, D, H, W, C)."""

    def __init__(self, tensor: Any):
        spatial = tensor.shape[1:-1]
        self.extents, self.channels = (*(1,) * (3 - len(spatial)), *spatial), tensor.shape[-1]
        self.vector = 1 if self.channels % 4 else 4
        self.blocks = ceil_div(tensor.size // self.vector, THREADS)


@cache
def place(vector: int) -> Any:
    """place(D, H, W, C) -> (i, n, d, h, w, c): the thread's first element of a tensor with these extents, and its
    coordinates."""

    def place(D, H, W, C):
        i = uint32((cuda.blockIdx.x * THREADS + cuda.threadIdx.x) * vector)
        pixel = uint32(i // C)
        row = uint32(pixel // W)
        plane = uint32(row // H)
        n = uint32(plane // D)
        return i, n, uint32(plane - n * D), uint32(row - plane * H), uint32(pixel - row * W), uint32(i - pixel * C)

    return inlined(place)


@inlined
def pixel(n, d, h, w, c, D, H, W, C):
    """The element at these coordinates."""
    return uint32((((n * D + d) * H + h) * W + w) * C + c)


@cache
def loader(vector: int) -> Any:
    """load(mine, memory, i): mine = memory[i : i+vector]."""

    def four(mine, memory, i):
        load4(mine, 0, memory, i)

    def one(mine, memory, i):
        mine[0] = memory[i]

    return inlined(four if vector == 4 else one)


@cache
def storer(vector: int) -> Any:
    """store(memory, i, mine): memory[i : i+vector] = mine."""

    def four(memory, i, mine):
        store4(memory, i, mine, 0)

    def one(memory, i, mine):
        memory[i] = mine[0]

    return inlined(four if vector == 4 else one)

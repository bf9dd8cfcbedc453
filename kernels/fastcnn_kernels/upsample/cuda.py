"""Upsampling on the GPU: a thread has one pixel of the result, four channels of it where they are aligned.

Both directions gather, so that nothing is added by two threads: forward the pixels that an output lies between, backward the
outputs that a pixel reaches, in row-major order.
"""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..api import Extents
from ..device.kernel import CudaKernel, kernel
from ..device.pixels import THREADS, Pixels, loader, pixel, place, storer
from ..ptx import inlined

NUMBERS = ", u32" * 8
"""The result's elements; D, H, W of the small image; OD, OH, OW of the large one; C."""


def upsample_forward(plan: Any, x: Any, y: Any, *, factors: Extents, interpolation: str) -> None:
    """y = x enlarged."""
    small, large = Pixels(x), Pixels(y)
    chosen = upsample_forward_kernel(large.vector, _three(factors), interpolation)
    plan.launch(chosen, large.blocks, (x, y, y.size, *small.extents, *large.extents, large.channels), writes=(y,))


def upsample_backward(plan: Any, dy: Any, dx: Any, *, factors: Extents, interpolation: str) -> None:
    """dx = dy, gathered where forward put x."""
    small, large = Pixels(dx), Pixels(dy)
    chosen = upsample_backward_kernel(small.vector, _three(factors), interpolation)
    plan.launch(chosen, small.blocks, (dy, dx, dx.size, *small.extents, *large.extents, small.channels), writes=(dx,))


def _three(factors: Extents) -> Extents:
    return (*(1,) * (3 - len(factors)), *factors)


def _variant(vector: int, factors: Extents, interpolation: str) -> str:
    return f"{interpolation},{'x'.join(map(str, factors))},{vector}"


# ------ along one axis


@cache
def _weigher(factor: int, interpolation: str) -> Any:
    """weight(o, i, extent): how much of pixel i there is in output o."""

    def nearest(o, i, extent):
        return float32(1) if uint32(o // uint32(factor)) == i else float32(0)

    def bilinear(o, i, extent):
        centre = (float32(uint32(2 * o + 1)) - float32(factor)) / float32(2 * factor)
        centre = min(max(centre, float32(0)), float32(uint32(extent - 1)))
        return max(float32(0), float32(1) - abs(centre - float32(i)))

    return inlined(nearest if interpolation == "nearest" else bilinear)


@cache
def _sources(factor: int, interpolation: str) -> Any:
    """How many pixels an output may see, and first(o), the first of them; one before 0 is a number beyond all extents."""
    blurred = interpolation == "bilinear" and factor > 1

    def between(o):
        return uint32(uint32(uint32(2 * o + 1 + factor) // uint32(2 * factor)) - 1)

    def whole(o):
        return uint32(o // uint32(factor))

    return (2, inlined(between)) if blurred else (1, inlined(whole))


def _reach(factor: int, interpolation: str) -> tuple[int, int]:
    """How many outputs a pixel i may reach, and how far before i * factor the first of them lies."""
    return (2 * factor, factor // 2) if interpolation == "bilinear" and factor > 1 else (factor, 0)


# ------ kernels


@cache
def upsample_forward_kernel(vector: int, factors: Extents, interpolation: str) -> CudaKernel:
    """The kernel for three factors."""
    at, load, store = place(vector), loader(vector), storer(vector)
    weight_d, weight_h, weight_w = (_weigher(factor, interpolation) for factor in factors)
    (count_d, first_d), (count_h, first_h), (count_w, first_w) = (_sources(factor, interpolation) for factor in factors)

    @kernel("f32*, f32*" + NUMBERS, threads=THREADS, registers=64, variant=_variant(vector, factors, interpolation))
    def upsample_forward(x, y, total, D, H, W, OD, OH, OW, C):
        """y[n, o, c] = sum of weight(o, i) * x[n, i, c] over the pixels i that o lies between: one for nearest, up to two an
        axis for bilinear. Writes 4 bytes an element; x is read from cache but for the first time."""
        value, sums = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        i, n, d, h, w, c = at(OD, OH, OW, C)
        if i >= total:
            return
        for e in range(vector):
            sums[e] = float32(0)
        for k_d in range(count_d):
            for k_h in range(count_h):
                for k_w in range(count_w):
                    x_d, x_h, x_w = uint32(first_d(d) + k_d), uint32(first_h(h) + k_h), uint32(first_w(w) + k_w)
                    if x_d < D and x_h < H and x_w < W:
                        weight = weight_d(d, x_d, D) * weight_h(h, x_h, H) * weight_w(w, x_w, W)
                        load(value, x, pixel(n, x_d, x_h, x_w, c, D, H, W, C))
                        for e in range(vector):
                            sums[e] += weight * value[e]
        store(y, i, sums)

    return upsample_forward


@cache
def upsample_backward_kernel(vector: int, factors: Extents, interpolation: str) -> CudaKernel:
    """The kernel for three factors."""
    at, load, store = place(vector), loader(vector), storer(vector)
    factor_d, factor_h, factor_w = factors
    weight_d, weight_h, weight_w = (_weigher(factor, interpolation) for factor in factors)
    (count_d, before_d), (count_h, before_h), (count_w, before_w) = (_reach(factor, interpolation) for factor in factors)

    @kernel("f32*, f32*" + NUMBERS, threads=THREADS, registers=64, variant=_variant(vector, factors, interpolation))
    def upsample_backward(dy, dx, total, D, H, W, OD, OH, OW, C):
        """dx[n, i, c] = sum of weight(o, i) * dy[n, o, c] over the outputs o that pixel i reaches: factor of them an axis for
        nearest, up to twice as many for bilinear, in row-major order."""
        value, sums = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        i, n, d, h, w, c = at(D, H, W, C)
        if i >= total:
            return
        for e in range(vector):
            sums[e] = float32(0)
        for k_d in range(count_d):
            for k_h in range(count_h):
                for k_w in range(count_w):
                    o_d, o_h = uint32(d * factor_d + k_d - before_d), uint32(h * factor_h + k_h - before_h)
                    o_w = uint32(w * factor_w + k_w - before_w)
                    if o_d < OD and o_h < OH and o_w < OW:
                        weight = weight_d(o_d, d, D) * weight_h(o_h, h, H) * weight_w(o_w, w, W)
                        load(value, dy, pixel(n, o_d, o_h, o_w, c, OD, OH, OW, C))
                        for e in range(vector):
                            sums[e] += weight * value[e]
        store(dx, i, sums)

    return upsample_backward

"""Pooling on the GPU: a thread has one pixel of the result, four channels of it where they are aligned.

    max_pool_forward, max_pool_backward             the maximum, and which pixel it was
    average_pool_forward, average_pool_backward     the mean of the pixels inside the image
    Pool                                            the geometry, in three dimensions

1-D and 2-D images are volumes of extent 1. The backward kernels gather: a pixel adds up its windows in row-major order, so
nothing is added by two threads and the order is always the same. Positions are counted from the padding's first pixel, so all
are unsigned: place p of the padded image is pixel p - before, which is outside where that is not < extent.
"""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, int32, uint8, uint32

from ..api import Extents, Padding
from ..device.kernel import CudaKernel, kernel
from ..device.pixels import THREADS, loader, pixel, place, storer
from ..device.tiles import ceil_div
from ..ptx import inlined

NOBODY = 0xFFFFFFFF


def max_pool_forward(
    plan: Any, x: Any, y: Any, argmax: Any, *, window: Extents, strides: Extents, padding: Padding
) -> None:
    """y = maximum of the window, argmax = the first position in the window that has it."""
    p = Pool(x, y, window, strides, padding)
    chosen = max_pool_forward_kernel(p.vector, p.window, p.strides, argmax.dtype.name)
    plan.launch(chosen, p.blocks(y), (x, y, argmax, *p.numbers(y)), writes=(y, argmax))


def max_pool_backward(
    plan: Any, argmax: Any, dy: Any, dx: Any, *, window: Extents, strides: Extents, padding: Padding
) -> None:
    """dx = dy where a window was won."""
    p = Pool(dx, dy, window, strides, padding)
    chosen = max_pool_backward_kernel(p.vector, p.window, p.strides, argmax.dtype.name)
    plan.launch(chosen, p.blocks(dx), (argmax, dy, dx, *p.numbers(dx)), writes=(dx,))


def average_pool_forward(plan: Any, x: Any, y: Any, *, window: Extents, strides: Extents, padding: Padding) -> None:
    """y = mean of the window's pixels inside x."""
    p = Pool(x, y, window, strides, padding)
    chosen = average_pool_forward_kernel(p.vector, p.window, p.strides)
    plan.launch(chosen, p.blocks(y), (x, y, *p.numbers(y)), writes=(y,))


def average_pool_backward(plan: Any, dy: Any, dx: Any, *, window: Extents, strides: Extents, padding: Padding) -> None:
    """dx = sum over the windows of dy / pixels inside x."""
    p = Pool(dx, dy, window, strides, padding)
    chosen = average_pool_backward_kernel(p.vector, p.window, p.strides)
    plan.launch(chosen, p.blocks(dx), (dy, dx, *p.numbers(dx)), writes=(dx,))


class Pool:
    """A pool of the image x (N, ..., C) to y, in three dimensions: depth, height, width."""

    def __init__(self, x: Any, y: Any, window: Extents, strides: Extents, padding: Padding):
        missing = (1,) * (3 - len(window))
        self.window, self.strides = (*missing, *window), (*missing, *strides)
        self.extents, self.outputs = (*missing, *x.shape[1:-1]), (*missing, *y.shape[1:-1])
        self.before = (*(0 for _ in missing), *(before for before, _ in padding))
        self.channels = x.shape[-1]
        self.vector = 1 if self.channels % 4 else 4

    def blocks(self, result: Any) -> int:
        """Blocks for one thread to each pixel and `vector` channels."""
        return ceil_div(result.size // self.vector, THREADS)

    def numbers(self, result: Any) -> tuple[int, ...]:
        """What kernels are told."""
        return result.size, *self.extents, *self.outputs, self.channels, *self.before


NUMBERS = ", u32" * 11
"""The result's elements; D, H, W; OD, OH, OW; C; padding before D, H, W."""


# ------ pieces


@inlined
def _inside(o, stride, window, before, extent):
    """How many pixels of window o lie inside the image, along one axis."""
    first = uint32(o * stride)
    return uint32(min(uint32(first + window), uint32(before + extent)) - max(first, before))


def _variant(vector: int, window: Extents, strides: Extents, *words: str) -> str:
    return ",".join(["x".join(map(str, window)), "/".join(map(str, strides)), str(vector), *words])


# ------ maximum


@cache
def max_pool_forward_kernel(vector: int, window: Extents, strides: Extents, positions: str) -> CudaKernel:
    """The kernel for a window and strides; `positions` is argmax's dtype."""
    (window_d, window_h, window_w), (stride_d, stride_h, stride_w) = window, strides
    position, word = (uint8, "u8*") if positions == "uint8" else (int32, "i32*")
    at, load, store = place(vector), loader(vector), storer(vector)
    variant = _variant(vector, window, strides, positions)

    @kernel(f"f32*, f32*, {word}" + NUMBERS, threads=THREADS, registers=64, variant=variant)
    def max_pool_forward(x, y, argmax, total, D, H, W, OD, OH, OW, C, before_d, before_h, before_w):
        """y[n, o, c] = largest x[n, o*stride + k - before, c] over the positions k of the window inside the image, argmax the
        first k that has it, or that is NaN. A thread reads its window once: 4 bytes an element of x where windows do not
        overlap."""
        best, value = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        winner, won = cuda.local.array(vector, uint32), cuda.local.array(vector, position)
        i, n, d, h, w, c = at(OD, OH, OW, C)
        if i >= total:
            return
        for e in range(vector):
            best[e], winner[e] = float32(0), uint32(NOBODY)
        k = uint32(0)
        for k_d in range(window_d):
            for k_h in range(window_h):
                for k_w in range(window_w):
                    x_d, x_h = uint32(d * stride_d + k_d - before_d), uint32(h * stride_h + k_h - before_h)
                    x_w = uint32(w * stride_w + k_w - before_w)
                    if x_d < D and x_h < H and x_w < W:
                        load(value, x, pixel(n, x_d, x_h, x_w, c, D, H, W, C))
                        for e in range(vector):
                            is_nan = value[e] != value[e] and best[e] == best[e]
                            if winner[e] == uint32(NOBODY) or value[e] > best[e] or is_nan:
                                best[e], winner[e] = value[e], k
                    k = uint32(k + 1)
        for e in range(vector):
            won[e] = position(winner[e])
        store(y, i, best)
        store(argmax, i, won)

    return max_pool_forward


@cache
def max_pool_backward_kernel(vector: int, window: Extents, strides: Extents, positions: str) -> CudaKernel:
    """The kernel for a window and strides; `positions` is argmax's dtype."""
    (window_d, window_h, window_w), (stride_d, stride_h, stride_w) = window, strides
    reach_d, reach_h, reach_w = (ceil_div(k, s) for k, s in zip(window, strides, strict=True))
    position, word = (uint8, "u8*") if positions == "uint8" else (int32, "i32*")
    at, load, store, load_winner = place(vector), loader(vector), storer(vector), loader(vector)
    variant = _variant(vector, window, strides, positions)

    @kernel(f"{word}, f32*, f32*" + NUMBERS, threads=THREADS, registers=64, variant=variant)
    def max_pool_backward(argmax, dy, dx, total, D, H, W, OD, OH, OW, C, before_d, before_h, before_w):
        """dx[n, i, c] = sum of dy[n, o, c] over the windows o that pixel i won: those with argmax = i + before - o*stride.

        A pixel is in at most ceil(window / stride) windows an axis, which are read in row-major order.
        """
        total_gradient, gradient = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        winner = cuda.local.array(vector, position)
        i, n, d, h, w, c = at(D, H, W, C)
        if i >= total:
            return
        p_d, p_h, p_w = uint32(d + before_d), uint32(h + before_h), uint32(w + before_w)
        first_d, first_h = uint32(p_d // uint32(stride_d)), uint32(p_h // uint32(stride_h))
        first_w = uint32(p_w // uint32(stride_w))
        for e in range(vector):
            total_gradient[e] = float32(0)
        for back_d in range(reach_d):
            o_d = uint32(first_d - (reach_d - 1 - back_d))
            k_d = uint32(p_d - o_d * stride_d)
            for back_h in range(reach_h):
                o_h = uint32(first_h - (reach_h - 1 - back_h))
                k_h = uint32(p_h - o_h * stride_h)
                for back_w in range(reach_w):
                    o_w = uint32(first_w - (reach_w - 1 - back_w))
                    k_w = uint32(p_w - o_w * stride_w)
                    if o_d < OD and o_h < OH and o_w < OW and k_d < window_d and k_h < window_h and k_w < window_w:
                        here = pixel(n, o_d, o_h, o_w, c, OD, OH, OW, C)
                        k = uint32((k_d * window_h + k_h) * window_w + k_w)
                        load(gradient, dy, here)
                        load_winner(winner, argmax, here)
                        for e in range(vector):
                            if uint32(winner[e]) == k:
                                total_gradient[e] += gradient[e]
        store(dx, i, total_gradient)

    return max_pool_backward


# ------ average


@cache
def average_pool_forward_kernel(vector: int, window: Extents, strides: Extents) -> CudaKernel:
    """The kernel for a window and strides."""
    (window_d, window_h, window_w), (stride_d, stride_h, stride_w) = window, strides
    at, load, store = place(vector), loader(vector), storer(vector)

    @kernel("f32*, f32*" + NUMBERS, threads=THREADS, registers=64, variant=_variant(vector, window, strides))
    def average_pool_forward(x, y, total, D, H, W, OD, OH, OW, C, before_d, before_h, before_w):
        """y[n, o, c] = mean of x[n, o*stride + k - before, c] over the positions k of the window inside the image, added in
        row-major order. A thread reads its window once: 4 bytes an element of x where windows do not overlap."""
        sums, value, count = cuda.local.array(vector, float32), cuda.local.array(vector, float32), float32(0)
        i, n, d, h, w, c = at(OD, OH, OW, C)
        if i >= total:
            return
        for e in range(vector):
            sums[e] = float32(0)
        for k_d in range(window_d):
            for k_h in range(window_h):
                for k_w in range(window_w):
                    x_d, x_h = uint32(d * stride_d + k_d - before_d), uint32(h * stride_h + k_h - before_h)
                    x_w = uint32(w * stride_w + k_w - before_w)
                    if x_d < D and x_h < H and x_w < W:
                        load(value, x, pixel(n, x_d, x_h, x_w, c, D, H, W, C))
                        for e in range(vector):
                            sums[e] += value[e]
                        count += float32(1)
        for e in range(vector):
            sums[e] /= count
        store(y, i, sums)

    return average_pool_forward


@cache
def average_pool_backward_kernel(vector: int, window: Extents, strides: Extents) -> CudaKernel:
    """The kernel for a window and strides."""
    (window_d, window_h, window_w), (stride_d, stride_h, stride_w) = window, strides
    reach_d, reach_h, reach_w = (ceil_div(k, s) for k, s in zip(window, strides, strict=True))
    at, load, store = place(vector), loader(vector), storer(vector)

    @kernel("f32*, f32*" + NUMBERS, threads=THREADS, registers=64, variant=_variant(vector, window, strides))
    def average_pool_backward(dy, dx, total, D, H, W, OD, OH, OW, C, before_d, before_h, before_w):
        """dx[n, i, c] = sum of dy[n, o, c] / pixels of window o inside the image, over the windows o that hold pixel i.

        A pixel is in at most ceil(window / stride) windows an axis, which are read in row-major order.
        """
        sums, gradient = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        i, n, d, h, w, c = at(D, H, W, C)
        if i >= total:
            return
        p_d, p_h, p_w = uint32(d + before_d), uint32(h + before_h), uint32(w + before_w)
        first_d, first_h = uint32(p_d // uint32(stride_d)), uint32(p_h // uint32(stride_h))
        first_w = uint32(p_w // uint32(stride_w))
        for e in range(vector):
            sums[e] = float32(0)
        for back_d in range(reach_d):
            o_d = uint32(first_d - (reach_d - 1 - back_d))
            for back_h in range(reach_h):
                o_h = uint32(first_h - (reach_h - 1 - back_h))
                for back_w in range(reach_w):
                    o_w = uint32(first_w - (reach_w - 1 - back_w))
                    holds = uint32(p_d - o_d * stride_d) < window_d and uint32(p_h - o_h * stride_h) < window_h
                    holds = holds and uint32(p_w - o_w * stride_w) < window_w
                    if o_d < OD and o_h < OH and o_w < OW and holds:
                        count = _inside(o_d, stride_d, window_d, before_d, D) * _inside(o_h, stride_h, window_h, before_h, H)
                        count *= _inside(o_w, stride_w, window_w, before_w, W)
                        load(gradient, dy, pixel(n, o_d, o_h, o_w, c, OD, OH, OW, C))
                        for e in range(vector):
                            sums[e] += gradient[e] / float32(uint32(count))
        store(dx, i, sums)

    return average_pool_backward

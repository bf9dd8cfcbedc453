"""Rows of a table by number, on the GPU: a thread an element of y; a warp 32 channels of a row of dw."""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, int32, uint32

from ..device.kernel import CudaKernel, kernel
from ..device.tiles import ceil_div, elementwise_grid

THREADS, WARP = 256, 32


def embedding_forward(plan: Any, x: Any, w: Any, y: Any) -> None:
    """y = w[x]."""
    arguments = (x, w, y, y.size, w.shape[0], w.shape[1])
    plan.launch(embedding_forward_kernel(), elementwise_grid(y.size, THREADS), arguments, writes=(y,))


def embedding_backward(plan: Any, x: Any, dy: Any, dw: Any) -> None:
    """dw[v] = sum of dy where x is v."""
    rows, channels = dw.shape
    grid = (ceil_div(rows, THREADS // WARP), ceil_div(channels, WARP))
    plan.launch(embedding_backward_kernel(), grid, (x, dy, dw, x.size, rows, channels), writes=(dw,))


@cache
def embedding_forward_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, f32*, u32, u32, u32", threads=THREADS, registers=32)
    def embedding_forward(x, w, y, total, V, C):
        """y[t, c] = w[x[t], c], NaN where w has no such row; total elements of y. Reads and writes 4 bytes an element."""
        i = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        while i < total:
            t = uint32(i // C)
            value, result = x[t], float32(float("nan"))
            if value >= float32(0) and value < float32(V):
                result = w[uint32(uint32(int32(value)) * C + uint32(i - t * C))]
            y[i] = result
            i = uint32(i + THREADS * cuda.gridDim.x)

    return embedding_forward


@cache
def embedding_backward_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, f32*, u32, u32, u32", threads=THREADS, registers=40)
    def embedding_backward(x, dy, dw, T, V, C):
        """dw[v, c] = sum over t, in order, of dy[t, c] where x[t] = v. A warp has row v and a channel a lane.

        It looks at 32 numbers at once, and adds a row of dy, coalesced, for each that is v: 4 bytes of x a number and row
        (from cache), and 4 bytes of dy an element once.
        """
        thread = uint32(cuda.threadIdx.x)
        lane = uint32(thread & uint32(WARP - 1))
        v = uint32(cuda.blockIdx.x * (THREADS // WARP) + thread // uint32(WARP))
        c = uint32(cuda.blockIdx.y * WARP + lane)
        total, start = float32(0), uint32(0)
        while start < T:
            t = uint32(start + lane)
            found = x[t] if t < T else float32(-1)
            mine = found >= float32(0) and found < float32(V) and uint32(int32(found)) == v
            which = uint32(cuda.ballot_sync(0xFFFFFFFF, mine))
            while which != uint32(0):
                lowest = uint32(which & uint32(uint32(0) - which))
                first, which = uint32(31 - cuda.clz(lowest)), uint32(which ^ lowest)
                if c < C:
                    total += dy[uint32((start + first) * C + c)]
            start = uint32(start + WARP)
        if v < V and c < C:
            dw[uint32(v * C + c)] = total

    return embedding_backward

"""Dropout and Gaussian noise on the GPU. No mask is kept: backward draws the same numbers again."""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device.kernel import CudaKernel, kernel
from ..device.tiles import elementwise_grid, quad_grid
from ..device.works import op
from ..ptx import inlined, load_quad, store_quad
from ..random.cuda import SEED, STEP, normal, philox
from ..random.reference import uniform_limit

THREADS = 256


@op("dropout_forward", "y")
def dropout_forward(
    plan: Any, x: Any, scalars: Any, y: Any, *, rate: float, op_id: int, by_channel: bool = False
) -> None:
    """y = x / (1 - rate) where u >= rate, else 0."""
    _launch(plan, x, scalars, y, rate, op_id, by_channel)


@op("dropout_backward", "dx")
def dropout_backward(
    plan: Any, dy: Any, scalars: Any, dx: Any, *, rate: float, op_id: int, by_channel: bool = False
) -> None:
    """dx = dy / (1 - rate) where u >= rate, else 0."""
    _launch(plan, dy, scalars, dx, rate, op_id, by_channel)


def _launch(plan: Any, x: Any, scalars: Any, y: Any, rate: float, op_id: int, by_channel: bool) -> None:
    numbers = (uniform_limit(rate), 1 / (1 - rate), op_id % (1 << 32), x.size)
    if not by_channel:
        plan.launch(dropout_kernel(), quad_grid(x.size, THREADS), (x, scalars, y, *numbers), writes=(y,))
        return
    channels, grid = x.shape[-1], elementwise_grid(x.size, THREADS)
    arguments = (x, scalars, y, *numbers, channels, x.size // x.shape[0])
    plan.launch(dropout_by_channel_kernel(), grid, arguments, writes=(y,))


def gaussian_noise(
    plan: Any, x: Any, scalars: Any, y: Any, *, stddev: float, multiplicative: bool, op_id: int
) -> None:
    """y = x + stddev * z, or x * (1 + stddev * z)."""
    arguments = (x, scalars, y, stddev, op_id % (1 << 32), x.size)
    plan.launch(gaussian_noise_kernel(multiplicative), quad_grid(x.size, THREADS), arguments, writes=(y,))


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


@cache
def dropout_by_channel_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, u32*, f32*, u32, f32, u32, u32, u32, u32", threads=THREADS, registers=40)
    def dropout_by_channel(x, scalars, y, limit, scale, op_id, total, C, size):
        """y[i] = scale * x[i] where word n * C + c of the stream (SEED, STEP, op_id) has upper 24 bits >= limit, else 0;
        i < total, an element a thread, of channel c and sample n = i // size.

        Reads 4 and writes 4 bytes an element, coalesced, for about 80 integer operations.
        """
        i = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        while i < total:
            place = uint32(uint32(i // size) * C + i % C)
            w0, w1, w2, w3 = philox(
                uint32(place >> uint32(2)), uint32(0), scalars[STEP], op_id, scalars[SEED], scalars[SEED + 1]
            )
            which = uint32(place & uint32(3))
            low, high = w1 if which == uint32(1) else w0, w3 if which == uint32(3) else w2
            word = low if which < uint32(2) else high
            y[i] = scale * x[i] if word >> uint32(8) >= limit else float32(0)
            i = uint32(i + THREADS * cuda.gridDim.x)

    return dropout_by_channel


@cache
def gaussian_noise_kernel(multiplicative: bool) -> CudaKernel:
    """The kernel for noise that is added, or multiplied."""
    variant = "multiplied" if multiplicative else "added"

    @inlined
    def noisy(x, z):
        return x + x * z if multiplicative else x + z

    @kernel("f32*, u32*, f32*, f32, u32, u32", threads=THREADS, registers=40, variant=variant)
    def gaussian_noise(x, scalars, y, stddev, op_id, n):
        """y[i] = x[i] + stddev * z[i], or x[i] * (1 + stddev * z[i]), z the normal numbers of the stream (SEED, STEP, op_id);
        i < n. A quad of elements is one counter and two pairs. Reads 4 and writes 4 bytes an element, coalesced."""
        value = cuda.local.array(4, float32)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, x, i, n)
            words = philox(uint32(i // uint32(4)), uint32(0), scalars[STEP], op_id, scalars[SEED], scalars[SEED + 1])
            z0, z1 = normal(words[0], words[1])
            z2, z3 = normal(words[2], words[3])
            value[0], value[1] = noisy(value[0], stddev * z0), noisy(value[1], stddev * z1)
            value[2], value[3] = noisy(value[2], stddev * z2), noisy(value[3], stddev * z3)
            store_quad(y, i, n, value)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return gaussian_noise

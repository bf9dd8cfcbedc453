"""Kernels as a kernel author writes them, compiled for sm_80 without a GPU, for the tests of the emulator.

    compiled(function, *types)      the emulator's Kernel of a Python function
    Device                          memory that takes and gives arrays

Each kernel comes from a factory; its flags leave something out that a correct kernel needs, for the tests that such
faults are found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from fastcnn_kernels.emulator import DeviceArray, Kernel, Memory
from numba import cuda, float32, int32, types, uint32, uint64

from .intrinsics import (
    commit_copies,
    copy16,
    global_address,
    load4,
    load_matrices,
    load_matrices_transposed,
    multiply_bf16,
    multiply_tf32,
    shared_address,
    store4,
    to_tf32,
    wait_for_all_copies,
    wait_for_all_copies_but_one,
    wait_for_all_copies_but_two,
)

VECTOR = types.Array(types.float32, 1, "C")
MATRIX = types.Array(types.float32, 2, "C")
TILE = 16


def vector_of(kind: Any) -> Any:
    """The type of a contiguous one-dimensional array."""
    return types.Array(kind, 1, "C")


@cache
def compiled(function: Callable[..., None], *signature: Any) -> Kernel:
    """The kernel of a function for these argument types."""
    ptx, _ = cuda.compile_ptx(function, signature, cc=(8, 0))
    return Kernel(ptx)


class Device:
    """Emulated memory with arrays in it, and launches on them."""

    def __init__(self) -> None:
        self.memory = Memory(1 << 24)

    def array(self, values: np.ndarray, name: str = "x") -> DeviceArray:
        """An array with these values."""
        array = self.empty(values.shape, values.dtype, name)
        self.memory.write(array.address, values)
        return array

    def empty(self, shape: int | Sequence[int], dtype: Any = np.float32, name: str = "y") -> DeviceArray:
        """An array that nothing has written."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        return DeviceArray(self.memory.allocate(nbytes, name), shape, np.dtype(dtype))

    def read(self, array: DeviceArray) -> np.ndarray:
        """The values of an array."""
        return self.memory.read(array.address, array.shape, array.dtype)


@cache
def make_relu(past_the_end: bool = False) -> Any:
    """y = max(x, 0), in a grid-stride loop."""

    def relu(x, y, n):
        i = cuda.grid(1)
        while i <= n if past_the_end else i < n:
            y[i] = max(x[i], float32(0))
            i += cuda.gridsize(1)

    return relu


RELU = (VECTOR, VECTOR, types.int32)


@cache
def make_matmul(last_barrier: bool = True, zero_fill: bool = True) -> Any:
    """c = a @ b by tiles of 16 x 16 in shared memory, ragged edges filled with zeros."""

    def matmul(a, b, c):
        a_tile = cuda.shared.array((TILE, TILE), float32)
        b_tile = cuda.shared.array((TILE, TILE), float32)
        tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
        column, row = cuda.blockIdx.x * TILE + tx, cuda.blockIdx.y * TILE + ty
        M, K = a.shape
        N = b.shape[1]
        total = float32(0)
        for k0 in range(0, K, TILE):
            if row < M and k0 + tx < K:
                a_tile[ty, tx] = a[row, k0 + tx]
            elif zero_fill:
                a_tile[ty, tx] = float32(0)
            if k0 + ty < K and column < N:
                b_tile[ty, tx] = b[k0 + ty, column]
            elif zero_fill:
                b_tile[ty, tx] = float32(0)
            cuda.syncthreads()
            for k in range(TILE):
                total += a_tile[ty, k] * b_tile[k, tx]
            if last_barrier:
                cuda.syncthreads()
        if row < M and column < N:
            c[row, column] = total

    return matmul


MATMUL = (MATRIX, MATRIX, MATRIX)


@cache
def make_gemm(first_barrier: bool = True, alignment: int = 16) -> Any:
    """c = a @ b by tiles of 64 x 64 x 8: 128 threads, 8 x 4 results a thread in registers, 16-byte accesses."""

    def gemm(a, b, c, M, N, K):
        a_tile = cuda.shared.array((8, 64), float32, alignment=alignment)  # [k][m]
        b_tile = cuda.shared.array((8, 64), float32, alignment=alignment)  # [k][n]
        total = cuda.local.array(32, float32)
        t = uint32(cuda.threadIdx.x)
        m0, n0 = uint32(cuda.blockIdx.y) * uint32(64), uint32(cuda.blockIdx.x) * uint32(64)
        tm, tn = (t >> uint32(4)) * uint32(8), (t & uint32(15)) * uint32(4)
        for i in range(32):
            total[i] = float32(0)
        a_row, a_column = t >> uint32(1), (t & uint32(1)) * uint32(4)
        b_row, b_column = t >> uint32(4), (t & uint32(15)) * uint32(4)
        k0 = uint32(0)
        while k0 < uint32(K):
            four = load4(a, (m0 + a_row) * uint32(K) + k0 + a_column)
            for i in range(4):
                a_tile[a_column + uint32(i), a_row] = four[i]
            store4(b_tile, b_row * uint32(64) + b_column, load4(b, (k0 + b_row) * uint32(N) + n0 + b_column))
            if first_barrier:
                cuda.syncthreads()
            for k in range(8):
                x0 = load4(a_tile, uint32(k * 64) + tm)
                x1 = load4(a_tile, uint32(k * 64 + 4) + tm)
                y = load4(b_tile, uint32(k * 64) + tn)
                for i in range(4):
                    for j in range(4):
                        total[i * 4 + j] += x0[i] * y[j]
                        total[16 + i * 4 + j] += x1[i] * y[j]
            cuda.syncthreads()
            k0 += uint32(8)
        for i in range(8):
            row = m0 + tm + uint32(i)
            store4(c, row * uint32(N) + n0 + tn, (total[i * 4], total[i * 4 + 1], total[i * 4 + 2], total[i * 4 + 3]))

    return gemm


GEMM = (VECTOR, VECTOR, VECTOR, types.uint32, types.uint32, types.uint32)


@cache
def make_tensor_gemm(in_flight: int = 1, last_barrier: bool = True) -> Any:
    """c = a @ b in tf32 by tiles of 32 x 32 x 16: 4 warps of 16 x 16, copies into the next of two buffers while one
    is used.

    `in_flight` is how many groups of copies may be under way when a buffer is read: 1 is right, 2 is too many.
    """
    wait = {1: wait_for_all_copies_but_one, 2: wait_for_all_copies_but_two}[in_flight]

    def tensor_gemm(a, b, c, M, N, K):
        a_tile = cuda.shared.array((2, 32, 20), float32, alignment=16)  # [m][k], rows padded
        b_tile = cuda.shared.array((2, 16, 40), float32, alignment=16)  # [k][n], rows padded
        t = uint32(cuda.threadIdx.x)
        lane, warp = t & uint32(31), t >> uint32(5)
        m0, n0 = uint32(cuda.blockIdx.y) * uint32(32), uint32(cuda.blockIdx.x) * uint32(32)
        wm, wn = (warp >> uint32(1)) * uint32(16), (warp & uint32(1)) * uint32(16)
        g, q = lane >> uint32(2), lane & uint32(3)
        ar, ac = t >> uint32(2), (t & uint32(3)) * uint32(4)
        br, bc = t >> uint32(3), (t & uint32(7)) * uint32(4)
        left = (float32(0), float32(0), float32(0), float32(0))
        right = (float32(0), float32(0), float32(0), float32(0))
        steps = uint32(K) // uint32(16)
        for step in range(-1, steps):
            following = uint32(step + 1)
            if following < steps:
                buffer, k0 = following & uint32(1), following * uint32(16)
                copy16(
                    shared_address(a_tile, buffer * uint32(640) + ar * uint32(20) + ac),
                    global_address(a, (m0 + ar) * uint32(K) + k0 + ac),
                    uint32(16),
                )
                copy16(
                    shared_address(b_tile, buffer * uint32(640) + br * uint32(40) + bc),
                    global_address(b, (k0 + br) * uint32(N) + n0 + bc),
                    uint32(16),
                )
            commit_copies()
            if step >= 0:
                wait()
                cuda.syncthreads()
                s = uint32(step) & uint32(1)
                for h in range(2):
                    k, r = uint32(8 * h) + q, wm + g
                    f = (
                        to_tf32(a_tile[s, r, k]),
                        to_tf32(a_tile[s, r + uint32(8), k]),
                        to_tf32(a_tile[s, r, k + uint32(4)]),
                        to_tf32(a_tile[s, r + uint32(8), k + uint32(4)]),
                    )
                    n = wn + g
                    left = multiply_tf32(f, (to_tf32(b_tile[s, k, n]), to_tf32(b_tile[s, k + uint32(4), n])), left)
                    n += uint32(8)
                    right = multiply_tf32(f, (to_tf32(b_tile[s, k, n]), to_tf32(b_tile[s, k + uint32(4), n])), right)
                if last_barrier:
                    cuda.syncthreads()
        first = (m0 + wm + g) * uint32(N) + n0 + wn + q * uint32(2)
        second = first + uint32(8) * uint32(N)
        for i in range(2):
            c[first + uint32(i)] = left[i]
            c[second + uint32(i)] = left[2 + i]
            c[first + uint32(8 + i)] = right[i]
            c[second + uint32(8 + i)] = right[2 + i]

    return tensor_gemm


def bfloat16_gemm(a, b, c, M, N, K, valid_rows):
    """c = a @ b in bfloat16 (as uint16), a warp for each 16 x 16 results; rows of b from `valid_rows` on count as
    zeros and are not read."""
    a_tile = cuda.shared.array((16, 24), types.uint16, alignment=16)
    b_tile = cuda.shared.array((16, 24), types.uint16, alignment=16)
    lane = uint32(cuda.threadIdx.x)
    m0, n0 = uint32(cuda.blockIdx.y) * uint32(16), uint32(cuda.blockIdx.x) * uint32(16)
    left = (float32(0), float32(0), float32(0), float32(0))
    right = (float32(0), float32(0), float32(0), float32(0))
    r, o = lane >> uint32(1), (lane & uint32(1)) * uint32(8)
    k0 = uint32(0)
    while k0 < uint32(K):
        copy16(shared_address(a_tile, r * uint32(24) + o), global_address(a, (m0 + r) * uint32(K) + k0 + o), uint32(16))
        used = uint32(16) if k0 + r < valid_rows else uint32(0)
        copy16(shared_address(b_tile, r * uint32(24) + o), global_address(b, (k0 + r) * uint32(N) + n0 + o), used)
        commit_copies()
        wait_for_all_copies()
        cuda.syncthreads()
        row = (lane & uint32(15)) * uint32(24) + (lane >> uint32(4)) * uint32(8)
        f = load_matrices(shared_address(a_tile, row))
        h = load_matrices_transposed(shared_address(b_tile, row))
        left = multiply_bf16(f, (h[0], h[1]), left)
        right = multiply_bf16(f, (h[2], h[3]), right)
        cuda.syncthreads()
        k0 += uint32(16)
    first = (m0 + (lane >> uint32(2))) * uint32(N) + n0 + (lane & uint32(3)) * uint32(2)
    second = first + uint32(8) * uint32(N)
    for i in range(2):
        c[first + uint32(i)] = left[i]
        c[second + uint32(i)] = left[2 + i]
        c[first + uint32(8 + i)] = right[i]
        c[second + uint32(8 + i)] = right[2 + i]


BFLOAT16_GEMM = (vector_of(types.uint16), vector_of(types.uint16), VECTOR, *(types.uint32,) * 4)


@cache
def make_sum(all_slots_written: bool = True) -> Any:
    """sums[block] = the sum of the block's part of x: shuffles in each warp, then shared memory, then shuffles in
    the first warp."""

    def block_sum(x, sums, n):
        slots = cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        i = cuda.grid(1)
        v = float32(0)
        while i < n:
            v += x[i]
            i += cuda.gridsize(1)
        step = 16
        while step > 0:
            v += cuda.shfl_down_sync(0xFFFFFFFF, v, step)
            step >>= 1
        if t & 31 == 0:
            slots[t >> 5] = v
        cuda.syncthreads()
        if t < 32:
            v = slots[t] if not all_slots_written or t < (cuda.blockDim.x >> 5) else float32(0)
            step = 16
            while step > 0:
                v += cuda.shfl_xor_sync(0xFFFFFFFF, v, step)
                step >>= 1
            if t == 0:
                sums[cuda.blockIdx.x] = v

    return block_sum


SUM = (VECTOR, VECTOR, types.int32)


def functions(x, y):
    """y[i] = exp, log, sqrt, tanh, sin (of any size) and a logistic function of x[i]."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        v = x[i]
        e = math.exp(v)
        y[i, 0] = e
        y[i, 1] = math.log(e + float32(1))
        y[i, 2] = math.sqrt(e)
        y[i, 3] = math.tanh(v)
        y[i, 4] = math.sin(v * float32(1e6))
        y[i, 5] = float32(1) / (float32(1) + math.exp(-v))


FUNCTIONS = (VECTOR, MATRIX)


def philox(out, key0, key1, n):
    """Philox 4x32-10 of the counters (i, 0, 0, 0). Source: Salmon et al., "Parallel random numbers: as easy as 1,
    2, 3", 2011."""
    i = uint32(cuda.grid(1))
    if i < uint32(n):
        c0, c1, c2, c3 = i, uint32(0), uint32(0), uint32(0)
        k0, k1 = uint32(key0), uint32(key1)
        for _ in range(10):
            p0 = uint64(uint32(0xD2511F53)) * uint64(c0)
            p1 = uint64(uint32(0xCD9E8D57)) * uint64(c2)
            c0, c1 = uint32(uint32(p1 >> uint64(32)) ^ c1 ^ k0), uint32(p1)
            c2, c3 = uint32(uint32(p0 >> uint64(32)) ^ c3 ^ k1), uint32(p0)
            k0 = uint32(k0 + uint32(0x9E3779B9))
            k1 = uint32(k1 + uint32(0xBB67AE85))
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = c0, c1, c2, c3


PHILOX = (types.Array(types.uint32, 2, "C"), types.uint32, types.uint32, types.uint32)


def histogram(x, counts, largest, order):
    """counts[v] and largest[v] = how many i, and the last i, have x[i] == v; order[i] = how many of that value came
    before."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        v = x[i]
        order[i] = cuda.atomic.add(counts, v, 1)
        cuda.atomic.max(largest, v, i)


HISTOGRAM = (vector_of(types.int32),) * 4


def shared_histogram(x, counts):
    """The same counts in shared memory first, and from there by one atomic a value and block; 32 values, 64 threads
    a block."""
    local = cuda.shared.array(32, int32)
    t = cuda.threadIdx.x
    if t < 32:
        local[t] = 0
    cuda.syncthreads()
    i = cuda.grid(1)
    if i < x.shape[0]:
        cuda.atomic.add(local, x[i], 1)
    cuda.syncthreads()
    if t < 32:
        cuda.atomic.add(counts, t, local[t])


def sort_eight(x, y):
    """Each thread sorts 8 values by insertion, in an array whose indices are not known at compile time."""
    values = cuda.local.array(8, float32)
    i = cuda.grid(1)
    for k in range(8):
        v = x[i, k]
        j = k
        while j > 0 and values[j - 1] > v:
            values[j] = values[j - 1]
            j -= 1
        values[j] = v
    for k in range(8):
        y[i, k] = values[k]


@cache
def make_reverse(length: str = "right") -> Any:
    """Each block reverses its part of x, in dynamic shared memory."""
    extra = 0 if length == "right" else 1

    def reverse(x, y):
        part = cuda.shared.array(0, float32)
        t, n = cuda.threadIdx.x, cuda.blockDim.x
        part[t + extra] = x[cuda.grid(1)]
        cuda.syncthreads()
        y[cuda.grid(1)] = part[n - 1 - t + extra]

    return reverse


def collatz(steps, n):
    """steps[i] = how many steps of Collatz's map lead from i + 1 to 1: a loop of a different length in each thread."""
    i = cuda.grid(1)
    if i >= n:
        return
    v = uint64(i + 1)
    count = 0
    while v != uint64(1):
        v = v * uint64(3) + uint64(1) if v & uint64(1) else v >> uint64(1)
        count += 1
    steps[i] = count


COLLATZ = (vector_of(types.int32), types.int32)


@cache
def make_neighbours(syncwarp: bool = True) -> Any:
    """y[i] = x[i ^ 1], exchanged through shared memory between lanes of a warp."""

    def neighbours(x, y):
        part = cuda.shared.array(64, float32)
        t = cuda.threadIdx.x
        for repeat in range(3):
            part[t] = x[t] + float32(repeat)
            if syncwarp:
                cuda.syncwarp()
            y[t] = part[t ^ 1]
            if syncwarp:
                cuda.syncwarp()

    return neighbours


def half_warps(x, y):
    """y = the maximum of each half of a warp, the halves on different sides of a branch."""
    t = cuda.threadIdx.x
    v = x[t]
    if t & 16:
        for step in (8, 4, 2, 1):
            v = max(v, cuda.shfl_xor_sync(0xFFFF0000, v, step))
        y[t] = -v
    else:
        for step in (8, 4, 2, 1):
            v = max(v, cuda.shfl_xor_sync(0x0000FFFF, v, step))
        y[t] = v


def votes(x, y):
    """y[t] = which lanes hold a positive value, plus bits 32 and 33 for any and all."""
    t = cuda.threadIdx.x
    positive = x[t] > float32(0)
    y[t] = uint64(uint32(cuda.ballot_sync(0xFFFFFFFF, positive)))
    if cuda.any_sync(0xFFFFFFFF, positive):
        y[t] |= uint64(1) << uint64(32)
    if cuda.all_sync(0xFFFFFFFF, positive):
        y[t] |= uint64(1) << uint64(33)


VOTES = (VECTOR, vector_of(types.uint64))


def half_precision(x, y, scale):
    """y = float16(x * scale) of bytes x."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        y[i] = types.float16(float32(x[i]) * scale)


HALF_PRECISION = (vector_of(types.uint8), vector_of(types.float16), types.float32)


def index_kernel(x, y):
    """y[i // 7, i % 7] = x[i] by 32-bit and 64-bit divisions, negative indices included."""
    i = cuda.grid(1)
    if i < x.shape[0]:
        y[i // 7, i % 7 - 7] = x[i]


def axpy_pointers(x, y, a, n):
    """y += a * x over bare pointers."""
    i = uint32(cuda.grid(1))
    if i < n:
        y[i] += a * x[i]


AXPY = (types.CPointer(types.float32), types.CPointer(types.float32), types.float32, types.uint32)

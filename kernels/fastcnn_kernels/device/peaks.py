"""What a GPU can do at most, measured by kernels that do nothing else.

    flops       multiply-adds of float32, and products on tensor cores, in registers alone
    bandwidth   a copy that is larger than any cache
    launch      an empty kernel, one of many in a graph
"""

from functools import cache
from typing import Any

from llvmlite import ir
from numba import cuda
from numba.cuda import libdevice, types
from numba.cuda.extending import intrinsic
from numba.cuda.types import float32, uint32

from ..ptx import I32, after, element, load_quad, multiply_matrices, store_quad
from .interface import Call, Device
from .kernel import CudaKernel, kernel
from .plan import CudaStorage
from .tiles import ceil_div

THREADS, CHAINS, ROUNDS = 256, 16, 2048
BLOCKS_EACH = 8
"""Blocks for each multiprocessor."""
COPIED = 1 << 28
"""Bytes that are copied: several times the largest cache."""
DEPTH = {"tf32": 8, "bfloat16": 16}
"""Terms that one mma.sync sums."""


@cache
def fma_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32, u32", threads=THREADS, registers=48)
    def fma(y, a, rounds):
        """CHAINS independent sums x = x * a + a a thread, `rounds` times: 2 * CHAINS FLOPs a round and thread, no memory."""
        total = cuda.local.array(CHAINS, float32)
        for k in range(CHAINS):
            total[k] = a
        for _ in range(rounds):
            for k in range(CHAINS):
                total[k] = libdevice.fmaf_rn(total[k], a, a)
        # Never true, but the compiler cannot know.
        for k in range(CHAINS):
            if total[k] == float32(-1):
                y[k] = total[k]

    return fma


@cache
def _products(precision: str) -> Any:
    """The intrinsic products(total): CHAINS / 4 independent tensor-core products added to it."""

    @intrinsic
    def products(typingctx: Any, total: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            mine = element(context, builder, total, args[0])
            for first in range(0, CHAINS, 4):
                sums = [builder.load(after(builder, mine, first + k)) for k in range(4)]
                bits = [ir.Constant(I32, 0x3C003C00)] * 4
                for k, value in enumerate(multiply_matrices(builder, precision, bits, bits[:2], sums)):
                    builder.store(value, after(builder, mine, first + k))
            return context.get_dummy_value()

        return types.void(total), codegen

    return products


@cache
def tensor_kernel(precision: str) -> CudaKernel:
    """The kernel for a precision."""
    products = _products(precision)

    @kernel("f32*, u32", threads=THREADS, registers=48, variant=precision, oldest="sm_80")
    def products_alone(y, rounds):
        """CHAINS / 4 independent products of 16 x 8 numbers a warp, `rounds` times, all operands in registers."""
        total = cuda.local.array(CHAINS, float32)
        for k in range(CHAINS):
            total[k] = float32(0)
        for _ in range(rounds):
            products(total)
        for k in range(CHAINS):
            if total[k] == float32(-1):
                y[k] = total[k]

    return products_alone


@cache
def copy_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, u32", threads=THREADS, registers=32)
    def copy(x, y, n):
        """y[i] = x[i], i < n: 16 bytes a thread."""
        value, i = cuda.local.array(4, float32), uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        if i < n:
            load_quad(value, x, i, n)
            store_quad(y, i, n, value)

    return copy


@cache
def empty_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*", threads=32, registers=16)
    def empty(y):
        """Nothing."""

    return empty


def calls(device: Device, x: int, y: int, nbytes: int) -> dict[str, tuple[Call, float]]:
    """By what it measures: a launch, and how much of it that does (FLOPs, bytes, launches). x and y are addresses of memory
    of so many bytes."""
    properties, numbers = device.properties(), nbytes // 4
    blocks = BLOCKS_EACH * properties.multiprocessors
    threads = blocks * THREADS

    def call(chosen: CudaKernel, grid: int, *arguments: Any) -> Call:
        return Call(chosen, (grid, 1, 1), (chosen.threads, 1, 1), arguments, 0, "measuring peaks")

    found = {
        "float32": (call(fma_kernel(), blocks, y, 0.5, ROUNDS), 2.0 * CHAINS * ROUNDS * threads),
        "bandwidth": (call(copy_kernel(), ceil_div(numbers, 4 * THREADS), x, y, numbers), 8.0 * numbers),
        "launch": (call(empty_kernel(), 1, y), 1.0),
    }
    if properties.compute_capability >= (8, 0):
        for precision, depth in DEPTH.items():
            each = 2.0 * 16 * 8 * depth * CHAINS / 4 * ROUNDS * threads / 32
            found[precision] = (call(tensor_kernel(precision), blocks, y, ROUNDS), each)
    return found


def memory(device: Device, nbytes: int = COPIED) -> tuple[CudaStorage, CudaStorage]:
    """Two pieces of memory to copy between."""
    x, y = (CudaStorage(device, (nbytes // 4,), "float32", "measuring peaks") for _ in range(2))
    return x, y

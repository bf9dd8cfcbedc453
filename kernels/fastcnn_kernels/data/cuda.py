"""Data in and out on the GPU. External tensors are cells that hold the address of the device's copy.

    gather   rows of a data set of any dtype, converted and scaled in float32, to float32, int32 or uint8
    export   a batch tensor to the memory that the host copies from
"""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda import types
from numba.cuda.types import float32, int32, int64, uint8, uint32, uint64

from ..device.kernel import CudaKernel, kernel
from ..device.tiles import elementwise_grid, quad_grid
from ..ptx import inlined, load_quad, narrowed, pointer_to, store_quad

THREADS = 256
ENTRIES = {"uint8": uint8, "int32": int32, "int64": int64, "float32": float32, "float64": uint64}
"""What kernels read entries of a dtype as: float64 as its bits, which `narrowed` understands."""
TARGETS = {"float32": ("f32", float32), "int32": ("i32", int32), "uint8": ("u8", uint8)}


def gather(plan: Any, source: Any, index: Any, y: Any, *, scale: float = 1.0, offset: float = 0.0) -> None:
    """y[n] = scale * source[index[n]] + offset."""
    scaled = (scale, offset) != (1.0, 0.0)
    chosen = gather_kernel(source.dtype.name, y.dtype.name, scaled)
    arguments = (source, index, y, scale, offset, y.size // y.shape[0], y.size)
    plan.launch(chosen, elementwise_grid(y.size, THREADS), arguments, writes=(y,))


def export(plan: Any, x: Any, destination: Any) -> None:
    """destination[n] = x[n]."""
    words = f"u{8 * x.dtype.itemsize}"
    plan.launch(export_kernel(words), quad_grid(x.size, THREADS), (x, destination, x.size), writes=(destination,))


@cache
def gather_kernel(dtype: str, target: str, scaled: bool) -> CudaKernel:
    """The kernel for a source's and y's dtype; unscaled integers stay integers."""
    entries, indices, bits = pointer_to(ENTRIES[dtype]), pointer_to(int64), dtype == "float64"
    word, result = TARGETS[target]
    variant = ",".join([f"{dtype} to {target}", *["scaled"] * scaled])

    @inlined
    def number(entry):
        return narrowed(entry) if bits else entry

    @kernel(f"u64*, u64*, {word}*, f32, f32, u32, u32", threads=THREADS, registers=40, variant=variant)
    def gather(source, index, y, scale, offset, size, n):
        """y[s, j] = scale * source[index[s], j] + offset, rows of `size` entries, n elements of y in all.

        source and index are cells. Reads an entry and writes an element, coalesced within rows; rows may lie beyond 4 GB.
        """
        data, chosen = entries(source[0]), indices(index[0])
        i = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        while i < n:
            sample = uint32(i // size)
            entry = number(data[uint64(chosen[sample]) * uint64(size) + uint64(uint32(i - sample * size))])
            if scaled:
                y[i] = result(scale * float32(entry) + offset)
            else:
                y[i] = result(entry)
            i = uint32(i + THREADS * cuda.gridDim.x)

    return gather


@cache
def export_kernel(words: str) -> CudaKernel:
    """The kernel for elements of a size."""
    own = getattr(types, words.replace("u", "uint"))
    pointer = pointer_to(own)

    @kernel(f"{words}*, u64*, u32", threads=THREADS, registers=32, variant=words)
    def export(x, destination, n):
        """destination[i] = x[i], i < n; destination is a cell. Reads and writes each element once, coalesced."""
        there, value = pointer(destination[0]), cuda.local.array(4, own)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, x, i, n)
            store_quad(there, i, n, value)
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)

    return export

"""Data in and out on the GPU. External tensors are cells that hold the address of the device's copy.

    gather            rows of a data set of any dtype, converted and scaled in float32, to float32, int32 or uint8
    gather_together   rule: all that a step gathers, inputs, labels and weights, is one launch
    export            a batch tensor to the memory that the host copies from
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda import types
from numba.cuda.types import float32, int32, int64, uint8, uint32, uint64

from ..api import Tensor
from ..device.kernel import CudaKernel, kernel
from ..device.plan import Table, float_bits
from ..device.tiles import ceil_div, quad_grid
from ..device.works import Works
from ..ptx import as_float, load_quad, narrowed, pointer_to, store_quad

THREADS, EACH = 256, 4
"""Threads of a block, and elements that one of them gathers."""
SOURCES = {"uint8": 0, "int32": 1, "int64": 2, "float32": 3, "float64": 4}
TARGETS = {"uint8": 0, "int32": 1, "float32": 2}
ROW = 9
"""Words of a table's row: source's and index's cells, y, elements a sample, elements, dtypes, scale, offset, first block."""


@dataclass(eq=False)
class Gather:
    """y[n] = scale * source[index[n]] + offset, for each (source, index, y, scale, offset)."""

    parts: Sequence[tuple[Tensor, Tensor, Tensor, float, float]]

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """Sources and indices."""
        return tuple(dict.fromkeys(t for part in self.parts for t in part[:2]))

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """What is gathered."""
        return tuple(part[2] for part in self.parts)

    def launch(self, plan: Any) -> None:
        """One launch for all of them."""
        words: list[Any] = []
        blocks = 0
        for source, index, y, scale, offset in self.parts:
            kinds = SOURCES[source.dtype.name] | TARGETS[y.dtype.name] << 8
            words += [source, index, y, y.size // y.shape[0], y.size, kinds, float_bits(scale), float_bits(offset), blocks]
            blocks += ceil_div(y.size, THREADS * EACH)
        plan.launch(gather_kernel(), blocks, (Table(words), len(self.parts)), writes=self.writes)


def gather(plan: Any, source: Any, index: Any, y: Any, *, scale: float = 1.0, offset: float = 0.0) -> None:
    """y[n] = scale * source[index[n]] + offset."""
    plan.add(Gather([(source, index, y, scale, offset)]))


def gather_together(works: Works) -> None:
    """Rule: what all gathers of a plan read is there from the beginning, so they are one, where the first of them was."""
    gathers = [one for one in works.of(Gather) if works.only_writer(one)]
    if len(gathers) > 1:
        works.replace(gathers[1:], Gather([part for one in gathers for part in one.parts]), gathers[0])


def export(plan: Any, x: Any, destination: Any) -> None:
    """destination[n] = x[n]."""
    words = f"u{8 * x.dtype.itemsize}"
    plan.launch(export_kernel(words), quad_grid(x.size, THREADS), (x, destination, x.size), writes=(destination,))


@cache
def gather_kernel() -> CudaKernel:
    """The kernel."""
    bytes_at, ints_at, longs_at = pointer_to(uint8), pointer_to(int32), pointer_to(int64)
    floats_at, words_at = pointer_to(float32), pointer_to(uint64)

    @kernel("u64*, u32", threads=THREADS, registers=40)
    def gather(table, count):
        """y[s, j] = scale * source[index[s], j] + offset for each of `count` rows of the table: see ROW.

        A block has THREADS * EACH elements of one row, the last one whose first block is not behind it. source and index are
        cells. Reads an entry and writes an element, coalesced within samples; entries may lie beyond 4 GB. Whole numbers reach
        whole numbers without passing through float32.
        """
        block, first = uint64(cuda.blockIdx.x), uint32(0)
        for row in range(1, count):
            if table[row * ROW + 8] <= block:
                first = uint32(row * ROW)
        source = words_at(table[first])[0]
        chosen = longs_at(words_at(table[first + 1])[0])
        y, size, n = table[first + 2], uint32(table[first + 3]), uint32(table[first + 4])
        dtype, target = uint32(table[first + 5] & uint64(255)), uint32(table[first + 5] >> uint64(8))
        scale, offset = as_float(uint32(table[first + 6])), as_float(uint32(table[first + 7]))
        i = uint32((block - table[first + 8]) * uint64(THREADS * EACH)) + uint32(cuda.threadIdx.x)
        end = min(n, uint32(i + THREADS * EACH))
        while i < end:
            sample = uint32(i // size)
            at = uint64(chosen[sample]) * uint64(size) + uint64(uint32(i - sample * size))
            whole, number = int64(0), float32(0)
            if dtype == 0:
                whole = int64(bytes_at(source)[at])
            elif dtype == 1:
                whole = int64(ints_at(source)[at])
            elif dtype == 2:
                whole = longs_at(source)[at]
            elif dtype == 3:
                number = floats_at(source)[at]
            else:
                number = narrowed(words_at(source)[at])
            if dtype < 3:
                number = float32(whole)
            number = scale * number + offset
            if target == 2:
                floats_at(y)[i] = number
            else:
                if dtype >= 3 or scale != float32(1) or offset != float32(0):
                    whole = int64(number)
                if target == 1:
                    ints_at(y)[i] = int32(whole)
                else:
                    bytes_at(y)[i] = uint8(whole)
            i = uint32(i + THREADS)

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

"""The one place where the CPU runs in parallel: a walk over a table of kernel addresses and argument rows.

A kernel is a serial, compiled function `void(int64* arguments, int64 first, int64 last)` over a range of samples or outputs.
"""

import contextlib
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar

import llvmlite
import numba
from llvmlite import ir
from numba import cfunc, njit, prange, types
from numba.core import cgutils, config
from numba.extending import intrinsic

from ..sources import CPU, cache_folder, digest

KERNEL = types.void(types.CPointer(types.int64), types.int64, types.int64)
BATCH, OUTPUT = 0, 1


class kernel:  # noqa: N801
    """Decorator: a function of (arguments, first, last) becomes a kernel.

    It is compiled, or loaded from the disk cache, when its address is first asked for: importing compiles nothing.
    """

    registry: ClassVar[list["kernel"]] = []

    def __init__(self, function: Any):
        self.function = function
        # The op's folder; of a kernel from elsewhere, its module.
        self.name = f"{function.__module__.split('.')[-2:][0]}.{function.__name__.strip('_')}"
        self.__doc__ = function.__doc__
        self._compiled: Any = None
        kernel.registry.append(self)

    @property
    def address(self) -> int:
        """The address of the machine code."""
        if self._compiled is None:
            with _disk_cache():
                self._compiled = cfunc(KERNEL, cache=True)(self.function)
        return int(self._compiled.address)


@contextlib.contextmanager
def _disk_cache() -> Iterator[None]:
    """Numba's own cache looks at a kernel's file only: keep machine code where a change of any CPU source moves it.

    NUMBA_CACHE_DIR, where set, says which folder that is in.
    """
    settings: Any = config
    before = settings.CACHE_DIR
    base = Path(before) if before else cache_folder("numba")
    settings.CACHE_DIR = str(base / digest(CPU, llvmlite.__version__, numba.__version__))
    try:
        yield
    finally:
        settings.CACHE_DIR = before


def _call(typingctx: Any, address: Any, row: Any, first: Any, last: Any) -> Any:
    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        i64 = ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [i64.as_pointer(), i64, i64]).as_pointer()
        builder.call(builder.inttoptr(args[0], function), [builder.inttoptr(args[1], i64.as_pointer()), args[2], args[3]])
        return context.get_dummy_value()

    return types.void(*(types.int64,) * 4), codegen


call_kernel: Any = intrinsic(_call)

FLUSH = 0x8040
"""Bits of the x86 control register MXCSR: flush results to zero, take denormal operands as zero."""


def _control_register(typingctx: Any, *operands: Any) -> Any:
    """No operand: set FLUSH and return the register as it was. One operand: restore it. Nothing on other processors."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        i32 = ir.IntType(32)
        if platform.machine() not in ("x86_64", "AMD64"):
            return i32(0) if not args else context.get_dummy_value()
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
        store, load = (cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{n}mxcsr") for n in ("st", "ld"))
        place = cgutils.alloca_once(builder, i32)
        pointer = builder.bitcast(place, ir.IntType(8).as_pointer())
        if args:
            builder.store(args[0], place)
            builder.call(load, [pointer])
            return context.get_dummy_value()
        builder.call(store, [pointer])
        before = builder.load(place)
        builder.store(builder.or_(before, i32(FLUSH)), place)
        builder.call(load, [pointer])
        return before

    return (types.void(types.uint32) if operands else types.uint32()), codegen


# A network that has learned its batch by heart has gradients so small that they are denormal, which processors handle in
# microcode, ten times slower.
_flush_denormals: Any = intrinsic(lambda typingctx: _control_register(typingctx))
_restore: Any = intrinsic(lambda typingctx, mode: _control_register(typingctx, mode))


@njit
def _cross(addresses, rows, fixed, relocations, starts, arena, begin, end, k, bounds):
    """A worker takes slice k through the launches begin .. end - 1."""
    for r in range(starts[begin], starts[end]):
        i, column = relocations[r, 0], relocations[r, 1]
        rows[k, i, column] = fixed[k, i, column] + arena
    for i in range(begin, end):
        row = rows.ctypes.data + k * rows.strides[0] + i * rows.strides[1]
        call_kernel(addresses[i], row, bounds[k], bounds[k + 1])


def _walk(addresses, rows, fixed, relocations, starts, workers, segments, extents, bounds, threads):
    """for each segment (kind, first launch, last launch):
    BATCH   every slice of the batch crosses the segment's launches on its own: rows[slice, launch]. A worker takes the slices
            of its share one after the other, all in its own arena: rows[slice, launch, column] = fixed[slice, launch, column]
            + the arena's address for every (launch, column) in `relocations`, those of launch i from starts[i] on
    OUTPUT  launches that need nothing of each other, the outputs of each divided among the threads: rows[0, launch]

    A launch with fewer outputs than threads starts with another thread than the one before it, so that a row of small ones
    is shared out too.
    """
    slices = len(bounds) - 1
    for s in range(len(segments)):
        begin, end = segments[s, 1], segments[s, 2]
        if segments[s, 0] == BATCH:
            shares = min(threads, slices)
            for t in prange(shares):
                mode = _flush_denormals()
                for k in range(slices * t // shares, slices * (t + 1) // shares):
                    _cross(addresses, rows, fixed, relocations, starts, workers[t], begin, end, k, bounds)
                _restore(mode)
        else:
            for t in prange(threads):
                mode = _flush_denormals()
                for i in range(begin, end):
                    chunks = min(extents[i], threads)
                    c = (t + i) % threads
                    if c < chunks:
                        first, last = extents[i] * c // chunks, extents[i] * (c + 1) // chunks
                        call_kernel(addresses[i], rows.ctypes.data + i * rows.strides[1], first, last)
                _restore(mode)


@cache
def _compiled(parallel: bool) -> Any:
    one, two, three = types.int64[::1], types.int64[:, ::1], types.int64[:, :, ::1]
    arrays = (one, three, three, two, one, one, two, one, one)
    walk = FunctionType(_walk.__code__, globals())
    # Numba's disk cache tells functions apart by name, not by what they were compiled for.
    walk.__qualname__ = "_walk_in_parallel" if parallel else "_walk"
    with _disk_cache():
        return njit(types.void(*arrays, types.int64), parallel=parallel, cache=True)(walk)


def walk(threads: int) -> Any:
    """What executes segments in order, on one thread without any parallel region: see _walk for its arguments."""
    return _compiled(threads > 1)

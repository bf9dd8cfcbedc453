"""The one place where the CPU runs in parallel: a walk over a table of kernel addresses and argument rows.

A kernel is a serial, compiled function `void(int64* arguments, int64 first, int64 last)` over a range of samples or outputs.
"""

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import llvmlite
import numba
from llvmlite import ir
from numba import cfunc, get_num_threads, njit, prange, types
from numba.core import config
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
        self.name = f"{function.__module__.split('.')[-2]}.{function.__name__.strip('_')}"
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


_call_kernel: Any = intrinsic(_call)


def _walk(addresses, rows, segments, bounds, threads):
    """for each segment (kind, first launch, last launch, extent):
    BATCH   every slice of the batch crosses the segment's launches on its own: rows[slice, launch]
    OUTPUT  one launch, its `extent` outputs divided among the threads: rows[0, launch]
    """
    slices = len(bounds) - 1
    base = rows.ctypes.data
    for s in range(len(segments)):
        begin, end, extent = segments[s, 1], segments[s, 2], segments[s, 3]
        if segments[s, 0] == 0:
            for k in prange(slices):
                for i in range(begin, end):
                    _call_kernel(addresses[i], base + k * rows.strides[0] + i * rows.strides[1], bounds[k], bounds[k + 1])
        else:
            chunks = min(extent, threads)
            for c in prange(chunks):
                first, last = extent * c // chunks, extent * (c + 1) // chunks
                _call_kernel(addresses[begin], base + begin * rows.strides[1], first, last)


@cache
def _compiled() -> Any:
    arrays = (types.int64[::1], types.int64[:, :, ::1], types.int64[:, ::1], types.int64[::1])
    with _disk_cache():
        return njit(types.void(*arrays, types.int64), parallel=True, cache=True)(_walk)


def run(addresses: Any, rows: Any, segments: Any, bounds: Any) -> None:
    """Execute the segments in order on the threads that Numba is set to."""
    _compiled()(addresses, rows, segments, bounds, get_num_threads())

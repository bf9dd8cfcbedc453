"""CUDA kernels: a Python function, its argument types, and the PTX that Numba makes of it.

PTX is the artifact: the hardware loads it, the emulator executes it, the compile gates assemble it for every target. It is
compiled when first asked for and kept in a folder on disk, under a name that changes with the source of this package. It is one
text for all targets, compiled for the oldest, but for the line that names the target: what the emulator executes is what every
GPU runs.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ..sources import CUDA, NOT_IN_KERNELS, cache_folder, digest, keep
from .available import OLDEST, toolkit_errors

TARGETS = ("sm_75", "sm_80", "sm_90a")
"""Turing, Ampere and what came after, Hopper: what kernels are compiled for and gated on."""

_POINTERS = {"f32", "f64", "u8", "i32", "i64", "u32", "u64"}
_NUMBA = {"f": "float", "u": "uint", "i": "int"}


class CudaKernel:
    """A compiled-on-demand kernel.

    signature  argument types in order: u32, u64, i64, f32 by value, f32* and so on for addresses
    threads    threads of a block, which the compiler may rely on
    registers  the budget that the compile gates hold it to, on every target
    allow_f64  why it may use float64 instructions; empty for the others, which may not
    oldest     the first of TARGETS that has all of its instructions
    blocks     that a multiprocessor must be able to hold, where that is to decide how many registers a thread gets rather than
               the compiler, which would spill a few for one block more
    entry      what it is called in PTX, and by profilers
    """

    registry: dict[str, "CudaKernel"] = {}

    def __init__(
        self, function: Callable[..., None], signature: str, threads: int, registers: int, variant: str, allow_f64: str = "",
        oldest: str = TARGETS[0], blocks: int = 0,
    ):  # fmt: skip
        self.function = function
        self.types = tuple(word.strip() for word in signature.split(","))
        self.threads, self.registers, self.allow_f64 = threads, registers, allow_f64
        self.targets, self.blocks = TARGETS[TARGETS.index(oldest) :], blocks
        # The op's folder; of a kernel from elsewhere, its module.
        module = function.__module__.split(".")[-2:][0]
        self.name = f"{module}.{function.__name__}" + (f"[{variant}]" if variant else "")
        self.entry = re.sub(r"\W+", "_", self.name).strip("_")
        self.__doc__ = function.__doc__
        self._ptx = ""
        CudaKernel.registry[self.name] = self

    def ptx(self, target: str = "sm_80") -> str:
        """The PTX for a target, from the disk cache if this source was compiled before."""
        if not self._ptx:
            file = cache_folder("ptx") / f"{self.entry}-{_digest(Path(self.function.__code__.co_filename))}.ptx"
            self._ptx = file.read_text() if file.exists() else self._compile(file)
        return re.sub(r"^\.target .*$", f".target {target}", self._ptx, count=1, flags=re.MULTILINE)

    def _compile(self, file: Path) -> str:
        from numba import cuda

        signature = tuple(_numba_type(word) for word in self.types)
        bounds = (self.threads, self.blocks) if self.blocks else self.threads
        with toolkit_errors():
            ptx, _ = cuda.compile_ptx(self.function, signature, cc=OLDEST, launch_bounds=bounds)
        text = _tidy(str(ptx), self.entry)
        keep(file, text)
        return text


def kernel(
    signature: str, *, threads: int, registers: int, variant: str = "", allow_f64: str = "", oldest: str = TARGETS[0],
    blocks: int = 0,
) -> Callable[[Callable[..., None]], CudaKernel]:
    """Decorator: a function of addresses and numbers becomes a CudaKernel. `variant` tells a factory's products apart."""
    return lambda function: CudaKernel(function, signature, threads, registers, variant, allow_f64, oldest, blocks)


def _tidy(ptx: str, entry: str) -> str:
    """PTX with a readable entry, without what Numba's interpreter would need of it, and the same in every process."""
    mangled = ptx.split(".entry", 1)[1].split("(", 1)[0].strip()
    ptx = re.sub(r"^\.common \.global .*NumbaEnv.*\n", "", ptx.replace(mangled, entry), flags=re.MULTILINE)
    names = dict.fromkeys(re.findall(r"_cudapy_[a-z]+_\d+", ptx))
    for number, name in enumerate(names):
        ptx = re.sub(rf"\b{name}\b", f"shared_{number}" if "smem" in name else f"array_{number}", ptx)
    return ptx


def _numba_type(word: str) -> Any:
    from numba.cuda import types

    pointer, plain = word.endswith("*"), word.rstrip("*")
    if plain not in _POINTERS:
        raise ValueError(f"unknown kernel argument type {word!r}; known: {sorted(_POINTERS)}, each also as a pointer with *")
    number = getattr(types, _NUMBA[plain[0]] + plain[1:])
    return types.CPointer(number) if pointer else number


@cache
def _digest(file: Path) -> str:
    """Of all that a kernel in this file is made of: the file, the kernels beside it, and what they share with all others."""
    import llvmlite
    import numba_cuda

    sources = [source.read_text() for source in sorted({file, *file.parent.glob("cuda*.py")})]
    return digest(CUDA, llvmlite.__version__, numba_cuda.__version__, *sources, without=NOT_IN_KERNELS)

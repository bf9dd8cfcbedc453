"""A kernel that can be launched without a GPU.

    kernel = Kernel(ptx)                            parse and translate, once for each text
    kernel.launch(memory, grid, block, arguments)   execute it, wave by wave, with every access checked

A launch turns its arguments into the bytes of the kernel's parameters, and its grid into waves of blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .counters import Counters
from .errors import LaunchError
from .memory import DeviceArray, Memory
from .parser import Instruction, Parameter, Program, parse
from .ptx_types import ELEMENT, Array
from .races import GlobalRaceTable, check_limits
from .scheduler import Scheduler
from .translate import Translation, translate
from .wave import Dim3, Launch, Wave

#: how many lanes are executed together: enough to hide the cost of a NumPy call, few enough for the caches
WAVE_LANES = 32768

MAX_THREADS = 1024

Value = int | float | bytes | np.generic
Argument = Value | DeviceArray
Extent = int | Sequence[int]


@dataclass(frozen=True)
class _Compiled:
    program: Program
    translation: Translation
    global_grain: int
    shared_grain: int


@lru_cache(maxsize=1024)
def _compiled(ptx: str) -> _Compiled:
    program = parse(ptx)
    grains = (_grain(program.instructions, space) for space in ("global", "shared"))
    return _Compiled(program, translate(program), *grains)


class Kernel:
    """The one `.entry` of a PTX text. PtxError or UnsupportedError where the text cannot be executed."""

    def __init__(self, ptx: str) -> None:
        self._compiled = _compiled(ptx)

    @property
    def name(self) -> str:
        """The kernel's name, demangled."""
        return self._compiled.program.name

    @property
    def source(self) -> str:
        """The Python code that the PTX was translated to."""
        return self._compiled.translation.source

    def launch(
        self,
        memory: Memory,
        grid: Extent,
        block: Extent,
        arguments: Sequence[Argument],
        *,
        shared_bytes: int = 0,
        races: bool = True,
        counters: Counters | None = None,
        order_seed: int | None = None,
    ) -> None:
        """Execute the kernel on `grid` blocks of `block` threads each.

        `arguments` are the kernel's parameters: numbers, addresses as integers, DeviceArrays, structures as bytes.
        `shared_bytes` is the size of dynamic shared memory. `races` looks for races in shared and global memory.
        `counters` receives what a profiler would count. `order_seed` runs blocks and warps in a random order instead
        of together. Raises an EmulatorError that names the place; memory then holds what was written so far.
        """
        program = self._compiled.program
        tables = program.symbols_in("global", "const")
        launch = Launch(
            program=program,
            memory=memory,
            grid=_dim3(grid, "grid"),
            block=_dim3(block, "block"),
            parameters=_parameters(program, arguments),
            constants={table.name: memory.constant(table.name, table.initial) for table in tables if table.initial},
            shared_bytes=shared_bytes,
            global_races=GlobalRaceTable(memory.top, self._compiled.global_grain) if races else None,
            shared_grain=self._compiled.shared_grain,
            counters=counters,
            order_seed=order_seed,
        )
        self._check(launch)
        if counters is not None:
            counters.kernel = self.name
        with np.errstate(all="ignore"):
            for block_ids in _waves(launch):
                Scheduler(Wave(launch, block_ids), self._compiled.translation).run()

    def _check(self, launch: Launch) -> None:
        limit = min(MAX_THREADS, launch.program.max_threads or MAX_THREADS)
        if launch.threads > limit:
            raise LaunchError(
                f"kernel {self.name}: {launch.threads} threads a block {launch.block}, at most {limit} are possible"
            )
        if launch.global_races is not None:
            check_limits(launch.blocks, len(launch.program.instructions))


def _dim3(extent: Extent, what: str) -> Dim3:
    values = (extent,) if isinstance(extent, int) else tuple(extent)
    if not 1 <= len(values) <= 3 or any(int(value) < 1 for value in values):
        raise LaunchError(f"{what} must be one to three positive integers, not {extent!r}")
    x, y, z = (*(int(value) for value in values), 1, 1)[:3]
    return x, y, z


def _parameters(program: Program, arguments: Sequence[Argument]) -> dict[str, Array]:
    """The bytes of each kernel parameter."""
    flat: list[Value] = []
    for argument in arguments:
        flat.extend(argument.parameters() if isinstance(argument, DeviceArray) else [argument])
    if len(flat) != len(program.parameters):
        raise LaunchError(
            f"kernel {program.name} has {len(program.parameters)} parameters, got {len(flat)}"
            " (an n-dimensional array is 5 + 2n of them)"
        )
    return {
        parameter.name: _encoded(program, parameter, value)
        for parameter, value in zip(program.parameters, flat, strict=True)
    }


def _encoded(program: Program, parameter: Parameter, value: Value) -> Array:
    """The bytes of one parameter; LaunchError where the value is of the wrong kind or size."""
    dtype, what = ELEMENT[parameter.type], f"kernel {program.name}: parameter {parameter.name} is"
    if parameter.nbytes != dtype.itemsize or isinstance(value, bytes):
        if not isinstance(value, bytes) or len(value) != parameter.nbytes:
            raise LaunchError(f"{what} a structure of {parameter.nbytes} bytes, got {value!r}")
        return np.frombuffer(value, np.uint8)
    if dtype.kind == "f":
        return np.array([value], dtype).view(np.uint8)
    if isinstance(value, float | np.floating):
        raise LaunchError(f"{what} an integer ({parameter.type}), got {value!r}")
    bits = 8 * dtype.itemsize
    if not -(1 << (bits - 1)) <= int(value) < 1 << bits:
        raise LaunchError(f"{what} an integer of {bits} bits ({parameter.type}), {value!r} does not fit")
    return np.frombuffer((int(value) % (1 << bits)).to_bytes(dtype.itemsize, "little"), np.uint8)


def _grain(instructions: Sequence[Instruction], space: str) -> int:
    """The size of the smallest access to a space, at most 4; an access by generic address may be to any."""
    sizes = [
        instruction.dtype.itemsize
        for instruction in instructions
        if instruction.opcode in ("ld", "ldu", "st", "atom", "red")
        and not instruction.has("param")
        and (instruction.has(space) or not instruction.has("global", "shared", "local", "const"))
    ]
    return min([4, *sizes])


def _waves(launch: Launch) -> list[Array]:
    """The numbers of the blocks that are executed together, wave by wave."""
    order = np.arange(launch.blocks)
    if launch.order_seed is not None:
        order = np.random.default_rng(launch.order_seed).permutation(order)
    size = max(1, WAVE_LANES // launch.threads)
    return [order[start : start + size] for start in range(0, launch.blocks, size)]

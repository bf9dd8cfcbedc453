"""Executes compiled PTX with NumPy, on machines without a GPU, and checks every access while it does.

    memory = Memory()
    x = memory.allocate(4 * n, "x")
    memory.write(x, values)
    Kernel(ptx).launch(memory, grid, block, [x, n])
    memory.read(x, (n,), "float32")

All threads of many blocks advance together, a NumPy array for each register. What is where:

    parser.py        PTX text -> instructions and basic blocks
    instructions.py  one rule an opcode: instruction -> lines of NumPy code, with arithmetic.py and ptx_types.py
    translate.py     basic blocks -> Python functions
    lanes.py         which threads execute, and their registers
    memory.py        global memory and the state of every byte; spaces.py: checked access to it, to shared and to local
    races.py         who touched what since which barrier
    atomics.py, collectives.py, copies.py    atomics; shuffles, votes, matrix fragments; cp.async
    wave.py, scheduler.py, kernel.py         blocks that run together; divergence and barriers; launch
    counters.py      what a profiler would count
    errors.py        what is raised

What it is not: a model of time, of caches, or of the hardware's approximations (see arithmetic.py).
"""

from .counters import Counters, Traffic
from .errors import (
    BarrierError,
    EmulatorError,
    ExecutionError,
    LaunchError,
    MemoryAccessError,
    MisalignedError,
    OutOfBoundsError,
    PtxError,
    RaceError,
    UninitialisedError,
    UnsupportedError,
)
from .kernel import Kernel
from .memory import DeviceArray, Memory

__all__ = [
    "Memory",
    "Kernel",
    "DeviceArray",
    "Counters",
    "Traffic",
    "EmulatorError",
    "PtxError",
    "UnsupportedError",
    "LaunchError",
    "MemoryAccessError",
    "OutOfBoundsError",
    "MisalignedError",
    "UninitialisedError",
    "BarrierError",
    "RaceError",
    "ExecutionError",
]

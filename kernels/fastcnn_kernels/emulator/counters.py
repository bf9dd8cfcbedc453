"""What a profiler would count: instructions by class, floating-point operations, sectors and wavefronts a request.

    Counters        add one to launches as `counters=`; it accumulates; print(counters) shows it
    Traffic         what one load or store instruction asked of memory
    classify        the class of an instruction
    flops_of        its floating-point operations a thread

A request is one load or store by one warp. Global memory serves it in sectors of 32 bytes; shared memory in
wavefronts, each of at most one 4-byte word from each of 32 banks (accesses of 8 and 16 bytes in 2 and 4 parts of
the warp). `ideal` is the least number with which the same bytes could have been served.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from .lanes import WARP, Lanes
from .parser import Instruction
from .ptx_types import ELEMENT, Array

SECTOR = 32
BANKS = 32
WORD = 4

_CLASSES = {
    "fma": "float",
    "copysign": "float",
    "cvt": "conversion",
    "cvta": "conversion",
    "bra": "control",
    "ret": "control",
    "exit": "control",
    "bar": "barrier",
    "barrier": "barrier",
    "membar": "barrier",
    "fence": "barrier",
    "atom": "atomic",
    "red": "atomic",
    "shfl": "warp",
    "vote": "warp",
    "activemask": "warp",
    "mma": "tensor",
    "ldmatrix": "load shared",
    "cp": "asynchronous copy",
    "mov": "move",
    "selp": "move",
    "setp": "comparison",
    **dict.fromkeys(("ex2", "lg2", "sin", "cos", "tanh", "rcp", "sqrt", "rsqrt"), "special function"),
}

_FLOPS = {"add": 1, "sub": 1, "mul": 1, "div": 1, "fma": 2, "mad": 2} | dict.fromkeys(
    ("ex2", "lg2", "sin", "cos", "tanh", "rcp", "sqrt", "rsqrt"), 1
)


def classify(instruction: Instruction) -> str:
    """The class under which an instruction is counted."""
    opcode = instruction.opcode
    if opcode in ("ld", "ldu", "st"):
        space = instruction.one_of(("param", "global", "shared", "local", "const"), "generic")
        return f"{'store' if opcode == 'st' else 'load'} {space}"
    if opcode in _CLASSES:
        return _CLASSES[opcode]
    return {"f": "float", "b": "logic"}.get(_type_letter(instruction), "integer")


def _type_letter(instruction: Instruction) -> str:
    return next((modifier[0] for modifier in reversed(instruction.modifiers) if modifier in ELEMENT), "")


def flops_of(instruction: Instruction) -> int:
    """Floating-point operations a thread: 2 for a multiply-add, 2 * m * n * k / 32 for a warp's matrix product."""
    if instruction.opcode == "mma":
        return 2 * prod(int(extent) for extent in re.findall(r"\d+", instruction.modifiers[2])) // WARP
    return _FLOPS.get(instruction.opcode, 0) if _type_letter(instruction) == "f" else 0


@dataclass
class Traffic:
    """What one instruction asked of global memory (in sectors) or shared memory (in wavefronts)."""

    line: int
    text: str
    space: str
    requests: int = 0
    served: int = 0
    ideal: int = 0

    def __str__(self) -> str:
        unit = "sectors" if self.space == "global" else "wavefronts"
        return (
            f"line {self.line:5d}  {self.requests:8d} requests  {self.served / self.requests:6.2f} {unit} a request"
            f" (ideal {self.ideal / self.requests:.2f})  {self.text}"
        )


@dataclass
class Counters:
    """Sums over the launches that it was given to."""

    #: executed instructions by class, counted once a thread and once a warp
    threads: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    warps: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    flops: int = 0
    #: by kernel, PTX line and space: an asynchronous copy reads one and writes the other
    traffic: dict[tuple[str, int, str], Traffic] = field(default_factory=dict)
    #: the kernel that runs now, as launch says
    kernel: str = ""

    def record_block(self, instructions: Sequence[Instruction], lanes: Lanes) -> None:
        """Count the execution of a basic block."""
        warps = len(lanes.warps)
        for instruction in instructions:
            name = classify(instruction)
            self.threads[name] += lanes.count
            self.warps[name] += warps
            self.flops += lanes.count * flops_of(instruction)

    def record_request(self, space: str, instruction: Instruction, lanes: Lanes, position: Array, size: int) -> None:
        """Count the requests of the warps in `lanes` for `size` bytes at each lane's byte position."""
        if space not in ("global", "shared"):
            return
        matrix = lanes.to_warps(position)
        matrix = np.where(lanes.active, matrix, -1)
        served = _sectors(matrix) if space == "global" else _wavefronts(matrix, size)
        ideal = _distinct(matrix) * size
        entry = self.traffic.setdefault(
            (self.kernel, instruction.line, space), Traffic(instruction.line, instruction.text, space)
        )
        entry.requests += len(matrix)
        entry.served += int(served.sum())
        entry.ideal += int((-(-ideal // (SECTOR if space == "global" else BANKS * WORD))).sum())

    def total(self, space: str) -> Traffic:
        """The traffic of all instructions in "global" or "shared" memory."""
        rows = [entry for entry in self.traffic.values() if entry.space == space]
        sums = (sum(getattr(row, name) for row in rows) for name in ("requests", "served", "ideal"))
        return Traffic(0, f"all {space} accesses", space, *sums)

    def __str__(self) -> str:
        mix = [
            f"{name:20s} {count:12d} threads {self.warps[name]:10d} warps"
            for name, count in sorted(self.threads.items())
        ]
        return "\n".join([*mix, f"{'FLOPs':20s} {self.flops:12d}", *map(str, self.traffic.values())])


def _distinct(values: Array) -> Array:
    """The number of different values in each row, of those that are not negative: the others stand for absent lanes."""
    return _first_of_equals(np.sort(values, axis=1)).sum(axis=1)


def _first_of_equals(values: Array) -> Array:
    """Where a value in a sorted row is not negative and differs from the one before it."""
    return (np.diff(values, axis=1, prepend=-1) != 0) & (values >= 0)


def _sectors(position: Array) -> Array:
    """The number of sectors in each warp's request (W, 32); an aligned access of up to 16 bytes lies in one."""
    return _distinct(position // SECTOR)


def _wavefronts(position: Array, size: int) -> Array:
    """The number of wavefronts for each warp's request (W, 32).

    In each part of the warp that is served together, it is the most words that one bank must give.
    """
    words = max(1, size // WORD)
    parts = np.sort((position // WORD).reshape(len(position) * words, WARP // words), axis=1)
    new = _first_of_equals(parts)
    load = np.zeros((len(parts), BANKS), np.int64)
    rows = np.arange(len(parts))[:, None]
    for word in range(words):
        np.add.at(load, (rows, (parts + word) % BANKS), new)
    return load.max(axis=1).reshape(len(position), words).sum(axis=1)

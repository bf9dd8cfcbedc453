"""Basic blocks -> Python functions of NumPy arrays.

    translate(program)      one function a basic block, each `(wave, lanes, registers) -> None`
    Emitter                 what the rules of instructions.py write with

A block's function loads the registers that it reads before writing them, works on local variables, and stores those
registers whose values a later block may read (liveness, by the usual backward data flow). A guarded instruction
writes only some lanes, so it does not end the life of what it writes.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import arithmetic, instructions
from .errors import UnsupportedError
from .memory import GLOBAL_BASE
from .parser import BasicBlock, Instruction, Program, is_control
from .ptx_types import ELEMENT, REGISTER, Array, DType, unsigned
from .spaces import LOCAL_BASE, SHARED_BASE, SymbolLayout

CARRY = "%CC"

_SPECIAL = re.compile(
    r"%(n?tid|n?ctaid)\.[xyz]|%laneid|%warpid|%dynamic_smem_size|%lanemask_(eq|lt|le|gt|ge)"
)
_FLOAT = re.compile(r"0[fFdD]([0-9a-fA-F]+)")
_INTEGER = re.compile(r"-?(0[xX][0-9a-fA-F]+|\d+)U?")
_VARIABLE = re.compile(r"\b(?:v_\w+|t\d+)\b")
_ADDRESS = re.compile(r"\[\s*([%\w$]+)\s*(?:\+\s*(-?\w+))?\s*\]")

BlockFunction = Callable[[Any, Any, Any], None]


@dataclass(slots=True)
class Code:
    """The emitted lines of a block, and the registers that it reads (before writing them) and writes, in order."""

    lines: list[str] = field(default_factory=list)
    reads: dict[str, None] = field(default_factory=dict)
    writes: dict[str, None] = field(default_factory=dict)


@dataclass
class Translation:
    """The result: a function a block (None where a block computes nothing) and the numbers of the registers."""

    functions: list[BlockFunction | None]
    numbers: dict[str, int]
    source: str


class Emitter:
    """Collects the code of a program's blocks, one after the other; they share their constants."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.code = Code()
        self.temporaries = 0
        self._constants: dict[tuple[DType, bytes], tuple[str, Array]] = {}
        self.layouts = {
            "shared": SymbolLayout(program.symbols_in("shared")),
            "local": SymbolLayout(program.symbols_in("local")),
        }

    def line(self, text: str) -> None:
        """A statement."""
        self.code.lines.append(text)

    def temporary(self) -> str:
        """A fresh local name."""
        self.temporaries += 1
        return f"t{self.temporaries}"

    def value(self, operand: str, dtype: DType) -> str:
        """An expression: the operand (register, special register, number or symbol) read as `dtype`."""
        if operand in self.program.registers:
            return self._converted(self._register(operand), self.program.registers[operand], dtype)
        if _SPECIAL.fullmatch(operand):
            return self._converted(f"wave.special(lanes, {operand!r})", np.dtype("uint32"), dtype)
        if match := _FLOAT.fullmatch(operand):
            bits = np.array([int(match[1], 16)], f"uint{4 * len(match[1])}")
            return self.constant(
                bits.view(f"float{4 * len(match[1])}").astype(dtype) if dtype.kind == "f" else bits.astype(dtype)
            )
        if _INTEGER.fullmatch(operand):
            return self.constant(_integer(operand, dtype))
        return self._symbol(operand, dtype)

    def predicate(self, operand: str) -> str:
        """A predicate operand, which `!` negates."""
        value = self.value(operand.lstrip("!"), np.dtype(bool))
        return f"~{value}" if operand.startswith("!") else value

    def set(self, target: str, expression: str, dtype: DType) -> None:
        """Set a register from an expression of `dtype`, which a wider register receives extended."""
        if target not in self.program.registers:
            raise UnsupportedError(f"unknown register {target!r}")
        held = self.program.registers[target]
        if held.itemsize > dtype.itemsize and dtype.kind == "i":
            expression = f"({expression}).astype(int{8 * held.itemsize}).view({held})"
        elif held != dtype:
            expression = self._converted(f"({expression})", dtype, held)
        self.line(f"{variable(target)} = {expression}")
        self.code.writes[target] = None

    def carry(self) -> str:
        """The carry register."""
        return self._register(CARRY)

    def set_carry(self, expression: str) -> None:
        """Set the carry register."""
        self.line(f"{variable(CARRY)} = {expression}")
        self.code.writes[CARRY] = None

    def offset(self, operand: str, space: str) -> str:
        """`[register + number]` or `[symbol + number]` as int64 offsets from the start of a space."""
        match = _ADDRESS.fullmatch(operand)
        if match is None:
            raise UnsupportedError(f"no rule for the address {operand!r}")
        displacement = int(match[2] or "0", 0) - (GLOBAL_BASE if space in ("global", "generic") else 0)
        held = self.program.registers.get(match[1], np.dtype("int64"))
        base = self.value(match[1], np.dtype("int64") if held.itemsize == 8 else held)
        base = base if held.itemsize == 8 else f"{base}.astype(int64)"
        return f"{base} + {displacement}" if displacement else base

    @staticmethod
    def window(space: str) -> int:
        """Where a space begins among generic addresses."""
        return {"shared": SHARED_BASE, "local": LOCAL_BASE}.get(space, 0)

    def _register(self, name: str) -> str:
        if name not in self.code.writes:
            self.code.reads[name] = None
        return variable(name)

    def _converted(self, expression: str, held: DType, wanted: DType) -> str:
        """An expression of type `held` read as `wanted`: the same bits, or fewer of them, or extended with zeros."""
        if held == wanted:
            return expression
        if held.itemsize == wanted.itemsize:
            return f"{expression}.view({wanted})"
        if "b" in (held.kind, wanted.kind) or (held.itemsize < wanted.itemsize and wanted.kind == "f"):
            raise UnsupportedError(f"a {held} register used as {wanted}")
        bits = expression if held.kind != "f" else f"{expression}.view({unsigned(held)})"
        return f"{bits}.astype({unsigned(wanted)}).view({wanted})" if wanted.kind == "f" else f"{bits}.astype({wanted})"

    def constant(self, values: Array) -> str:
        """The name of a constant, an array of shape (1,)."""
        return self._constants.setdefault((values.dtype, values.tobytes()), (f"c{len(self._constants)}", values))[0]

    @property
    def constants(self) -> dict[str, Array]:
        """All constants by name."""
        return dict(self._constants.values())

    def _symbol(self, name: str, dtype: DType) -> str:
        symbol = self.program.symbols.get(name)
        if symbol is None:
            raise UnsupportedError(f"unknown operand {name!r}")
        if symbol.space in self.layouts:
            return self.constant(np.array([self.layouts[symbol.space].offsets[name]], dtype))
        if symbol.initial is None:
            raise UnsupportedError(f"the global variable {name!r} without initial values")
        return f"wave.constant_address({name!r}).view({dtype})"


def variable(register: str) -> str:
    """The Python name of a register."""
    return "v_" + re.sub(r"\W", "_", register)


def _integer(text: str, dtype: DType) -> Array:
    value = int(text.rstrip("U"), 0)
    if dtype.kind in "bf":
        return np.array([value], dtype)
    width = 8 * dtype.itemsize
    return np.array([value % (1 << width)], f"uint{width}").view(dtype)


def translate(program: Program) -> Translation:
    """All blocks of a program as functions."""
    program.registers.setdefault(CARRY, np.dtype(bool))
    emitter = Emitter(program)
    codes = [_emit(emitter, block) for block in program.blocks]
    live = _live_out(program.blocks, codes)
    numbers = {name: number for number, name in enumerate(program.registers)}
    parts = [_function(number, code, live[number], numbers) for number, code in enumerate(codes)]
    source = "\n\n".join(part for part in parts if part)
    namespace = {**_NAMESPACE, **emitter.constants}
    filename = f"<emulated {program.name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec"), namespace)
    return Translation([namespace.get(f"block_{number}") for number in range(len(codes))], numbers, source)


#: what emitted code may name: NumPy, its types, and the functions of arithmetic.py
_NAMESPACE: dict[str, Any] = {**vars(arithmetic), "np": np} | {
    str(dtype): dtype for dtype in (*ELEMENT.values(), *REGISTER.values()) if dtype.kind != "b"
}


def _emit(emitter: Emitter, block: BasicBlock) -> Code:
    program = emitter.program
    emitter.code = Code()
    for instruction in block.instructions:
        try:
            if is_control(instruction):
                instructions.check_control(instruction)
            else:
                instructions.translate(emitter, instruction)
        except UnsupportedError as error:
            raise _located(error, program, instruction) from None
    if block.guard is not None and block.guard.register not in program.registers:
        raise _located(UnsupportedError("unknown guard"), program, block.instructions[0])
    return emitter.code


def _located(error: UnsupportedError, program: Program, instruction: Instruction) -> UnsupportedError:
    located = UnsupportedError(f"kernel {program.name}: {error}\n  PTX line {instruction.line}: {instruction.text}")
    located.kernel, located.line, located.instruction = program.name, instruction.line, instruction.text
    return located


def _successors(blocks: list[BasicBlock], number: int) -> list[int]:
    block = blocks[number]
    following = {"next": [number + 1], "barrier": [number + 1], "branch": [block.target], "exit": []}[block.end]
    if block.guard is not None and number + 1 not in following:
        following = [*following, number + 1]
    return [successor for successor in following if successor < len(blocks)]


def _live_out(blocks: list[BasicBlock], codes: list[Code]) -> list[set[str]]:
    """For each block the registers that a later block may read."""
    live_in: list[set[str]] = [set() for _ in blocks]
    live_out: list[set[str]] = [set() for _ in blocks]
    changed = True
    while changed:
        changed = False
        for number in reversed(range(len(blocks))):
            live_out[number] = set().union(*(live_in[successor] for successor in _successors(blocks, number)))
            guard = blocks[number].guard
            killed = set() if guard else set(codes[number].writes)
            needed = set(codes[number].reads) | ({guard.register} if guard else set()) | (live_out[number] - killed)
            changed |= needed != live_in[number]
            live_in[number] = needed
    return live_out


def _function(number: int, code: Code, live_out: set[str], numbers: dict[str, int]) -> str:
    """The source of a block's function; "" where there is nothing to do."""
    if not code.lines:
        return ""
    lines = list(code.lines)
    if code.reads:
        names = ", ".join(variable(name) for name in code.reads)
        lines.insert(0, f"{names}, = lanes.load(registers, {_tuple(code.reads, numbers)})")
    kept = [name for name in code.writes if name in live_out]
    if kept:
        names = ", ".join(variable(name) for name in kept)
        lines.append(f"lanes.store(registers, {_tuple(kept, numbers)}, ({names},))")
    return f"def block_{number}(wave, lanes, registers):\n    " + "\n    ".join(_with_deletions(lines))


def _with_deletions(lines: list[str]) -> list[str]:
    """Each value dropped after its last use, so that its memory is used again while it is in the cache."""
    last_use = {name: number for number, line in enumerate(lines) for name in _VARIABLE.findall(line)}
    result = []
    for number, line in enumerate(lines):
        result.append(line)
        dead = [name for name, last in last_use.items() if last == number]
        if dead and number + 1 < len(lines):
            result.append(f"del {', '.join(dead)}")
    return result


def _tuple(names: Any, numbers: dict[str, int]) -> str:
    return "(" + "".join(f"{numbers[name]}, " for name in names) + ")"

"""PTX text -> Program: declarations, instructions and basic blocks. Nothing here knows what an instruction does.

    parse(text)             the Program of the one `.entry` in the text
    Program                 what was declared, all instructions, the basic blocks
    BasicBlock              a straight run of instructions and how it ends
    Instruction, Guard      one instruction: `@!%p1 add.sat.f32 %f1, %f2, %f3;`
    Symbol, Parameter       memory that has a name; a kernel parameter
    split_operands(text)    commas that are not inside {} or []

The subset read is what NVVM emits for a kernel without calls. Source: PTX ISA 9.0, chapters 4 (syntax) and 5 (state
spaces, types).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .errors import PtxError, UnsupportedError
from .ptx_types import ELEMENT, REGISTER, DType

#: instructions after which a basic block ends
CONTROL = {"bra", "ret", "exit", "bar", "barrier"}

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_LOCATION = re.compile(r"^(\s*\.loc\b[^\n;]*)$", re.MULTILINE)
_ENTRY = re.compile(r"\.entry\s+([\w$]+)\s*(?:\(([^)]*)\))?([^{;]*)\{")
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.(\w+)\s+(?:\.ptr[^,]*?\s)?([\w$]+)(?:\[(\d+)\])?\s*$")
_SYMBOL = re.compile(
    r"\.(shared|local|global|const)\s+(?:\.align\s+(\d+)\s+)?\.([bsuf]\d+)\s+([\w$]+)(?:\[(\d*)\])?\s*(?:=\s*\{([^}]*)\}\s*)?;"
)
_TOKEN = re.compile(r"\s*(?:([\w$]+)\s*:(?!:)|(\{)|(\})|([^;{}]*(?:\{[^{}]*\}[^;{}]*)*);)")
_GUARDED = re.compile(r"@(!?)([%\w$]+)\s+(.*)")
_IDENTIFIER = re.compile(r"%?[A-Za-z_$%][\w$]*")


@dataclass(frozen=True, slots=True)
class Guard:
    """`@%p` or `@!%p`: the lanes for which the instruction is executed."""

    register: str
    negated: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `index` counts them in the program, `line` counts the lines of the PTX text from 1."""

    index: int
    line: int
    text: str
    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[str, ...]
    guard: Guard | None
    source: str | None

    @property
    def dtype(self) -> DType:
        """The type that the instruction works on: its last type modifier."""
        for modifier in reversed(self.modifiers):
            if modifier in ELEMENT:
                return ELEMENT[modifier]
        raise UnsupportedError(f"PTX line {self.line}: no type that the emulator knows in: {self.text}")

    def has(self, *modifiers: str) -> bool:
        """Whether one of these modifiers is there."""
        return any(modifier in self.modifiers for modifier in modifiers)

    def one_of(self, choices: tuple[str, ...], default: str = "") -> str:
        """The first modifier that is among the choices."""
        return next((modifier for modifier in self.modifiers if modifier in choices), default)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named piece of shared, local, global or constant memory. `size` is 0 for dynamic shared memory."""

    name: str
    space: str
    align: int
    size: int
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A kernel parameter; `nbytes` is the size of its type, or of the array for a structure passed by value."""

    name: str
    type: str
    nbytes: int


@dataclass(slots=True)
class BasicBlock:
    """Instructions that are executed one after the other, and what follows.

    A guarded instruction is a block of its own: lanes that fail `guard` go on at the next block. `end` is "next",
    "branch" (to block `target`), "barrier" (wait, then the next block) or "exit".
    """

    instructions: list[Instruction]
    end: str = "next"
    target: int = -1
    guard: Guard | None = None


@dataclass(slots=True)
class Program:
    """A kernel as parsed."""

    name: str
    parameters: list[Parameter] = field(default_factory=list)
    registers: dict[str, DType] = field(default_factory=dict)
    symbols: dict[str, Symbol] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    blocks: list[BasicBlock] = field(default_factory=list)
    max_threads: int | None = None

    def symbols_in(self, *spaces: str) -> list[Symbol]:
        """The symbols of these state spaces, in the order of their declaration."""
        return [symbol for symbol in self.symbols.values() if symbol.space in spaces]


def parse(text: str) -> Program:
    """The Program of the one kernel in `text`; PtxError or UnsupportedError says what could not be read."""
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    text = _LOCATION.sub(r"\1;", text)
    if re.search(r"\.func\b", text):
        raise UnsupportedError("the PTX holds a device function (.func): compile it with inline='always'")
    entries = list(_ENTRY.finditer(text))
    if len(entries) != 1:
        raise PtxError(f"expected PTX text with one .entry, found {len(entries)}")
    name, parameters, directives = entries[0].groups()
    program = Program(readable_name(name), _parameters(parameters or ""))
    program.max_threads = _max_threads(directives)
    program.symbols = {symbol.name: symbol for symbol in _symbols(text)}
    labels = _BodyParser(program).parse(text, entries[0].end())
    program.blocks = _basic_blocks(program.instructions, labels)
    return program


def readable_name(mangled: str) -> str:
    """`_ZN7kernels4reluB2v1...` -> `kernels.relu` (the Itanium mangling, as Numba uses it); other names stay."""
    if not mangled.startswith("_ZN"):
        return mangled
    parts, position = [], 3
    while length := re.match(r"\d+", mangled[position:]):
        start = position + length.end()
        position = start + int(length[0])
        parts.append(mangled[start:position].replace("_3clocals_3e", "<locals>"))
    return ".".join(parts)


def split_operands(text: str) -> tuple[str, ...]:
    """Split at the commas that are not inside braces or brackets."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    parts.append(text[start:].strip())
    return tuple(part for part in parts if part)


def _parameters(text: str) -> list[Parameter]:
    return [_parameter(item.strip()) for item in text.split(",") if item.strip()]


def _parameter(text: str) -> Parameter:
    match = _PARAMETER.match(text)
    if match is None or match[1] not in ELEMENT:
        raise UnsupportedError(f"kernel parameter that the emulator does not know: {text}")
    return Parameter(match[2], match[1], ELEMENT[match[1]].itemsize * int(match[3] or 1))


def _max_threads(directives: str) -> int | None:
    match = re.search(r"\.maxntid\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?", directives)
    if match is None:
        return None
    x, y, z = (int(extent or 1) for extent in match.groups())
    return x * y * z


def _symbols(text: str) -> Iterator[Symbol]:
    for match in _SYMBOL.finditer(text):
        space, align, kind, name, count, initial = match.groups()
        itemsize = ELEMENT[kind].itemsize
        size = itemsize * int(count or 0) if count is not None else itemsize
        yield Symbol(name, space, int(align or itemsize), size, _initial_bytes(initial, size) if initial else None)


def _initial_bytes(values: str, size: int) -> bytes:
    return bytes(int(value) for value in values.split(",")).ljust(size, b"\0")


class _BodyParser:
    """Reads the statements of a kernel's body; knows the scopes `{ .reg ...; }` and the source lines of `.loc`."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.scopes: list[dict[str, str]] = []
        self.scope_count = 0
        self.source: str | None = None
        self.files: dict[str, str] = {}

    def parse(self, text: str, position: int) -> dict[str, int]:
        """Fill program.registers and .instructions from the text after the body's brace; the labels, by instruction."""
        self.files = dict(re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', text, re.MULTILINE))
        labels: dict[str, int] = {}
        while match := _TOKEN.match(text, position):
            label, opening, closing, statement = match.groups()
            position = match.end()
            if label:
                labels[label] = len(self.program.instructions)
            elif opening:
                self.scope_count += 1
                self.scopes.append({})
            elif closing and not self.scopes:
                return labels
            elif closing:
                self.scopes.pop()
            else:
                self._statement(" ".join(statement.split()), 1 + text.count("\n", 0, match.end()))
        raise PtxError(f"kernel {self.program.name}: cannot read PTX line {1 + text.count(chr(10), 0, position)}")

    def _statement(self, text: str, line: int) -> None:
        if text.startswith(".reg"):
            self._declare(text, line)
        elif text.startswith(".loc"):
            _, file, source_line = text.split()[:3]
            self.source = f"{self.files.get(file, file)}:{source_line}"
        elif text and not text.startswith("."):
            self.program.instructions.append(self._instruction(text, line))

    def _declare(self, text: str, line: int) -> None:
        match = re.match(r"\.reg\s+\.(\w+)\s+(.*)", text)
        if match is None or match[1] not in REGISTER:
            raise UnsupportedError(f"kernel {self.program.name}: PTX line {line}: registers of this kind: {text}")
        for item in split_operands(match[2]):
            series = re.match(r"([%\w$]+)<(\d+)>", item)
            for name in [f"{series[1]}{i}" for i in range(int(series[2]))] if series else [item]:
                self.program.registers[self._scoped(name)] = REGISTER[match[1]]

    def _scoped(self, name: str) -> str:
        """The name under which a declaration in the innermost scope is known to the program."""
        if not self.scopes:
            return name
        self.scopes[-1][name] = f"{name}_scope{self.scope_count}"
        return self.scopes[-1][name]

    def _resolve(self, text: str) -> str:
        for scope in reversed(self.scopes):
            if scope:
                text = _IDENTIFIER.sub(lambda match, scope=scope: scope.get(match[0], match[0]), text)  # type: ignore[misc]
        return text

    def _instruction(self, text: str, line: int) -> Instruction:
        guard, rest = None, text
        if match := _GUARDED.match(text):
            guard, rest = Guard(self._resolve(match[2]), bool(match[1])), match[3]
        head, _, operands = rest.partition(" ")
        opcode, *modifiers = head.split(".")
        index = len(self.program.instructions)
        resolved = split_operands(self._resolve(operands))
        return Instruction(index, line, text, opcode, tuple(modifiers), resolved, guard, self.source)


def is_control(instruction: Instruction) -> bool:
    """Whether a basic block ends after it. A warp's barrier suspends nobody: its lanes are executed together."""
    return instruction.opcode in CONTROL and not instruction.has("warp")


def _basic_blocks(instructions: list[Instruction], labels: dict[str, int]) -> list[BasicBlock]:
    starts = _block_starts(instructions, labels)
    number = {start: block for block, start in enumerate(starts)}
    blocks = []
    for start, stop in zip(starts, [*starts[1:], len(instructions)], strict=True):
        block = BasicBlock(instructions[start:stop], guard=instructions[start].guard)
        last = block.instructions[-1]
        if is_control(last):
            block.end = {"bra": "branch", "ret": "exit", "exit": "exit"}.get(last.opcode, "barrier")
        if block.end == "branch":
            block.target = number.get(_label_position(last, labels), len(starts))
        blocks.append(block)
    return blocks


def _block_starts(instructions: list[Instruction], labels: dict[str, int]) -> list[int]:
    starts = {0, *labels.values()}
    for instruction in instructions:
        if is_control(instruction) or instruction.guard:
            starts.add(instruction.index + 1)
        if instruction.guard:
            starts.add(instruction.index)
    return sorted(start for start in starts if start < len(instructions))


def _label_position(instruction: Instruction, labels: dict[str, int]) -> int:
    if len(instruction.operands) != 1 or instruction.operands[0] not in labels:
        raise PtxError(f"PTX line {instruction.line}: no such label: {instruction.text}")
    return labels[instruction.operands[0]]

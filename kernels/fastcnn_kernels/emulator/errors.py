"""What the emulator raises. Every error is an EmulatorError; its class says which kind of fault it is:

    EmulatorError
        PtxError                the text is not PTX that this emulator can read
        UnsupportedError        an instruction, modifier or operand without a rule
        LaunchError             arguments, grid or block that the kernel cannot be launched with; memory that is full
        MemoryAccessError       an access to memory that is wrong in itself
            OutOfBoundsError        outside every allocation (or symbol, or stack frame)
            MisalignedError         address not a multiple of the access
            UninitialisedError      read of bytes that nothing wrote
        BarrierError            threads that should meet do not
        RaceError               two threads touch the same bytes, at least one writes, and nothing orders them
        ExecutionError          anything else that goes wrong while a kernel runs (division by zero, endless loop)

An error in a running kernel carries the place as attributes, for tools.
"""

from __future__ import annotations


class EmulatorError(RuntimeError):
    """Base of all errors of the emulator.

    `kernel`, `line` (of the PTX text, from 1), `instruction`, `block` and `thread` (x, y, z) say where, as far as
    it is known.
    """

    kernel: str | None = None
    line: int | None = None
    instruction: str | None = None
    block: tuple[int, int, int] | None = None
    thread: tuple[int, int, int] | None = None


class PtxError(EmulatorError):
    """The text is not PTX that this emulator can read."""


class UnsupportedError(EmulatorError):
    """An instruction, a modifier or an operand for which there is no rule."""


class LaunchError(EmulatorError):
    """The kernel cannot be launched with these arguments, this grid or this block."""


class MemoryAccessError(EmulatorError):
    """An access to memory that is wrong in itself."""


class OutOfBoundsError(MemoryAccessError):
    """An access outside every allocation, symbol or stack frame."""


class MisalignedError(MemoryAccessError):
    """An address that is not a multiple of the size of the access."""


class UninitialisedError(MemoryAccessError):
    """A read of bytes that nothing has written."""


class BarrierError(EmulatorError):
    """Threads that should meet at a barrier or in a warp-wide instruction do not."""


class RaceError(EmulatorError):
    """Two threads touch the same bytes, at least one of them writes, and nothing orders them."""


class ExecutionError(EmulatorError):
    """Anything else that goes wrong while a kernel runs: division by zero, an endless loop, a trap."""

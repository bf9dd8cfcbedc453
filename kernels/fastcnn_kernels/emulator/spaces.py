"""Global, shared and local memory as the lanes of a wave see them: every access checked, then carried out.

    Space           load, store, atomic and byte access, the same for all three
    GlobalSpace     the device's Memory
    SharedSpace     one row of bytes a block, its symbols placed as badly as their alignment allows
    LocalSpace      one row of bytes a thread
    GenericSpace    addresses that say themselves which of the three they mean

An access is checked in this order: aligned, inside, written (for reads), free of races. Offsets are int64 byte
offsets from the start of the space as the lane sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import atomics
from .errors import MisalignedError, OutOfBoundsError, RaceError, UninitialisedError, UnsupportedError
from .lanes import Lanes
from .memory import ALLOCATED, GLOBAL_BASE, IN_FLIGHT, OUTSIDE, WRITTEN, Memory, Storage, relative, repeated
from .parser import Symbol
from .ptx_types import Array, DType
from .races import ATOMIC, READ, WRITE, Conflict, RaceTable

if TYPE_CHECKING:
    from .counters import Counters
    from .wave import Wave

#: where the windows of shared and local memory begin among generic addresses
SHARED_BASE = 1 << 40
LOCAL_BASE = 1 << 41

#: bytes outside between two symbols, and after the last one
_GAP = 16


class Space:
    """One state space: a lane can address `span` bytes, which begin at `_base(lanes)` in the storage."""

    name = ""

    def __init__(
        self, wave: Wave, storage: Storage, span: int, races: RaceTable | None, counters: Counters | None
    ) -> None:
        self.wave = wave
        self.storage = storage
        self.span = span
        self.races = races
        self.counters = counters

    def load(self, lanes: Lanes, at: int, offset: Array, dtype: DType, count: int) -> tuple[Array, ...]:
        """`count` consecutive elements a lane, one array each."""
        size = dtype.itemsize * count
        position = self.locate(lanes, at, offset, size, READ)
        index = position >> (size.bit_length() - 1)
        self._require_written(lanes, at, index, size, offset, READ)
        self._observe(READ, lanes, at, offset, size)
        return self.storage.gather(index, dtype, count)

    def store(self, lanes: Lanes, at: int, offset: Array, dtype: DType, values: Sequence[Array]) -> None:
        """Consecutive elements a lane."""
        size = dtype.itemsize * len(values)
        position = self.locate(lanes, at, offset, size, WRITE)
        index = position >> (size.bit_length() - 1)
        self._mark_written(lanes, at, index, size, offset)
        self._observe(WRITE, lanes, at, offset, size)
        self.storage.scatter(index, dtype, values)

    def atomic(
        self, lanes: Lanes, at: int, offset: Array, dtype: DType, operation: str, operands: Sequence[Array]
    ) -> Array:
        """Read-modify-write, one lane after the other; the values before, shape lanes.shape."""
        size = dtype.itemsize
        position = self.locate(lanes, at, offset, size, ATOMIC)
        index = position >> (size.bit_length() - 1)
        self._require_written(lanes, at, index, size, offset, ATOMIC)
        self._observe(ATOMIC, lanes, at, offset, size)
        spread = [lanes.spread(operand) for operand in operands]
        before = atomics.apply(self.storage.elements(dtype), lanes.spread(index), operation, spread)
        return before.reshape(lanes.shape)

    def fetch(self, lanes: Lanes, at: int, offset: Array, size: int) -> Array:
        """`size` bytes a lane as they are, uint8 (lanes.count, size)."""
        octets = self.load(lanes, at, offset, np.dtype(f"V{size}"), 1)[0]
        return np.ascontiguousarray(lanes.spread(octets)).view(np.uint8).reshape(-1, size)

    def locate(self, lanes: Lanes, at: int, offset: Array, size: int, kind: str) -> Array:
        """The byte positions in the storage, checked for alignment and for the bounds of the space."""
        if np.bitwise_or.reduce(offset, axis=None) & (size - 1):
            self._fail_misaligned(lanes, at, offset, size, kind)
        if offset.min() < 0 or offset.max() > self.span - size:
            self._fail_outside(lanes, at, (offset < 0) | (offset > self.span - size), offset, size, kind)
        return offset + self._base(lanes)

    def _base(self, lanes: Lanes) -> Array | int:
        return 0

    def _require_written(self, lanes: Lanes, at: int, index: Array, size: int, offset: Array, kind: str) -> None:
        states = self.storage.states(index, size)
        bad = states != repeated(WRITTEN, min(size, 8))
        if bad.any():
            self._fail_state(lanes, at, bad, offset, size, kind)

    def _mark_written(self, lanes: Lanes, at: int, index: Array, size: int, offset: Array) -> None:
        states = self.storage.states(index, size)
        if (states == repeated(WRITTEN, min(size, 8))).all():
            return
        allocated = repeated(ALLOCATED, min(size, 8))
        bad = (states & allocated) != allocated
        if bad.any():
            self._fail_state(lanes, at, bad, offset, size, WRITE)
        self.storage.set_states(index, size, WRITTEN)

    def _observe(self, kind: str, lanes: Lanes, at: int, offset: Array, size: int) -> None:
        if self.counters is not None:
            self.counters.record_request(self.name, self.wave.program.instructions[at], lanes, offset, size)
        self._look_for_race(kind, lanes, at, offset, size)

    def _look_for_race(self, kind: str, lanes: Lanes, at: int, offset: Array, size: int) -> None:
        if self.races is not None:
            try:
                self.races.record(kind, self.wave.clock, lanes, offset, size, at)
            except Conflict as conflict:
                self._fail_race(lanes, at, offset, kind, conflict)

    # what went wrong, in words

    def describe(self, offset: int) -> str:
        """Where an offset is, in terms of what is nearest to it."""
        raise NotImplementedError

    def _fail_misaligned(self, lanes: Lanes, at: int, offset: Array, size: int, kind: str) -> None:
        bad = (offset & (size - 1)) != 0
        where = self.describe(self.wave.first(lanes, bad, offset))
        message = f"misaligned {kind} of {size} bytes in {self.name} memory {where}: not a multiple of {size}"
        raise self.wave.fault(MisalignedError, message, at, lanes, bad)

    def _fail_outside(self, lanes: Lanes, at: int, bad: Array, offset: Array, size: int, kind: str) -> None:
        where = self.describe(self.wave.first(lanes, bad, offset))
        message = f"{kind} of {size} bytes outside {self.name} memory {where}"
        raise self.wave.fault(OutOfBoundsError, message, at, lanes, bad)

    def _fail_state(self, lanes: Lanes, at: int, bad: Array, offset: Array, size: int, kind: str) -> None:
        bad = np.any(bad, axis=-1) if size == 16 else bad
        first = self.wave.first(lanes, bad, offset + self._base(lanes))
        states = self.storage.state[first : first + size]
        if (states == OUTSIDE).any():
            self._fail_outside(lanes, at, bad, offset, size, kind)
        byte = self.wave.first(lanes, bad, offset) + int(np.flatnonzero(states != WRITTEN)[0])
        why = "a copy (cp.async) in flight will write" if (states == IN_FLIGHT).any() else "nothing has written"
        message = f"{kind} of {size} bytes in {self.name} memory that {why}: {self.describe(byte)}"
        raise self.wave.fault(UninitialisedError, message, at, lanes, bad)

    def _fail_race(self, lanes: Lanes, at: int, offset: Array, kind: str, conflict: Conflict) -> None:
        where = self.describe(self.wave.first(lanes, conflict.mask, offset))
        other = self.wave.program.instructions[conflict.instruction]
        who = f"block {self.wave.block_xyz(conflict.block)}"
        who += "" if conflict.thread is None else f", thread {self.wave.thread_xyz(conflict.thread)}"
        others = " (and others)" if conflict.several else ""
        message = (
            f"race in {self.name} memory {where}: this {kind} and the {conflict.kind} by {who}{others}"
            f" at PTX line {other.line} ({other.text}), with no barrier between them"
        )
        raise self.wave.fault(RaceError, message, at, lanes, conflict.mask)


class GlobalSpace(Space):
    """The device's memory. Offsets are relative to GLOBAL_BASE."""

    name = "global"

    def __init__(self, wave: Wave, memory: Memory, races: RaceTable | None, counters: Counters | None) -> None:
        super().__init__(wave, memory.storage, memory.top, races, counters)
        self.memory = memory

    def describe(self, offset: int) -> str:
        """Where an arena offset is, by its nearest allocation."""
        return self.memory.describe(GLOBAL_BASE + offset)


class _SymbolSpace(Space):
    """Rows of `span` bytes, in each the same symbols at the same offsets."""

    def __init__(
        self, wave: Wave, rows: int, layout: SymbolLayout, races: RaceTable | None, counters: Counters | None
    ) -> None:
        storage = Storage(rows * layout.span, fill=0xCD)
        storage.state[: rows * layout.span].reshape(rows, layout.span)[:] = layout.states()
        super().__init__(wave, storage, layout.span, races, counters)
        self.layout = layout

    def describe(self, offset: int) -> str:
        """Where an offset is, by its nearest symbol."""
        return self.layout.describe(offset)


class SharedSpace(_SymbolSpace):
    """One row a block."""

    name = "shared"

    def _base(self, lanes: Lanes) -> Array:
        return lanes.row * self.span

    def expect(self, lanes: Lanes, at: int, offset: Array, size: int) -> Array:
        """A copy of `size` bytes a lane begins; until it lands, nobody may read them. Its unit, (lanes.count,)."""
        position = self.locate(lanes, at, offset, size, WRITE)
        index = position >> (size.bit_length() - 1)
        self._mark_written(lanes, at, index, size, offset)
        self.storage.set_states(index, size, IN_FLIGHT)
        self._observe(WRITE, lanes, at, offset, size)
        return lanes.spread(index)

    def land(self, lanes: Lanes, at: int, index: Array, octets: Array) -> None:
        """The copies of these lanes are done: it is now that they write, as far as other threads can tell."""
        size = octets.shape[1]
        self.storage.elements(np.dtype(np.uint8), size)[index] = octets
        self.storage.set_states(index, size, WRITTEN)
        self._look_for_race(WRITE, lanes, at, index * size % self.span, size)


class LocalSpace(_SymbolSpace):
    """One row a thread."""

    name = "local"

    def _base(self, lanes: Lanes) -> Array:
        return lanes.index.reshape(lanes.shape) * self.span


class GenericSpace:
    """Accesses whose address (less GLOBAL_BASE, as for global memory) says by its window which space it means."""

    def __init__(self, global_space: Space, shared: Space, local: Space) -> None:
        self.spaces = global_space, shared, local

    def load(self, lanes: Lanes, at: int, offset: Array, dtype: DType, count: int) -> tuple[Array, ...]:
        """As Space.load."""
        space, offset = self._resolve(lanes, at, offset)
        return space.load(lanes, at, offset, dtype, count)

    def store(self, lanes: Lanes, at: int, offset: Array, dtype: DType, values: Sequence[Array]) -> None:
        """As Space.store."""
        space, offset = self._resolve(lanes, at, offset)
        space.store(lanes, at, offset, dtype, values)

    def atomic(
        self, lanes: Lanes, at: int, offset: Array, dtype: DType, operation: str, operands: Sequence[Array]
    ) -> Array:
        """As Space.atomic."""
        space, offset = self._resolve(lanes, at, offset)
        return space.atomic(lanes, at, offset, dtype, operation, operands)

    def _resolve(self, lanes: Lanes, at: int, offset: Array) -> tuple[Space, Array]:
        address = offset + GLOBAL_BASE
        window = np.where((address < SHARED_BASE) | (address >= GLOBAL_BASE), 0, np.where(address < LOCAL_BASE, 1, 2))
        if (window != window.flat[0]).any():
            message = "generic addresses of one instruction in different state spaces"
            raise self.spaces[0].wave.fault(UnsupportedError, message, at, lanes, window != window.flat[0])
        which = int(window.flat[0])
        return self.spaces[which], (offset, address - SHARED_BASE, address - LOCAL_BASE)[which]


class SymbolLayout:
    """Where the symbols of shared or local memory are.

    Each lies at an odd multiple of its alignment and no better, with a gap before the next, so that code that
    relies on more alignment than it has declared, or that runs from one array into another, is caught. Dynamic
    shared arrays all begin at the same place.
    """

    def __init__(self, symbols: Sequence[Symbol], dynamic_bytes: int = 0) -> None:
        self.offsets: dict[str, int] = {}
        self.sizes: dict[str, int] = {}
        self.end = 0
        for symbol in symbols:
            if symbol.size:
                self._place(symbol, _odd_multiple(self.end, symbol.align), symbol.size)
        dynamic = [symbol for symbol in symbols if not symbol.size]
        start = _odd_multiple(self.end, max((symbol.align for symbol in dynamic), default=1))
        for symbol in dynamic:
            self._place(symbol, start, dynamic_bytes)
        self.span = max(16, -(-self.end // 16) * 16)

    def _place(self, symbol: Symbol, start: int, size: int) -> None:
        self.offsets[symbol.name], self.sizes[symbol.name] = start, size
        self.end = start + size + _GAP

    def states(self) -> Array:
        """The initial state of every byte of a row."""
        states = np.full(self.span, OUTSIDE, np.uint8)
        for name, start in self.offsets.items():
            states[start : start + self.sizes[name]] = ALLOCATED
        return states

    def describe(self, offset: int) -> str:
        """Where an offset is, in terms of the symbol nearest to it."""
        if not self.offsets:
            return f"at offset {offset}; the kernel declares none"
        extents = ((start, self.sizes[name], name) for name, start in self.offsets.items())
        start, size, name = min(extents, key=lambda extent: max(extent[0] - offset, offset - sum(extent[:2]) + 1))
        return f"at offset {offset}, {relative(offset, start, size, f'{name} ({size} bytes)')}"


def _odd_multiple(end: int, align: int) -> int:
    """The smallest odd multiple of `align` that is not below `end`."""
    return (-(-end // align) | 1) * align

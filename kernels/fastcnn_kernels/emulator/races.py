"""Finding races: which lane last read and last wrote each piece of memory, and what has ordered the lanes since.

    Clock               when each block and each warp last synchronised
    RaceTable           last accesses to shared memory, and the check of a new one against them
    GlobalRaceTable     the same for global memory, where reads are remembered by block

Lanes run in lock step here, so a missing barrier would go unnoticed: results are right by accident. Therefore every
access is compared with the earlier ones to the same bytes. Two accesses conflict if they come from different lanes,
one of them writes (atomics do not conflict with one another), and nothing lies between them: bar.sync for lanes of
a block, bar.warp.sync or bar.sync for lanes of a warp. For lanes of different blocks of a launch it is an atomic on the
same address with .acq_rel: what a block did before the barrier that came before its atomic is then known to the blocks whose
atomics come later (PTX ISA, 8.10, "Causality order").
Two lanes that write the same bytes conflict even if they write the same value.

One number records an access: tick (20 bits) | scope (2) | lane (28) | instruction (13). The tick says when, by the
Clock; the lane is block * 1024 + thread. Of several readers only one is remembered, and in `scope` how far apart
they are: 0 one lane, 1 one warp, 2 one block, 3 several blocks. What is not found: a write after a read of global
memory by another lane of the same block.
"""

from __future__ import annotations

import numpy as np

from .errors import LaunchError
from .lanes import KEY_SHIFT, THREAD_BITS, WARP, AllLanes, Lanes
from .ptx_types import Array

READ, WRITE, ATOMIC = "read", "write", "atomic access"

#: which earlier accesses a new one may conflict with
_CONFLICTS = {READ: (WRITE, ATOMIC), WRITE: (WRITE, READ, ATOMIC), ATOMIC: (WRITE, READ)}

_SITE_BITS = KEY_SHIFT
_LANE_BITS, _SCOPE_BITS, _TICK_BITS = 28, 2, 20
_SCOPE_SHIFT = _SITE_BITS + _LANE_BITS
_TICK_SHIFT = _SCOPE_SHIFT + _SCOPE_BITS
_SITE_MASK = (1 << _SITE_BITS) - 1
_LANE_MASK = ((1 << _LANE_BITS) - 1) << _SITE_BITS
_WARP_LIMIT = WARP << _SITE_BITS
_BLOCK_LIMIT = 1 << (THREAD_BITS + _SITE_BITS)
_SEVERAL = np.int32(-(1 << 31))


class Clock:
    """When the blocks and warps of a wave last synchronised, in ticks: every synchronisation is one."""

    def __init__(self, blocks: int, threads: int) -> None:
        self.tick = 1
        self.blocks = np.ones(blocks, np.int64)
        self.warps = np.ones((blocks, -(-threads // WARP)), np.int64)

    def block_barrier(self, rows: Array | slice) -> None:
        """These blocks have met at a barrier."""
        self._advance()
        self.blocks[rows] = self.tick
        self.warps[rows] = self.tick

    def warp_barrier(self, warps: Array) -> None:
        """These warps, numbered through the wave, have met."""
        self._advance()
        self.warps.reshape(-1)[warps] = self.tick

    def _advance(self) -> None:
        self.tick += 1
        if self.tick >> _TICK_BITS:
            raise LaunchError(f"more than 2^{_TICK_BITS} barriers in one launch: launch with races=False")


class Conflict(Exception):  # noqa: N818  # not an error of its own: the space that was accessed turns it into a RaceError
    """A race, for the space to report: `mask` says which lanes conflict, the rest with whom, as far as it is known."""

    def __init__(self, mask: Array, kind: str, instruction: int, block: int, thread: int | None, several: bool) -> None:
        super().__init__(kind)
        self.mask, self.kind, self.instruction = mask, kind, instruction
        self.block, self.thread, self.several = block, thread, several


def _conflict(mask: Array, kind: str, entries: Array) -> Conflict:
    entry = int(np.broadcast_to(entries, mask.shape)[mask][0])
    block, thread = divmod((entry & _LANE_MASK) >> _SITE_BITS, 1 << THREAD_BITS)
    return Conflict(mask, kind, entry & _SITE_MASK, block, thread, bool((entry >> _SCOPE_SHIFT) & 3))


def check_limits(blocks: int, instructions: int) -> None:
    """LaunchError where a launch does not fit into the numbers of a RaceTable."""
    if blocks >> (_LANE_BITS - THREAD_BITS):
        raise LaunchError(
            f"races are found in launches of up to 2^{_LANE_BITS - THREAD_BITS} blocks: launch with races=False"
        )
    if instructions >> _SITE_BITS:
        raise LaunchError(f"races are found in kernels of up to 2^{_SITE_BITS} instructions: launch with races=False")


class RaceTable:
    """The last accesses to memory, in pieces of `grain` bytes (1, 2 or 4: the smallest access of the kernel).

    There are `rows` rows of `nbytes` bytes, one for each block of the wave; offsets are relative to the block's row.
    """

    def __init__(self, nbytes: int, grain: int, rows: int = 1) -> None:
        self.shift = grain.bit_length() - 1
        self.row_entries = -(-nbytes // grain)
        self.entries = rows * self.row_entries
        self.tables: dict[str, Array] = {}

    def record(self, kind: str, clock: Clock, lanes: Lanes, offset: Array, nbytes: int, instruction: int) -> None:
        """Check an access of `nbytes` at these offsets against all earlier ones, then remember it. Conflict: a race."""
        first = offset >> self.shift if self.shift else offset
        for piece in range(nbytes >> self.shift):
            self._record(kind, clock, lanes, first + piece if piece else first, instruction)

    def _record(self, kind: str, clock: Clock, lanes: Lanes, place: Array, instruction: int) -> None:
        alike = kind == READ and isinstance(lanes, AllLanes) and len(place) == 1
        if alike and self._read_alike(clock, lanes, place.reshape(-1), instruction):
            return
        entry = self._entry(lanes, place)
        key = lanes.keys + _stamp(clock, instruction)
        for earlier in _CONFLICTS[kind]:
            if earlier in self.tables:
                self._check(earlier, clock, lanes, entry, key)
        if kind == WRITE:
            self._overwrite(entry, key)
        else:
            self._accumulate(kind, clock, lanes, entry, key)

    def _entry(self, lanes: Lanes, place: Array) -> Array:
        return place + lanes.row * self.row_entries

    def _read_alike(self, clock: Clock, lanes: Lanes, place: Array, instruction: int) -> bool:
        """Reads of the same offsets in all blocks, where nothing recent stands against them: one lane for each offset.

        False where the rare case needs the full check.
        """
        speaker, scope = _speakers(np.broadcast_to(place, lanes.threads), self.row_entries)
        entry = self._entry(lanes, np.broadcast_to(place, lanes.threads)[speaker])
        since = clock.blocks[:, None] << _TICK_SHIFT
        if any((table.take(entry) >= since).any() for table in self.tables.values()):
            return False
        self._table(READ)[entry] = lanes.keys[:, speaker] + (_stamp(clock, instruction) + (scope << _SCOPE_SHIFT))
        return True

    def _check(self, earlier: str, clock: Clock, lanes: Lanes, entry: Array, key: Array) -> None:
        old = self.tables[earlier].take(entry)
        if self._maybe_unordered(old, clock, lanes):
            unordered = _unordered(old, clock, lanes, key) > 0
            if unordered.any():
                raise _conflict(unordered, earlier, old)

    def _maybe_unordered(self, old: Array, clock: Clock, lanes: Lanes) -> bool:
        """A quick test that is never wrong when it says no: everything old was before the blocks' last barriers."""
        return bool((old >= (clock.blocks.take(lanes.row) << _TICK_SHIFT)).any())

    def _table(self, kind: str) -> Array:
        if kind not in self.tables:
            self.tables[kind] = np.zeros(self.entries, np.int64)
        return self.tables[kind]

    def _overwrite(self, entry: Array, key: Array) -> None:
        """A write that conflicts with no earlier access replaces them all."""
        table = self._table(WRITE)
        entry = np.broadcast_to(entry, key.shape)
        table[entry] = key
        kept = table.take(entry)
        lost = kept != key
        if lost.any():
            raise _conflict(lost, WRITE, kept)

    def _accumulate(self, kind: str, clock: Clock, lanes: Lanes, entry: Array, key: Array) -> None:
        """Reads (or atomics) join the earlier ones that nothing has ordered before them."""
        table = self._table(kind)
        old = table.take(entry)
        entry = np.broadcast_to(entry, key.shape)
        table[entry] = key
        scope = _distance(table.take(entry), key)
        if self._maybe_unordered(old, clock, lanes):
            scope = np.maximum(scope, _unordered(old, clock, lanes, key))
        for level in (1, 2, 3):
            reached = scope >= level
            if not reached.any():
                break
            table[entry[reached]] = key[reached] | (level << _SCOPE_SHIFT)


class GlobalRaceTable(RaceTable):
    """The last accesses to global memory, where lanes of all blocks meet.

    Most memory is only read, by many lanes. So reads are kept in a table of their own, as (block + 1) << 13 |
    instruction, negative once several blocks have read, and compared with the writes of other blocks only.

    `known[b][a]` is the tick up to which block b knows what block a did, `released` the same by address of an atomic.
    """

    def __init__(self, nbytes: int, grain: int) -> None:
        super().__init__(nbytes, grain)
        self.known: dict[int, dict[int, int]] = {}
        self.released: dict[int, dict[int, int]] = {}

    def meet(self, clock: Clock, lanes: Lanes, offset: Array) -> None:
        """Atomics that acquire and release, one lane after the other."""
        for block, row, address in np.broadcast(lanes.block_keys >> _SITE_BITS, lanes.row, offset):
            own = int(block) - 1
            known = self.known.setdefault(own, {})
            known.update(self.released.get(int(address), {}))
            known[own] = int(clock.blocks[row])
            self.released.setdefault(int(address), {}).update(known)

    def _known(self, old: Array, key: Array) -> Array:
        """Whether the block of the new access knows of the old one."""
        blocks = [(entries & _LANE_MASK) >> (_SITE_BITS + THREAD_BITS) for entries in (old, key)]
        ticks, several = old >> _TICK_SHIFT, (old >> _SCOPE_SHIFT) & 3
        limits = np.zeros(np.broadcast(*blocks).shape, np.int64)
        pairs = np.stack(np.broadcast_arrays(*blocks), -1).reshape(-1, 2)
        unique, where = np.unique(pairs, axis=0, return_inverse=True)
        found = np.array([self.known.get(int(now), {}).get(int(then), 0) for then, now in unique])
        limits = found[where].reshape(limits.shape)
        return (ticks < limits) & (several < 3)

    def _entry(self, lanes: Lanes, place: Array) -> Array:
        return place

    def _read_alike(self, clock: Clock, lanes: Lanes, place: Array, instruction: int) -> bool:
        return False

    def _maybe_unordered(self, old: Array, clock: Clock, lanes: Lanes) -> bool:
        return bool(old.any())

    def _check(self, earlier: str, clock: Clock, lanes: Lanes, entry: Array, key: Array) -> None:
        if earlier != READ:
            old = self.tables[earlier].take(entry)
            if self._maybe_unordered(old, clock, lanes):
                unordered = _unordered(old, clock, lanes, key) > 0
                if self.known and unordered.any():
                    unordered &= ~self._known(old, key)
                if unordered.any():
                    raise _conflict(unordered, earlier, old)
            return
        old = self.tables[READ].take(entry)
        foreign = (old != 0) & ((old ^ lanes.block_keys) >> _SITE_BITS != 0)
        if foreign.any():
            reader = int(np.broadcast_to(old, foreign.shape)[foreign][0])
            block = ((reader & ~int(_SEVERAL)) >> _SITE_BITS) - 1
            raise Conflict(foreign, READ, reader & _SITE_MASK, block, None, reader < 0)

    def _accumulate(self, kind: str, clock: Clock, lanes: Lanes, entry: Array, key: Array) -> None:
        if kind != READ:
            super()._accumulate(kind, clock, lanes, entry, key)
            return
        if READ not in self.tables:
            self.tables[READ] = np.zeros(self.entries, np.int32)
        block_key = lanes.block_keys + np.int32(key.flat[0] & _SITE_MASK)
        if isinstance(lanes, AllLanes) and len(entry) < len(block_key):
            block_key = block_key[:1] | _SEVERAL
        self._read(self.tables[READ], entry, block_key)

    @staticmethod
    def _read(table: Array, entry: Array, key: Array) -> None:
        old = table.take(entry)
        known = ((old ^ key) >> _SITE_BITS == 0) | (old < 0)
        if known.all():
            return
        entry = np.broadcast_to(entry, known.shape)
        table[entry] = np.where(known, old, np.where(old == 0, key, key | _SEVERAL))
        kept = table.take(entry)
        several = ((kept ^ key) >> _SITE_BITS != 0) & (kept > 0)
        if several.any():
            table[entry[several]] = kept[several] | _SEVERAL


def _stamp(clock: Clock, instruction: int) -> np.int64:
    return np.int64((clock.tick << _TICK_SHIFT) | instruction)


def _speakers(place: Array, entries: int) -> tuple[Array, Array]:
    """Of the threads (T,) of a block one for each place that they access, and how far apart (0 to 2) all of its are."""
    thread = np.arange(len(place))
    last = np.empty(entries, np.int64)
    last[place] = thread
    chosen = last.take(place)
    distance = np.where(chosen == thread, 0, np.where(chosen // WARP == thread // WARP, 1, 2))
    scope = np.zeros(entries, np.int64)
    for level in (1, 2):
        scope[place[distance >= level]] = level
    speaker = np.flatnonzero(chosen == thread)
    return speaker, scope.take(place[speaker])


def _unordered(old: Array, clock: Clock, lanes: Lanes, key: Array) -> Array:
    """How far apart an old access and the new one are that nothing has ordered; 0 where they are ordered."""
    scope = np.maximum(_distance(old, key), (old >> _SCOPE_SHIFT) & 3)
    tick = old >> _TICK_SHIFT
    warp = lanes.row * clock.warps.shape[1] + lanes.thread // WARP
    ordered = (tick == 0) | ((scope == 1) & (tick < clock.warps.take(warp)))
    ordered |= (scope == 2) & (tick < clock.blocks.take(lanes.row))
    return np.where(ordered, 0, scope)


def _distance(one: Array, other: Array) -> Array:
    """How far apart two accesses are: 0 the same lane, 1 the same warp, 2 the same block, 3 different blocks."""
    difference = (one ^ other) & _LANE_MASK
    return (difference != 0).astype(np.int64) + (difference >= _WARP_LIMIT) + (difference >= _BLOCK_LIMIT)

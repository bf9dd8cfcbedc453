"""Finding races: which lane last read and last wrote each piece of memory, and what has ordered the lanes since.

    Clock       when each block and each warp last synchronised
    RaceTable   last accesses, and the check of a new one against them

Lanes run in lock step here, so a missing barrier would go unnoticed: results are right by accident. Therefore every access is compared with the
earlier ones to the same bytes. Two accesses conflict if they come from different lanes, one of them writes (atomics do not conflict with one
another), and nothing lies between them: bar.sync for lanes of a block, bar.warp.sync or bar.sync for lanes of a warp, nothing at all for lanes of
different blocks of a launch.

One number records an access: tick (20 bits) | scope (2) | lane (28) | instruction (13). The tick says when, by the Clock. The lane is
block * 1024 + thread. Of several readers only one is remembered, and in `scope` how far apart they are: 0 one lane, 1 one warp, 2 one block,
3 several blocks.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .errors import LaunchError
from .lanes import WARP, Lanes
from .ptx_types import Array

READ, WRITE, ATOMIC = "read", "write", "atomic access"

#: which earlier accesses a new one may conflict with
_CONFLICTS = {READ: (WRITE, ATOMIC), WRITE: (WRITE, READ, ATOMIC), ATOMIC: (WRITE, READ)}

_SITE_BITS, _LANE_BITS, _SCOPE_BITS, _TICK_BITS = 13, 28, 2, 20
_THREAD_BITS = 10
_LANE_SHIFT = _SITE_BITS
_SCOPE_SHIFT = _LANE_SHIFT + _LANE_BITS
_TICK_SHIFT = _SCOPE_SHIFT + _SCOPE_BITS
_LANE_MASK = ((1 << _LANE_BITS) - 1) << _LANE_SHIFT
_WARP_LIMIT = WARP << _LANE_SHIFT
_BLOCK_LIMIT = 1 << (_THREAD_BITS + _LANE_SHIFT)


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


class Site(Protocol):
    """What a RaceTable must know about the wave whose accesses it records."""

    clock: Clock

    def lane_numbers(self, lanes: Lanes) -> Array: ...


class Conflict(Exception):  # noqa: N818  # not an error of its own: the space that was accessed turns it into a RaceError
    """A race, for the space to report: `mask` says which lanes conflict, the rest with whom."""

    def __init__(self, mask: Array, kind: str, other: int) -> None:
        super().__init__(kind)
        self.mask, self.kind = mask, kind
        self.instruction = other & ((1 << _SITE_BITS) - 1)
        self.scope = (other >> _SCOPE_SHIFT) & 3
        lane = (other & _LANE_MASK) >> _LANE_SHIFT
        self.block, self.thread = lane >> _THREAD_BITS, lane & ((1 << _THREAD_BITS) - 1)


def check_limits(blocks: int, instructions: int) -> None:
    """LaunchError where a launch does not fit into the numbers of a RaceTable."""
    if blocks >> (_LANE_BITS - _THREAD_BITS):
        raise LaunchError(f"races are found in launches of up to 2^{_LANE_BITS - _THREAD_BITS} blocks: launch with races=False")
    if instructions >> _SITE_BITS:
        raise LaunchError(f"races are found in kernels of up to 2^{_SITE_BITS} instructions: launch with races=False")


class RaceTable:
    """The last accesses to `nbytes` bytes of memory, in pieces of `grain` bytes (1, 2 or 4: the smallest access of the kernel).

    `shared_by_blocks` says whether lanes of different blocks can meet here: in global memory, not in shared memory.
    """

    def __init__(self, nbytes: int, grain: int, *, shared_by_blocks: bool) -> None:
        self.entries = -(-nbytes // grain)
        self.shift = grain.bit_length() - 1
        self.shared_by_blocks = shared_by_blocks
        self.tables: dict[str, Array] = {}

    def record(self, kind: str, wave: Site, lanes: Lanes, position: Array, nbytes: int, instruction: int) -> None:
        """Check an access of `nbytes` at these byte positions against all earlier ones, then remember it. Conflict says that it is a race."""
        stamp = (wave.clock.tick << _TICK_SHIFT) | instruction
        key = wave.lane_numbers(lanes) + np.int64(stamp)
        for piece in range(0, max(1, nbytes >> self.shift)):
            entry = (position >> self.shift) + piece
            for earlier in _CONFLICTS[kind]:
                self._check(earlier, wave, lanes, entry, key)
            if kind == WRITE:
                self._overwrite(entry, key)
            else:
                self._accumulate(kind, wave, lanes, entry, key)

    def _check(self, earlier: str, wave: Site, lanes: Lanes, entry: Array, key: Array) -> None:
        if earlier not in self.tables:
            return
        old = self.tables[earlier].take(entry)
        if not self._maybe_unordered(old, wave, lanes):
            return
        unordered = self._unordered(old, wave, lanes, key) > 0
        if unordered.any():
            raise Conflict(unordered, earlier, int(np.broadcast_to(old, unordered.shape)[unordered][0]))

    def _maybe_unordered(self, old: Array, wave: Site, lanes: Lanes) -> bool:
        """A quick test that is never wrong when it says no."""
        if self.shared_by_blocks:
            return bool(old.any())
        return bool((old >= (wave.clock.blocks.take(lanes.row) << _TICK_SHIFT)).any())

    def _unordered(self, old: Array, wave: Site, lanes: Lanes, key: Array) -> Array:
        """How far apart (1 warp, 2 block, 3 grid) an old access and the new one are that nothing has ordered; 0 where they are ordered."""
        scope = np.maximum(_distance(old, key), (old >> _SCOPE_SHIFT) & 3)
        tick = old >> _TICK_SHIFT
        warp = lanes.row * wave.clock.warps.shape[1] + lanes.thread // WARP
        ordered = (tick == 0) | ((scope == 1) & (tick < wave.clock.warps.take(warp)))
        ordered |= (scope == 2) & (tick < wave.clock.blocks.take(lanes.row))
        return np.where(ordered, 0, scope)

    def _table(self, kind: str) -> Array:
        if kind not in self.tables:
            self.tables[kind] = np.zeros(self.entries, np.int64)
        return self.tables[kind]

    def _overwrite(self, entry: Array, key: Array) -> None:
        """A write that conflicts with no earlier access replaces them all."""
        table = self._table(WRITE)
        entry = np.broadcast_to(entry, np.broadcast_shapes(entry.shape, key.shape))
        table[entry] = key
        lost = table.take(entry) != key
        if lost.any():
            raise Conflict(lost, WRITE, int(table.take(entry)[lost][0]))

    def _accumulate(self, kind: str, wave: Site, lanes: Lanes, entry: Array, key: Array) -> None:
        """Reads (or atomics) join the earlier ones that nothing has ordered before them."""
        table = self._table(kind)
        old = table.take(entry)
        scope: Array | int = 0
        if self._maybe_unordered(old, wave, lanes):
            scope = self._unordered(old, wave, lanes, key)
        elif entry.shape != key.shape:
            key, scope = _representative(entry, key)
        entry = np.broadcast_to(entry, key.shape)
        table[entry] = key
        scope = np.maximum(scope, _distance(table.take(entry), key))
        for level in (1, 2, 3):
            reached = scope >= level
            if not reached.any():
                break
            table[entry[reached]] = key[reached] | (level << _SCOPE_SHIFT)


def _representative(entry: Array, key: Array) -> tuple[Array, int]:
    """One key an entry where all blocks, or all threads of a block, access the same ones; and how far apart those lanes are at most."""
    scope = 0
    if key.ndim == 2 and entry.shape[-1] == 1:
        scope = 0 if key.shape[1] == 1 else 1 if key.shape[1] <= WARP else 2
        key = key[:, :1]
    if key.ndim == 2 and (entry.ndim == 1 or entry.shape[0] == 1) and key.shape[0] > 1:
        scope = 3
        key = key[:1]
    return key, scope


def _distance(one: Array, other: Array) -> Array:
    """How far apart two accesses are: 0 the same lane, 1 the same warp, 2 the same block, 3 different blocks."""
    difference = (one ^ other) & _LANE_MASK
    return (difference != 0).astype(np.int64) + (difference >= _WARP_LIMIT) + (difference >= _BLOCK_LIMIT)

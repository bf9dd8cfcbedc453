"""Which threads execute an instruction, and their registers.

    AllLanes        every thread of every resident block, together
    SomeLanes       the threads of one side of a branch: a sorted list of lane indices
    Registers       the values of all registers of all resident threads

A *wave* holds B blocks of T threads; lane `b * T + t` is thread t of its b-th block. For AllLanes a register is an
array of shape (1,), (1, T), (B, 1) or (B, T): whatever is the same in all threads, or in all blocks, is computed
once, by NumPy's broadcasting. For SomeLanes the same translated code runs on gathered arrays of shape (n,), or (1,)
for constants.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache, cached_property

import numpy as np

from .ptx_types import Array, DType

WARP = 32

#: bits of a thread's number in its block (at most 1024), and the room that `keys` leave below for an instruction's
THREAD_BITS = 10
KEY_SHIFT = 13


class Registers:
    """All registers of a wave, by number. What nothing has written reads as NaN or 0xCDCD..., so that its use shows."""

    def __init__(self, dtypes: Sequence[DType]) -> None:
        self.values: list[Array] = [_poison(dtype) for dtype in dtypes]
        #: registers whose array no other register shares, which SomeLanes may therefore write in place
        self.owned: set[int] = set()


@cache
def _poison(dtype: DType) -> Array:
    if dtype.kind == "f":
        return np.full(1, np.nan, dtype)
    return np.full(dtype.itemsize, 0 if dtype.kind == "b" else 0xCD, np.uint8).view(dtype)


class Lanes(ABC):
    """Some or all lanes of a wave, in ascending order. Arrays "a lane" have the shape `shape` or broadcast to it."""

    shape: tuple[int, ...]
    count: int
    blocks_count: int
    threads: int

    @property
    @abstractmethod
    def index(self) -> Array:
        """Lane numbers, shape (count,)."""

    @property
    @abstractmethod
    def row(self) -> Array:
        """The block's position in the wave, a lane."""

    @property
    @abstractmethod
    def thread(self) -> Array:
        """The thread's position in its block, a lane."""

    @property
    @abstractmethod
    def keys(self) -> Array:
        """What identifies the lanes in the whole grid: (block * 1024 + thread) << KEY_SHIFT, int64, shape `shape`."""

    @property
    @abstractmethod
    def block_keys(self) -> Array:
        """What identifies their blocks: (block + 1) << KEY_SHIFT, int32, a lane."""

    @abstractmethod
    def load(self, registers: Registers, numbers: tuple[int, ...]) -> list[Array]:
        """These lanes' part of the registers with these numbers."""

    @abstractmethod
    def store(self, registers: Registers, numbers: tuple[int, ...], values: tuple[Array, ...]) -> None:
        """Set these lanes' part of the registers with these numbers."""

    @abstractmethod
    def pick(self, values: Array) -> Array:
        """These lanes' part of an array for the whole wave."""

    @abstractmethod
    def where(self, holds: Array) -> SomeLanes:
        """The lanes for which a condition, shape (count,), holds."""

    def split(self, predicate: Array, negated: bool) -> tuple[Lanes | None, Lanes | None]:
        """(the lanes for which a guard holds, the others); None where there are none."""
        if predicate.all():
            return (None, self) if negated else (self, None)
        if not predicate.any():
            return (self, None) if negated else (None, self)
        holds = self.spread(predicate ^ negated)
        return self.where(holds), self.where(~holds)

    def spread(self, values: Array) -> Array:
        """The values with one entry a lane, shape (count,)."""
        return np.broadcast_to(values, self.shape).reshape(-1)

    @cached_property
    def _warp_and_slot(self) -> tuple[Array, Array]:
        """Of each lane: its warp (numbered through the wave's blocks) and its place in the warp."""
        block, thread = np.divmod(self.index, self.threads)
        warps = -(-self.threads // WARP)
        return block * warps + thread // WARP, thread % WARP

    @cached_property
    def warps(self) -> Array:
        """The numbers of the warps that have a lane here, ascending, shape (W,)."""
        warp = self._warp_and_slot[0]
        return warp[np.flatnonzero(np.diff(warp, prepend=-1))]

    @cached_property
    def _slots(self) -> Array:
        """Where each lane is in a (W, 32) array of these warps, flattened."""
        warp, slot = self._warp_and_slot
        return np.searchsorted(self.warps, warp) * WARP + slot

    @cached_property
    def active(self) -> Array:
        """Which lanes of these warps are here, bool (W, 32)."""
        active = np.zeros((len(self.warps), WARP), bool)
        active.reshape(-1)[self._slots] = True
        return active

    @cached_property
    def whole_warps(self) -> bool:
        """Whether all 32 lanes of each of these warps are here."""
        return self.count == WARP * len(self.warps)

    def to_warps(self, values: Array) -> Array:
        """One value a lane -> (W, 32); lanes that are not here hold 0."""
        if self.whole_warps:
            return self.spread(values).reshape(-1, WARP)
        matrix = np.zeros((len(self.warps), WARP), values.dtype)
        matrix.reshape(-1)[self._slots] = self.spread(values)
        return matrix

    def from_warps(self, matrix: Array) -> Array:
        """(W, 32) -> one value a lane, shape `shape`."""
        flat = np.ascontiguousarray(matrix).reshape(-1)
        return (flat if self.whole_warps else flat[self._slots]).reshape(self.shape)


class AllLanes(Lanes):
    """Every thread of every block of the wave."""

    def __init__(self, block_ids: Array, threads: int) -> None:
        self.block_ids = block_ids
        self.blocks_count, self.threads = len(block_ids), threads
        self.shape = (self.blocks_count, threads)
        self.count = self.blocks_count * threads

    @cached_property
    def index(self) -> Array:
        return np.arange(self.count)

    @cached_property
    def row(self) -> Array:
        return np.arange(self.blocks_count)[:, None]

    @cached_property
    def thread(self) -> Array:
        return np.arange(self.threads)[None]

    @cached_property
    def keys(self) -> Array:
        return ((self.block_ids[:, None] << THREAD_BITS) + self.thread) << KEY_SHIFT

    @cached_property
    def block_keys(self) -> Array:
        return ((self.block_ids + 1) << KEY_SHIFT).astype(np.int32)[:, None]

    def load(self, registers: Registers, numbers: tuple[int, ...]) -> list[Array]:
        registers.owned.difference_update(numbers)
        return [registers.values[number] for number in numbers]

    def store(self, registers: Registers, numbers: tuple[int, ...], values: tuple[Array, ...]) -> None:
        registers.owned.difference_update(numbers)
        for number, value in zip(numbers, values, strict=True):
            registers.values[number] = value

    def pick(self, values: Array) -> Array:
        return values

    def where(self, holds: Array) -> SomeLanes:
        return SomeLanes(self, np.flatnonzero(holds))


class SomeLanes(Lanes):
    """A part of the lanes of a wave."""

    def __init__(self, everyone: AllLanes, index: Array) -> None:
        self.everyone = everyone
        self.blocks_count, self.threads = everyone.blocks_count, everyone.threads
        self.count = len(index)
        self.shape = (self.count,)
        self._index = index

    @property
    def index(self) -> Array:
        return self._index

    @cached_property
    def row(self) -> Array:
        return self._index // self.threads

    @cached_property
    def thread(self) -> Array:
        return self._index - self.row * self.threads

    @cached_property
    def keys(self) -> Array:
        return self.pick(self.everyone.keys)

    @cached_property
    def block_keys(self) -> Array:
        return self.pick(self.everyone.block_keys)

    def load(self, registers: Registers, numbers: tuple[int, ...]) -> list[Array]:
        return [self.pick(registers.values[number]) for number in numbers]

    def store(self, registers: Registers, numbers: tuple[int, ...], values: tuple[Array, ...]) -> None:
        for number, value in zip(numbers, values, strict=True):
            if number not in registers.owned:
                registers.values[number] = np.array(np.broadcast_to(registers.values[number], self.everyone.shape), order="C")
                registers.owned.add(number)
            registers.values[number].reshape(-1)[self._index] = value

    def pick(self, values: Array) -> Array:
        if values.size == 1:
            return values.reshape(1)
        if values.shape[0] == 1:
            return values[0].take(self.thread)
        if values.shape[1] == 1:
            return values[:, 0].take(self.row)
        return values.reshape(-1).take(self._index)

    def where(self, holds: Array) -> SomeLanes:
        return SomeLanes(self.everyone, self._index[holds])


def merged(one: Lanes, other: Lanes) -> Lanes:
    """The lanes of both, which have none in common."""
    some = one if isinstance(one, SomeLanes) else other
    assert isinstance(some, SomeLanes)
    if one.count + other.count == some.everyone.count:
        return some.everyone
    return SomeLanes(some.everyone, np.sort(np.concatenate([one.index, other.index]), kind="stable"))

"""Memory: the emulated device's global memory, with a state for every byte.

    Memory          one arena: allocate, free, write, read, view
    DeviceArray     an array argument of a kernel: address, shape and dtype
    Storage         bytes and their states; what global, shared and local memory are made of

A byte is outside (0), allocated (bit 0), written (bits 0 and 1), or the destination of a copy in flight (bits 0 and
2). Between two allocations lies a guard zone that is outside, so that an index one past the end is caught; a freed
allocation is outside again.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .errors import LaunchError, OutOfBoundsError, UninitialisedError
from .ptx_types import Array, DType

OUTSIDE, ALLOCATED, WRITTEN, IN_FLIGHT = 0, 1, 3, 5

#: where global memory begins; far from any integer that is an address by mistake
GLOBAL_BASE = 0x7F00_0000_0000

_STATE_DTYPE: dict[int, DType] = {
    1: np.dtype("uint8"),
    2: np.dtype("uint16"),
    4: np.dtype("uint32"),
    8: np.dtype("uint64"),
}


def repeated(state: int, size: int) -> Any:
    """The state of `size` (1, 2, 4, 8) consecutive bytes as one number."""
    return _STATE_DTYPE[size].type(int.from_bytes(bytes([state]) * size, "little"))


class Storage:
    """Bytes and their states, in units of 1, 2, 4, 8 or 16 bytes, whose index is their position divided by that."""

    def __init__(self, nbytes: int, fill: int = 0) -> None:
        nbytes = -(-nbytes // 16) * 16
        self.data = np.full(nbytes, fill, np.uint8) if fill else np.zeros(nbytes, np.uint8)
        self.state = np.zeros(nbytes, np.uint8)
        self._views: dict[tuple[DType, int], Array] = {}

    def elements(self, dtype: DType, count: int = 1) -> Array:
        """All data as units of `count` elements: (units,) for one, (units, count) for several."""
        key = (dtype, count)
        if key not in self._views:
            view = self.data.view(dtype)
            self._views[key] = view if count == 1 else view.reshape(-1, count)
        return self._views[key]

    def states(self, index: Array, size: int) -> Array:
        """The states of units: one number a unit, of 16 bytes (…, 2) numbers."""
        if size == 16:
            return self.state.view(np.uint64).reshape(-1, 2).take(index, axis=0)
        return self.state.view(_STATE_DTYPE[size]).take(index)

    def set_states(self, index: Array, size: int, state: int) -> None:
        """Set the state of every byte of these units."""
        if size == 16:
            self.state.view(np.uint64).reshape(-1, 2)[index] = repeated(state, 8)
        else:
            self.state.view(_STATE_DTYPE[size])[index] = repeated(state, size)

    def gather(self, index: Array, dtype: DType, count: int) -> tuple[Array, ...]:
        """`count` arrays: element i of each unit."""
        if count == 1:
            return (self.elements(dtype).take(index),)
        units = self.elements(dtype, count).take(index, axis=0)
        return tuple(units[..., i] for i in range(count))

    def scatter(self, index: Array, dtype: DType, values: Sequence[Array]) -> None:
        """Write element i of each unit; of several values for one unit the last stays."""
        index = np.broadcast_to(index, np.broadcast_shapes(index.shape, *(value.shape for value in values)))
        if len(values) == 1:
            self.elements(dtype)[index] = values[0]
            return
        units = self.elements(dtype, len(values))
        for i, value in enumerate(values):
            units[index, i] = value


@dataclass(frozen=True, slots=True)
class Allocation:
    """`nbytes` bytes from `offset` of the arena."""

    offset: int
    nbytes: int
    name: str

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + self.nbytes

    def __str__(self) -> str:
        return f"{self.name} ({self.nbytes} bytes at {GLOBAL_BASE + self.offset:#x})"


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """An array as Numba passes it to a kernel: C-contiguous, `address` as allocated."""

    address: int
    shape: tuple[int, ...]
    dtype: DType

    def parameters(self) -> list[int]:
        """Its 5 + 2n kernel parameters: meminfo, parent, size, itemsize, data, extents, strides in bytes."""
        itemsize = np.dtype(self.dtype).itemsize
        strides = [itemsize * prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        return [0, 0, prod(self.shape), itemsize, self.address, *self.shape, *strides]


class Memory:
    """Global memory of `size` bytes with at least `guard` bytes outside every allocation on either side of it."""

    ALIGNMENT = 256

    def __init__(self, size: int = 1 << 28, *, guard: int = 256) -> None:
        self.storage = Storage(size)
        self.guard = guard
        self.allocations: list[Allocation] = []
        self._freed: list[Allocation] = []
        self._constants: dict[bytes, int] = {}

    @property
    def top(self) -> int:
        """The number of bytes from the arena's start that any allocation uses."""
        return self.allocations[-1].end if self.allocations else 0

    def allocate(self, nbytes: int, name: str = "buffer") -> int:
        """The address of `nbytes` new bytes, a multiple of 256; they count as unwritten. `name` is for messages.

        Raises LaunchError where there is no room.
        """
        position, start = self._gap(nbytes)
        allocation = Allocation(start, nbytes, name)
        self.allocations.insert(position, allocation)
        self._freed = [old for old in self._freed if old.end <= start or old.offset >= allocation.end]
        self.storage.state[start : allocation.end] = ALLOCATED
        return GLOBAL_BASE + start

    def _gap(self, nbytes: int) -> tuple[int, int]:
        """(position in the list, offset) of the first gap that is large enough."""
        start = self._aligned(self.guard)
        for position, allocation in enumerate(self.allocations):
            if start + nbytes + self.guard <= allocation.offset:
                return position, start
            start = self._aligned(allocation.end + self.guard)
        if start + nbytes + self.guard > len(self.storage.data):
            held = sum(allocation.nbytes for allocation in self.allocations)
            raise LaunchError(
                f"out of memory: {nbytes} bytes asked for, {held} of {len(self.storage.data)} in use; use Memory(size)"
            )
        return len(self.allocations), start

    def _aligned(self, offset: int) -> int:
        return -(-offset // self.ALIGNMENT) * self.ALIGNMENT

    def free(self, address: int) -> None:
        """Give back what `allocate` returned; from now on an access to it is an error."""
        position = bisect.bisect_left([allocation.offset for allocation in self.allocations], address - GLOBAL_BASE)
        if position == len(self.allocations) or self.allocations[position].offset != address - GLOBAL_BASE:
            raise OutOfBoundsError(f"free({address:#x}): no allocation begins there; {self.describe(address)}")
        allocation = self.allocations.pop(position)
        self._freed.append(allocation)
        self.storage.state[allocation.offset : allocation.end] = OUTSIDE

    def write(self, address: int, values: Array | bytes) -> None:
        """Copy bytes or an array (as C-contiguous bytes) to `address`."""
        octets = np.frombuffer(
            np.ascontiguousarray(values).tobytes() if isinstance(values, np.ndarray) else values, np.uint8
        )
        start = self._range(address, len(octets), "write")
        self.storage.data[start : start + len(octets)] = octets
        self.storage.state[start : start + len(octets)] = WRITTEN

    def read(self, address: int, shape: int | tuple[int, ...], dtype: Any) -> Array:
        """A copy of an array; UninitialisedError where one of its bytes was never written."""
        view = self.view(address, shape, dtype)
        start = address - GLOBAL_BASE
        missing = np.flatnonzero(self.storage.state[start : start + view.nbytes] != WRITTEN)
        if missing.size:
            raise UninitialisedError(
                f"read of {view.nbytes} bytes, {missing.size} of which nothing has written; the first is"
                f" {self.describe(address + int(missing[0]))}"
            )
        return view.copy()

    def view(self, address: int, shape: int | tuple[int, ...], dtype: Any) -> Array:
        """A read-only array over the memory itself, whatever was written there. Change memory with `write`."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        nbytes = prod(shape) * np.dtype(dtype).itemsize
        start = self._range(address, nbytes, "view")
        view = self.storage.data[start : start + nbytes].view(dtype).reshape(shape)
        view.flags.writeable = False
        return view

    def _range(self, address: int, nbytes: int, verb: str) -> int:
        """The arena offset of an address, checked."""
        start = address - GLOBAL_BASE
        inside = any(a.offset <= start and start + nbytes <= a.end for a in self.allocations)
        if not inside:
            raise OutOfBoundsError(
                f"{verb} of {nbytes} bytes: not inside one allocation; it begins {self.describe(address)}"
            )
        return start

    def constant(self, name: str, values: bytes) -> int:
        """The address of a kernel's constant table; equal tables share one allocation."""
        if values not in self._constants:
            self._constants[values] = self.allocate(len(values), name)
            self.write(self._constants[values], values)
        return self._constants[values]

    def describe(self, address: int) -> str:
        """Where an address is, in terms of the allocation nearest to it."""
        offset = address - GLOBAL_BASE
        nearest = min(self.allocations, key=lambda a: max(a.offset - offset, offset - a.end + 1), default=None)
        for freed in self._freed:
            if freed.offset <= offset < freed.end:
                return f"at {address:#x}, byte {offset - freed.offset} of {freed}, which was freed"
        return (
            f"at {address:#x}, {relative(offset, nearest.offset, nearest.nbytes, str(nearest))}"
            if nearest
            else f"at {address:#x}"
        )


def relative(offset: int, start: int, nbytes: int, name: str) -> str:
    """`offset` in words, relative to the `nbytes` bytes of `name` from `start`."""
    if offset < start:
        return f"{start - offset} bytes before {name}"
    if offset < start + nbytes:
        return f"byte {offset - start} of {name}"
    return f"{offset - start - nbytes} bytes past the end of {name}"

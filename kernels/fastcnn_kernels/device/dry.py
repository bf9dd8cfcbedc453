"""A device that only allocates: plans are built on it to see what they would launch and what memory they would take."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .interface import Call, Properties

EVERYTHING = 1 << 40


class DryDevice:
    """As large as need be, or of `memory` bytes; what is written to it is forgotten, and nothing can be launched."""

    name = "dry"
    isolates = False

    def __init__(self, memory: int = EVERYTHING):
        self.memory, self.taken, self._next = memory, 0, 256
        self._sizes: dict[int, int] = {}

    def properties(self) -> Properties:
        """Those of the emulated device, so that tiles are chosen alike."""
        return Properties("no device", (8, 0), 108, self.memory, 163 << 10)

    def allocate(self, nbytes: int, label: str) -> int:
        """An address that nothing else has."""
        if nbytes > self.available():
            raise MemoryError(f"no room for the {nbytes:,} bytes of {label}: {self.available():,} are free")
        address, self._next = self._next, self._next + -(-nbytes // 256) * 256
        self._sizes[address] = nbytes
        self.taken += nbytes
        return address

    def free(self, address: int) -> None:
        """Count the memory as free again."""
        self.taken -= self._sizes.pop(address)

    def available(self) -> int:
        """Bytes that are not taken."""
        return self.memory - self.taken

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Forget the array."""

    def download(self, address: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Zeros."""
        return np.zeros(tuple(shape), dtype)

    def launch(self, call: Call) -> None:
        """RuntimeError: there is nothing to launch on."""
        raise RuntimeError(f"{call.kernel.name} was launched on a device that only allocates")

    def capture(self, calls: Sequence[Call]) -> Callable[[], None]:
        """RuntimeError when the calls are replayed."""
        return lambda: self.launch(calls[0])

    def synchronize(self) -> None:
        """Nothing is under way."""

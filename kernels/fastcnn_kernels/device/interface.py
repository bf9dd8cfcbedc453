"""What a plan needs of a GPU. Implementations: hardware.py, emulated.py, and two for looking on: dry.py and guarded.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .kernel import CudaKernel


@dataclass(frozen=True)
class Properties:
    """What is known of a device: how kernels choose tiles and what reports print."""

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    memory: int
    shared_memory_per_block: int


@dataclass(frozen=True)
class Call:
    """One kernel launch with every argument resolved: addresses and numbers."""

    kernel: CudaKernel
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple[Any, ...]
    shared_bytes: int
    label: str


class Device(Protocol):
    """Memory by address, launches in order, and replay of a captured list of launches."""

    name: str
    isolates: bool
    """Whether every tensor gets an allocation of its own, with guards around it, instead of a place in one arena."""

    def properties(self) -> Properties:
        """Name, compute capability, size."""

    def allocate(self, nbytes: int, label: str) -> int:
        """The address of memory, aligned to 256 bytes; MemoryError with what was asked for and what is free."""

    def free(self, address: int) -> None:
        """Give memory back."""

    def available(self) -> int:
        """Bytes of memory that are free."""

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a C-ordered host array to the device, in order with the launches."""

    def download(self, address: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Wait for the launches, then copy an array to the host."""

    def launch(self, call: Call) -> None:
        """Run a kernel after everything launched before it."""

    def capture(self, calls: Sequence[Call]) -> Callable[[], None]:
        """A function that launches all of `calls` at once. They have been launched before."""

    def synchronize(self) -> None:
        """Wait for everything."""


def as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of a C-ordered array."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)

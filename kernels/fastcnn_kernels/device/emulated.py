"""The emulated device: launches execute PTX on NumPy, with every access checked."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..emulator import Counters, Kernel, LaunchError, Memory
from .interface import Call, Properties, as_bytes

GIB = 1 << 30


class EmulatedDevice:
    """A GPU of compute capability 8.0 without a GPU. `counters`, where given, receives what a profiler would count."""

    name = "emulated"
    isolates = True

    def __init__(self, memory_bytes: int = GIB, counters: Counters | None = None):
        self.memory = Memory(memory_bytes)
        self.counters = counters

    def properties(self) -> Properties:
        """Those of an A100 cut down to the memory given."""
        return Properties("emulated sm_80", (8, 0), 108, GIB, 163 << 10)

    def allocate(self, nbytes: int, label: str) -> int:
        """Memory of its own with guard zones on either side, in the state of never having been written."""
        try:
            return self.memory.allocate(nbytes, label)
        except LaunchError as error:
            raise MemoryError(f"the emulated device has no room for the {nbytes:,} bytes of {label}: {error}") from error

    def free(self, address: int) -> None:
        """Give memory back; using it afterwards is an error."""
        self.memory.free(address)

    def available(self) -> int:
        """Bytes that no allocation has taken yet."""
        return len(self.memory.storage.data) - self.memory.top

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a host array to the device."""
        self.memory.write(address, as_bytes(array))

    def download(self, address: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Copy an array to the host."""
        return np.array(self.memory.read(address, tuple(shape), dtype))

    def launch(self, call: Call) -> None:
        """Execute a kernel; an EmulatorError is raised with the step that launched it."""
        try:
            _kernel(call.kernel.ptx("sm_80")).launch(
                self.memory, call.grid, call.block, call.arguments, shared_bytes=call.shared_bytes, counters=self.counters
            )
        except Exception as error:
            error.add_note(f"in step {call.label}, kernel {call.kernel.name}, grid {call.grid}, block {call.block}")
            raise

    def capture(self, calls: Sequence[Call]) -> Callable[[], None]:
        """There is nothing to win by a graph here: the calls in order."""

        def replay() -> None:
            for call in calls:
                self.launch(call)

        return replay

    def synchronize(self) -> None:
        """Launches have run when they return."""


@cache
def _kernel(ptx: str) -> Kernel:
    return Kernel(ptx)

"""A device whose every allocation lies between canaries and begins as NaN: for verification on hardware.

A kernel that writes next to its own memory changes a canary; one that reads what nothing wrote finds NaN. The emulated device
sees both at once and needs no such help.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .interface import Call, Device, Properties

ZONE = 4096
"""Bytes of canaries on either side: more than a block's tile is wide."""
CANARY, NAN_BYTE = 0xA5, 0xFF


class GuardError(AssertionError):
    """Memory around an allocation was written to."""


class GuardedDevice:
    """`device` with guards: each tensor has an allocation of its own; `check` looks at all of them."""

    isolates = True

    def __init__(self, device: Device):
        self.device, self.name = device, device.name
        self._allocations: dict[int, tuple[int, str]] = {}

    def properties(self) -> Properties:
        """The device's own."""
        return self.device.properties()

    def allocate(self, nbytes: int, label: str) -> int:
        """Memory full of NaN between canaries."""
        address = self.device.allocate(nbytes + 2 * ZONE, label) + ZONE
        self.device.upload(address - ZONE, np.full(nbytes + 2 * ZONE, CANARY, np.uint8))
        self.device.upload(address, np.full(nbytes, NAN_BYTE, np.uint8))
        self._allocations[address] = (nbytes, label)
        return address

    def free(self, address: int) -> None:
        """Give memory back with its guards."""
        del self._allocations[address]
        self.device.free(address - ZONE)

    def check(self) -> None:
        """GuardError, naming the allocation, where a canary has changed."""
        for address, (nbytes, label) in self._allocations.items():
            for start, side in ((address - ZONE, "before"), (address + nbytes, "behind")):
                changed = np.flatnonzero(self.device.download(start, (ZONE,), np.uint8) != CANARY)
                if len(changed):
                    away = changed[0] if side == "behind" else ZONE - changed[-1]
                    raise GuardError(f"{len(changed)} bytes {side} {label} ({nbytes} bytes) were written to, {away} bytes away")

    def available(self) -> int:
        """The device's own."""
        return self.device.available()

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """As the device does."""
        self.device.upload(address, array)

    def download(self, address: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """As the device does."""
        return self.device.download(address, shape, dtype)

    def launch(self, call: Call) -> None:
        """As the device does."""
        self.device.launch(call)

    def capture(self, calls: Sequence[Call]) -> Callable[[], None]:
        """As the device does."""
        return self.device.capture(calls)

    def synchronize(self) -> None:
        """As the device does."""
        self.device.synchronize()

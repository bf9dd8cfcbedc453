"""The CPU backend under guard: what Numba cannot check in kernels that work on addresses, that they touch only what is theirs.

    GuardedBackend    a halo around every batch tensor, no two tensors sharing memory, NaN wherever nothing has been written and
                      in the padding lanes of whatever has, and canaries around all tensors

An AssertionError names what was written to. Many times slower than the backend itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Kind, Tensor
from ..cpu import CpuBackend
from .layout import Halo, Layout
from .plan import GUARD, CpuPlan, CpuStorage

HALO: Halo = ((1, 1), (1, 2), (2, 1))
GAP = 128
"""Bytes of canaries behind every tensor."""
CANARY, NAN_BYTE = 0xA5, 0xFF


def _expect(intact: Any, what: str) -> None:
    if not intact:
        raise AssertionError(f"{what} was written to")


class GuardedPlan(CpuPlan):
    """A plan whose memory is full of NaN and canaries before each run and checked after it; its padding stays NaN."""

    def _blocks(self, segments: Any, together: Any, lifetimes: dict[Tensor, tuple[int, int]]) -> Any:
        """Every tensor has a halo and lives for ever, so that nothing else may write to its place."""
        for tensor in lifetimes:
            if tensor.kind == "batch":
                self.halo(tensor, HALO)
        groups = super()._blocks(segments, together, dict.fromkeys(lifetimes, (0, len(self.launches) - 1)))
        for block in (block for group in groups for block in group.values()):
            block.nbytes += GAP
        return groups

    def _may_leave(self, tensor: Tensor) -> bool:
        """Every slice's tensors are checked after the run."""
        return False

    def run(self) -> None:
        """Fill, run, check."""
        self._prepare(stepwise=False)
        arenas = [*self.slice_arenas, self.shared_arena]
        for arena in arenas:
            whole(arena)[:] = CANARY
        for tensor in self.places:
            for memory, samples in self.parts(tensor):
                memory[:] = NAN_BYTE
                self.zero_halo(tensor, memory, samples)
        for i, launch in enumerate(self.launches):
            self._walk(np.array([self._segment(i, i + 1)]))
            self.spoil_padding(launch.writes)
        for tensor in self.places:
            for memory, samples in self.parts(tensor):
                before = memory.copy()
                self.zero_halo(tensor, memory, samples)
                _expect(np.array_equal(before, memory), f"the halo of {tensor}")
                memory[:] = CANARY
        for arena in arenas:
            _expect((whole(arena) == CANARY).all(), "memory between tensors")

    def parts(self, tensor: Tensor) -> list[tuple[NDArray[Any], int]]:
        """The bytes of a tensor, without the canaries, and how many samples they hold; one part a slice that has its own."""
        name, offset = self.places[tensor]
        if name == "shared":
            nbytes = self._nbytes(tensor)
            return [(self.shared_arena[offset : offset + nbytes], self.batch_size)]
        sample = self.layout(tensor).sample
        counts = np.diff(self.bounds).tolist()
        return [(a[offset : offset + n * sample], n) for a, n in zip(self.slice_arenas, counts, strict=True)]

    def zero_halo(self, tensor: Tensor, memory: NDArray[Any], samples: int) -> None:
        """Make the halo zero, as it is promised to kernels."""
        if tensor.kind == "batch":
            image = self.image(tensor, memory, samples)
            inside = interior(image, self.layout(tensor)).copy()
            image[:] = 0
            interior(image, self.layout(tensor))[:] = inside

    def spoil_padding(self, tensors: tuple[Tensor, ...]) -> None:
        """NaN in the lanes beyond the last channel."""
        for tensor in tensors:
            if tensor.storage is not None and tensor.kind == "parameter":
                tensor.storage.array.view(np.uint8)[..., tensor.shape[-1] * tensor.dtype.itemsize :] = NAN_BYTE
            elif tensor.storage is None and tensor.kind == "batch":
                lanes = (self.layout(tensor).channels - 1) % 16 + 1
                for memory, samples in self.parts(tensor):
                    last = interior(self.image(tensor, memory, samples), self.layout(tensor))[:, -1]
                    last[..., lanes * tensor.dtype.itemsize :] = NAN_BYTE

    def image(self, tensor: Tensor, memory: NDArray[Any], samples: int) -> NDArray[Any]:
        """The bytes of a batch tensor: samples, blocks, planes, lines, pixels, bytes of a pixel; with the halo."""
        t = self.layout(tensor)
        extents = (t.depth + sum(t.halo[0]), t.height + sum(t.halo[1]), t.width + sum(t.halo[2]))
        return memory.reshape(samples, t.blocks, *extents, t.pixel)


def interior(image: NDArray[Any], t: Layout) -> NDArray[Any]:
    """An image without its halo."""
    (d, _), (h, _), (w, _) = t.halo
    return image[:, :, d : d + t.depth, h : h + t.height, w : w + t.width]


class GuardedStorage(CpuStorage):
    """Memory that outlives a program, with NaN in the lanes that pad a parameter and canaries on either side."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, kind: Kind):
        super().__init__(shape, dtype, kind)
        around = whole(self.array)
        start = self.address - around.ctypes.data
        around[:start] = around[start + self.array.nbytes :] = CANARY
        self.array.reshape(-1).view(np.uint8)[:] = NAN_BYTE
        self.around = around, start

    def read(self) -> NDArray[Any]:
        """The logical values, if nothing was written beside them."""
        around, start = self.around
        outside = np.delete(around, np.s_[start : start + self.array.nbytes])
        _expect((outside == CANARY).all(), "memory beside a parameter")
        return super().read()


class GuardedBackend(CpuBackend):
    """See the module's docstring."""

    def plan(self, batch_size: int, frozen: bool = False) -> GuardedPlan:
        """An empty plan."""
        return GuardedPlan(batch_size, self.conv_algorithm)

    def allocate(self, shape: Any, dtype: Any, kind: Kind) -> GuardedStorage:
        """Memory that outlives programs."""
        return GuardedStorage(shape, dtype, kind)


def whole(array: NDArray[Any]) -> NDArray[Any]:
    """The bytes of an array of `aligned_zeros` together with their surroundings."""
    while array.base is not None:
        array = array.base
    assert array.nbytes >= 2 * GUARD
    return array

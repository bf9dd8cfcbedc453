"""What Numba cannot check in kernels that work on addresses: that they touch and believe only what is theirs.

    GuardedBackend    the CPU backend with a halo around every batch tensor, no two tensors sharing memory, NaN wherever nothing
                      has been written and in the padding lanes of whatever has, and canaries around all tensors
    digests           the bits of every case, to compare runs in processes that are set up differently
"""

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastcnn_kernels.api import Kind, Tensor
from fastcnn_kernels.cases import Case, cases, heavy_cases
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.host.layout import Halo, Layout
from fastcnn_kernels.host.plan import GUARD, CpuPlan, CpuStorage

from .harness import compare, run_case

ROOT = Path(__file__).parents[2]
HALO: Halo = ((1, 1), (1, 2), (2, 1))
GAP = 128
"""Bytes of canaries behind every tensor."""
CANARY, NAN_BYTE = 0xA5, 0xFF
PORTABLE = ("gather", "max_pool_", "batch_norm_", "softmax_crossentropy_", "dropout_forward", "adam", "conv_backward", "dense_")


class GuardedPlan(CpuPlan):
    """A plan whose memory is full of NaN and canaries before each run and checked after it; its padding stays NaN."""

    def _blocks(self, clock: Any, lifetimes: dict[Tensor, tuple[int, int]]) -> Any:
        """Every tensor has a halo and lives for ever, so that nothing else may write to its place."""
        for tensor in lifetimes:
            if tensor.kind == "batch":
                self.halo(tensor, HALO)
        groups = super()._blocks(clock, dict.fromkeys(lifetimes, (0, len(self.launches) - 1)))
        for block in (block for group in groups for block in group.values()):
            block.nbytes += GAP
        return groups

    def run(self) -> None:
        """Fill, run, check."""
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
                assert np.array_equal(before, memory), f"the halo of {tensor} was written to"
                memory[:] = CANARY
        for arena in arenas:
            assert (whole(arena) == CANARY).all(), "memory between tensors was written to"

    def parts(self, tensor: Tensor) -> list[tuple[np.ndarray, int]]:
        """The bytes of a tensor, without the canaries, and how many samples they hold; one part a slice that has its own."""
        name, offset = self.places[tensor]
        if name == "shared":
            nbytes = self._nbytes(tensor)
            return [(self.shared_arena[offset : offset + nbytes], self.batch_size)]
        sample = self.layout(tensor).sample
        counts = np.diff(self.bounds).tolist()
        return [(a[offset : offset + n * sample], n) for a, n in zip(self.slice_arenas, counts, strict=True)]

    def zero_halo(self, tensor: Tensor, memory: np.ndarray, samples: int) -> None:
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

    def image(self, tensor: Tensor, memory: np.ndarray, samples: int) -> np.ndarray:
        """The bytes of a batch tensor: samples, blocks, planes, lines, pixels, bytes of a pixel; with the halo."""
        t = self.layout(tensor)
        extents = (t.depth + sum(t.halo[0]), t.height + sum(t.halo[1]), t.width + sum(t.halo[2]))
        return memory.reshape(samples, t.blocks, *extents, t.pixel)


def interior(image: np.ndarray, t: Layout) -> np.ndarray:
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

    def read(self) -> np.ndarray:
        """The logical values, if nothing was written beside them."""
        around, start = self.around
        outside = np.delete(around, np.s_[start : start + self.array.nbytes])
        assert (outside == CANARY).all(), "memory beside a parameter was written to"
        return super().read()


class GuardedBackend(CpuBackend):
    """See the module's docstring."""

    def plan(self, batch_size: int) -> GuardedPlan:
        return GuardedPlan(batch_size)

    def allocate(self, shape: Any, dtype: Any, kind: Kind) -> GuardedStorage:
        return GuardedStorage(shape, dtype, kind)


def whole(array: np.ndarray) -> np.ndarray:
    """The bytes of an array of `aligned_zeros` together with their surroundings."""
    while array.base is not None:
        array = array.base
    assert array.nbytes >= 2 * GUARD
    return array


def flat(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Outputs by name, lists of them by name and position."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in outputs.items()}
    return {f"{name}[{i}]": array for name, arrays in lists.items() for i, array in enumerate(arrays)}


@cache
def digests() -> dict[str, str]:
    """A hash of the outputs of every case, and of some with as many slices of the batch as threads and more."""
    backend = CpuBackend()
    hashes = {}
    for case in (*cases(), *(case for case in heavy_cases() if case.reason.startswith(("T3", "T5")))):
        outputs = flat(run_case(case, backend))
        hashes[str(case)] = hashlib.sha256(b"".join(a.tobytes() for a in outputs.values())).hexdigest()
    return hashes


def python(code: str, **environment: str) -> Any:
    """What a fresh Python process prints, read as JSON."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "kernels")))
    done = subprocess.run(
        [sys.executable, "-c", f"import json; from tests.kernels.test_cpu_guards import *; print(json.dumps({code}))"],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def portable_cases() -> list[Case]:
    """A few ops of every sort: vectors of each type, masks, gathers from odd addresses, tiles."""
    return [case for case in cases() if case.op.startswith(PORTABLE)]


def compare_all(some: list[Case]) -> int:
    """Hold cases against the reference; how many there were."""
    for case in some:
        compare(case, CpuBackend())
    return len(some)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_kernels_keep_to_their_memory_and_ignore_padding(case: Case):
    expected, got = flat(run_case(case, CpuBackend())), flat(run_case(case, GuardedBackend()))
    for name, value in expected.items():
        assert got[name].tobytes() == value.tobytes(), f"{name} depends on padding lanes or on what memory held before"


def test_the_guards_see_a_kernel_that_writes_to_the_halo():
    backend, x = GuardedBackend(), np.ones((8, 4, 4, 16), np.float32)
    plan, tensor = backend.plan(8), Tensor("x", x.shape)
    source, index = backend.external(x.dtype, x.shape[1:]), backend.external(np.int64, ())
    source.bind(x)
    index.bind(np.arange(8))
    external = [Tensor("source", x.shape, x.dtype, "external", source), Tensor("i", (8,), np.dtype("i8"), "external", index)]
    backend.gather(plan, *external, tensor)
    plan.finalize()
    plan.run()
    plan.rows[0, 0, 20] += 64 * 4  # the address of y: every row now ends in the halo
    with pytest.raises(AssertionError, match="halo of x"):
        plan.run()


@pytest.mark.parametrize("threads", [1, 4])
def test_the_number_of_threads_changes_no_bit(threads):
    there = python("digests()", FASTCNN_NUM_THREADS=str(threads), NUMBA_NUM_THREADS=str(threads))
    here = digests()
    assert {name for name in here if here[name] != there[name]} == set()


def test_the_portable_path_agrees_with_the_reference(tmp_path):
    """Kernels compiled for the oldest processor of this architecture, as on a machine without AVX."""
    features = dict(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMBA_CACHE_DIR=str(tmp_path))
    assert python("compare_all(portable_cases())", **features) == len(portable_cases())

"""A plan for the CPU: launches of serial kernels, cut into segments that slices of the batch cross in parallel.

    CpuStorage    memory that outlives a program, padded by layout
    ExternalSlot  a cell that holds the address of a host array
    CpuPlan       launch / halo / partial while it is built; finalize places tensors and resolves argument rows; run
    Addresses     what an op's `arguments` function asks for addresses and strides

The batch is cut into slices of 16 samples, of fewer where that makes at most 4, at most 32: their number depends on the batch
size only, so partial sums added in slice order have the same bits on any number of threads.

Where a tensor lives: what only the batch launches of one segment touch lives in the arena of a worker, who takes slice after
slice through the segment, so that it stays in the cache; a batch tensor that only batch launches touch lives in its slice's own
arena; everything else lives in the shared arena, whose clock ticks once a segment because slices cross a segment
unsynchronised. To run step by step and look at values in between, a plan moves to memory where nothing that a later step
reads is a worker's.

Launches that depend on parameters alone, packing and transforming weights, come first. A frozen plan runs them again only when
one of these parameters has been written.
"""

import ctypes
import math
import os
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..api import Kind, Tensor
from ..memory import ALIGNMENT, Block, place
from ..plan import Launch, LaunchList, rows
from . import runner, threads
from .layout import FEW_CHANNELS, NO_HALO, Halo, Layout, blocks_of, image_shape, union
from .schedule import schedule

SLICE_SAMPLES, MAX_SLICES = 16, 32
FEW_SLICES = 4
"""A slice's sums of weight gradients cost as much for 8 samples as for 16; but small batches shall occupy some threads too."""
GUARD = 4096
"""Bytes around an arena and a storage: vector loads may touch, never use, up to 15 lanes beyond a tensor."""

Arguments = Callable[["Addresses"], Sequence[int]]


def slice_bounds(batch_size: int) -> NDArray[np.int64]:
    """First sample of every slice, and the batch size."""
    slices = min(MAX_SLICES, max(1, min(FEW_SLICES, batch_size), batch_size // SLICE_SAMPLES))
    return np.array([s * batch_size // slices for s in range(slices + 1)], np.int64)


def float_bits(value: float) -> int:
    """A float64 as an int64 of the same bits, to travel in an argument row; kernels read it with simd.bits_as_f64."""
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def aligned_zeros(nbytes: int) -> NDArray[np.uint8]:
    """Zeroed bytes on a cache line's boundary, with GUARD bytes of zeros on either side."""
    whole = np.zeros(nbytes + 2 * GUARD + ALIGNMENT, np.uint8)
    start = GUARD + (-whole.ctypes.data - GUARD) % ALIGNMENT
    return whole[start : start + nbytes]


def address_of(array: NDArray[Any]) -> int:
    """Where a C-ordered array begins. Of one that may be written this takes half of the time that `array.ctypes` does, which
    shows beside one picture's prediction."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    except (TypeError, ValueError):
        return int(array.ctypes.data)


class CpuStorage:
    """Memory that outlives a program; a parameter's last axis is padded with zeros to a multiple of 16."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, kind: Kind):
        self.shape, self.dtype = shape, np.dtype(dtype)
        physical = (*shape[:-1], 16 * blocks_of(shape[-1])) if kind == "parameter" and shape else shape
        self.array = aligned_zeros(int(np.prod(physical)) * self.dtype.itemsize).view(self.dtype).reshape(physical)
        self.logical = self.array[..., : shape[-1]] if shape else self.array
        self.address = self.array.ctypes.data
        self.version = 0
        """Grows whenever a host array or a run overwrites the memory."""

    def read(self) -> NDArray[Any]:
        """A copy of the logical array."""
        return self.logical.copy()

    def write(self, array: NDArray[Any], first: int = 0) -> None:
        """Overwrite rows `first`, `first` + 1, ... with `array`."""
        rows(self.logical, array, first)[...] = array
        self.version += 1


class ExternalSlot:
    """A cell that holds the address of a host array, so that binding another array rebuilds nothing."""

    def __init__(self, dtype: DTypeLike, shape: tuple[int, ...]):
        self.dtype, self.shape = np.dtype(dtype), shape
        self.row = self.dtype.itemsize * math.prod(shape)
        self.cell = np.zeros(1, np.int64)
        self.address = self.cell.ctypes.data
        self.bound: NDArray[Any] | None = None
        self.start = 0

    def bind(self, array: NDArray[Any], first: int = 0) -> None:
        """Let the slot be `array[first:]` and keep the array alive. ValueError where a new one has other rows or dtype."""
        if array is not self.bound:
            if array.dtype != self.dtype or array.shape[1:] != self.shape or not array.flags.c_contiguous:
                raise ValueError(
                    f"expected a C-ordered {self.dtype} array of rows {self.shape}, got {array.dtype} {array.shape}"
                )
            self.bound, self.start = array, address_of(array)
        self.cell[0] = self.start + first * self.row


class Addresses:
    """What one slice's argument row is made of. Call it with a tensor for the address of its logical element 0.

    In a batch launch, sample n of the whole batch lies at at(t) + n * at.layout(t).sample and a partial is the slice's own; in
    an output launch a partial is slice 0's. Externals give the address of their cell; None gives 0.
    """

    def __init__(self, plan: "CpuPlan", index: int):
        self.plan, self.slice = plan, index
        self.batch_size, self.slices = plan.batch_size, len(plan.bounds) - 1
        self.first_sample = int(plan.bounds[index])

    def __call__(self, tensor: Tensor | None) -> int:
        if tensor is None:
            return 0
        if tensor.storage is not None:
            return int(tensor.storage.address)
        return self.plan.address(tensor, self.slice)

    def layout(self, tensor: Tensor) -> Layout:
        """Strides of a batch tensor."""
        return self.plan.layout(tensor)

    def stride(self, partial: Tensor) -> int:
        """Bytes from one slice's partial to the next one's."""
        return self.plan.partial_stride(partial)


class CpuPlan(LaunchList):
    """See the module's docstring."""

    def __init__(self, batch_size: int, conv_algorithm: str = "auto", frozen: bool = False):
        super().__init__(batch_size)
        self.conv_algorithm, self.frozen = conv_algorithm, frozen
        self.bounds = slice_bounds(batch_size)
        self.halos: dict[Tensor, Halo] = {}
        self.places: dict[Tensor, tuple[str, int]] = {}
        self.scratches: set[Tensor] = set()
        self.in_blocks: set[Tensor] = set()
        self.process = os.getpid()
        self.prepared: tuple[int, bool] | None = None

    # building

    def halo(self, tensor: Tensor, halo: Halo) -> None:
        """Ask for at least this much zeroed halo around every plane of a planned batch tensor."""
        self.halos[tensor] = union(self.halos.get(tensor, NO_HALO), halo)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: Any = "float32", kind: Kind = "batch") -> Tensor:
        """A tensor that only the current op's launches use."""
        tensor = super().scratch(name, shape, dtype, kind)
        self.scratches.add(tensor)
        return tensor

    def partial(self, name: str, nbytes: int) -> Tensor:
        """Scratch that every slice has for itself until an output launch adds the slices up in order."""
        return self.scratch(name, (nbytes,), np.uint8, "partial")

    def launch(
        self,
        kernel: runner.kernel,
        arguments: Arguments,
        *,
        reads: Sequence[Tensor | None],
        writes: Sequence[Tensor | None],
        outputs: int | None = None,
        packed: Sequence[Tensor] = (),
        name: str = "",
    ) -> None:
        """Append a kernel. It runs over the samples of a slice, or, where `outputs` is given, over that many outputs.

        `arguments` is called when the plan is finalized, once a slice; an output launch sees slice 0. The kernel can do with
        the tensors in `packed` as they are with few channels: see layout.py. `name` is for printing, by default the kernel's.
        """
        parallel = runner.BATCH if outputs is None else runner.OUTPUT
        present = (tuple(t for t in reads if t is not None), tuple(t for t in writes if t is not None))
        self.in_blocks.update(t for tensors in present for t in tensors if t not in packed)
        self.append(Launch(name or kernel.name, 0, *present, (kernel, arguments), ("batch", "output")[parallel], outputs or 0))

    # placing

    def layout(self, tensor: Tensor) -> Layout:
        """Physical layout of a batch tensor."""
        shape, halo = image_shape(tensor.shape), self.halos.get(tensor, NO_HALO)
        few = tensor not in self.in_blocks and shape[-1] <= FEW_CHANNELS and tensor.dtype == np.float32
        return Layout(*shape, halo, tensor.dtype.itemsize, packed=few)

    def finalize(self) -> None:
        """Place every tensor, then resolve every launch's arguments for every slice."""
        self.scheduled = schedule(self.launches)
        self.launches = self.scheduled.launches
        self.segments = self._table(self.scheduled.segments)
        self.extents = np.array([launch.extent for launch in self.launches], np.int64)
        self.written = {t.storage for launch in self.launches for t in launch.writes if isinstance(t.storage, CpuStorage)}
        self.kept = self._constants() if self.frozen else 0
        constant = self.launches[: self.kept]
        self.sources = list({t.storage: None for launch in constant for t in launch.reads if t.storage is not None})
        self.after_kept = np.ascontiguousarray(self.segments[self.segments[:, 1] >= self.kept])
        self.widest = max([len(self.bounds) - 1, *self.extents[self.kept :].tolist()])
        self._settle(stepwise=False)

    def _constants(self) -> int:
        """How many launches, the first ones, depend on parameters alone."""
        count = 0
        for _, first, last in self.segments:
            if not all(_is_constant(launch) for launch in self.launches[first:last]):
                break
            count = int(last)
        return count

    def _settle(self, stepwise: bool) -> None:
        """Place and resolve; `stepwise` for running step by step."""
        self.stepwise = stepwise
        segments = np.zeros(len(self.launches), np.int64)
        for number, (_, first, last) in enumerate(self.segments):
            segments[first:last] = number
        lifetimes, last = self.scheduled.lifetimes(), len(self.launches) - 1
        constants = {t for launch in self.launches[: self.kept] for t in launch.writes}
        lifetimes = {t: (0, last) if t in constants else life for t, life in lifetimes.items()}
        self.versions: list[int] = []
        groups = self._blocks(segments, self._step_runs() if stepwise else segments, lifetimes)
        sizes = [place(blocks.values()) for blocks in groups]
        for name, blocks in zip(("worker", "slice", "shared"), groups, strict=True):
            self.places.update({tensor: (name, block.offset) for tensor, block in blocks.items()})
        self.worker_arenas: list[NDArray[np.uint8]] = []
        self.worker_bytes = sizes[0]
        self.slice_arenas = [aligned_zeros(sizes[1]) for _ in range(len(self.bounds) - 1)]
        self.shared_arena = aligned_zeros(sizes[2])
        self._resolve()

    def _table(self, ranges: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
        return np.array([self._segment(first, last) for first, last in ranges], np.int64).reshape(-1, 3)

    def _step_runs(self) -> NDArray[np.int64]:
        """The number of the range that each launch belongs to in `run_step`."""
        numbers = np.zeros(len(self.launches), np.int64)
        steps = dict.fromkeys(launch.step for launch in self.launches)
        for number, (first, last) in enumerate(r for step in steps for r in self._ranges(step)):
            numbers[first:last] = number
        return numbers

    def _ranges(self, step: int) -> list[tuple[int, int]]:
        """The launches of a step as ranges that run together: neighbouring batch launches, single output launches."""
        found: list[tuple[int, int]] = []
        for i in self.launches_of(step):
            joined = found and found[-1][1] == i and self.launches[i].parallel == self.launches[i - 1].parallel == "batch"
            found = [*found[:-1], (found[-1][0], i + 1)] if joined else [*found, (i, i + 1)]
        return found

    def _segment(self, first: int, last: int) -> list[int]:
        return [runner.OUTPUT if self.launches[first].parallel == "output" else runner.BATCH, first, last]

    def _blocks(
        self, segments: NDArray[np.int64], together: NDArray[np.int64], lifetimes: dict[Tensor, tuple[int, int]]
    ) -> tuple[dict[Tensor, Block], dict[Tensor, Block], dict[Tensor, Block]]:
        """What to place in the arenas of workers, of slices, and in the shared one. `together` numbers the launches that a
        worker runs without a pause."""
        crossing = {
            t for launch in self.launches if launch.parallel == "output" for t in (*launch.reads, *launch.writes)
        }
        in_worker: dict[Tensor, Block] = {}
        in_slice: dict[Tensor, Block] = {}
        shared: dict[Tensor, Block] = {}
        for tensor, (first, last) in lifetimes.items():
            geometry, own = self._geometry(tensor), tensor.kind in ("batch", "partial") and tensor not in crossing
            if own and together[first] == together[last] and self._may_leave(tensor):
                in_worker[tensor] = Block(self._nbytes_of_slice(tensor), first, last, geometry)
            elif own and tensor.kind == "batch":
                in_slice[tensor] = Block(self._nbytes_of_slice(tensor), first, last, geometry)
            else:
                shared[tensor] = Block(self._nbytes(tensor), int(segments[first]), int(segments[last]), geometry)
        return in_worker, in_slice, shared

    def _may_leave(self, tensor: Tensor) -> bool:
        """Whether nobody looks at a tensor after the launches that a worker runs without a pause."""
        return tensor in self.scratches or not self.stepwise

    def _nbytes_of_slice(self, tensor: Tensor) -> int:
        if tensor.kind == "partial":
            return self.partial_stride(tensor)
        return int(np.diff(self.bounds).max()) * self.layout(tensor).sample

    def _geometry(self, tensor: Tensor) -> Layout | None:
        return self.layout(tensor) if self.halos.get(tensor, NO_HALO) != NO_HALO else None

    def _nbytes(self, tensor: Tensor) -> int:
        if tensor.kind == "batch":
            return self.batch_size * self.layout(tensor).sample
        if tensor.kind == "partial":
            return (len(self.bounds) - 1) * self.partial_stride(tensor)
        padded = 16 * blocks_of(tensor.shape[-1]) if tensor.kind == "parameter" else (tensor.shape or (1,))[-1]
        return int(np.prod(tensor.shape[:-1])) * padded * tensor.dtype.itemsize

    def partial_stride(self, tensor: Tensor) -> int:
        """Bytes of one slice's part of a partial, on a cache line's boundary."""
        return -(-tensor.shape[0] // ALIGNMENT) * ALIGNMENT

    def in_worker(self, tensor: Tensor) -> bool:
        """Whether a tensor lives in the arena of whichever worker takes the slice."""
        return tensor in self.places and self.places[tensor][0] == "worker"

    def address(self, tensor: Tensor, index: int) -> int:
        """Address of a planned tensor's logical element 0 as slice `index` sees it: of a partial, the slice's own part. In a
        worker's arena it counts from `worker_base`."""
        name, offset = self.places[tensor]
        arenas = {"worker": self.worker_base, "shared": self.shared_arena.ctypes.data}
        start = arenas[name] if name in arenas else self.slice_arenas[index].ctypes.data
        if tensor.kind == "partial" and name == "shared":
            return int(start) + offset + index * self.partial_stride(tensor)
        if tensor.kind != "batch":
            return int(start) + offset
        layout, before = self.layout(tensor), 0 if name == "shared" else int(self.bounds[index])
        return int(start) + offset + layout.origin - before * layout.sample

    def _resolve(self) -> None:
        """Argument rows, and which of their columns hold addresses in a worker's arena: those that move with it."""
        self.worker_base = 0
        self.fixed = self._rows()
        self.worker_base = 1 << 44
        moved = (self._rows() != self.fixed).any(0)
        self.worker_base = 0
        self.rows = self.fixed.copy()
        self.relocations = np.ascontiguousarray(np.argwhere(moved))
        self.starts = np.searchsorted(self.relocations[:, 0], np.arange(len(self.launches) + 1))
        self.addresses = np.array([launch.payload[0].address for launch in self.launches], np.int64)

    def _rows(self) -> NDArray[np.int64]:
        slices = len(self.bounds) - 1
        rows = [
            [launch.payload[1](at) if at.slice == 0 or launch.parallel == "batch" else [] for launch in self.launches]
            for at in (Addresses(self, s) for s in range(slices))
        ]
        width = max((len(row) for rows_ in rows for row in rows_), default=1)
        table = np.zeros((slices, len(self.launches), width), np.int64)
        for s, i in np.ndindex(slices, len(self.launches)):
            table[s, i, : len(rows[s][i])] = rows[s][i]
        return table

    # running

    def run(self) -> None:
        """Execute every launch; of a frozen plan those that depend on parameters alone only if these have changed."""
        self._prepare(stepwise=False)
        versions = [storage.version for storage in self.sources]
        self._walk(self.after_kept if self.kept and versions == self.versions else self.segments)
        self.versions = versions
        for storage in self.written:
            storage.version += 1

    def run_step(self, step: int) -> None:
        """Execute the launches of one program step only."""
        self._prepare(stepwise=True)
        self._walk(self._table(self._ranges(step)))
        for storage in self.written:
            storage.version += 1

    def prepared_step(self, step: int, times: int) -> Callable[[], None]:
        """What `run_step` does, `times` over, prepared beforehand: that takes 10 us, in which other threads fall asleep.
        Nothing else may run meanwhile."""
        self._prepare(stepwise=True)
        return self._prepared(self._ranges(step), times)

    def pieces(self, step: int) -> list[tuple[list[Launch], Callable[[int], Callable[[], None]]]]:
        """The launches of one program step as they run together, each with what `prepared_step` is for the whole step, on what
        the last run step by step left in memory."""
        self._prepare(stepwise=True)
        return [(self.launches[a:b], partial(self._prepared, [(a, b)])) for a, b in self._ranges(step)]

    def _prepared(self, ranges: list[tuple[int, int]], times: int) -> Callable[[], None]:
        segments = np.tile(self._table(ranges), (times, 1))
        return lambda: self._walk(segments)

    def _prepare(self, stepwise: bool) -> None:
        self._check_process()
        asked = (threads.apply(), stepwise)
        if asked == self.prepared:
            return
        self.prepared = asked
        self.threads = min(asked[0], self.widest)
        if stepwise != self.stepwise:
            self._settle(stepwise)
        missing = min(self.threads, len(self.bounds) - 1) - len(self.worker_arenas)
        if missing > 0:
            self.worker_arenas += [aligned_zeros(self.worker_bytes) for _ in range(missing)]
            self.workers = np.array([arena.ctypes.data for arena in self.worker_arenas], np.int64)

        self.walk = runner.walk(self.threads)
        self.tables = (self.addresses, self.rows, self.fixed, self.relocations, self.starts, self.workers)

    def _walk(self, segments: NDArray[np.int64]) -> None:
        self.walk(*self.tables, segments, self.extents, self.bounds, self.threads)

    def _check_process(self) -> None:
        if os.getpid() != self.process:
            raise RuntimeError(
                "this model was compiled in another process: its threads did not survive the fork. "
                "Compile and run models in the child, or start it with multiprocessing's 'spawn' method."
            )

    def read(self, tensor: Tensor) -> NDArray[Any]:
        """The logical values of a tensor, as they are in memory now."""
        if tensor.storage is not None:
            return np.asarray(tensor.storage.read())
        if self.in_worker(tensor):
            raise RuntimeError(f"{tensor} is gone when a run ends: run step by step to look at it")
        if tensor.kind != "batch":
            return self._read_flat(tensor)
        layout = self.layout(tensor)
        inner = (layout.blocks, layout.depth, layout.height, layout.width, 16)
        strides = (layout.block, layout.plane, layout.row, layout.pixel, layout.itemsize)
        samples = []
        for s in range(len(self.bounds) - 1):
            for n in range(self.bounds[s], self.bounds[s + 1]):
                where = self.address(tensor, s) + int(n) * layout.sample
                blocks = _view(where, inner, strides, tensor.dtype)
                samples.append(np.moveaxis(blocks, 0, 3).reshape(*inner[1:4], -1)[..., : layout.channels])
        return np.stack(samples).reshape(tensor.shape)

    def _read_flat(self, tensor: Tensor) -> NDArray[Any]:
        padded = self._nbytes(tensor) // tensor.dtype.itemsize
        flat = _view(self.address(tensor, 0), (padded,), (tensor.dtype.itemsize,), tensor.dtype)
        last = tensor.shape[-1] if tensor.shape else 1
        return flat.reshape(*tensor.shape[:-1], -1)[..., :last].reshape(tensor.shape).copy()

    def memory(self) -> int:
        """Bytes of the arenas."""
        workers = max(1, len(self.worker_arenas)) * self.worker_bytes
        return int(self.shared_arena.nbytes + sum(arena.nbytes for arena in self.slice_arenas) + workers)

    def describe(self, step: int) -> list[str]:
        """One line a launch of a program step: the kernel, how it is divided, and where its results lie."""
        lines = []
        for i in self.launches_of(step):
            launch = self.launches[i]
            over = "batch" if launch.parallel == "batch" else f"{launch.extent} outputs"
            where = ", ".join(self._where(t) for t in launch.writes)
            lines.append(f"{launch.kernel} over {over} -> {where}")
        return lines

    def _where(self, tensor: Tensor) -> str:
        if tensor not in self.places:
            return f"{tensor.name}"
        arena, offset = self.places[tensor]
        return f"{tensor.name}@{arena}+{offset}"


def _is_constant(launch: Launch) -> bool:
    """Whether an output launch without launches before it reads nothing but memory whose versions are counted."""
    stored = [t for t in launch.reads if t.storage is not None]
    return (
        launch.parallel == "output"
        and all(isinstance(t.storage, CpuStorage) for t in stored)
        and all(t.storage is None for t in launch.writes)
    )


def _view(where: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    span = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + np.dtype(dtype).itemsize
    raw = np.frombuffer((ctypes.c_char * span).from_address(where), np.uint8)
    return np.lib.stride_tricks.as_strided(raw.view(dtype) if span % np.dtype(dtype).itemsize == 0 else raw, shape, strides)

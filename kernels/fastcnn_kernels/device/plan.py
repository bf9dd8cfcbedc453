"""A plan for the GPU: kernels in stream order over one arena, launched once one by one, then captured and replayed as a graph.

    CudaStorage   device memory that outlives a program
    CudaSlot      a cell in device memory that holds the address of the device's copy of a host array
    CudaPlan      launch while it is built; finalize places tensors and resolves arguments; run

Layout is plain C order, channels last. A launch's arguments are numbers and tensors; a tensor stands for its address, an
external one for the address of its cell.
"""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..api import Tensor
from ..memory import Block, place
from ..plan import Launch, LaunchList
from .interface import Call, Device
from .kernel import CudaKernel


class CudaStorage:
    """An array in device memory."""

    address = 0

    def __init__(
        self, device: Device, shape: tuple[int, ...], dtype: DTypeLike, name: str = "storage", zeroed: bool = True
    ):
        self.device, self.shape, self.dtype = device, shape, np.dtype(dtype)
        self.row = int(np.prod(shape[1:])) * self.dtype.itemsize
        self.address = device.allocate(max(1, int(np.prod(shape))) * self.dtype.itemsize, name)
        if zeroed:
            device.upload(self.address, np.zeros(shape, self.dtype))

    def read(self) -> NDArray[Any]:
        """A copy of the array, once everything launched has run."""
        return self.device.download(self.address, self.shape, self.dtype)

    def write(self, array: NDArray[Any], first: int = 0) -> None:
        """Overwrite rows `first`, `first` + 1, ... with `array`, after everything launched before."""
        self.device.upload(self.address + first * self.row, np.ascontiguousarray(array, self.dtype))

    def __del__(self) -> None:
        if self.address:
            self.device.free(self.address)


_copies: WeakValueDictionary[tuple[int, int], CudaStorage] = WeakValueDictionary()
"""Copies of host arrays by the device's and the array's identity. A slot keeps an array alive with its copy, so no identity is
taken by another array meanwhile."""


class CudaSlot:
    """A host array that the device has a copy of; kernels find the copy through a cell, so binding rebuilds nothing.

    Inputs are uploaded once for all slots that are bound to the same array, and stay while one of them is: whoever changes an
    array in place binds a new view of it. An output has device memory for one batch, copied to the bound rows after a run.
    """

    def __init__(self, device: Device, dtype: DTypeLike, shape: tuple[int, ...]):
        self.device, self.dtype, self.shape = device, np.dtype(dtype), shape
        self.row = int(np.prod(shape)) * self.dtype.itemsize
        self.cell = CudaStorage(device, (1,), np.int64)
        self.address = self.cell.address
        self.copy: CudaStorage | None = None
        self.bound: NDArray[Any] = np.empty((0, *shape), self.dtype)
        self.first, self._pointed = 0, 0

    def bind(self, array: NDArray[Any], first: int = 0) -> None:
        """Let the slot be `array[first:]`. ValueError where it is not of the slot's dtype and rows, in C order."""
        if array.dtype != self.dtype or array.shape[1:] != self.shape or not array.flags.c_contiguous:
            raise ValueError(f"expected a C-ordered {self.dtype} array of rows {self.shape}, got {array.dtype} {array.shape}")
        if array is not self.bound:
            self.bound = array
            self.copy = None
        self.first = first

    def prepare(self, output: bool, batch_size: int) -> None:
        """Before a run: make sure that the cell points at the rows to read, or at memory for the rows to write."""
        if self.copy is None:
            self.copy = self._batch(batch_size) if output else self._upload()
        where = self.copy.address + (0 if output else self.first * self.row)
        if where != self._pointed:
            self.cell.write(np.array([where], np.int64))
            self._pointed = where

    def _batch(self, batch_size: int) -> CudaStorage:
        return CudaStorage(self.device, (batch_size, *self.shape), self.dtype, "outputs of a batch", zeroed=False)

    def _upload(self) -> CudaStorage:
        key = id(self.device), id(self.bound)
        copy = _copies.get(key)
        if copy is None:
            copy = _copies[key] = CudaStorage(self.device, self.bound.shape, self.dtype, "a data set", zeroed=False)
            copy.write(self.bound)
        return copy

    def collect(self, batch_size: int) -> None:
        """After a run: copy an output's rows to the host."""
        assert self.copy is not None
        self.bound[self.first : self.first + batch_size] = self.copy.read()


class CudaPlan(LaunchList):
    """See the module's docstring."""

    def __init__(self, batch_size: int, device: Device):
        super().__init__(batch_size)
        self.device = device
        self.calls: list[Call] = []
        self.replay: Callable[[], None] | None = None
        self.runs = 0

    def launch(
        self,
        kernel: CudaKernel,
        grid: int | tuple[int, ...],
        arguments: Sequence[Any],
        *,
        writes: Sequence[Tensor | None],
        block: tuple[int, ...] | None = None,
        shared_bytes: int = 0,
    ) -> None:
        """Append a kernel launch. Tensors among the arguments are read unless listed in `writes`; None is address 0."""
        touched = tuple(a for a in arguments if isinstance(a, Tensor))
        written = tuple(t for t in writes if t is not None)
        payload = (kernel, _three(grid), _three(block or (kernel.threads,)), tuple(arguments), shared_bytes)
        self.append(Launch(kernel.name, 0, tuple(t for t in touched if t not in written), written, payload, "grid"))

    def finalize(self) -> None:
        """Place every tensor in one arena and resolve every launch's arguments."""
        blocks = {t: Block(max(1, t.nbytes), first, last) for t, (first, last) in self.lifetimes().items()}
        self.size = place(blocks.values())
        if self.device.isolates:
            self.arenas = {t: CudaStorage(self.device, t.shape, t.dtype, t.name, zeroed=False) for t in blocks}
            self.places = {tensor: arena.address for tensor, arena in self.arenas.items()}
        else:
            self.arena = self._arena()
            self.places = {tensor: self.arena.address + block.offset for tensor, block in blocks.items()}
        external = {t for launch in self.launches for t in (*launch.reads, *launch.writes) if t.kind == "external"}
        outputs = {t for launch in self.launches for t in launch.writes if t.kind == "external"}
        self.inputs = [t.storage for t in external - outputs]
        self.outputs = [t.storage for t in outputs]
        self.calls = [self._call(launch) for launch in self.launches]

    def _arena(self) -> CudaStorage:
        try:
            return CudaStorage(self.device, (self.size,), np.uint8, "a program", zeroed=False)
        except MemoryError as error:
            # The arena grows with the batch, but not faster: so many samples are sure to fit.
            fitting = self.batch_size * self.device.available() // self.size
            advice = f"a batch of {fitting} fits" if fitting else "not even a batch of 1 is sure to fit"
            raise MemoryError(f"{error}; batches of {self.batch_size} are too large here: {advice}") from error

    def _call(self, launch: Launch) -> Call:
        kernel, grid, block, arguments, shared_bytes = launch.payload
        values = tuple(self.address(a) if a is None or isinstance(a, Tensor) else a for a in arguments)
        return Call(kernel, grid, block, values, shared_bytes, self.labels[launch.step])

    def address(self, tensor: Tensor | None) -> int:
        """Device address of a tensor; of its cell if it is external; 0 for None."""
        if tensor is None:
            return 0
        return int(tensor.storage.address) if tensor.storage is not None else self.places[tensor]

    def run(self) -> None:
        """Launch everything: one by one the first time, as a captured graph from then on."""
        for slot in self.inputs:
            slot.prepare(False, self.batch_size)
        for slot in self.outputs:
            slot.prepare(True, self.batch_size)
        if self.replay is None and self.runs:
            self.replay = self.device.capture(self.calls)
        if self.replay is not None:
            self.replay()
        else:
            for call in self.calls:
                self.device.launch(call)
        self.runs += 1
        for slot in self.outputs:
            slot.collect(self.batch_size)

    def run_step(self, step: int) -> None:
        """Launch the kernels of one program step only."""
        for i in self.launches_of(step):
            self.device.launch(self.calls[i])

    def prepared_step(self, step: int, times: int) -> Callable[[], None]:
        """What `run_step` does, `times` over, as one captured graph that is waited for."""
        replay = self.device.capture([self.calls[i] for i in self.launches_of(step)] * times)

        def run() -> None:
            replay()
            self.device.synchronize()

        return run

    def read(self, tensor: Tensor) -> NDArray[Any]:
        """The values of a tensor, as they are in memory now."""
        return self.device.download(self.address(tensor), tensor.shape, tensor.dtype)

    def memory(self) -> int:
        """Bytes of the arena."""
        return self.size

    def describe(self, step: int) -> list[str]:
        """One line a launch of a program step: kernel, grid, block, and where its results lie."""
        lines = []
        for i in self.launches_of(step):
            kernel, grid, block, _, shared = self.launches[i].payload
            where = ", ".join(self._where(t) for t in self.launches[i].writes)
            lines.append(f"{kernel.name} grid {grid} block {block} shared {shared} -> {where}")
        return lines

    def _where(self, tensor: Tensor) -> str:
        return f"{tensor.name}@{self.places[tensor]:#x}" if tensor in self.places else tensor.name


def _three(extents: int | tuple[int, ...]) -> tuple[int, int, int]:
    values = (extents,) if isinstance(extents, int) else tuple(extents)
    return (*values, *(1,) * (3 - len(values)))  # type: ignore[return-value]

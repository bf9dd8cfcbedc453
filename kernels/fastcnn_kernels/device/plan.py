"""A plan for the GPU: kernels in stream order over one arena, launched once one by one, then captured and replayed as a graph.

    CudaStorage   device memory that outlives a program
    CudaSlot      a cell in device memory that holds the address of the device's copy of a host array
    Table         an argument: numbers and addresses in device memory, for kernels that do the same to many tensors
    CudaPlan      `launch` and `add` while it is built; finalize fuses works, launches them, places tensors and resolves
                  arguments; run

Layout is plain C order, channels last. A launch's arguments are numbers, tensors and tables; a tensor stands for its address,
an external one for the address of its cell.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..api import Tensor
from ..memory import Block, place
from ..plan import Launch, LaunchList
from .interface import Call, Device
from .kernel import CudaKernel
from .works import Rule, Work, Works


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


@dataclass(eq=False)
class Table:
    """Words of 64 bits in device memory, written once when a plan is finalized: numbers, and tensors as their addresses."""

    words: Sequence[Tensor | int | None]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors in it."""
        return tuple(word for word in self.words if isinstance(word, Tensor))


def float_bits(number: float) -> int:
    """A float32 as a word of a table."""
    return int(np.float32(number).view(np.uint32))


@dataclass(eq=False)
class KernelLaunch:
    """The work of one kernel."""

    kernel: CudaKernel
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple[Any, ...]
    writes: tuple[Tensor, ...]
    shared_bytes: int

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """The tensors among the arguments, and in tables, that are not written."""
        touched = [t for a in self.arguments for t in (a.tensors if isinstance(a, Table) else (a,)) if isinstance(t, Tensor)]
        return tuple(t for t in touched if t not in self.writes)

    def launch(self, plan: "CudaPlan") -> None:
        """Append it."""
        plan.append(Launch(self.kernel.name, 0, self.reads, self.writes, self, "grid", flops=plan.flops))


class CudaPlan(LaunchList):
    """See the module's docstring. `rules` fuse works before they are launched."""

    def __init__(self, batch_size: int, device: Device, rules: Sequence[Rule] = (), precision: str = "float32"):
        super().__init__(batch_size)
        self.device, self.rules, self.precision = device, rules, precision
        self.works = Works()
        self.calls: list[Call] = []
        self.replay: Callable[[], None] | None = None
        self.runs = 0
        self._launching: int | None = None
        self.flops: int | None = None

    @property
    def step(self) -> int:
        """The program step that asks for works, or whose works are being launched."""
        return len(self.labels) - 1 if self._launching is None else self._launching

    def add(self, work: Work) -> None:
        """Append a work."""
        self.works.add(self.step, work)

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
        written = tuple(t for t in writes if t is not None)
        work = KernelLaunch(kernel, _three(grid), _three(block or (kernel.threads,)), tuple(arguments), written, shared_bytes)
        if self._launching is None:
            self.add(work)
        else:
            work.launch(self)

    def zeroed(self, name: str, count: int) -> Tensor:
        """Words of 32 bits, 0 before the first launch, that no other tensor shares memory with."""
        storage = CudaStorage(self.device, (count,), np.uint32, name)
        return Tensor(name, (count,), storage.dtype, "plain", storage)

    def finalize(self) -> None:
        """Fuse and launch the works, place every tensor in one arena, and resolve every launch's arguments."""
        made = [(t, step) for step, work in self.works.entries for t in work.writes]
        for rule in self.rules:
            rule(self.works)
        for step, work in self.works.entries:
            self._launching, self.flops = step, getattr(work, "flops", None)
            work.launch(self)
        self._place(made)
        external = {t for launch in self.launches for t in (*launch.reads, *launch.writes) if t.kind == "external"}
        outputs = {t for launch in self.launches for t in launch.writes if t.kind == "external"}
        self.inputs = [t.storage for t in external - outputs]
        self.outputs = [t.storage for t in outputs]
        self.tables: list[CudaStorage] = []
        self.calls = [self._call(launch) for launch in self.launches]

    def _place(self, made: Sequence[tuple[Tensor, int]]) -> None:
        lives = self.lifetimes()
        for tensor, step in made:
            # Whoever goes through the program step by step finds the tensor in the step that asked for it.
            tensor = self.works.root(tensor)
            if tensor in lives:
                first, last = lives[tensor]
                lives[tensor] = first, max([last, *(i for i, launch in enumerate(self.launches) if launch.step <= step)])
        blocks = {t: Block(max(1, t.nbytes), first, last) for t, (first, last) in lives.items()}
        self.size = place(blocks.values())
        if self.device.isolates:
            self.arenas = {t: CudaStorage(self.device, t.shape, t.dtype, t.name, zeroed=False) for t in blocks}
            self.places = {tensor: arena.address for tensor, arena in self.arenas.items()}
        else:
            self.arena = self._arena()
            self.places = {tensor: self.arena.address + block.offset for tensor, block in blocks.items()}

    def lifetimes(self) -> dict[Tensor, tuple[int, int]]:
        """First and last launch that touches each tensor of the plan's own; views count as what they are views of."""
        lives: dict[Tensor, tuple[int, int]] = {}
        for tensor, (first, last) in super().lifetimes().items():
            root = self.works.root(tensor)
            begin, end = lives.get(root, (first, last))
            lives[root] = min(begin, first), max(end, last)
        return lives

    def _arena(self) -> CudaStorage:
        try:
            return CudaStorage(self.device, (self.size,), np.uint8, "a program", zeroed=False)
        except MemoryError as error:
            # The arena grows with the batch, but not faster: so many samples are sure to fit.
            fitting = self.batch_size * self.device.available() // self.size
            advice = f"a batch of {fitting} fits" if fitting else "not even a batch of 1 is sure to fit"
            raise MemoryError(f"{error}; batches of {self.batch_size} are too large here: {advice}") from error

    def _call(self, launch: Launch) -> Call:
        work: KernelLaunch = launch.payload
        values = tuple(self._value(argument) for argument in work.arguments)
        return Call(work.kernel, work.grid, work.block, values, work.shared_bytes, self.labels[launch.step])

    def _value(self, argument: Any) -> Any:
        if argument is None or isinstance(argument, Tensor):
            return self.address(argument)
        if not isinstance(argument, Table):
            return argument
        words = [word if isinstance(word, int) else self.address(word) for word in argument.words]
        table = CudaStorage(self.device, (len(words),), np.int64, "a table")
        table.write(np.array(words, np.int64))
        self.tables.append(table)
        return table.address

    def address(self, tensor: Tensor | None) -> int:
        """Device address of a tensor; of its cell if it is external; 0 for None."""
        if tensor is None:
            return 0
        tensor = self.works.root(tensor)
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
        """The values of a tensor, as they are in memory now; none of one that fusion left out."""
        root = self.works.root(tensor)
        if root.storage is None and root not in self.places:
            return np.empty(0, tensor.dtype)
        return self.device.download(self.address(tensor), tensor.shape, tensor.dtype)

    def memory(self) -> int:
        """Bytes of the arena."""
        return self.size

    def describe(self, step: int) -> list[str]:
        """One line a launch of a program step: kernel, grid, block, and where its results lie."""
        lines = []
        for i in self.launches_of(step):
            work: KernelLaunch = self.launches[i].payload
            where = ", ".join(self._where(t) for t in self.launches[i].writes)
            lines.append(f"{work.kernel.name} grid {work.grid} block {work.block} shared {work.shared_bytes} -> {where}")
        return lines

    def _where(self, tensor: Tensor) -> str:
        return f"{tensor.name}@{self.places[tensor]:#x}" if tensor in self.places else tensor.name


def _three(extents: int | tuple[int, ...]) -> tuple[int, int, int]:
    values = (extents,) if isinstance(extents, int) else tuple(extents)
    return (*values, *(1,) * (3 - len(values)))  # type: ignore[return-value]

"""A program: the flat list of steps of one mode, made concrete for one batch size on one backend.

Building it calls every op of the trace once; running it is one call of the backend's plan. Nothing is allocated while it runs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from fastcnn_kernels.api import Tensor
from numpy.typing import NDArray

from ..trace import Step, Value
from ..variables import Variable
from .costs import step_cost
from .lowering import Lowered


class Program:
    """Steps, tensors and plan for one batch size. `storages` holds the memory shared with other programs, by value."""

    def __init__(self, name: str, lowered: Lowered, batch_size: int, backend: Any, storages: dict[Value, Any]):
        self.name, self.mode, self.batch_size, self.backend = name, lowered.mode, batch_size, backend
        self.lowered = lowered
        self.steps = lowered.trace.steps
        self.slots: dict[Value, Any] = {}
        self.storages = storages
        self.tensors: dict[Value | Variable, Tensor] = {}
        frozen = not any(isinstance(written, Variable) for step in self.steps for written in step.writes())
        self.plan = backend.plan(batch_size, frozen)
        for number, step in enumerate(self.steps):
            self.plan.begin(f"{number}.{step.source}")
            getattr(backend, step.op)(self.plan, **self._operands(step), **step.attributes)
        self.plan.finalize()
        self._weights = [(v, t) for v, t in self.tensors.items() if isinstance(v, Variable)]
        self._sources = [[self.slots[v] for v in values] for values in (lowered.inputs, lowered.labels, lowered.weights)]
        self._index, self._outputs = self.slots.get(lowered.index), [self.slots[v] for v in lowered.outputs]
        self._rows: list[Any] = []
        self._as_they_lie: NDArray[np.int64] = np.arange(0)

    def _operands(self, step: Step) -> dict[str, Any]:
        return {name: self._tensor(operand) for name, operand in step.operands.items()}

    def _tensor(self, operand: Any) -> Any:
        if operand is None:
            return None
        if isinstance(operand, list):
            return [self._tensor(item) for item in operand]
        if operand not in self.tensors:
            self.tensors[operand] = self._make(operand)
        return self.tensors[operand]

    def _make(self, operand: Value | Variable) -> Tensor:
        if isinstance(operand, Variable):
            return Tensor(operand.name, operand.shape, self.backend.dtype, "parameter", operand.bind(self.backend))
        shape = tuple(self.batch_size if n is None else n for n in operand.shape)
        computed = operand.dtype == "float32" and (operand.kind != "external" or operand in self.lowered.outputs)
        dtype = self.backend.dtype if computed else np.dtype(operand.dtype)
        storage = self.storages.get(operand)
        if operand.kind == "external":
            storage = self.slots[operand] = self.backend.external(dtype, shape[1:])
        return Tensor(operand.name, shape, dtype, operand.kind, storage)

    def is_current(self) -> bool:
        """Whether the weights still live where the program reads them: another backend may have taken them since."""
        # A loop, which takes half of the time of all(...): see training.data.Repeat.
        for variable, tensor in self._weights:  # noqa: SIM110
            if variable.storage is not tensor.storage:
                return False
        return True

    def bind(
        self,
        x: Sequence[NDArray[Any]],
        y: Sequence[NDArray[Any]] = (),
        weights: Sequence[NDArray[Any]] = (),
        index: NDArray[np.int64] | None = None,
        outputs: Sequence[NDArray[Any]] = (),
    ) -> None:
        """Point the program at host arrays, C-ordered and in the dtypes that it was built for.

        `index` orders the samples (default: as they lie); the arrays must not be moved while the program runs.
        """
        for slots, arrays in zip(self._sources, (x, y, weights), strict=True):
            for slot, array in zip(slots, arrays, strict=True):
                slot.bind(array)
        if index is None:
            if len(self._as_they_lie) != len(x[0]):
                self._as_they_lie = np.arange(len(x[0]), dtype=np.int64)
            index = self._as_they_lie
        self._rows = [(self._index, index), *zip(self._outputs, outputs, strict=True)]

    def run(self, first: int = 0) -> None:
        """One batch: samples index[first : first + batch_size]; predictions go to the same rows of the outputs."""
        for slot, array in self._rows:
            slot.bind(array, first)
        self.plan.run()

    def first_nonfinite(self, first: int) -> tuple[Step, str] | None:
        """Run one batch step by step; the first step that writes a value that is not finite, and that value's name."""
        for slot, array in self._rows:
            slot.bind(array, first)
        for number, step in enumerate(self.steps):
            self.plan.run_step(number)
            for value in step.writes():
                if value in self.tensors and not self._finite(self.tensors[value]):
                    return step, value.name
        return None

    def _finite(self, tensor: Tensor) -> bool:
        if tensor.kind == "external" or tensor.dtype.kind != "f":
            return True
        return bool(np.isfinite(self.plan.read(tensor)).all())

    def cost(self) -> tuple[int, int]:
        """(floating-point operations, bytes moved) of one batch."""
        costs = [step_cost(step, self.batch_size) for step in self.steps]
        return sum(flops for flops, _ in costs), sum(nbytes for _, nbytes in costs)

    def __str__(self) -> str:
        flops, nbytes = self.cost()
        lines = [
            f"program {self.name}: {self.mode}, batch {self.batch_size}, backend {self.backend.name}: {len(self.steps)} steps, "
            f"{flops / 1e9:.3g} GFLOP, {nbytes / 1e6:.3g} MB moved, {self.plan.memory() / 1e6:.3g} MB of arenas"
        ]
        for number, step in enumerate(self.steps):
            lines.append(f"{number:4d} {self._line(step)}")
            lines += [f"       {line}" for line in self.plan.describe(number)]
        return "\n".join(lines)

    def _line(self, step: Step) -> str:
        flops, nbytes = step_cost(step, self.batch_size)
        writes = ", ".join(str(self._tensor(x)) for x in step.writes())
        reads = ", ".join(str(self._tensor(x)) for x in step.reads() if x not in step.writes())
        attributes = " ".join(f"{name}={value}" for name, value in step.attributes.items())
        cost = f"{flops / 1e6:.3g} MFLOP, {nbytes / 1e3:.3g} kB"
        return f"{writes} <- {step.op}({reads}) {attributes} [{step.source}; {cost}]"



"""The executor: what a compiled model owns besides its weights.

The programs of every mode and batch size (a small bounded cache), the scalars buffer that kernels read, and the accumulators of
losses and metrics, which live on the device across batches.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from fastcnn_kernels.api import Scalars

from ..trace import Value
from .lowering import Mode, lower
from .objective import Objective, Target
from .probe import Probe, lower_probe
from .program import Program

MAX_PROGRAMS = 16


class Executor:
    """Builds and keeps the programs of one compiled model on one backend."""

    def __init__(self, model: Any, objective: Objective, backend: Any):
        self.model, self.objective, self.backend = model, objective, backend
        self._variables = list(model.variables)
        self.scalars = backend.allocate((Scalars.COUNT,), np.int64, "plain")
        self._values = np.zeros(Scalars.COUNT, np.int64)
        self._floats, self._unsigned = self._values.view(np.float64), self._values.view(np.uint64)
        count = objective.accumulators() + sum(variable.regularizer is not None for variable in self._variables)
        self._accumulators = [backend.allocate((2,), np.float64, "plain") for _ in range(count)]
        self._programs: OrderedDict[tuple[Any, ...], Program] = OrderedDict()

    def program(
        self,
        mode: Mode,
        batch_size: int,
        dtypes: tuple[str, ...] = (),
        targets: tuple[Target | None, ...] = (),
        export: bool = False,
    ) -> Program:
        """The program of a mode for arrays of these dtypes (inputs, then labels), built on first use.

        `targets` gives each output's label shape and dtype, None where no labels come; `export` adds the outputs to a
        training or test program.
        """
        key = (mode, batch_size, dtypes, targets, export, self._trainable())
        return self._kept(key, lambda: self._build(mode, batch_size, dtypes, targets, export))

    def probe(self, probe: Probe, batch_size: int, dtypes: tuple[str, ...]) -> Program:
        """The program of a probe for inputs of these dtypes, built on first use."""

        def build() -> Program:
            lowered = lower_probe(self.model, probe, self.backend.fusions, dtypes)
            return Program(self.model.name, lowered, batch_size, self.backend, {lowered.trace.scalars: self.scalars})

        return self._kept((probe, batch_size, dtypes), build)

    def _kept(self, key: tuple[Any, ...], build: Callable[[], Program]) -> Program:
        if key not in self._programs or not self._programs[key].is_current():
            self._programs[key] = build()
        self._programs.move_to_end(key)
        while len(self._programs) > MAX_PROGRAMS:
            self._programs.popitem(last=False)
        return self._programs[key]

    def _trainable(self) -> tuple[bool, ...]:
        return tuple(variable.trainable for variable in self._variables)

    def _build(self, mode: Mode, batch_size: int, dtypes: Any, targets: Any, export: bool) -> Program:
        lowered = lower(self.model, mode, self.objective, self.backend.fusions, dtypes, targets, export)
        storages: dict[Value, Any] = {lowered.trace.scalars: self.scalars}
        storages.update(zip(lowered.accumulators, self._accumulators, strict=False))
        return Program(self.model.name, lowered, batch_size, self.backend, storages)

    def set(self, **values: float) -> None:
        """Write scalars that kernels read, by the names of Scalars in lower case; those left out stay as they are."""
        for name, value in values.items():
            slot = getattr(Scalars, name.upper())
            if slot in Scalars.FLOATS:
                self._floats[slot] = value
            else:
                self._unsigned[slot] = int(value) % (1 << 64)
        self.scalars.write(self._values[: Scalars.NONFINITE])

    def reset_metrics(self) -> None:
        """Start the running means of losses and metrics again."""
        for storage in self._accumulators:
            storage.write(np.zeros(2))

    def totals(self) -> list[tuple[float, float]]:
        """(sum, weight) of every loss, output by output, then of every metric, then of the weights' penalties."""
        return [(float(total), float(weight)) for total, weight in (s.read() for s in self._accumulators)]

    def failed_step(self) -> int | None:
        """The step number of the first loss that was not finite; None while all were."""
        flag = int(self.scalars.read()[Scalars.NONFINITE])
        return flag - 1 if flag else None

    def clear_failure(self) -> None:
        """Let optimizer steps count again."""
        self.scalars.write(np.zeros(1, np.int64), Scalars.NONFINITE)

    def diagnose(self, program: Program, first: int) -> str:
        """Replay the failed step on the batch at `first` (bound as it was) and name where the first bad value began.

        The optimizer stays switched off, so the weights are those that the step failed with.
        """
        step = self.failed_step()
        if step is not None:
            self.set(step=step)
        found = program.first_nonfinite(first)
        if found is None:
            return "every value of the step was finite when it was replayed"
        culprit, name = found
        if culprit.op == "gather":
            return f"the data: {name} holds values that are not finite"
        return f"{culprit.op} of {culprit.source}, which wrote {name}"

"""`Rehearsal`: a few steps of training on a copy of the model, which is the only thing that they change.

run          STEPS steps on one batch, with the learning rate multiplied by a factor: the losses, and how far weights moved
gradients    of the loss by every trainable weight, computed by the reference
values       what lies inside of the network for the batch
step_time    seconds of one step
"""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..explain.inside import look
from ..program import Executor, Objective, Place
from ..trace import Value
from ..variables import Variable

Array = NDArray[Any]
STEPS = 15
LOOK_AHEAD = 1000
"""Steps of a schedule whose highest rate counts."""


@dataclass(frozen=True)
class Run:
    """What STEPS steps on one batch did.

    losses   before each step; infinite from the first one on that is not finite
    moved    how far a step moved a kernel, as a share of its norm: the mean of the steps, of the kernel that moved most
    """

    losses: list[float]
    moved: float

    @property
    def end(self) -> float:
        """The loss at the end: a mean of three, as dropout makes noise."""
        return sum(self.losses[-3:]) / 3

    @property
    def change(self) -> float:
        """The loss at the end as a share of the one at the beginning."""
        return self.end / max(self.losses[0], 1e-12)


class Rehearsal:
    """A batch (x, y), as `fit` takes it, and the compiled model that is about to be trained on it."""

    def __init__(self, model: Any, x: Any, y: Any):
        self.model, self.x, self.y = copy.deepcopy(model), x, y
        self.run = cache(self._run)

    def _twin(self) -> Any:
        return copy.deepcopy(self.model)

    @cached_property
    def rate(self) -> float:
        """The learning rate; of a schedule, the highest of the next LOOK_AHEAD steps."""
        optimizer = copy.deepcopy(self.model.optimizer)
        rates = []
        for step in range(0, LOOK_AHEAD, LOOK_AHEAD // 20):
            optimizer.iterations = self.model.optimizer.iterations + step
            rates.append(optimizer.learning_rate)
        return max(rates)

    def _run(self, factor: float) -> Run:
        model, rate = self._twin(), self.rate * factor
        model.optimizer.learning_rate = lambda step: rate
        before = [v.value for v in _kernels(model)]
        losses = _losses(model, self.x, self.y)
        pairs = zip(before, _kernels(model), strict=True)
        moved = [float(np.linalg.norm(v.value - w) / max(np.linalg.norm(w), 1e-12)) for w, v in pairs]
        return Run(losses, max(moved, default=0.0) / STEPS)

    @cached_property
    def gradients(self) -> dict[Variable, Array]:
        """The gradient of the loss by each weight that is trained."""
        from fastcnn_kernels.reference import ReferenceBackend

        model, noted = self._twin(), _Noted()
        compiled = model.objective
        objective = Objective(compiled.losses, compiled.loss_weights, [[] for _ in compiled.losses], noted)
        executor = Executor(model, objective, ReferenceBackend())
        samples = model._interface().samples(self.x, self.y)
        program = executor.program("train", len(samples), samples.dtypes, samples.targets)
        program.bind(samples.x, samples.y, samples.weights)
        with np.errstate(all="ignore"):
            program.run()
        return {v: np.array(program.plan.read(program.tensors[g])) for v, g in noted.gradients.items()}

    def values(self, paths: Sequence[str], kind: Any = "result") -> list[Array]:
        """What the layers at these paths return for the batch, in inference mode; or another kind of Place."""
        return look(self.model, self.x, [Place(kind, path) for path in paths])

    @cached_property
    def step_time(self) -> float:
        """Seconds of one training step: the median of five, after one that builds the program."""
        model, times = self._twin(), []
        for _ in range(6):
            began = time.perf_counter()
            model.train_on_batch(self.x, self.y)
            times.append(time.perf_counter() - began)
        return median(times[1:])


def _losses(model: Any, x: Any, y: Any) -> list[float]:
    found: list[float] = []
    while len(found) < STEPS:
        try:
            with np.errstate(all="ignore"):
                result = model.train_on_batch(x, y)
        except FloatingPointError:
            return found + [math.inf] * (STEPS - len(found))
        found.append(float(result[0] if isinstance(result, list) else result))
    return found


def _kernels(model: Any) -> list[Variable]:
    return [variable for variable in model.trainable_weights if len(variable.shape) > 1]


class _Noted:
    """Stands where an optimizer would: notes which value is the gradient of which variable, and changes nothing."""

    def __init__(self) -> None:
        self.gradients: dict[Variable, Value] = {}

    def apply(self, gradients: Sequence[tuple[Variable, Value]], scalars: Value) -> None:
        """Append no step."""
        self.gradients = dict(gradients)

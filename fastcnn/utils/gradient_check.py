"""A check of a model's gradients against central differences, in float64 on the reference backend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..program import Executor, Objective
from ..trace import Value
from ..variables import Variable


class _Recorder:
    """Stands where an optimizer would: notes which value is the gradient of which variable, and changes nothing."""

    def __init__(self) -> None:
        self.gradients: dict[Variable, Value] = {}

    def apply(self, gradients: Sequence[tuple[Variable, Value]], scalars: Value) -> None:
        self.gradients = dict(gradients)


def check_gradients(
    model: Any,
    x: Any,
    y: Any,
    loss: Any = None,
    *,
    samples: int = 20,
    epsilon: float = 1e-5,
    seed: int = 0,
) -> dict[str, float]:
    """Compare the gradient of a model's loss with (L(w + e) - L(w - e)) / 2e for some elements of every trained weight.

    model    built; its losses are those it was compiled with unless `loss` (one, or one an output) is given
    x, y     a batch: an array, or a list with one an input and output
    samples  how many elements of each weight are tried, at most
    epsilon  the step, in units of the weight's largest magnitude (at least 1)

    Returns the largest difference by variable name, relative to the largest gradient of that variable; below 1e-6 means that
    backward agrees with forward. Max pooling and ReLU have kinks: a difference across one is large, so use random inputs.
    The weights are left as they were.
    """
    from .. import losses as losses_module

    losses = [losses_module.get(item) for item in _list(loss)] if loss is not None else model.objective.losses
    recorder = _Recorder()
    objective = Objective(losses, [1.0] * len(losses), [[] for _ in losses], recorder)
    before = [(v, v.backend) for v in model.variables]
    try:
        return _compare(model, objective, recorder, _arrays(x), _arrays(y), samples, epsilon, seed)
    finally:
        for variable, backend in before:
            if backend is not None:
                variable.bind(backend)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _arrays(value: Any) -> list[NDArray[Any]]:
    return [np.ascontiguousarray(item) for item in _list(value)]


def _compare(
    model: Any,
    objective: Objective,
    recorder: _Recorder,
    xs: Sequence[NDArray[Any]],
    ys: Sequence[NDArray[Any]],
    samples: int,
    epsilon: float,
    seed: int,
) -> dict[str, float]:
    from fastcnn_kernels.reference import ReferenceBackend

    executor = Executor(model, objective, ReferenceBackend(np.float64))
    targets = tuple(
        loss.target(tensor.shape, array) for loss, tensor, array in zip(objective.losses, model.outputs, ys, strict=True)
    )
    ys = [a.reshape(len(a), *shape) for a, (shape, _) in zip(ys, targets, strict=True)]
    dtypes = tuple(array.dtype.name for array in (*xs, *ys))
    program = executor.program("train", len(xs[0]), dtypes, targets)
    program.bind(xs, ys, [np.ones(len(xs[0]), np.float32) for _ in ys])
    rng = np.random.default_rng(seed)

    def loss_value() -> float:
        executor.reset_metrics()
        program.run()
        return sum(total / weight for total, weight in executor.totals())

    loss_value()
    gradients = {v: program.plan.read(program.tensors[g]) for v, g in recorder.gradients.items()}
    return {v.name: _worst(v, gradient, loss_value, samples, epsilon, rng) for v, gradient in gradients.items()}


def _worst(variable: Variable, gradient: NDArray[Any], loss_value: Any, samples: int, epsilon: float, rng: Any) -> float:
    value = variable.value
    step = epsilon * max(1.0, float(np.abs(value).max(initial=0.0)))
    worst = 0.0
    for flat in rng.permutation(value.size)[:samples]:
        where = np.unravel_index(flat, value.shape)
        ends = []
        for sign in (1.0, -1.0):
            moved = value.copy()
            moved[where] += sign * step
            variable.assign(moved)
            ends.append(loss_value())
        worst = max(worst, abs((ends[0] - ends[1]) / (2 * step) - gradient[where]))
    variable.assign(value)
    return worst / max(float(np.abs(gradient).max(initial=0.0)), 1e-12)

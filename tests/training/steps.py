"""An optimizer alone: weights, gradients that are given, and no network."""

from typing import Any

import numpy as np
from fastcnn_kernels.api import Scalars
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn.program.lowering import Lowered
from fastcnn.program.program import Program
from fastcnn.trace import Trace, Value
from fastcnn.variables import Variable

Arrays = list[np.ndarray]
SHAPES = ((3, 3, 2, 17), (5, 4), (7,))


class Steps:
    """The steps of an optimizer on weights, by default in float64."""

    def __init__(self, optimizer: Any, weights: Arrays, backend: Any = None):
        self.optimizer, self.backend = optimizer, backend or ReferenceBackend(np.float64)
        self.weights = [Variable(w, name=f"layer{k}/{'kernel' if w.ndim > 1 else 'bias'}") for k, w in enumerate(weights)]
        self.gradients = [Variable(np.zeros(w.shape), name=f"d{k}") for k, w in enumerate(weights)]
        trace = Trace(training=True)
        with trace:
            optimizer.apply(list(zip(self.weights, self.gradients, strict=True)), trace.scalars)
        self.scalars = self.backend.allocate((Scalars.COUNT,), np.int64, "plain")
        lowered = Lowered(trace, "train", Value((None,), "int64", "index", "external"))
        self.program = Program("steps", lowered, 1, self.backend, {trace.scalars: self.scalars})

    def step(self, gradients: Arrays) -> Arrays:
        """One step; the weights after it."""
        values = np.zeros(Scalars.COUNT, np.int64)
        for name, value in self.optimizer.scalars().items():
            values.view(np.float64)[getattr(Scalars, name.upper())] = value
        self.scalars.write(values)
        for variable, gradient in zip(self.gradients, gradients, strict=True):
            variable.assign(gradient)
        self.program.plan.run()
        self.optimizer.iterations += 1
        return [w.value for w in self.weights]


def numbers(steps: int = 10, shapes: tuple[tuple[int, ...], ...] = SHAPES, seed: int = 0) -> tuple[Arrays, list[Arrays]]:
    """Weights, exact in float32, and the gradients of some steps: of different sizes, some elements zero."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(s).astype(np.float32).astype(np.float64) for s in shapes]
    scales = 10.0 ** rng.uniform(-2, 1, (steps, len(shapes)))
    return weights, [[scale * rng.standard_normal(s) * (rng.random(s) > 0.1) for scale, s in zip(row, shapes, strict=True)]
                     for row in scales]  # fmt: skip

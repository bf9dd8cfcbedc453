"""A network written without layers, so that lowering is tested on its own."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from fastcnn import ops
from fastcnn.program import Objective
from fastcnn.trace import Value, current_trace
from fastcnn.variables import Variable


@dataclass
class Net:
    """conv 3x3 -> relu -> max pool -> flatten -> dense -> softmax, 6x6x1 images, 3 classes."""

    name: str = "net"
    inputs: list[Value] = field(default_factory=lambda: [Value((None, 6, 6, 1), "float32", "image")])
    outputs: list[Value] = field(default_factory=lambda: [Value((None, 3), "float32", "class")])

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        # Small weights: probabilities near 0 are clipped where the loss takes them, and not where it takes logits.
        self.kernel = Variable(0.3 * rng.standard_normal((3, 3, 1, 4)), name="kernel")
        self.bias = Variable(0.3 * rng.standard_normal(4), name="bias")
        self.weights = Variable(0.3 * rng.standard_normal((16, 3)), name="weights")
        self.variables = [self.kernel, self.bias, self.weights]

    def trace(self, values: list[Value], training: bool) -> list[Value]:
        trace = current_trace()
        with trace.scope("conv"):
            x = ops.relu(ops.conv(values[0], self.kernel, self.bias))
        with trace.scope("pool"):
            x = ops.max_pool(x)
        with trace.scope("dense"):
            return [ops.softmax(ops.dense(ops.flatten(x), self.weights))]


class Crossentropy:
    def call(self, y_true: Value, y_pred: Value) -> Value:
        return ops.crossentropy(y_true, y_pred)

    def target(self, output: Any, array: Any) -> Any:
        return output[1:], "float32"


class Descent:
    """w -= learning_rate * dw."""

    def apply(self, gradients: list[tuple[Variable, Value]], scalars: Value) -> None:
        for variable, gradient in gradients:
            operands = dict(w=variable, dw=gradient, slots=[], factor=None, scalars=scalars)
            current_trace().append("optimizer_step", operands, dict(rule="sgd"))


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def objective() -> Objective:
    return Objective([Crossentropy()], [1.0], [[]], Descent())


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.standard_normal((5, 6, 6, 1)).astype(np.float32), np.eye(3, dtype=np.float32)[[0, 1, 2, 1, 0]]

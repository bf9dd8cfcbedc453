"""Networks without the time and memory that their first weights take."""

from typing import Any

import numpy as np
import pytest

from fastcnn import initializers
from fastcnn.layers import Layer
from fastcnn.variables import Variable


@pytest.fixture
def shapes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights have shapes and no values: 138 million parameters are counted in no time."""

    def add_weight(
        self: Layer, shape: Any = (), initializer: Any = None, *, trainable: bool = True, name: str = "variable", **rules: Any
    ) -> Variable:
        variable = Variable(0.0, trainable=trainable, name=f"{self.name}/{name}")
        variable.shape = tuple(shape)
        self._track(variable)
        return variable

    monkeypatch.setattr(Layer, "add_weight", add_weight)


@pytest.fixture
def quick_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """First weights are drawn by NumPy, which is quicker than numbers that are the same on every machine."""
    rng = np.random.default_rng(0)

    def normal(seed: int, step: int, stream: int, count: int) -> np.ndarray:
        return rng.standard_normal(count, dtype=np.float32)

    def uniform(seed: int, step: int, stream: int, count: int) -> np.ndarray:
        return rng.random(count, dtype=np.float32)

    for name, draw in {"normal": normal, "truncated_normal": normal, "uniform": uniform}.items():
        monkeypatch.setattr(initializers.random, name, draw)

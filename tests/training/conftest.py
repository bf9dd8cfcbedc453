"""Small models on the reference backend, for tests of what surrounds programs."""

from typing import Any

import numpy as np
import pytest

from fastcnn import layers, models
from fastcnn.utils.random_seed import set_random_seed

Array = Any


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCNN_DEVICE", "reference")
    set_random_seed(7)


def classifier(classes: int = 3, features: int = 4, activation: str | None = "softmax") -> Any:
    """One dense layer."""
    return models.Sequential([layers.Dense(classes, activation=activation, input_shape=(features,))])


def two_headed() -> Any:
    """Two inputs, and two outputs named kind (3 classes) and size (one number)."""
    left, right = layers.Input((4,), name="left"), layers.Input((2,), name="right")
    joined = layers.Concatenate()([left, right])
    kind = layers.Dense(3, activation="softmax", name="kind")(joined)
    return models.Model([left, right], [kind, layers.Dense(1, name="size")(joined)])


@pytest.fixture
def data() -> tuple[Array, Array]:
    """25 samples of 4 features with class numbers 0..2."""
    rng = np.random.default_rng(3)
    return rng.standard_normal((25, 4)).astype(np.float32), rng.integers(0, 3, 25)


@pytest.fixture
def two_data() -> tuple[list[Array], list[Array]]:
    """18 samples for `two_headed`."""
    rng = np.random.default_rng(4)
    x = [rng.standard_normal((18, n)).astype(np.float32) for n in (4, 2)]
    return x, [rng.integers(0, 3, 18), rng.standard_normal(18).astype(np.float32)]


def softmax(z: Array) -> Array:
    """Of the last axis, in float64."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

"""Optimizers: their trajectories against independent NumPy, and what they refuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn import optimizers

from .conftest import classifier, softmax

Update = Callable[[np.ndarray, np.ndarray, dict[str, Any]], np.ndarray]


def sgd(w: np.ndarray, g: np.ndarray, memory: dict[str, Any]) -> np.ndarray:
    return w - 0.1 * g


def momentum(w: np.ndarray, g: np.ndarray, memory: dict[str, Any]) -> np.ndarray:
    memory["v"] = 0.9 * memory.get("v", 0) - 0.1 * g
    return w + memory["v"]


def nesterov(w: np.ndarray, g: np.ndarray, memory: dict[str, Any]) -> np.ndarray:
    memory["v"] = 0.9 * memory.get("v", 0) - 0.1 * g
    return w + 0.9 * memory["v"] - 0.1 * g


def adam(w: np.ndarray, g: np.ndarray, memory: dict[str, Any]) -> np.ndarray:
    memory["t"] = t = memory.get("t", 0) + 1
    memory["m"] = m = 0.9 * memory.get("m", 0) + 0.1 * g
    memory["s"] = s = 0.999 * memory.get("s", 0) + 0.001 * g**2
    return w - 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(s) + 1e-7)


@pytest.mark.parametrize(
    ("optimizer", "update"),
    [
        (lambda: optimizers.SGD(0.1), sgd),
        (lambda: optimizers.SGD(0.1, momentum=0.9), momentum),
        (lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True), nesterov),
        (lambda: optimizers.Adam(0.1), adam),
    ],
    ids=["sgd", "momentum", "nesterov", "adam"],
)
def test_trajectory(optimizer: Callable[[], Any], update: Update, data: tuple) -> None:
    """Softmax regression in float64, whose gradient is x^T (p - t) / n, over two epochs of batches 10, 10, 5."""
    x, y = data
    model = classifier()
    model.compile(optimizer(), "sparse_categorical_crossentropy", device=ReferenceBackend(np.float64))
    w, b = (weight.astype(np.float64) for weight in model.get_weights())
    history = model.fit(x, y, batch_size=10, epochs=2, shuffle=False, verbose=0).history["loss"]

    memories: tuple[dict, dict] = ({}, {})
    losses = []
    for _ in range(2):
        total = 0.0
        for first in (0, 10, 20):
            xs, t = x[first : first + 10].astype(np.float64), np.eye(3)[y[first : first + 10]]
            p = softmax(xs @ w + b)
            total -= (t * np.log(p)).sum()
            d = (p - t) / len(xs)
            w, b = update(w, xs.T @ d, memories[0]), update(b, d.sum(0), memories[1])
        losses.append(total / len(x))
    np.testing.assert_allclose(history, losses, rtol=1e-9)
    for got, expected in zip(model.get_weights(), (w, b), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert model.optimizer.iterations == 6


def test_learning_rate_can_be_changed_between_steps(data: tuple) -> None:
    x, y = data
    model = classifier()
    model.compile(optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(x, y)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.optimizer.learning_rate = 0.5
    model.train_on_batch(x, y)
    assert not np.array_equal(model.get_weights()[0], before[0])


def test_schedule(data: tuple) -> None:
    x, y = data
    model = classifier()
    model.compile(optimizers.SGD(lambda step: 0.5 if step == 0 else 0.0), "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)
    after = model.get_weights()
    model.train_on_batch(x, y)
    np.testing.assert_array_equal(model.get_weights()[0], after[0])
    assert model.optimizer.learning_rate == 0.0
    with pytest.raises(TypeError, match="follows a learning-rate schedule"):
        model.optimizer.learning_rate = 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Adam(clipnorm=1.0), "does not offer clipnorm yet"),
        (lambda: optimizers.SGD(weight_decay=0.1), "does not offer weight_decay"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=4), "gradient_accumulation_steps"),
        (lambda: optimizers.SGD(momentun=0.9), "did you mean 'momentum'"),
        (lambda: optimizers.SGD(-1.0), "learning_rate"),
        (lambda: optimizers.SGD(float("nan")), "learning_rate"),
        (lambda: optimizers.SGD("fast"), "learning_rate"),
        (lambda: optimizers.SGD(momentum=2), "momentum must lie"),
        (lambda: optimizers.Adam(beta_1=1.0), "beta_1 must lie"),
        (lambda: optimizers.Adam(epsilon=-1), "epsilon"),
        (lambda: optimizers.get("adamm"), "did you mean 'adam'"),
        (lambda: optimizers.get("rmsprop"), "unknown optimizer 'rmsprop'"),
    ],
)  # fmt: skip
def test_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_switched_off_arguments_are_taken() -> None:
    optimizers.Adam(clipnorm=None, amsgrad=False)


@pytest.mark.parametrize("optimizer", [optimizers.SGD(0.3, momentum=0.5, nesterov=True), optimizers.Adam(epsilon=1e-8)])
def test_configuration_makes_the_optimizer_again(optimizer: Any) -> None:
    optimizer.learning_rate = 0.125
    again = optimizers.get(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert again.learning_rate == 0.125


def test_names() -> None:
    assert isinstance(optimizers.get("sgd"), optimizers.SGD)
    assert isinstance(optimizers.get("Adam"), optimizers.Adam)
    assert isinstance(optimizers.get(optimizers.Adam), optimizers.Adam)
    with pytest.raises(TypeError, match="an optimizer must be"):
        optimizers.get(3)

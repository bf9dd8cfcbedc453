"""Regularizers and constraints of weights: what a step of training makes of them, and what the loss says."""

from typing import Any

import numpy as np
import pytest

from fastcnn import constraints, layers, models, optimizers, regularizers
from fastcnn.layers import LayerError

RATE = 0.1
FAST = ["reference", "cpu"]


def trained(device: str, steps: int = 1, **options: Any) -> tuple[Any, list[np.ndarray], float]:
    """A dense layer of 5 to 3 after some steps towards labels that are its outputs: only penalties move it. The first loss."""
    model = models.Sequential([layers.Dense(3, input_shape=(5,), **options)])
    model.compile(optimizers.SGD(RATE), "mse", device=device)
    before = model.get_weights()
    x = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)
    losses = []
    for _ in range(steps):
        losses.append(model.train_on_batch(x, model.predict_on_batch(x)))
    return model, before, losses[0]


@pytest.mark.parametrize("device", FAST)
@pytest.mark.parametrize(
    ("regularizer", "l1", "l2"),
    [("l1", 0.01, 0), ("l2", 0, 0.01), (regularizers.L1L2(0.02, 0.3), 0.02, 0.3), (regularizers.L2(0.5), 0, 0.5)],
)
def test_a_penalty_is_part_of_the_loss_and_of_the_gradient(device: str, regularizer: Any, l1: float, l2: float) -> None:
    model, (kernel, bias), loss = trained(device, kernel_regularizer=regularizer)
    assert loss == pytest.approx(l1 * np.abs(kernel).sum() + l2 * np.square(kernel).sum(), rel=1e-5, abs=1e-10)
    after = kernel - RATE * (l1 * np.sign(kernel) + 2 * l2 * kernel)
    np.testing.assert_allclose(model.get_weights()[0], after, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], bias, atol=1e-6)


def test_evaluation_tells_the_penalty_too() -> None:
    model, _, _ = trained("cpu", kernel_regularizer="l2", bias_regularizer="l1")
    x = np.ones((70, 5), np.float32)
    kernel, bias = model.get_weights()
    expected = 0.01 * np.square(kernel).sum() + 0.01 * np.abs(bias).sum()
    assert model.evaluate(x, model.predict(x, verbose=0), verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_frozen_weight_pays_nothing() -> None:
    model = models.Sequential([layers.Dense(3, input_shape=(5,), kernel_regularizer="l2"), layers.Dense(2)])
    model.layers[0].trainable = False
    model.compile("sgd", "mse", device="cpu")
    x = np.ones((4, 5), np.float32)
    assert model.train_on_batch(x, model.predict_on_batch(x)) == pytest.approx(0, abs=1e-9)


def test_clipping_sees_the_penalty() -> None:
    model = models.Sequential([layers.Dense(3, input_shape=(5,), use_bias=False, kernel_regularizer=regularizers.L2(100.0))])
    model.compile(optimizers.SGD(1.0, clipnorm=1e-3), "mse", device="cpu")
    before, x = model.get_weights()[0], np.ones((4, 5), np.float32)
    model.train_on_batch(x, model.predict_on_batch(x))
    assert np.linalg.norm(model.get_weights()[0] - before) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("device", FAST)
def test_weights_are_brought_back(device: str) -> None:
    def norms(constraint: Any) -> np.ndarray:
        model, _, _ = trained(device, kernel_initializer=layers_of(4.0), kernel_constraint=constraint)
        return np.linalg.norm(model.get_weights()[0], axis=0)

    np.testing.assert_allclose(norms(constraints.MaxNorm(1.5)), 1.5, rtol=1e-5)
    np.testing.assert_allclose(norms("unit_norm"), 1, rtol=1e-5)
    first = np.linalg.norm(layers_of(4.0)((5, 3)), axis=0)
    half = constraints.MinMaxNorm(0.5, 1.0, rate=0.5)
    np.testing.assert_allclose(norms(half), 0.5 * 1 + 0.5 * first, rtol=1e-5)
    model, _, _ = trained(device, kernel_initializer=layers_of(4.0), kernel_constraint="non_neg")
    np.testing.assert_allclose(model.get_weights()[0], np.maximum(layers_of(4.0)((5, 3)), 0), atol=1e-6)


@pytest.mark.parametrize("device", FAST)
@pytest.mark.parametrize("constraint", ["unit_norm", "non_neg"])
def test_a_loss_that_is_not_finite_leaves_constrained_weights_alone(device: str, constraint: str) -> None:
    model = models.Sequential([layers.Dense(3, input_shape=(5,), kernel_constraint=constraint)])
    model.compile("sgd", "mse", device=device)
    before = model.get_weights()
    with pytest.raises(FloatingPointError):
        model.train_on_batch(np.full((4, 5), np.nan, np.float32), np.zeros((4, 3)))
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def layers_of(scale: float) -> Any:
    """An initializer of normal numbers."""

    def normal(shape: tuple[int, ...]) -> np.ndarray:
        return scale * np.random.default_rng(1).standard_normal(shape).astype(np.float32)

    return normal


def test_a_filter_has_one_norm() -> None:
    constraint = constraints.MaxNorm(0.7, axis=[0, 1, 2])
    model = models.Sequential([layers.Conv2D(4, 3, input_shape=(6, 6, 2), kernel_constraint=constraint), layers.Flatten()])
    model.compile(optimizers.SGD(0.5), "mse", device="cpu")
    x = np.random.default_rng(0).standard_normal((3, 6, 6, 2)).astype(np.float32)
    model.train_on_batch(x, np.full((3, 64), 9, np.float32))
    norms = np.sqrt(np.square(model.get_weights()[0]).sum(axis=(0, 1, 2)))
    assert norms.max() == pytest.approx(0.7, rel=1e-5)


def test_both_are_in_the_configuration() -> None:
    layer = layers.Conv2D(4, 3, kernel_regularizer=regularizers.L1L2(0.1, 0.2), bias_constraint=constraints.MaxNorm(3, [0]))
    again = layers.Conv2D.from_config(layer.get_config())
    assert (again.kernel_regularizer.l1, again.kernel_regularizer.l2) == (0.1, 0.2)
    assert (again.bias_constraint.max_value, again.bias_constraint.axis) == (3, [0])
    assert again.bias_regularizer is None


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: layers.Dense(3, kernel_regularizer="l3"), "l3"),
        (lambda: layers.Dense(3, kernel_regularizer=0.01), "must be a name, an L1, L2 or L1L2, or None, got 0.01"),
        (lambda: layers.Dense(3, kernel_constraint=2), "must be a name, a Constraint or None, got 2"),
        (lambda: regularizers.L2(-1), "l2 must be a number of at least 0, got -1"),
        (lambda: constraints.MinMaxNorm(2, 1), "min_value must not be above max_value"),
        (lambda: models.Sequential([layers.Dense(2, input_shape=(3,), kernel_constraint=constraints.MaxNorm(1, axis=1))]),
         r"axis must be 0 or the first few axes, as \[0, 1, 2\], of a weight of shape \(3, 2\), got 1"),
    ],
)  # fmt: skip
def test_bad_arguments(attempt: Any, message: str) -> None:
    with pytest.raises((LayerError, ValueError, TypeError), match=message):
        attempt()

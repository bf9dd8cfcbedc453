"""Losses beside Keras 3 on its backend torch, whose gradients are taken: values and gradients."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="the comparison with Keras needs it: pip install keras torch")

import keras

if keras.backend.backend() != "torch":
    pytest.skip("gradients are taken by torch: KERAS_BACKEND=torch", allow_module_level=True)

import torch

from fastcnn import losses, ops
from fastcnn.program.alone import computed
from fastcnn.program.gradients import Differentiator
from fastcnn.trace import current_trace

RNG = np.random.default_rng(0)
ROWS, CLASSES = 6, 4
SCORES = RNG.standard_normal((ROWS, CLASSES))
SHARES = np.exp(SCORES) / np.exp(SCORES).sum(-1, keepdims=True)
YES = 1 / (1 + np.exp(-SCORES))
ONE_HOT = np.eye(CLASSES)[RNG.integers(0, CLASSES, ROWS)]
BITS = RNG.integers(0, 2, (ROWS, CLASSES)).astype(float)
SIGNS = 2 * BITS - 1
NUMBERS = RNG.standard_normal((ROWS, CLASSES))
COUNTS = RNG.integers(0, 5, (ROWS, CLASSES)).astype(float)
DISTRIBUTIONS = RNG.dirichlet(np.ones(CLASSES), ROWS)
LOGITS = dict(from_logits=True)

LOSSES: list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = [
    ("CategoricalCrossentropy", {}, ONE_HOT, SHARES),
    ("CategoricalCrossentropy", dict(label_smoothing=0.2), ONE_HOT, SHARES),
    ("CategoricalCrossentropy", LOGITS, ONE_HOT, SCORES),
    ("CategoricalCrossentropy", dict(label_smoothing=0.2, **LOGITS), ONE_HOT, SCORES),
    ("SparseCategoricalCrossentropy", {}, ONE_HOT.argmax(-1), SHARES),
    ("SparseCategoricalCrossentropy", LOGITS, ONE_HOT.argmax(-1), SCORES),
    ("BinaryCrossentropy", {}, BITS, YES),
    ("BinaryCrossentropy", dict(label_smoothing=0.2), BITS, YES),
    ("BinaryCrossentropy", dict(label_smoothing=0.2, **LOGITS), BITS, SCORES),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT, 1.3 * SHARES),
    ("CategoricalFocalCrossentropy", dict(alpha=0.4, gamma=1.0, label_smoothing=0.1, **LOGITS), ONE_HOT, SCORES),
    ("BinaryFocalCrossentropy", {}, BITS, YES),
    ("BinaryFocalCrossentropy", dict(gamma=0.0), BITS, YES),
    ("BinaryFocalCrossentropy", dict(apply_class_balancing=True, alpha=0.3, gamma=1.5, label_smoothing=0.1), BITS, YES),
    ("BinaryFocalCrossentropy", LOGITS, BITS, SCORES),
    ("KLDivergence", {}, DISTRIBUTIONS, SHARES),
    ("KLDivergence", {}, ONE_HOT, SHARES),
    ("Hinge", {}, BITS, SCORES),
    ("Hinge", {}, SIGNS, SCORES),
    ("SquaredHinge", {}, SIGNS, SCORES),
    ("CategoricalHinge", {}, ONE_HOT, SCORES),
    ("MeanSquaredError", {}, NUMBERS, SCORES),
    ("MeanAbsoluteError", {}, NUMBERS, SCORES),
    ("MeanAbsolutePercentageError", {}, NUMBERS, SCORES),
    ("MeanSquaredLogarithmicError", {}, NUMBERS, SCORES),
    ("Huber", {}, NUMBERS, SCORES),
    ("Huber", dict(delta=0.3), NUMBERS, SCORES),
    ("LogCosh", {}, NUMBERS, SCORES),
    ("Poisson", {}, COUNTS, np.exp(SCORES)),
    ("CosineSimilarity", {}, NUMBERS, SCORES),
]
IDS = [f"{k}-{name}" for k, (name, *_) in enumerate(LOSSES)]


def theirs(loss: Any, labels: np.ndarray, predictions: np.ndarray) -> tuple[float, np.ndarray]:
    """Keras's loss and its gradient, in float32 whatever it is asked for."""
    p = torch.tensor(predictions, requires_grad=True)
    value = loss(labels, p)
    value.backward()
    return float(value.detach()), p.grad.numpy()


def ours(loss: losses.Loss, labels: np.ndarray, predictions: np.ndarray) -> tuple[float, np.ndarray]:
    def gradient(t: Any, p: Any) -> Any:
        each = loss.call(t, p)
        share = ops.affine(each, 0.0, 1.0 / len(predictions))
        return Differentiator(current_trace(), [p]).run([(each, share)])[p]

    return loss(labels, predictions), computed(gradient, [labels, predictions])


@pytest.mark.parametrize(("name", "options", "labels", "predictions"), LOSSES, ids=IDS)
def test_value_and_gradient(name: str, options: dict[str, Any], labels: np.ndarray, predictions: np.ndarray) -> None:
    labels, predictions = labels.astype(np.float32 if labels.dtype.kind == "f" else np.int32), predictions.astype(np.float32)
    value, gradient = ours(getattr(losses, name)(**options), labels, predictions)
    expected, slope = theirs(getattr(keras.losses, name)(**options), labels, predictions)
    assert value == pytest.approx(expected, rel=2e-6)
    np.testing.assert_allclose(gradient, slope, rtol=0, atol=1e-5 * np.abs(slope).max())


@pytest.mark.parametrize("name", sorted({name for name, *_ in LOSSES}))
def test_defaults(name: str) -> None:
    ours, theirs = getattr(losses, name)(), getattr(keras.losses, name)()
    expected = {"name": theirs.name, **getattr(theirs, "_fn_kwargs", {}), **theirs.get_config()}
    for argument, value in ours.get_config().items():
        assert value == expected.get(argument, getattr(theirs, argument, None)), argument


@pytest.mark.parametrize("name", ["MeanSquaredError", "CategoricalCrossentropy"])
def test_sample_weights(name: str) -> None:
    weights = RNG.uniform(0, 2, ROWS).astype(np.float32)
    expected = float(keras.ops.convert_to_numpy(getattr(keras.losses, name)()(ONE_HOT, SHARES, weights)))
    assert getattr(losses, name)()(ONE_HOT, SHARES, weights) == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("shape", [(5, 3, 4), (2, 3, 2, 4)])
@pytest.mark.parametrize("name", ["CategoricalHinge", "CosineSimilarity", "KLDivergence", "CategoricalFocalCrossentropy"])
def test_rows_of_positions(name: str, shape: tuple[int, ...]) -> None:
    labels = np.eye(4)[RNG.integers(0, 4, shape[:-1])]
    predictions = RNG.uniform(0.1, 1, shape).astype(np.float32)
    expected = float(keras.ops.convert_to_numpy(getattr(keras.losses, name)()(labels, predictions.astype(np.float64))))
    assert getattr(losses, name)()(labels, predictions) == pytest.approx(expected, rel=1e-6)

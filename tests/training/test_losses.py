"""Losses: their values against NumPy, what labels they take, and what they say about others."""

from typing import Any

import numpy as np
import pytest

from fastcnn import losses, ops, optimizers

from .conftest import classifier, softmax

ONE_HOT = np.eye(3)[[0, 2, 1, 2]]
LOGITS = np.array([[0.5, -1, 2], [3, 0, -2], [0.1, 0.2, 0.3], [-4, 1, 0]], np.float32)
SIGMOID = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
BITS = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 1.0]])


def value(loss: object, predictions: np.ndarray, labels: np.ndarray) -> float:
    """The loss of given predictions: an identity layer makes them."""
    model = classifier(predictions.shape[1], predictions.shape[1], activation=None)
    model.set_weights([np.eye(predictions.shape[1]), np.zeros(predictions.shape[1])])
    model.compile("sgd", loss)
    return model.evaluate(predictions, labels, verbose=0)


def cross(t: np.ndarray, p: np.ndarray) -> float:
    return float(-(t * np.log(p)).sum(-1).mean())


def binary(t: np.ndarray, p: np.ndarray) -> float:
    return float(-(t * np.log(p) + (1 - t) * np.log(1 - p)).mean())


P = softmax(LOGITS.astype(np.float64)).astype(np.float32)


@pytest.mark.parametrize(
    ("loss", "predictions", "labels", "expected"),
    [
        ("categorical_crossentropy", P, ONE_HOT, cross(ONE_HOT, P)),
        ("sparse_categorical_crossentropy", P, ONE_HOT.argmax(1), cross(ONE_HOT, P)),
        ("sparse_categorical_crossentropy", P, ONE_HOT.argmax(1)[:, None], cross(ONE_HOT, P)),
        ("sparse_categorical_crossentropy", P, ONE_HOT.argmax(1).astype(np.float64), cross(ONE_HOT, P)),
        (losses.CategoricalCrossentropy(from_logits=True), LOGITS, ONE_HOT, cross(ONE_HOT, P)),
        (losses.SparseCategoricalCrossentropy(from_logits=True), LOGITS, ONE_HOT.argmax(1), cross(ONE_HOT, P)),
        (losses.CategoricalCrossentropy(label_smoothing=0.3), P, ONE_HOT, cross(ONE_HOT * 0.7 + 0.1, P)),
        ("binary_crossentropy", SIGMOID.astype(np.float32), BITS, binary(BITS, SIGMOID)),
        (losses.BinaryCrossentropy(from_logits=True), LOGITS, BITS, binary(BITS, SIGMOID)),
        (losses.BinaryCrossentropy(label_smoothing=0.2), SIGMOID.astype(np.float32), BITS, binary(BITS * 0.8 + 0.1, SIGMOID)),
        ("mse", LOGITS, BITS, np.square(LOGITS - BITS).mean()),
        ("mae", LOGITS, BITS, np.abs(LOGITS - BITS).mean()),
        (lambda t, p: ops.square(p - t) * 2.0, LOGITS, BITS, 2 * np.square(LOGITS - BITS).mean()),
    ],
)  # fmt: skip
def test_value(loss: object, predictions: np.ndarray, labels: np.ndarray, expected: float) -> None:
    assert value(loss, predictions, labels) == pytest.approx(expected, rel=1e-5)


POSITIVE, COUNTS = np.exp(LOGITS), np.array([[0, 2, 5], [1, 0, 3], [4, 4, 0], [0, 1, 2.0]])
TRIED = {
    "categorical_crossentropy": (P, ONE_HOT),
    "categorical_focal_crossentropy": (P, ONE_HOT),
    "sparse_categorical_crossentropy": (P, ONE_HOT.argmax(1)),
    "binary_crossentropy": (SIGMOID, BITS),
    "binary_focal_crossentropy": (SIGMOID, BITS),
    "kl_divergence": (P, 0.7 * ONE_HOT + 0.1),
    "hinge": (LOGITS, BITS),
    "squared_hinge": (LOGITS, 2 * BITS - 1),
    "categorical_hinge": (LOGITS, ONE_HOT),
    "mean_squared_error": (LOGITS, BITS),
    "mean_absolute_error": (LOGITS, BITS),
    "mean_absolute_percentage_error": (LOGITS, COUNTS + 0.5),
    "mean_squared_logarithmic_error": (POSITIVE, COUNTS),
    "huber": (LOGITS, COUNTS),
    "log_cosh": (LOGITS, COUNTS),
    "poisson": (POSITIVE, COUNTS),
    "cosine_similarity": (LOGITS, COUNTS),
}


def test_every_loss_is_tried() -> None:
    classes = {found for found in vars(losses).values() if isinstance(found, type) and issubclass(found, losses.Loss)}
    assert {type(losses.get(name)) for name in TRIED} == classes - {losses.Loss, losses.FunctionLoss}


@pytest.mark.parametrize("name", TRIED)
def test_a_weighted_step_on_the_cpu_is_the_reference_s(name: str) -> None:
    predictions, labels = (np.asarray(a, np.float32) for a in TRIED[name])
    weights, found = np.array([1, 0.5, 0, 2], np.float32), []
    for device in ("cpu", "reference"):
        model = classifier(3, 3, activation=None)
        model.set_weights([np.eye(3), np.zeros(3)])
        model.compile(optimizers.SGD(1.0), name, device=device)
        value = model.train_on_batch(predictions, labels, sample_weight=weights)
        assert value == pytest.approx(losses.get(name)(labels, predictions, weights), rel=1e-5)
        found.append(model.get_weights())
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("loss", [losses.CategoricalCrossentropy, losses.BinaryCrossentropy])
def test_smoothed_labels_keep_loss_and_last_activation_one_step(loss: type[losses.Loss]) -> None:
    activation = "softmax" if loss is losses.CategoricalCrossentropy else "sigmoid"
    steps = []
    for smoothing in (0.0, 0.1):
        model = classifier(activation=activation)
        model.compile("sgd", loss(label_smoothing=smoothing), device="cpu")
        steps.append([step.op for step in model.program().steps])
    assert f"{activation}_crossentropy_forward" in steps[0]
    assert sorted(steps[1]) == sorted([*steps[0], "affine"])


def test_own_loss_class() -> None:
    class Cubic(losses.Loss):
        def call(self, y_true, y_pred):  # type: ignore[no-untyped-def]
            difference = y_pred - y_true
            return ops.mean(difference * difference * ops.abs(difference))

    assert value(Cubic(), LOGITS, BITS) == pytest.approx(float((np.abs(LOGITS - BITS) ** 3).mean()), rel=1e-5)
    assert Cubic().name == "cubic"


def test_loss_that_leaves_the_program_is_refused() -> None:
    with pytest.raises(TypeError, match=r"fastcnn\.ops"):
        value(lambda t, p: 3.0, LOGITS, BITS)


INTEGERS, MANY = np.array([0, 1, 2, 1]), (None, 3)


@pytest.mark.parametrize(
    ("name", "shape", "labels", "message"),
    [
        ("sparse_categorical_crossentropy", MANY, ONE_HOT, r"\(4, 3\).*one-hot.*categorical_crossentropy"),
        ("categorical_crossentropy", MANY, INTEGERS, r"class numbers of shape \(4,\).*sparse_categorical_crossentropy"),
        ("categorical_crossentropy", MANY, INTEGERS[:, None], "sparse_categorical_crossentropy"),
        ("categorical_crossentropy", MANY, np.eye(4)[INTEGERS], r"\('n', 3\), as the output has, got \(4, 4\)"),
        ("categorical_crossentropy", MANY, ONE_HOT * 2, "between 0 and 1, got 0.0 .. 2.0"),
        ("categorical_crossentropy", (None, 1), INTEGERS, "binary_crossentropy"),
        ("sparse_categorical_crossentropy", MANY, np.array([0, 3, 1, 5]), r"0 \.\. 2.*got 3 \(2 of 4"),
        ("sparse_categorical_crossentropy", MANY, np.array([0, -1]), "got -1"),
        ("sparse_categorical_crossentropy", MANY, np.array([0.5, 1]), "not whole"),
        ("sparse_categorical_crossentropy", MANY, np.array([np.nan, 1]), "1 of 2 labels are NaN"),
        ("sparse_categorical_crossentropy", (None, 5, 3), INTEGERS, r"shape \('n', 5\)"),
        ("binary_crossentropy", (None, 1), np.array([-1, 1]), r"got -1 \.\. 1"),
        ("binary_crossentropy", (None, 1), np.array([0, np.inf]), "infinite"),
        ("mse", (None, 2), np.zeros((4, 3)), r"got \(4, 3\)"),
        ("mae", (None, 1), np.array([1, np.nan]), "NaN"),
        ("huber", (None, 2, 2), np.zeros((4, 2, 3)), r"\('n', 2, 2\), as the output has, got \(4, 2, 3\)"),
        ("hinge", (None, 1), np.array([0, 1, 2]), r"-1 and 1, or 0 and 1, got \[0.0, 1.0, 2.0\]"),
        ("squared_hinge", (None, 1), np.array([-1, 0, 1]), "-1 and 1, or 0 and 1"),
        ("hinge", MANY, INTEGERS, r"\('n', 3\), as the output has, got \(4,\)"),
        ("categorical_hinge", MANY, INTEGERS, "class numbers of shape"),
        ("categorical_focal_crossentropy", MANY, INTEGERS, "sparse_categorical_crossentropy"),
        ("binary_focal_crossentropy", (None, 1), np.array([0, 7]), r"between 0 and 1, got 0 \.\. 7"),
        ("kl_divergence", MANY, ONE_HOT - 0.5, r"between 0 and 1, got -0.5 \.\. 0.5"),
        ("poisson", (None, 1), np.array([0, np.inf]), "1 of 2 labels are NaN or infinite"),
    ],
)
def test_wrong_labels(name: str, shape: tuple, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses.get(name).target(shape, labels)


@pytest.mark.parametrize(
    ("name", "shape", "labels", "target"),
    [
        ("sparse_categorical_crossentropy", MANY, INTEGERS, ((), "int32")),
        ("sparse_categorical_crossentropy", MANY, INTEGERS[:, None], ((), "int32")),
        ("sparse_categorical_crossentropy", (None, 5, 3), np.zeros((2, 5), int), ((5,), "int32")),
        ("categorical_crossentropy", MANY, ONE_HOT, ((3,), "float32")),
        ("binary_crossentropy", (None, 1), np.zeros(4), ((1,), "float32")),
        ("mse", (None, 1), np.zeros(4), ((1,), "float32")),
        ("mse", (None, 2, 2), np.zeros((4, 2, 2, 1)), ((2, 2), "float32")),
        (lambda t, p: p, MANY, INTEGERS, ((), "int32")),
        (lambda t, p: p, MANY, np.zeros((4, 7)), ((7,), "float32")),
    ],
)
def test_target(name: str, shape: tuple, labels: np.ndarray, target: tuple) -> None:
    assert losses.get(name).target(shape, labels) == target


@pytest.mark.parametrize(
    ("labels", "weights", "message"),
    [
        (BITS[:3], None, r"the 4 predictions, got labels of shape \(3, 3\)"),
        (BITS, np.ones(3), r"weights of shape \(3,\)"),
        (BITS, np.ones((4, 1)), r"weights of shape \(4, 1\)"),
        (BITS[:, :2], None, r"\('n', 3\), as the output has, got \(4, 2\)"),
    ],
)
def test_arrays_that_do_not_belong_together(labels: np.ndarray, weights: np.ndarray | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses.MeanSquaredError()(labels, LOGITS, weights)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: losses.Huber(delta=0), "delta must be a number above 0, got 0"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), "gamma must be a number of at least 0, got -1"),
        (lambda: losses.CategoricalFocalCrossentropy(alpha=np.nan), "alpha must be a number of at least 0, got nan"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=-0.1), "label_smoothing must lie between 0 and 1"),
        (lambda: losses.Hinge(reduction="none"), "reduction must be"),
    ],
)
def test_wrong_arguments(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize(("short", "name"), [("mse", "mean_squared_error"), ("MSE", "mean_squared_error"),
                                             ("KLD", "kl_divergence"), ("LogCosh", "log_cosh")])  # fmt: skip
def test_short_names(short: str, name: str) -> None:
    assert losses.get(short).name == name


def test_names() -> None:
    with pytest.raises(ValueError, match="did you mean 'categorical_crossentropy'"):
        losses.get("categorical_crossentrophy")
    with pytest.raises(ValueError, match="sum_over_batch_size"):
        losses.MeanSquaredError(reduction="sum")
    with pytest.raises(ValueError, match="axis must be -1"):
        losses.CategoricalCrossentropy(axis=1)
    with pytest.raises(ValueError, match="label_smoothing"):
        losses.CategoricalCrossentropy(label_smoothing=1.5)
    with pytest.raises(TypeError, match="a loss must be"):
        losses.get(3)


@pytest.mark.parametrize(
    "name",
    [
        *TRIED,
        losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
        losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.4, gamma=1.5),
        losses.Huber(delta=0.3, name="mine"),
    ],
)
def test_configuration_makes_the_loss_again(name: object) -> None:
    first = losses.get(name)
    second = losses.get(losses.serialize(first))
    assert type(second) is type(first)
    assert second.get_config() == first.get_config()

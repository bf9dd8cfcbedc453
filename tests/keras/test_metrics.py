"""Metrics beside Keras 3: over two batches, with and without weights."""

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="the comparison with Keras needs it: pip install keras torch")

import keras

from fastcnn import layers, metrics, models

RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet(np.ones(6), 40).astype(np.float32)
ONE_HOT = np.eye(6, dtype=np.float32)[RNG.integers(0, 6, 40)]
NUMBERS = ONE_HOT.argmax(-1)
YES = RNG.random((40, 3)).astype(np.float32)
BITS = (YES + 0.4 * RNG.standard_normal((40, 3)) > 0.5).astype(np.float32)
CASES: dict[str, tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = {
    "top 5": ("TopKCategoricalAccuracy", {}, ONE_HOT, SHARES),
    "top 2": ("TopKCategoricalAccuracy", dict(k=2), ONE_HOT, SHARES),
    "sparse top 3": ("SparseTopKCategoricalAccuracy", dict(k=3), NUMBERS, SHARES),
    "precision": ("Precision", {}, BITS, YES),
    "precision of a class": ("Precision", dict(class_id=1, thresholds=0.3), BITS, YES),
    "recall": ("Recall", {}, BITS, YES),
    "recall above a threshold": ("Recall", dict(thresholds=0.8), BITS, YES),
    "f1, macro": ("F1Score", dict(average="macro"), ONE_HOT, SHARES),
    "f1, micro": ("F1Score", dict(average="micro"), ONE_HOT, SHARES),
    "f1, weighted": ("F1Score", dict(average="weighted", threshold=0.3), ONE_HOT, SHARES),
    "area": ("AUC", {}, BITS, YES),
    "area of few thresholds": ("AUC", dict(num_thresholds=7), BITS, YES),
    "area of precision and recall": ("AUC", dict(curve="PR"), BITS, YES),
    "root mean squared error": ("RootMeanSquaredError", {}, BITS, YES),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "options", "labels", "predictions"), CASES.values(), ids=CASES)
def test_two_batches(name: str, options: Any, labels: Any, predictions: Any, weighted: bool) -> None:
    ours, other = getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)
    weights = RNG.random(40).astype(np.float32) if weighted else None
    for rows in (slice(0, 25), slice(25, 40)):
        shares = None if weights is None else weights[rows]
        ours.update_state(labels[rows], predictions[rows], shares)
        other.update_state(labels[rows], predictions[rows], shares)
    assert ours.result() == pytest.approx(float(keras.ops.convert_to_numpy(other.result())), rel=1e-5)
    assert ours.name == re.sub(r"_\d+$", "", other.name)


def test_plain_and_weighted_metrics_of_a_model() -> None:
    told, weights = [], RNG.standard_normal((6, 6)).astype(np.float32)
    for module, sequential, precision in (
        (keras.layers, keras.Sequential, keras.metrics.Precision),
        (layers, models.Sequential, metrics.Precision),
    ):
        model = sequential([module.Input((6,)), module.Dense(6, activation="softmax", use_bias=False)])
        model.set_weights([weights])
        weighted = ["mae", precision(name="precision"), "accuracy"]
        model.compile("sgd", "categorical_crossentropy", metrics=["accuracy", "mse"], weighted_metrics=weighted)
        shares = np.linspace(0, 2, 40, dtype=np.float32)
        told.append(model.evaluate(SHARES, ONE_HOT, 16, sample_weight=shares, verbose=0, return_dict=True))
    assert told[1] == pytest.approx({name: float(value) for name, value in told[0].items()}, rel=1e-5)


def test_class_numbers_are_one_hot_labels() -> None:
    for name in ("Precision", "F1Score", "ConfusionMatrix", "TopKCategoricalAccuracy"):
        results = []
        for labels in (ONE_HOT, NUMBERS, NUMBERS[:, None]):
            metric = getattr(metrics, name)()
            metric.update_state(labels, SHARES)
            results.append(metric.result())
        assert len(set(results)) == 1

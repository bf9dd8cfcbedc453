"""Metrics that are counted on the host: their numbers, by hand, and their way through training, files and errors."""

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from fastcnn import layers, metrics, models

CLASSES = np.array([0, 2, 1, 1, 2])
SHARES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1], [0.2, 0.6, 0.2], [0.4, 0.35, 0.25]], np.float32
)  # taken for 0, 2, 0, 1, 0


def result(metric: Any, labels: Any = CLASSES, predictions: Any = SHARES, weights: Any = None) -> float:
    metric.update_state(labels, predictions, weights)
    return metric.result()


def test_results_by_hand() -> None:
    assert result(metrics.TopKCategoricalAccuracy(k=1)) == pytest.approx(3 / 5)
    assert result(metrics.TopKCategoricalAccuracy(k=2)) == pytest.approx(4 / 5)
    assert result(metrics.Precision()) == pytest.approx(3 / 3)
    assert result(metrics.Recall()) == pytest.approx(3 / 5)
    assert result(metrics.Recall(thresholds=0.3, class_id=1)) == pytest.approx(2 / 2)
    assert result(metrics.Precision(thresholds=0.3, class_id=1)) == pytest.approx(2 / 3)
    # Of class 0 one of three found; of 1 and 2 each one of two there.
    assert result(metrics.F1Score()) == pytest.approx((2 / 4 + 2 / 3 + 2 / 3) / 3, rel=1e-6)
    assert result(metrics.F1Score("micro")) == pytest.approx(3 / 5, rel=1e-6)
    assert result(metrics.F1Score("weighted")) == pytest.approx(0.2 * 2 / 4 + 0.8 * 2 / 3, rel=1e-6)
    assert result(metrics.RootMeanSquaredError(), np.array([1.0, 5.0]), np.array([2.0, 2.0])) == pytest.approx(5**0.5)


def test_results_are_scikit_learn_s() -> None:
    rng = np.random.default_rng(1)
    labels, shares = rng.integers(0, 4, 200), rng.dirichlet(np.ones(4), 200).astype(np.float32)
    found, weights = shares.argmax(-1), rng.random(200)
    matrix = metrics.ConfusionMatrix()
    matrix.update_state(labels, shares, weights)
    np.testing.assert_allclose(matrix.matrix, sk.confusion_matrix(labels, found, sample_weight=weights))
    for average in ("micro", "macro", "weighted"):
        expected = sk.f1_score(labels, found, average=average, sample_weight=weights)
        assert result(metrics.F1Score(average), labels, shares, weights) == pytest.approx(expected, rel=1e-6)
    for k in (1, 2, 3):
        expected = sk.top_k_accuracy_score(labels, shares, k=k, sample_weight=weights)
        assert result(metrics.SparseTopKCategoricalAccuracy(k), labels, shares, weights) == pytest.approx(expected)


def test_the_area_is_scikit_learn_s_where_thresholds_tell_all_scores_apart() -> None:
    rng = np.random.default_rng(2)
    scores = (rng.integers(0, 199, (500, 1)) + 0.5) / 199  # one between every two thresholds
    bits, weights = rng.random((500, 1)) < scores, rng.random(500)
    expected = sk.roc_auc_score(bits, scores, sample_weight=weights)
    assert result(metrics.AUC(), bits, scores, weights) == pytest.approx(expected, rel=1e-12)


def test_the_area_is_how_often_a_yes_is_above_a_no() -> None:
    rng = np.random.default_rng(0)
    scores, bits = rng.random(300).astype(np.float32), rng.random(300) < 0.4
    scores[bits] = scores[bits] ** 0.5
    above = (scores[bits][:, None] > scores[~bits]).mean()
    assert result(metrics.AUC(2000), bits[:, None], scores[:, None]) == pytest.approx(above, abs=2e-3)
    assert result(metrics.AUC(), np.array([[0], [0], [1]]), np.array([[0.1], [0.2], [0.9]])) == pytest.approx(1)


def test_the_matrix_counts_pairs_batch_by_batch() -> None:
    metric = metrics.ConfusionMatrix()
    for rows in (slice(0, 3), slice(3, 5)):
        metric.update_state(CLASSES[rows], SHARES[rows])
    np.testing.assert_array_equal(metric.matrix, [[1, 0, 0], [1, 1, 0], [1, 0, 1]])
    assert metric.result() == pytest.approx(3 / 5)


def test_weights_count() -> None:
    assert result(metrics.TopKCategoricalAccuracy(k=1), weights=[1, 0, 3, 0, 0]) == pytest.approx(1 / 4)


ALL = ["top_k_categorical_accuracy", "precision", "recall", "f1_score", "auc", "confusion_matrix", "root_mean_squared_error"]


def test_in_training_evaluation_and_files(tmp_path: Any) -> None:
    model = models.Sequential([layers.Dense(3, activation="softmax", input_shape=(4,))])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy", *ALL, metrics.Precision(0.3, name="careless")])
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 4)).astype(np.float32), np.eye(3)[rng.integers(0, 3, 50)]
    history = model.fit(x, y, epochs=2, validation_split=0.2, verbose=0).history
    assert {*ALL, "careless", *(f"val_{name}" for name in ALL)} <= set(history)
    told = model.evaluate(x, y, verbose=0, return_dict=True)
    predictions = model.predict(x, verbose=0)
    for name in ALL:
        assert told[name] == pytest.approx(result(metrics.get(name), y, predictions), abs=1e-6)
    assert told["careless"] == pytest.approx(result(metrics.Precision(0.3), y, predictions))
    model.save(tmp_path / "model.safetensors")
    again = models.load_model(tmp_path / "model.safetensors")
    assert again.evaluate(x, y, verbose=0, return_dict=True) == told


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: metrics.TopKCategoricalAccuracy(0), "k must be a whole number of at least 1, got 0"),
        (lambda: metrics.Precision([0.1, 0.5]), "thresholds must be one number"),
        (lambda: metrics.F1Score(None), "average must be 'micro', 'macro' or 'weighted', got None"),
        (lambda: metrics.AUC(curve="roc"), "curve must be 'ROC' or 'PR', got 'roc'"),
        (lambda: metrics.AUC(1), "num_thresholds must be a whole number of at least 2"),
        (lambda: result(metrics.AUC(), [[1.0]], np.array([[2.0]])), "predictions must lie in 0..1, got 2 to 2"),
        (lambda: result(metrics.Recall(), np.zeros((5, 2))), r"labels \(5, 2\) fit predictions \(5, 3\) neither"),
    ],
)
def test_bad_arguments(attempt: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attempt()

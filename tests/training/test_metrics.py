"""Metrics on the device and on the host, against NumPy."""

from typing import Any

import numpy as np
import pytest

from fastcnn import layers, metrics, models, ops

from .conftest import Array, classifier


def evaluated(model: Any, x: Array, y: Array, loss: str, *wanted: Any, **options: Any) -> dict[str, float]:
    model.compile("sgd", loss, metrics=list(wanted))
    return model.evaluate(x, y, batch_size=10, verbose=0, return_dict=True, **options)


def test_accuracy_takes_the_form_of_the_labels(data: tuple) -> None:
    x, y = data
    model = classifier()
    p = model.predict(x, verbose=0)
    hits = float((p.argmax(1) == y).mean())
    sparse = evaluated(model, x, y, "sparse_categorical_crossentropy", "accuracy", "sparse_categorical_accuracy")
    one_hot = evaluated(model, x, np.eye(3)[y], "categorical_crossentropy", "acc", metrics.CategoricalAccuracy())
    assert sparse["accuracy"] == sparse["sparse_categorical_accuracy"] == pytest.approx(hits)
    assert one_hot["acc"] == one_hot["categorical_accuracy"] == pytest.approx(hits)


def test_binary_accuracy(data: tuple) -> None:
    x, y = data
    model = classifier(1, activation="sigmoid")
    p = model.predict(x, verbose=0)
    logs = evaluated(model, x, y == 1, "binary_crossentropy", "accuracy", "binary_accuracy")
    assert logs["accuracy"] == logs["binary_accuracy"] == pytest.approx(float(((p[:, 0] > 0.5) == (y == 1)).mean()))


def test_differences(data: tuple) -> None:
    x, y = data
    model = classifier(1, activation=None)
    p = model.predict(x, verbose=0)[:, 0]
    logs = evaluated(model, x, y, "mse", "mse", "mean_absolute_error", lambda t, q: np.square(t - q).mean(-1))
    assert logs["mse"] == pytest.approx(float(np.square(p - y).mean()), rel=1e-5)
    assert logs["<lambda>"] == pytest.approx(logs["mse"], rel=1e-5)
    assert logs["loss"] == pytest.approx(logs["mse"])
    assert logs["mean_absolute_error"] == pytest.approx(float(np.abs(p - y).mean()), rel=1e-5)


def test_metrics_do_not_see_sample_weights(data: tuple) -> None:
    x, y = data
    model = classifier()
    plain = evaluated(model, x, y, "sparse_categorical_crossentropy", "accuracy", "sparse_categorical_crossentropy")
    weighted = evaluated(
        model,
        x,
        y,
        "sparse_categorical_crossentropy",
        "accuracy",
        "sparse_categorical_crossentropy",
        sample_weight=np.arange(25),
    )
    assert {k: v for k, v in weighted.items() if k != "loss"} == {k: v for k, v in plain.items() if k != "loss"}
    assert weighted["loss"] != pytest.approx(plain["loss"])


def test_weighted_metrics_see_sample_weights(data: tuple, tmp_path: Any) -> None:
    x, y = data
    model = classifier()
    hits = [lambda t, q: q.argmax(-1) == t, "top_k_categorical_accuracy", "accuracy"]
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=hits)
    logs = model.evaluate(x, y, batch_size=10, sample_weight=np.arange(25), verbose=0, return_dict=True)
    right = model.predict(x, verbose=0).argmax(-1) == y
    assert logs["accuracy"] == pytest.approx(right.mean(), rel=1e-6)
    assert logs["weighted_accuracy"] == logs["<lambda>"] == pytest.approx(np.average(right, weights=np.arange(25)), rel=1e-6)
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy", "recall"])
    model.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors")
    told = [m.evaluate(x, y, sample_weight=np.arange(25), verbose=0, return_dict=True) for m in (model, again)]
    assert told[0] == told[1]
    assert told[0]["accuracy"] == pytest.approx(logs["weighted_accuracy"], rel=1e-6)


class Extremes(metrics.Metric):
    """The largest prediction seen, and how often it was fed."""

    def __init__(self, name: str = "extremes"):
        super().__init__(name)
        self.seen: list[tuple[Array, Array]] = []

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        self.seen.append((y_true.copy(), y_pred.copy()))

    def result(self) -> float:
        return max(float(p.max()) for _, p in self.seen)

    def reset_state(self) -> None:
        self.seen = []


def test_metric_on_the_host_sees_every_batch_in_order(data: tuple) -> None:
    x, y = data
    metric, model = Extremes(), classifier()
    p = model.predict(x, verbose=0)
    logs = evaluated(model, x, y, "sparse_categorical_crossentropy", metric)
    assert logs["extremes"] == pytest.approx(float(p.max()))
    assert [len(t) for t, _ in metric.seen] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate([t for t, _ in metric.seen]), y)
    np.testing.assert_allclose(np.concatenate([q for _, q in metric.seen]), p, rtol=1e-6)


def test_metric_on_the_host_while_training_sees_shuffled_rows_together(data: tuple) -> None:
    x, y = data
    metric, model = Extremes(), classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", metric])
    model.optimizer.learning_rate = 0.0
    p = model.predict(x, verbose=0)
    history = model.fit(x, y, batch_size=10, verbose=0).history
    pairs = [
        (t, tuple(np.round(q, 5))) for labels, predictions in metric.seen for t, q in zip(labels, predictions, strict=True)
    ]
    assert sorted(pairs) == sorted((t, tuple(np.round(q, 5))) for t, q in zip(y, p, strict=True))
    assert [t for t, _ in pairs] != y.tolist()
    assert list(history) == ["loss", "accuracy", "extremes"]


def test_own_metric_on_the_device(data: tuple) -> None:
    class Sureness(metrics.DeviceMetric):
        def values(self, y_true: Any, y_pred: Any) -> Any:
            return ops.square(y_pred)

    x, y = data
    model = classifier()
    expected = float(np.square(model.predict(x, verbose=0)).mean())
    assert evaluated(model, x, y, "sparse_categorical_crossentropy", Sureness())["sureness"] == pytest.approx(
        expected, rel=1e-5
    )


def test_metric_that_does_not_fit_the_labels_is_refused_before_training(data: tuple) -> None:
    x, y = data
    model = classifier()
    before = model.get_weights()
    model.compile("sgd", "categorical_crossentropy", metrics=["sparse_categorical_accuracy"])
    with pytest.raises(ValueError, match=r"sparse_categorical_accuracy.*class numbers.*metrics=\['accuracy'\]"):
        model.fit(x, np.eye(3)[y], verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_equal_names_are_numbered(data: tuple) -> None:
    x, y = data
    logs = evaluated(classifier(), x, y, "sparse_categorical_crossentropy", "accuracy", metrics.Accuracy())
    assert list(logs) == ["loss", "accuracy", "accuracy_1"]


def test_names() -> None:
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(TypeError, match="a metric must be"):
        metrics.get(3)
    with pytest.raises(ValueError, match="threshold"):
        metrics.BinaryAccuracy(threshold=0.3)
    again = metrics.get(metrics.serialize(metrics.CategoricalCrossentropy(from_logits=True, name="ce")))
    assert again.name == "ce"
    assert again.get_config()["from_logits"] is True


def test_metrics_of_positions() -> None:
    """A label for every pixel: hits are counted over all of them."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 4, 4, 1)).astype(np.float32)
    y = rng.integers(0, 3, (6, 4, 4))
    model = models.Sequential([layers.Conv2D(3, 1, activation="softmax", input_shape=(4, 4, 1))])
    p = model.predict(x, verbose=0)
    logs = evaluated(model, x, y, "sparse_categorical_crossentropy", "accuracy")
    assert logs["accuracy"] == pytest.approx(float((p.argmax(-1) == y).mean()))
    chosen = np.take_along_axis(p, y[..., None], -1)
    assert logs["loss"] == pytest.approx(float(-np.log(chosen).mean()), rel=1e-5)

"""What activations, merging layers, noise, normalisation and embeddings do beyond what the other tests of layers ask of all."""

from collections.abc import Callable

import numpy as np
import pytest

from fastcnn import layers, models
from fastcnn.layers import LayerError

FAST = ["reference", "cpu"]


def predicted(layer: layers.Layer, x: np.ndarray, device: str = "cpu") -> np.ndarray:
    model = models.Sequential([layers.Input(x.shape[1:]), layer])
    model.compile(loss="mse", device=device)
    return model.predict(x, len(x), verbose=0)


class Always(layers.Layer):
    """A layer as it is in training."""

    def __init__(self, inner: layers.Layer, **options: object):
        super().__init__(**options)
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs, training=True)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("device", FAST)
def test_spatial_dropout_drops_whole_channels(device: str) -> None:
    x = np.ones((64, 5, 4, 20), np.float32)
    y = predicted(Always(layers.SpatialDropout2D(0.25)), x, device)
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert (y == y[:, :1, :1]).all()
    assert abs((y == 0).mean() - 0.25) < 0.04


@pytest.mark.parametrize("device", FAST)
def test_gaussian_noise_has_its_standard_deviation(device: str) -> None:
    y = predicted(Always(layers.GaussianNoise(0.5)), np.full((50, 40, 10), 3, np.float32), device)
    assert abs(y.mean() - 3) < 0.02
    assert abs(y.std() - 0.5) < 0.01
    assert len(np.unique(y)) > 0.99 * y.size


@pytest.mark.parametrize("device", FAST)
def test_gaussian_dropout_scales_with_the_number(device: str) -> None:
    x = np.full((50, 40, 10), 2, np.float32)
    x[..., 5:] = 0
    y = predicted(Always(layers.GaussianDropout(0.2)), x, device)
    assert not y[..., 5:].any()
    assert abs(y[..., :5].mean() - 2) < 0.05
    assert abs(y[..., :5].std() - 2 * 0.5) < 0.03


@pytest.mark.parametrize("make", [layers.GaussianNoise, layers.GaussianDropout, layers.SpatialDropout1D])
def test_predictions_are_left_alone(make: Callable[[float], layers.Layer]) -> None:
    x = normal(3, 4, 5)
    np.testing.assert_array_equal(predicted(make(0.5), x), x)


@pytest.mark.parametrize("device", FAST)
def test_a_number_without_a_row_is_nan_and_trains_nothing(device: str) -> None:
    x = np.array([[0, 3], [-1, 2], [4, 1]], np.float32)
    model = models.Sequential([layers.Input((2,)), layers.Embedding(4, 3, embeddings_initializer="ones")])
    model.compile(optimizer="sgd", loss="mse", device=device)
    y = model.predict(x, verbose=0)
    np.testing.assert_array_equal(np.isnan(y[..., 0]), [[False, False], [True, False], [True, False]])
    with pytest.raises(FloatingPointError, match="embedding_forward"):
        model.train_on_batch(x, np.zeros((3, 2, 3), np.float32))
    np.testing.assert_array_equal(model.get_weights()[0], np.ones((4, 3)))


def test_normalization_adapts_again() -> None:
    layer = layers.Normalization()
    for data in (2 * normal(40, 3, 4) + 7, 5 * normal(30, 3, 4) - 1):
        layer.adapt(data)
        y = predicted(layer, data)
        np.testing.assert_allclose(y.mean(axis=(0, 1)), 0, atol=1e-5)
        np.testing.assert_allclose(y.std(axis=(0, 1)), 1, rtol=1e-5)


def test_normalization_adapts_to_bytes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastcnn.layers.preprocessing.PART", 100)
    data = np.random.default_rng(0).integers(0, 256, (31, 4, 3, 2), dtype=np.uint8)
    layer = layers.Normalization()
    layer.adapt(data)
    mean, variance, _ = layer.get_weights()
    np.testing.assert_allclose(mean, data.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, data.var(axis=(0, 1, 2)), rtol=1e-6)


def test_normalization_of_a_constant_is_finite() -> None:
    layer = layers.Normalization()
    layer.adapt(np.full((5, 2), 3.0))
    np.testing.assert_array_equal(predicted(layer, np.full((2, 2), 3, np.float32)), np.zeros((2, 2)))


def test_local_response_normalization_is_krizhevskys_sum() -> None:
    x, y = normal(2, 3, 7), np.zeros((2, 3, 7))
    for c in range(7):
        energy = (x[..., max(0, c - 2) : c + 3].astype(np.float64) ** 2).sum(axis=-1)
        y[..., c] = x[..., c] / (2 + 0.1 * energy) ** 0.75
    np.testing.assert_allclose(predicted(layers.LocalResponseNormalization(alpha=0.1), x), y, rtol=2e-6)


def called(layer: layers.Layer, *shapes: tuple[int, ...]) -> None:
    inputs = [layers.Input(shape) for shape in shapes]
    layer(inputs if len(inputs) > 1 else inputs[0])


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: called(layers.Subtract(), (2,), (2,), (2,)), "two tensors, got 3"),
        (lambda: called(layers.Multiply(), (2,), (3,)), "one shape"),
        (lambda: called(layers.Maximum(), (2,)), "list of tensors"),
        (lambda: called(layers.PReLU(shared_axes=[3]), (2, 2)), "shared_axes must lie in 1 ... 2, got"),
        (lambda: called(layers.GroupNormalization(4), (2, 6)), "6 channels cannot be cut into 4 groups"),
        (lambda: called(layers.LayerNormalization(axis=1), (2, 6)), "axis must be -1 or 2, got 1"),
        (lambda: called(layers.SpatialDropout2D(0.5), (2, 6)), "expects 4 axes"),
        (lambda: layers.GaussianNoise(-1), "stddev must be at least 0, got -1"),
        (lambda: layers.GaussianDropout(1), "0 <= rate < 1, got 1"),
        (lambda: layers.SpatialDropout1D(0.5, seed=3), "seed must be None, got 3"),
        (lambda: layers.ReLU(max_value=-1), "max_value must be at least 0, got -1"),
        (lambda: layers.LocalResponseNormalization(k=0), "k must be more than 0"),
        (lambda: layers.Embedding(0, 3), "input_dim must be a positive whole number, got 0"),
        (lambda: layers.Rescaling("1/255"), "scale must be a number, got '1/255'"),
        (lambda: layers.Normalization(mean=3), "both mean and variance"),
        (lambda: layers.Normalization(mean=3, variance=1).adapt(normal(2, 2)), "nothing to adapt"),
        (lambda: layers.Normalization().adapt(normal(5)), r"samples \(count, ..., channels\), got shape \(5,\)"),
    ],
)
def test_bad_input_says_what_was_expected(attempt: Callable[[], None], message: str) -> None:
    with pytest.raises((LayerError, ValueError), match=message):
        attempt()

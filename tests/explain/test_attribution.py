"""Maps of what speaks for a class, against slow twins and networks where the answer is known."""

from typing import Any

import numpy as np
import pytest
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn import explain, layers, models
from fastcnn.explain.attribution import enlarged


def linear(device: Any = "cpu") -> models.Sequential:
    """1x1 convolution, ReLU, global average, dense: its class activation maps are known in closed form (Zhou et al. 2016)."""
    model = models.Sequential(
        [
            layers.Conv2D(5, 1, activation="relu", input_shape=(4, 6, 3), name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", name="dense"),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.standard_normal(w.shape) for w in model.get_weights()])
    model.compile(device=device)
    return model


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).random((2, 4, 6, 3)).astype(np.float32)


def test_saliency_of_a_network_whose_gradient_is_known(x: np.ndarray) -> None:
    model = linear()
    kernel, bias, weights, _ = model.get_weights()
    active = x @ kernel[0, 0] + bias > 0
    for classes in (2, [0, 1]):
        columns = weights[:, np.broadcast_to(classes, 2)].T
        gradient = (active * columns[:, None, None]) @ kernel[0, 0].T / 24
        np.testing.assert_allclose(explain.saliency(model, x, classes), np.abs(gradient).max(axis=-1), rtol=1e-4, atol=1e-7)


def test_the_class_is_by_default_the_one_that_the_network_sees(digits: Any) -> None:
    model, x = digits.model, digits.x[:6]
    seen = model.predict(x, verbose=0).argmax(axis=1)
    for function in (explain.saliency, explain.smooth_grad, explain.occlusion):
        np.testing.assert_array_equal(function(model, x), function(model, x, classes=seen))
    np.testing.assert_array_equal(explain.hires_cam(model, x), explain.hires_cam(model, x, None, seen))


def test_smooth_grad_without_noise_is_saliency(digits: Any) -> None:
    x = digits.x[:3]
    plain = explain.saliency(digits.model, x)
    np.testing.assert_allclose(explain.smooth_grad(digits.model, x, noise=0, samples=3), plain, rtol=1e-5)
    first, second, other = (explain.smooth_grad(digits.model, x, samples=4, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert not np.allclose(first, plain)


def test_smooth_grad_is_the_mean_over_the_noise(digits: Any) -> None:
    x, rng = digits.x[:1], np.random.default_rng(9)
    spread = 0.2 * (x.max() - x.min())
    noisy = [x + spread * rng.standard_normal(x.shape, np.float32) for _ in range(5)]
    mean = np.mean([explain.gradients(digits.model, n, np.eye(10)[[4]]).gradient for n in noisy], axis=0)
    found = explain.smooth_grad(digits.model, x, 4, samples=5, noise=0.2, seed=9)
    np.testing.assert_allclose(found, np.abs(mean).max(axis=-1), rtol=1e-4)


def test_grad_cam_is_the_class_activation_map_where_that_exists(x: np.ndarray) -> None:
    model = linear()
    kernel, bias, weights, _ = model.get_weights()
    maps = np.maximum(x @ kernel[0, 0] + bias, 0)
    for k in range(3):
        expected = np.maximum(maps @ weights[:, k] / 24, 0)
        for function in (explain.grad_cam, explain.hires_cam):
            np.testing.assert_allclose(function(model, x, "conv", k), expected, rtol=1e-4, atol=1e-6)
            np.testing.assert_array_equal(function(model, x, classes=k), function(model, x, "conv", k))


def test_grad_cam_against_its_equations_in_float64(digits: Any) -> None:
    exact = models.Sequential.from_config(digits.model.get_config())
    exact.set_weights(digits.model.get_weights())
    exact.compile(device=ReferenceBackend(np.float64))
    path = [name for name in explain.inside.paths(exact) if name.startswith("activation")][1]
    place = explain.Place("result", path)
    found = explain.gradients(exact, digits.x[:2], np.eye(10)[[3, 8]], explain.SCORES, place)
    for n, k in enumerate((3, 8)):
        cam = np.zeros(found.at.shape[1:3])
        for channel in range(found.at.shape[-1]):
            cam += found.gradient[n, ..., channel].mean() * found.at[n, ..., channel]
        map_ = explain.grad_cam(digits.model, digits.x[n : n + 1], path, k)[0]
        np.testing.assert_allclose(map_, np.maximum(cam, 0), rtol=1e-3, atol=1e-5)


def test_the_shares_of_hires_cam_make_up_the_score(digits: Any) -> None:
    """At a layer that is flattened and read by the dense layer, score = bias + the sum over all pixels."""
    model, x = digits.model, digits.x[:4]
    path = explain.inside.image_layer(model)
    found = explain.gradients(model, x, np.eye(10)[digits.y[:4]], explain.SCORES, explain.Place("result", path))
    bias = model.layers[-1].bias.value[digits.y[:4]]
    scores = explain.scores(model, x)[np.arange(4), digits.y[:4]]
    np.testing.assert_allclose((found.gradient * found.at).sum(axis=(1, 2, 3)) + bias, scores, rtol=1e-4)


def test_enlarged_against_a_loop() -> None:
    maps = np.random.default_rng(2).random((2, 3, 4))
    for size in ((7, 9), (3, 4), (12, 5)):
        found = enlarged(maps, size)
        for row in range(size[0]):
            for column in range(size[1]):
                at = [min(max((i + 0.5) * n / m - 0.5, 0), n - 1) for i, n, m in zip((row, column), (3, 4), size, strict=True)]
                (top, left), (down, right) = (int(a) for a in at), (at[0] - int(at[0]), at[1] - int(at[1]))
                low, high = min(top + 1, 2), min(left + 1, 3)
                expected = (1 - down) * ((1 - right) * maps[:, top, left] + right * maps[:, top, high])
                expected += down * ((1 - right) * maps[:, low, left] + right * maps[:, low, high])
                np.testing.assert_allclose(found[:, row, column], expected, rtol=1e-5)


@pytest.mark.parametrize(("window", "stride", "fill"), [(2, 1, None), (3, 2, 0.0), (4, 4, 1.0)])
def test_occlusion_against_a_loop(digits: Any, window: int, stride: int, fill: float | None) -> None:
    model, picture, k = digits.model, digits.x[1], 4
    total, count = np.zeros((8, 8)), np.zeros((8, 8))
    starts = sorted({*range(0, 8 - window + 1, stride), 8 - window})
    whole = model.predict(picture[None], verbose=0)[0, k]
    for top in starts:
        for left in starts:
            covered = picture.copy()
            covered[top : top + window, left : left + window] = picture.mean() if fill is None else fill
            total[top : top + window, left : left + window] += whole - model.predict(covered[None], verbose=0)[0, k]
            count[top : top + window, left : left + window] += 1
    found = explain.occlusion(model, picture[None], k, window=window, stride=stride, fill=fill)[0]
    np.testing.assert_allclose(found, total / count, atol=1e-6)


def test_occlusion_leaves_uncovered_pixels_at_zero(digits: Any) -> None:
    found = explain.occlusion(digits.model, digits.x[:1], window=1, stride=4)[0]
    assert not found[1].any()
    assert found[0, 0] == found[0, 0]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda m, x: explain.occlusion(m, x, window=9), "window must be from 1 to 8"),
        (lambda m, x: explain.occlusion(m, x, stride=0), "stride at least 1"),
        (lambda m, x: explain.smooth_grad(m, x, samples=0), "samples must be at least 1"),
        (lambda m, x: explain.grad_cam(m, x, m.layers[-3]), "returns .* a picture"),
        (lambda m, x: explain.grad_cam(m, x, m.layers[-1]), "nothing in the model's scores depends on layer"),
        (lambda m, x: explain.saliency(m, x, [1, 2]), "one or one a picture"),
    ],
)
def test_bad_arguments(digits: Any, call: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        call(digits.model, digits.x[:1])

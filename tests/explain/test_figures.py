"""Every picture is drawn, written to a file and opened again; what is written on it is right."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcnn import explain, layers, models
from fastcnn.explain import Recipe, figures

from ..pictures import opened

COLOUR = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)


def colour_network() -> Any:
    return models.Sequential(
        [
            layers.Conv2D(6, 5, activation="relu", input_shape=(32, 32, 3), name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(4, 3, name="conv2"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def _of_digits(digits: Any) -> dict[str, Any]:
    model, x, y = digits.model, digits.x, digits.y
    predicted = model.predict(x, verbose=0)
    inner = [path for path in explain.inside.paths(model) if path.startswith("conv2d")][1]
    return {
        "six samples": figures.samples(x[:6], y[:6]),
        "predictions": figures.samples(x[:12], y[:12] ^ 1, predicted[:12], title="Digits"),
        "confusion": figures.confusion_matrix(explain.confusion_matrix(y, predicted)),
        "feature maps": figures.feature_maps(explain.feature_maps(model, x[:1])[0]),
        "filters, grey": figures.filters(explain.filters(model)),
        "filters, deep": figures.filters(explain.filters(model, inner)),
        "saliency": figures.heat_map(x[0], explain.saliency(model, x[:1])[0], "Saliency", "|gradient|"),
        "occlusion": figures.heat_map(x[0], explain.occlusion(model, x[:1])[0]),
        "dream": figures.dream(explain.activation_maximization(model, 3, recipe=Recipe(steps=9))),
        "worked": figures.worked_convolution(explain.work_convolution(model, x[0])),
        "worked, deep, in the padding, with a pool": figures.worked_convolution(
            explain.work_convolution(model, x[0], inner, (0, 7))
        ),
        "neighbours": figures.neighbours(x[0], x[1:10], np.linspace(0, 1, 9), [f"{k}.png" for k in range(9)], "nearest"),
    }


def _of_colours() -> dict[str, Any]:
    model, x = colour_network(), COLOUR
    return {
        "samples": figures.samples((255 * COLOUR[None].repeat(15, 0)).astype(np.uint8), np.arange(15)),
        "filters": figures.filters(explain.filters(model)),
        "maps of both signs": figures.feature_maps(explain.feature_maps(model, x[None])[0]),
        "Grad-CAM": figures.heat_map(x, explain.grad_cam(model, x[None])[0]),
        "deep dream": figures.dream(explain.deep_dream(model, x, recipe=Recipe(steps=3))),
        "worked": figures.worked_convolution(explain.work_convolution(model, x)),
        "curves": figures.curves({"loss": [1.0, 0.5, 0.3], "accuracy": [0.2, 0.6, 0.7], "val_loss": [1.1, 0.7, 0.6]}, "run"),
        "one curve": figures.curves([{"loss": 1.0}, {"loss": 0.4}]),
    }


def test_every_picture(digits: Any, tmp_path: Path) -> None:
    for name, figure in {**_of_digits(digits), **_of_colours()}.items():
        figures.save(figure, tmp_path / f"{name}.png")
        pixels = opened(tmp_path / f"{name}.png")
        width, height = (int(n) for n in figure.get_size_inches() * figures.DPI)
        assert abs(pixels.shape[0] - height) <= 1, name
        assert abs(pixels.shape[1] - width) <= 1, name


def _texts(figure: Any) -> list[str]:
    return [axes.get_xlabel() for axes in figure.axes]


def test_samples_say_what_is_known_and_mark_what_is_wrong() -> None:
    pictures = np.random.default_rng(0).random((3, 4, 4, 1))
    names = ["cat", "dog", "emu"]
    assert _texts(figures.samples(pictures)) == ["", "", ""]
    assert _texts(figures.samples(pictures, [0, 1, 2], class_names=names)) == names
    assert _texts(figures.samples(pictures, predicted=[2, 1, 0])) == ["2", "1", "0"]
    probabilities = [[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.0, 0.0, 1.0]]
    figure = figures.samples(pictures, [0, 1, 2], probabilities, names)
    assert _texts(figure) == ["cat  90 %", "emu  50 %\nbut is dog", "emu  100 %"]
    framed = [axes.spines["left"].get_visible() for axes in figure.axes]
    assert framed == [False, True, False]


def test_signed_maps_are_centred_at_zero() -> None:
    for values, name, limits in (
        (np.array([[-1.0, 3.0]]), "RdBu_r", (-3.0, 3.0)),
        (np.array([[-2.0, -1.0]]), "RdBu_r", (-2.0, 2.0)),
        (np.array([[1.0, 3.0]]), "viridis", (0.0, 3.0)),
        (np.array([[0.0, 0.0]]), "viridis", (0.0, 1.0)),
    ):
        image = figures.heat_map(np.zeros((1, 2, 1)), values).axes[1].images[0]
        assert (image.get_cmap().name, image.get_clim()) == (name, limits)


def test_a_map_of_zeros_says_so() -> None:
    figure = figures.heat_map(np.zeros((2, 2, 1)), np.zeros((2, 2)))
    assert "map: 0 everywhere" in [axes.get_title() for axes in figure.axes]


def test_pictures_are_shown_from_black_to_white() -> None:
    grey = np.array([[[0], [51]]], np.uint8)
    np.testing.assert_allclose(figures.visible(grey), [[0, 0.2]])
    np.testing.assert_array_equal(figures.visible(COLOUR), COLOUR)
    np.testing.assert_allclose(figures.visible(np.array([[[-1.0], [1.0], [3.0]]])), [[0, 0.5, 1]])


def test_the_winner_of_the_pool_is_framed() -> None:
    model = models.Sequential([layers.Conv2D(1, 1, input_shape=(4, 4, 1)), layers.MaxPooling2D()])
    model.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    x = np.arange(16.0).reshape(4, 4, 1)
    figure = figures.worked_convolution(explain.work_convolution(model, x, position=(2, 0)))
    window = next(axes for axes in figure.axes if axes.get_title().startswith("window of"))
    np.testing.assert_array_equal(window.images[0].get_array(), [[8, 9], [12, 13]])
    (frame,) = window.patches
    assert frame.get_xy() == pytest.approx((0.54, 0.54))
    assert [text.get_text() for text in window.texts] == ["8", "9", "12", "13"]


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda: figures.feature_maps(np.zeros((1, 4, 4, 2))), "expected the maps of one picture"),
        (lambda: figures.filters(np.zeros((3, 3, 2))), "expected a kernel"),
        (lambda: figures.heat_map(COLOUR, np.zeros((3, 3))), "expected a map of the picture's"),
        (lambda: figures.samples(np.zeros((1, 4, 4, 2))), "1 or 3 channels"),
    ],
)
def test_arrays_that_cannot_be_drawn(draw: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        draw()


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'fastcnn\[plot\]'"):
        figures.confusion_matrix(np.eye(2, dtype=int))


def test_importing_explain_imports_nothing_that_draws_or_prints() -> None:
    import subprocess

    program = "import sys, fastcnn.explain; assert not {'matplotlib', 'rich', 'PIL', 'numba'} & set(sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert result.returncode == 0, result.stderr


def test_confusion_matrix_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 5, 200), rng.integers(0, 4, 200)
    expected = np.zeros((5, 5), int)
    for row, column in zip(true, predicted, strict=True):
        expected[row, column] += 1
    np.testing.assert_array_equal(explain.confusion_matrix(true, predicted), expected)
    one_hot = np.eye(7)[true]
    found = explain.confusion_matrix(one_hot, 0.5 * np.eye(7)[predicted])
    np.testing.assert_array_equal(found[:5, :5], expected)
    assert found.shape == (7, 7)
    assert explain.confusion_matrix([0], [0], classes=3).shape == (3, 3)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (([0, 1], [0]), "as many true as predicted classes"),
        (([], []), "expected class numbers|at least one"),
        (([0.5], [1]), "expected class numbers"),
        (([3], [1], 2), "classes must be numbers from 0 to 1"),
        (([-1], [1]), "classes must be numbers from 0"),
    ],
)
def test_bad_classes(arguments: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        explain.confusion_matrix(*arguments)

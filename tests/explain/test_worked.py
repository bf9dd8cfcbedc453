"""The worked convolution says what the network computes, and the tutorial's 138."""

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fastcnn import explain, layers, models
from fastcnn.explain.inside import convolution_layer
from fastcnn.explain.worked import number

NETWORKS: dict[str, list[Any]] = {
    "valid": [lambda: layers.Conv2D(3, 3, activation="relu")],
    "same, pool": [lambda: layers.Conv2D(3, 3, padding="same", activation="relu"), lambda: layers.MaxPooling2D(2)],
    "same, even window, strides": [lambda: layers.Conv2D(3, (2, 4), strides=(2, 3), padding="same", activation="tanh")],
    "dilated, no bias": [lambda: layers.Conv2D(2, 3, dilation_rate=2, use_bias=False, padding="same")],
    "groups": [lambda: layers.Conv2D(6, 3, groups=2, activation="sigmoid")],
    "normalised, dropped out, ragged pool": [
        lambda: layers.Conv2D(4, 2, use_bias=False),
        lambda: layers.BatchNormalization(),
        lambda: layers.LeakyReLU(),
        lambda: layers.Dropout(0.5),
        lambda: layers.MaxPooling2D(3, padding="same"),
    ],
    "overlapping pool": [lambda: layers.Conv2D(2, 3), lambda: layers.MaxPooling2D(3, strides=1)],
    "pool that leaves the edge out": [lambda: layers.Conv2D(2, 2), lambda: layers.MaxPooling2D(4)],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_numbers_are_those_of_the_network(name: str) -> None:
    inside = [make() for make in NETWORKS[name]]
    inputs = layers.Input((7, 9, 4))
    tensors = [inputs]
    for layer in inside:
        tensors.append(layer(tensors[-1]))
    model = models.Model(inputs, tensors[-1])
    rng = np.random.default_rng(0)
    model.set_weights(
        [0.2 + 0.5 * rng.random(w.shape) if w.ndim == 1 else rng.standard_normal(w.shape) for w in model.get_weights()]
    )
    model.compile(device="cpu")
    x = rng.standard_normal((7, 9, 4)).astype(np.float32)
    results = [models.Model(inputs, t).predict(x[None], verbose=0)[0] for t in tensors[1:]]
    pooled = isinstance(inside[-1], layers.MaxPooling2D)
    rows, columns, filters = results[0].shape
    for row in range(rows):
        for column in range(columns):
            for k in (0, filters - 1):
                worked = explain.work_convolution(model, x, position=(row, column), filter=k)
                assert worked.total + worked.bias == pytest.approx(worked.result, rel=1e-5, abs=1e-5)
                stages = [value for _, value in worked.stages]
                expected = [float(result[row, column, k]) for result in results[: len(results) - pooled]]
                assert stages == (expected if inside[0].activation.__name__ != "linear" else expected[1:])
                _check_pool(worked, results, k)


def _check_pool(worked: Any, results: list[np.ndarray], k: int) -> None:
    if worked.pool is None:
        return
    before, after = results[-2][..., k], results[-1][..., k]
    assert worked.pool.result == after[worked.pool.position] == worked.pool.values.max() == before[worked.pool.winner]
    top, left = worked.pool.origin
    height, width = worked.pool.values.shape
    np.testing.assert_array_equal(before[top : top + height, left : left + width], worked.pool.values)
    assert top <= worked.position[0] < top + height
    assert left <= worked.position[1] < left + width


def test_every_pixel_of_a_pool_without_gaps_has_a_window() -> None:
    model = models.Sequential([layers.Conv2D(1, 2, input_shape=(6, 6, 1)), layers.MaxPooling2D(4)])
    x = np.random.default_rng(0).random((6, 6, 1))
    found = [[explain.work_convolution(model, x, position=(r, c)).pool is not None for c in range(5)] for r in range(5)]
    np.testing.assert_array_equal(found, np.pad(np.ones((4, 4), bool), ((0, 1), (0, 1))))


def tutorial() -> tuple[Any, np.ndarray]:
    """A filter that sharpens, over the patch that the tutorial prints."""
    model = models.Sequential([layers.Conv2D(1, 3, use_bias=False, input_shape=(3, 3, 1), name="sharpen")])
    model.set_weights([np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])[..., None, None]])
    return model, np.array([[134, 134, 117], [153, 144, 141], [152, 154, 150]])[..., None]


def test_the_tutorials_138() -> None:
    worked = explain.work_convolution(*tutorial())
    assert worked.total == worked.result == 138
    assert worked.lines() == ["sum of the 9 products: 138.0000", "plus bias 0.0000: 138.0000"]
    np.testing.assert_array_equal(worked.products[..., 0], [[0, -134, 0], [-153, 720, -141], [0, -154, 0]])


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    figure = explain.convolution(*tutorial())
    printed = capsys.readouterr().out
    for expected in ("sharpen: filter 0 at row 0, column 0", "│134│134│117│", "│-153│ 720│-141│", "sum 138.0000"):
        assert expected in printed
    assert figure.axes


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (-0.0001, "0.000"), (-9.9999, "-10.00"), (99.996, "100.0"), (-1234.5, "-1234"), (0, "0.000")],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_what_is_printed_of_many_channels_fits_the_terminal() -> None:
    model = models.Sequential(
        [
            layers.Conv2D(2, 3, padding="same", activation="relu", input_shape=(6, 6, 20), name="c"),
            layers.MaxPooling2D(name="p"),
        ]
    )
    x = np.random.default_rng(0).random((6, 6, 20))
    worked = explain.work_convolution(model, x, position=(0, 5))
    stream = io.StringIO()
    Console(file=stream, width=80).print(worked)
    printed = stream.getvalue()
    assert "of 20 channels, the 3 with the largest sums" in printed
    assert printed.count("patch × filter = products") == 3
    assert "the other 12 together" in printed
    assert "wins" in printed
    assert "…" not in printed
    assert all(len(line) <= 80 for line in printed.splitlines())
    shown = float(printed.split("sum of the 180 products: ")[1].split()[0])
    assert shown == pytest.approx(worked.total, abs=1e-4)


def test_the_strongest_pixel_is_chosen(digits: Any) -> None:
    worked = explain.work_convolution(digits.model, digits.x[0])
    path, conv = convolution_layer(digits.model)
    maps = explain.feature_maps(digits.model, digits.x[:1], explain.inside.following(digits.model, path)[-1])[0]
    assert worked.stages[-1][1] == maps.max() == maps[(*worked.position, worked.filter)]
    in_filter = explain.work_convolution(digits.model, digits.x[0], filter=3)
    assert in_filter.stages[-1][1] == maps[..., 3].max()
    at = explain.work_convolution(digits.model, digits.x[0], position=(2, 3))
    assert at.stages[-1][1] == maps[2, 3].max()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(position=(8, 0)), "computes rows 0 to 7 and columns 0 to 7, got \\(8, 0\\)"),
        (dict(position=(0, -1)), "computes rows 0 to 7"),
        (dict(filter=32), "has filters 0 to 31, got 32"),
    ],
)
def test_places_that_are_not_there(digits: Any, options: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        explain.work_convolution(digits.model, digits.x[0], **options)


def test_layers_and_pictures_that_will_not_do(digits: Any) -> None:
    with pytest.raises(ValueError, match="is a Dense, not a Conv2D; convolutions over pictures here: conv2d"):
        explain.work_convolution(digits.model, digits.x[0], digits.model.layers[-1])
    with pytest.raises(ValueError, match=r"expected one picture of shape \(8, 8, 1\).*got \(1, 8, 8, 1\)"):
        explain.work_convolution(digits.model, digits.x[:1])
    with pytest.raises(ValueError, match="has no convolution over pictures"):
        explain.work_convolution(models.Sequential([layers.Dense(2, input_shape=(3,))]), np.zeros(3))

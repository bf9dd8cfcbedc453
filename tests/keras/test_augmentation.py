"""Augmentation layers beside Keras 3 (any backend): the same change, where the range of its random number is one number."""

import inspect
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="the comparison with Keras needs it: pip install keras torch")

import keras

from fastcnn import layers, models

ANY = [dict(fill_mode=mode, fill_value=0.3) for mode in ("constant", "nearest", "reflect", "wrap")]
MOVED = [
    ("RandomTranslation", dict(height_factor=(0.13, 0.13), width_factor=(-0.21, -0.21))),
    ("RandomTranslation", dict(height_factor=(-0.9, -0.9), width_factor=(0.77, 0.77))),
    ("RandomRotation", dict(factor=(0.07, 0.07))),
    ("RandomRotation", dict(factor=(-0.39, -0.39))),
    ("RandomZoom", dict(height_factor=(0.4, 0.4), width_factor=(-0.3, -0.3))),
    ("RandomZoom", dict(height_factor=(0.9, 0.9))),
]
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("RandomBrightness", dict(factor=(0.3, 0.3), value_range=(0, 1))),
    ("RandomBrightness", dict(factor=(-0.4, -0.4))),
    ("RandomContrast", dict(factor=(0, 0), value_range=(0.2, 0.6))),
    ("RandomErasing", dict(factor=(1, 1), scale=(1, 1), fill_value=0.4, value_range=(0, 1))),
    ("RandomErasing", dict(factor=(0, 0))),
]


@pytest.fixture
def pictures() -> np.ndarray:
    """Smooth, so that a rounding error of a place is none of a value."""
    v, h, c = np.meshgrid(np.arange(11), np.arange(9), np.arange(3), indexing="ij")
    return np.stack([np.sin(0.5 * v + n) * np.cos(0.4 * h + c) / 2 + 0.5 for n in range(4)]).astype(np.float32)


def both(name: str, arguments: dict[str, Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x through our layer and through Keras's, as in training."""
    inputs = layers.Input(x.shape[1:])
    ours = models.Model(inputs, getattr(layers, name)(**arguments)(inputs, training=True)).predict(x, verbose=0)
    theirs = getattr(keras.layers, name)(**arguments)(x.copy(), training=True)
    return np.asarray(ours), keras.ops.convert_to_numpy(theirs)


@pytest.mark.parametrize("options", ANY, ids=lambda o: o["fill_mode"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize(("name", "arguments"), MOVED, ids=lambda a: str(a))
def test_moved_pictures_are_those_of_keras(name, arguments, interpolation, options, pictures):
    ours, theirs = both(name, {**arguments, **options, "interpolation": interpolation}, pictures)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "arguments"), OTHERS, ids=lambda a: str(a))
def test_coloured_pictures_are_those_of_keras(name, arguments, pictures):
    ours, theirs = both(name, arguments, pictures)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_contrast_is_that_of_keras(pictures):
    inputs = layers.Input(pictures.shape[1:])
    layer = layers.RandomContrast((0.5, 0.5), (0, 1))
    ours = np.asarray(models.Model(inputs, layer(inputs, training=True)).predict(pictures, verbose=0))
    # Which factor a picture got is read off the pixels that were not cut off.
    mean = pictures.mean(axis=(1, 2), keepdims=True)
    inside = (ours > 0.01) & (ours < 0.99) & (abs(pictures - mean) > 0.1)
    factors = np.array([np.median(((o - m) / (x - m))[i]) for o, x, m, i in zip(ours, pictures, mean, inside, strict=True)])
    theirs = keras.layers.RandomContrast(0.5, (0, 1)).transform_images(
        keras.ops.convert_to_tensor(pictures), {"contrast_factor": keras.ops.convert_to_tensor(factors[:, None, None, None])}
    )
    np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(theirs), rtol=1e-5, atol=1e-5)


NAMES = sorted({name for name, _ in (*MOVED, *OTHERS)} | {"RandomFlip", "RandomCrop"})


@pytest.mark.parametrize("name", NAMES)
def test_arguments_and_defaults_are_those_of_keras(name):
    ours, theirs = (inspect.signature(getattr(module, name).__init__).parameters for module in (layers, keras.layers))
    for key, parameter in theirs.items():
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and key not in ("self", "name"):
            assert ours[key].default == parameter.default, key

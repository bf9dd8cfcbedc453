"""Networks by name beside Keras's: the same weights in the same order, and the same outputs from them."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="the comparison with Keras needs it: pip install keras torch")

import keras

from fastcnn import applications
from tests.applications.conftest import quick_weights, shapes_only

__all__ = ["quick_weights", "shapes_only"]  # fixtures

SIDES = {"VGG16": 32, "VGG19": 32, "ResNet50": 64, "InceptionV3": 80, "Xception": 75}
NAMES = [pytest.param("VGG19", marks=pytest.mark.exhaustive), "VGG16", "ResNet50", "InceptionV3", "Xception"]


def varied(weights: list[Any]) -> list[np.ndarray]:
    """Values for Keras's weights: random vectors too, for means of 0 and variances of 1 would hide which is which."""
    rng = np.random.default_rng(0)
    return [rng.uniform(0.5, 1.5, w.shape).astype(np.float32) if len(w.shape) == 1 else w.numpy() for w in weights]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("quick_weights")
def test_keras_s_weights_fit_and_give_its_outputs(name: str) -> None:
    shape = (SIDES[name], SIDES[name] + 3, 3)
    theirs = getattr(keras.applications, name)(weights=None, input_shape=shape, classes=6, classifier_activation=None)
    ours = applications.get(name)(shape, 6, classifier_activation=None)
    assert [v.shape for v in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [v.trainable for v in ours.weights] == [w.trainable for w in theirs.weights]
    values = varied(theirs.weights)
    theirs.set_weights(values)
    ours.set_weights(values)
    pictures = np.random.default_rng(1).random((2, *shape), dtype=np.float32)
    expected = theirs.predict(pictures, verbose=0)
    ours.compile(device="cpu", conv_algorithm="direct")
    np.testing.assert_allclose(ours.predict(pictures, verbose=0), expected, rtol=0, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("name", ["VGG16", "ResNet50", "Xception"])
@pytest.mark.usefixtures("shapes_only")
def test_layers_have_keras_s_names(name: str) -> None:
    theirs = getattr(keras.applications, name)(weights=None, input_shape=(SIDES[name], SIDES[name], 3), include_top=False)
    ours = {layer.name for layer in applications.get(name)((SIDES[name], SIDES[name], 3), include_top=False).layers}
    named = [layer.name for layer in theirs.layers if not layer.name.startswith(("input", "conv2d", "batch", "add"))]
    assert [layer for layer in named if layer not in ours] == []

"""Spatial layers beside Keras 3 (any backend): outputs, and gradients of weights and inputs, from the same weights."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="the comparison with Keras needs it: pip install keras torch")

import keras

from fastcnn import layers, models
from tests.keras.beside import PICTURE, SAMPLES, SEQUENCE, VOLUME, agree, network, numbers

CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Conv1D", dict(filters=4, kernel_size=3, strides=2), SEQUENCE),
    ("Conv1D", dict(filters=4, kernel_size=3, padding="same", activation="tanh"), SEQUENCE),
    ("Conv1D", dict(filters=4, kernel_size=3, padding="causal", dilation_rate=2), SEQUENCE),
    ("Conv1D", dict(filters=4, kernel_size=4, padding="causal", strides=3), SEQUENCE),
    ("Conv3D", dict(filters=3, kernel_size=(2, 3, 2)), VOLUME),
    ("Conv3D", dict(filters=3, kernel_size=2, strides=2, padding="same"), VOLUME),
    ("DepthwiseConv1D", dict(kernel_size=3, depth_multiplier=2), SEQUENCE),
    ("DepthwiseConv2D", dict(kernel_size=3, activation="sigmoid"), PICTURE),
    ("DepthwiseConv2D", dict(kernel_size=3, depth_multiplier=3, strides=2, padding="same"), PICTURE),
    ("DepthwiseConv2D", dict(kernel_size=2, dilation_rate=2, use_bias=False), PICTURE),
    ("SeparableConv1D", dict(filters=4, kernel_size=3, padding="same"), SEQUENCE),
    ("SeparableConv2D", dict(filters=4, kernel_size=3, depth_multiplier=2, activation="tanh"), PICTURE),
    ("SeparableConv2D", dict(filters=4, kernel_size=(3, 2), strides=2, padding="same"), PICTURE),
    *((name, dict(options, padding=padding), shape) for padding in ("valid", "same") for name, options, shape in [
        ("Conv1DTranspose", dict(filters=4, kernel_size=3, strides=2), SEQUENCE),
        ("Conv1DTranspose", dict(filters=4, kernel_size=2, strides=3), SEQUENCE),
        ("Conv1DTranspose", dict(filters=4, kernel_size=3, dilation_rate=2), SEQUENCE),
        ("Conv2DTranspose", dict(filters=4, kernel_size=3), PICTURE),
        ("Conv2DTranspose", dict(filters=4, kernel_size=(2, 4), strides=2, activation="tanh"), PICTURE),
        ("Conv2DTranspose", dict(filters=4, kernel_size=(3, 1), strides=(3, 2), use_bias=False), PICTURE),
        ("Conv2DTranspose", dict(filters=4, kernel_size=(3, 4), strides=(2, 3), output_padding=(1, 0)), PICTURE),
        ("Conv2DTranspose", dict(filters=4, kernel_size=(5, 2), strides=(3, 3), output_padding=(2, 1)), PICTURE),
        ("Conv3DTranspose", dict(filters=3, kernel_size=(2, 3, 2), strides=(1, 2, 2)), VOLUME),
        ("MaxPooling1D", dict(pool_size=3, strides=2), SEQUENCE),
        ("MaxPooling3D", dict(pool_size=2), VOLUME),
        ("AveragePooling1D", dict(pool_size=3, strides=2), SEQUENCE),
        # Padding alike on both sides: with more on one, Keras on torch counts some of it.
        ("AveragePooling3D", dict(pool_size=(3, 3, 1), strides=(1, 2, 2)), VOLUME),
    ]),
    ("GlobalMaxPooling1D", {}, SEQUENCE),
    ("GlobalAveragePooling1D", dict(keepdims=True), SEQUENCE),
    ("GlobalMaxPooling3D", dict(keepdims=True), VOLUME),
    ("GlobalAveragePooling3D", {}, VOLUME),
    ("UpSampling1D", dict(size=3), SEQUENCE),
    ("UpSampling2D", dict(size=(2, 3)), PICTURE),
    ("UpSampling2D", dict(size=2, interpolation="bilinear"), PICTURE),
    ("UpSampling2D", dict(size=(3, 4), interpolation="bilinear"), PICTURE),
    ("UpSampling3D", dict(size=(2, 1, 3)), VOLUME),
    ("ZeroPadding1D", dict(padding=2), SEQUENCE),
    ("ZeroPadding1D", dict(padding=(0, 3)), SEQUENCE),
    ("ZeroPadding2D", dict(padding=(1, 2)), PICTURE),
    ("ZeroPadding2D", dict(padding=((1, 0), (2, 3))), PICTURE),
    ("ZeroPadding3D", {}, VOLUME),
    ("Cropping1D", dict(cropping=(2, 1)), SEQUENCE),
    ("Cropping2D", dict(cropping=1), PICTURE),
    ("Cropping2D", dict(cropping=((0, 2), (1, 0))), PICTURE),
    ("Cropping3D", dict(cropping=(1, 2, 0)), VOLUME),
    ("Permute", dict(dims=(2, 1)), SEQUENCE),
    ("Permute", dict(dims=(3, 1, 2)), PICTURE),
    ("RepeatVector", dict(n=4), (5,)),
]  # fmt: skip


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize(
    ("name", "options", "shape"), CASES, ids=["-".join([n, *(f"{k}={v}" for k, v in o.items())]) for n, o, _ in CASES]
)
def test_outputs_and_gradients(name: str, options: dict[str, Any], shape: tuple[int, ...], device: str) -> None:
    theirs = network(keras.layers, keras.Sequential, name, options, shape)
    ours = network(layers, models.Sequential, name, options, shape)
    agree(theirs, ours, numbers(100, SAMPLES, *shape), device)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_arguments_and_defaults(name: str) -> None:
    """The configurations of two layers made with nothing but what is needed say the same."""
    options, _ = next((o, s) for n, o, s in CASES if n == name)
    needed = {k: v for k, v in options.items() if k in ("filters", "kernel_size", "pool_size", "dims", "n")}
    theirs = getattr(keras.layers, name)(name="tried", **needed).get_config()
    ours = getattr(layers, name)(name="tried", **needed).get_config()
    plain = {k: v for k, v in theirs.items() if k in ours and not isinstance(v, dict)}
    for key, value in plain.items():
        np.testing.assert_array_equal(np.ravel(ours[key]), np.ravel(value), err_msg=key)
    assert {k for k, v in theirs.items() if k not in ours} <= {"dtype", "data_format", "groups"}

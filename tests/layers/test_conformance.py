"""What holds for every layer: one list of layers, their shapes and weights as Keras has them, and one test a property."""

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest

from fastcnn import initializers, layers, models

Shape = tuple[int, ...]


@dataclass
class Case:
    """`make()` called on `inputs` (without the batch axis) gives `output`; `weights` are the shapes in Keras's order.

    below  inputs are whole numbers from 0 to this, not among them; normal numbers where it is 0
    """

    make: Callable[[], layers.Layer]
    inputs: Any
    output: Shape
    weights: list[Shape] = field(default_factory=list)
    frozen_by_nature: int = 0
    below: int = 0


CASES = {
    "conv": Case(lambda: layers.Conv2D(4, 3), (7, 6, 2), (5, 4, 4), [(3, 3, 2, 4), (4,)]),
    "conv, same, strides that do not divide": Case(
        lambda: layers.Conv2D(3, (3, 2), strides=(2, 3), padding="same", activation="relu"),
        (7, 7, 2),
        (4, 3, 3),
        [(3, 2, 2, 3), (3,)],
    ),
    "conv, dilated, no bias": Case(
        lambda: layers.Conv2D(2, 3, dilation_rate=2, use_bias=False, activation="tanh"), (7, 8, 1), (3, 4, 2), [(3, 3, 1, 2)]
    ),
    "conv, groups": Case(lambda: layers.Conv2D(6, 1, groups=2), (3, 3, 4), (3, 3, 6), [(1, 1, 2, 6), (6,)]),
    "conv, made initializers": Case(
        lambda: layers.Conv2D(2, 2, kernel_initializer="he_normal", bias_initializer=initializers.Constant(0.5)),
        (3, 3, 2),
        (2, 2, 2),
        [(2, 2, 2, 2), (2,)],
    ),
    "conv 1-D": Case(lambda: layers.Conv1D(4, 3, strides=2, activation="relu"), (8, 2), (3, 4), [(3, 2, 4), (4,)]),
    "conv 1-D, causal": Case(lambda: layers.Conv1D(4, 3, padding="causal", dilation_rate=2), (8, 2), (8, 4), [(3, 2, 4), (4,)]),
    "conv 3-D": Case(
        lambda: layers.Conv3D(3, (2, 3, 1), padding="same", strides=(1, 2, 1)),
        (3, 4, 2, 2),
        (3, 2, 2, 3),
        [(2, 3, 1, 2, 3), (3,)],
    ),
    "transposed conv": Case(lambda: layers.Conv2DTranspose(4, 3, strides=2), (3, 4, 2), (7, 9, 4), [(3, 3, 4, 2), (4,)]),
    "transposed conv, same, tanh": Case(
        lambda: layers.Conv2DTranspose(3, (3, 2), strides=(2, 3), padding="same", activation="tanh"),
        (3, 4, 2),
        (6, 12, 3),
        [(3, 2, 3, 2), (3,)],
    ),
    "transposed conv, output padding, no bias": Case(
        lambda: layers.Conv2DTranspose(3, 3, strides=2, output_padding=(1, 0), use_bias=False),
        (3, 4, 2),
        (8, 9, 3),
        [(3, 3, 3, 2)],
    ),
    "transposed conv 1-D": Case(lambda: layers.Conv1DTranspose(3, 2, strides=3), (4, 2), (12, 3), [(2, 3, 2), (3,)]),
    "transposed conv 3-D": Case(
        lambda: layers.Conv3DTranspose(3, 2, strides=2, padding="same"), (2, 1, 3, 2), (4, 2, 6, 3), [(2, 2, 2, 3, 2), (3,)]
    ),
    "depthwise conv": Case(
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"), (5, 6, 3), (3, 4, 6), [(3, 3, 3, 2), (6,)]
    ),
    "depthwise conv, strides, no bias": Case(
        lambda: layers.DepthwiseConv2D((3, 2), strides=2, padding="same", use_bias=False), (5, 6, 3), (3, 3, 3), [(3, 2, 3, 1)]
    ),
    "depthwise conv 1-D": Case(lambda: layers.DepthwiseConv1D(3, dilation_rate=2), (8, 3), (4, 3), [(3, 3, 1), (3,)]),
    "separable conv": Case(
        lambda: layers.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu"),
        (5, 6, 3),
        (3, 4, 4),
        [(3, 3, 3, 2), (1, 1, 6, 4), (4,)],
    ),
    "separable conv 1-D": Case(
        lambda: layers.SeparableConv1D(4, 3, strides=2, padding="same"), (7, 3), (4, 4), [(3, 3, 1), (1, 3, 4), (4,)]
    ),
    "max pool 1-D": Case(lambda: layers.MaxPooling1D(3, strides=2, padding="same"), (8, 2), (4, 2)),
    "max pool 3-D": Case(lambda: layers.MaxPool3D(), (4, 5, 2, 2), (2, 2, 1, 2)),
    "average pool 1-D": Case(lambda: layers.AveragePooling1D(), (7, 2), (3, 2)),
    "average pool 3-D": Case(lambda: layers.AvgPool3D((1, 2, 2), padding="same"), (2, 3, 4, 2), (2, 2, 2, 2)),
    "global max pool 1-D": Case(lambda: layers.GlobalMaxPooling1D(), (7, 2), (2,)),
    "global max pool 3-D": Case(lambda: layers.GlobalMaxPool3D(keepdims=True), (2, 3, 4, 2), (1, 1, 1, 2)),
    "global average pool 1-D": Case(lambda: layers.GlobalAvgPool1D(), (7, 2), (2,)),
    "global average pool 3-D": Case(lambda: layers.GlobalAveragePooling3D(), (2, 3, 4, 2), (2,)),
    "upsampling": Case(lambda: layers.UpSampling2D(), (3, 4, 2), (6, 8, 2)),
    "upsampling, bilinear": Case(lambda: layers.UpSampling2D((2, 3), interpolation="bilinear"), (3, 4, 2), (6, 12, 2)),
    "upsampling 1-D": Case(lambda: layers.UpSampling1D(3), (4, 2), (12, 2)),
    "upsampling 3-D": Case(lambda: layers.UpSampling3D((1, 2, 3)), (2, 3, 2, 2), (2, 6, 6, 2)),
    "zero padding": Case(lambda: layers.ZeroPadding2D(((1, 0), (2, 3))), (3, 4, 2), (4, 9, 2)),
    "zero padding 1-D": Case(lambda: layers.ZeroPadding1D((0, 2)), (4, 2), (6, 2)),
    "zero padding 3-D": Case(lambda: layers.ZeroPadding3D((1, 0, 2)), (2, 3, 2, 2), (4, 3, 6, 2)),
    "cropping": Case(lambda: layers.Cropping2D((1, 0)), (4, 3, 2), (2, 3, 2)),
    "cropping 1-D": Case(lambda: layers.Cropping1D(), (4, 2), (2, 2)),
    "cropping 3-D": Case(lambda: layers.Cropping3D(((0, 1), (1, 1), (2, 0))), (3, 3, 4, 2), (2, 1, 2, 2)),
    "permute": Case(lambda: layers.Permute((3, 1, 2)), (3, 4, 2), (2, 3, 4)),
    "repeat vector": Case(lambda: layers.RepeatVector(3), (5,), (3, 5)),
    "max pool": Case(lambda: layers.MaxPooling2D(), (5, 6, 2), (2, 3, 2)),
    "max pool, same, overlapping": Case(lambda: layers.MaxPool2D((3, 2), strides=(2, 1), padding="same"), (5, 6, 2), (3, 6, 2)),
    "average pool": Case(lambda: layers.AveragePooling2D((2, 3)), (5, 6, 2), (2, 2, 2)),
    "average pool, same": Case(lambda: layers.AvgPool2D(2, padding="same"), (5, 6, 1), (3, 3, 1)),
    "global max pool": Case(lambda: layers.GlobalMaxPooling2D(), (5, 6, 3), (3,)),
    "global max pool, kept": Case(lambda: layers.GlobalMaxPooling2D(keepdims=True), (5, 6, 3), (1, 1, 3)),
    "global average pool": Case(lambda: layers.GlobalAveragePooling2D(), (5, 6, 3), (3,)),
    "global average pool, kept": Case(lambda: layers.GlobalAveragePooling2D(keepdims=True), (5, 6, 3), (1, 1, 3)),
    "dense": Case(lambda: layers.Dense(4, activation="sigmoid"), (6,), (4,), [(6, 4), (4,)]),
    "dense on pictures": Case(lambda: layers.Dense(4, use_bias=False), (2, 3, 5), (2, 3, 4), [(5, 4)]),
    "flatten": Case(lambda: layers.Flatten(), (2, 3, 4), (24,)),
    "reshape": Case(lambda: layers.Reshape((3, -1, 2)), (24,), (3, 4, 2)),
    "activation": Case(lambda: layers.Activation("tanh"), (3, 2), (3, 2)),
    "relu": Case(lambda: layers.ReLU(), (3, 2), (3, 2)),
    "relu with a slope": Case(lambda: layers.ReLU(negative_slope=0.1), (3, 2), (3, 2)),
    **{
        name: Case(lambda name=name: layers.Activation(name), (3, 2), (3, 2))
        for name in (
            "elu", "selu", "gelu", "silu", "swish", "softplus", "softsign", "hard_sigmoid", "hard_silu", "hard_swish", "relu6",
            "mish", "exponential",
        )
    },
    "relu with a limit": Case(lambda: layers.ReLU(max_value=0.5, negative_slope=0.1), (3, 2), (3, 2)),
    "relu with a threshold": Case(lambda: layers.ReLU(1.5, 0.1, 0.25), (3, 2), (3, 2)),
    "prelu": Case(lambda: layers.PReLU(), (3, 2), (3, 2), [(3, 2)]),
    "prelu, an alpha a channel": Case(lambda: layers.PReLU("he_normal", shared_axes=[1, 2]), (3, 2, 5), (3, 2, 5), [(1, 1, 5)]),
    "prelu, an alpha a row": Case(lambda: layers.PReLU(shared_axes=(2, 3)), (3, 2, 5), (3, 2, 5), [(3, 1, 1)]),
    "elu layer": Case(lambda: layers.ELU(0.5), (3, 2), (3, 2)),
    "leaky relu": Case(lambda: layers.LeakyReLU(0.2), (3, 2), (3, 2)),
    "softmax": Case(lambda: layers.Softmax(), (3, 4), (3, 4)),
    "dropout": Case(lambda: layers.Dropout(0.5), (3, 4), (3, 4)),
    "spatial dropout 1-D": Case(lambda: layers.SpatialDropout1D(0.5), (3, 4), (3, 4)),
    "spatial dropout": Case(lambda: layers.SpatialDropout2D(0.25), (3, 2, 5), (3, 2, 5)),
    "spatial dropout 3-D": Case(lambda: layers.SpatialDropout3D(0.25), (2, 3, 2, 5), (2, 3, 2, 5)),
    "gaussian dropout": Case(lambda: layers.GaussianDropout(0.5), (3, 5), (3, 5)),
    "gaussian noise": Case(lambda: layers.GaussianNoise(0.5), (3, 5), (3, 5)),
    "embedding": Case(lambda: layers.Embedding(4, 5), (3, 2), (3, 2, 5), [(4, 5)], below=4),
    "rescaling": Case(lambda: layers.Rescaling(0.5, -1), (3, 5), (3, 5)),
    "normalization": Case(lambda: layers.Normalization(mean=[1, 2], variance=4), (3, 2), (3, 2)),
    "layer normalization": Case(lambda: layers.LayerNormalization(), (3, 4, 5), (3, 4, 5), [(5,)] * 2),
    "layer normalization, no centre": Case(lambda: layers.LayerNormalization(center=False), (6,), (6,), [(6,)]),
    "group normalization": Case(lambda: layers.GroupNormalization(3), (3, 4, 6), (3, 4, 6), [(6,)] * 2),
    "group normalization, no scale": Case(lambda: layers.GroupNormalization(2, scale=False), (4, 6), (4, 6), [(6,)]),
    "instance normalization": Case(
        lambda: layers.GroupNormalization(-1, center=False, scale=False), (3, 4, 5), (3, 4, 5)
    ),
    "local response normalization": Case(lambda: layers.LocalResponseNormalization(3, 0.1), (3, 4, 5), (3, 4, 5)),
    "batch normalization": Case(lambda: layers.BatchNormalization(), (3, 4, 2), (3, 4, 2), [(2,)] * 4, 2),
    "batch normalization of vectors, no scale": Case(lambda: layers.BatchNormalization(scale=False), (5,), (5,), [(5,)] * 3, 2),
    "add": Case(lambda: layers.Add(), [(3, 2), (3, 2), (3, 2)], (3, 2)),
    "subtract": Case(lambda: layers.Subtract(), [(3, 2), (3, 2)], (3, 2)),
    "multiply": Case(lambda: layers.Multiply(), [(3, 2), (3, 2), (3, 2)], (3, 2)),
    "average": Case(lambda: layers.Average(), [(3, 2), (3, 2), (3, 2)], (3, 2)),
    "maximum": Case(lambda: layers.Maximum(), [(3, 2), (3, 2), (3, 2)], (3, 2)),
    "minimum": Case(lambda: layers.Minimum(), [(3, 2), (3, 2), (3, 2)], (3, 2)),
    "concatenate": Case(lambda: layers.Concatenate(), [(3, 2), (3, 4)], (3, 6)),
    "concatenate rows": Case(lambda: layers.Concatenate(axis=1), [(3, 2), (4, 2)], (7, 2)),
    "random flip": Case(lambda: layers.RandomFlip("horizontal"), (4, 5, 3), (4, 5, 3)),
    "random translation": Case(lambda: layers.RandomTranslation(0.2, (-0.1, 0.3), "wrap", seed=3), (4, 5, 3), (4, 5, 3)),
    "random crop": Case(lambda: layers.RandomCrop(3, 4), (6, 5, 2), (3, 4, 2)),
    "random rotation": Case(lambda: layers.RandomRotation(0.1, "constant", "nearest", fill_value=0.5), (4, 5, 3), (4, 5, 3)),
    "random zoom": Case(lambda: layers.RandomZoom((-0.2, 0.4)), (4, 5, 1), (4, 5, 1)),
    "random brightness": Case(lambda: layers.RandomBrightness(0.2, (0, 1)), (4, 5, 3), (4, 5, 3)),
    "random contrast": Case(lambda: layers.RandomContrast((0.1, 0.4), [-1, 1]), (4, 5, 3), (4, 5, 3)),
    "random erasing": Case(lambda: layers.RandomErasing(fill_value=[0.1, 0.2, 0.3]), (4, 5, 3), (4, 5, 3)),
    "sequential": Case(
        lambda: models.Sequential([layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(3)]),
        (4, 4, 1),
        (3,),
        [(3, 3, 1, 2), (2,), (2,), (2,), (2,), (2,), (8, 3), (3,)],
        2,
    ),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def called(case: Case) -> tuple[layers.Layer, Any, Any]:
    """The layer, its inputs and its output."""
    layer = case.make()
    inputs = [layers.Input(shape) for shape in case.inputs] if isinstance(case.inputs, list) else layers.Input(case.inputs)
    return layer, inputs, layer(inputs)


def batched(shape: Any) -> Any:
    return [(None, *s) for s in shape] if isinstance(shape, list) else (None, *shape)


def arrays(case: Case, count: int) -> Any:
    rng = np.random.default_rng(1)
    shapes = case.inputs if isinstance(case.inputs, list) else [case.inputs]
    drawn = partial(rng.integers, 0, case.below) if case.below else rng.normal
    made = [drawn(size=(count, *shape)).astype(np.float32) for shape in shapes]
    return made if isinstance(case.inputs, list) else made[0]


def network(case: Case) -> tuple[layers.Layer, models.Model]:
    """The layer with a trainable one behind it, so that there is always something to train."""
    layer, inputs, output = called(case)
    model = models.Model(inputs, layers.Dense(1, name="head")(layers.Flatten()(output)))
    model.compile(optimizer="sgd", loss="mse", device="reference")
    return layer, model


def test_output_shape(case: Case) -> None:
    layer, _, output = called(case)
    assert output.shape == (None, *case.output)
    assert layer.compute_output_shape(batched(case.inputs)) == (None, *case.output)


def test_output_shape_before_the_layer_is_built(case: Case) -> None:
    layer = case.make()
    assert layer.compute_output_shape(batched(case.inputs)) == (None, *case.output)
    assert layer.weights == []


def test_weights_are_as_in_keras(case: Case) -> None:
    layer, _, _ = called(case)
    assert [w.shape for w in layer.get_weights()] == case.weights
    assert layer.count_params() == sum(int(np.prod(shape)) for shape in case.weights)
    assert len(layer.non_trainable_weights) == case.frozen_by_nature
    assert len(layer.trainable_weights) == len(case.weights) - case.frozen_by_nature


def test_freezing(case: Case) -> None:
    layer, _, _ = called(case)
    layer.trainable = False
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == len(case.weights)
    assert not any(v.trainable for v in layer.weights)
    layer.trainable = True
    assert sum(v.trainable for v in layer.weights) == len(case.weights) - case.frozen_by_nature


def test_config_round_trip(case: Case) -> None:
    layer, inputs, output = called(case)
    described = layers.serialize(layer)
    again = layers.deserialize(json.loads(json.dumps(described)))
    assert type(again) is type(layer)
    assert layers.serialize(again) == described
    assert again(inputs).shape == output.shape
    again.set_weights(layer.get_weights())


def test_a_frozen_layer_stays_frozen_in_its_config(case: Case) -> None:
    layer, inputs, _ = called(case)
    layer.trainable = False
    again = layers.deserialize(layers.serialize(layer))
    again(inputs)
    assert not again.trainable
    assert not any(v.trainable for v in again.weights)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["deepcopy", "pickle"])
def test_copies(case: Case, copied: Callable[[layers.Layer], layers.Layer]) -> None:
    layer, inputs, output = called(case)
    again = copied(layer)
    assert again.get_config() == layer.get_config()
    assert again(inputs).shape == output.shape
    for mine, its in zip(layer.weights, again.weights, strict=True):
        assert mine is not its
        np.testing.assert_array_equal(mine.value, its.value)


def test_predicts_what_its_shape_says(case: Case) -> None:
    _, inputs, output = called(case)
    predicted = models.Model(inputs, output).predict(arrays(case, 3), verbose=0)
    assert predicted.shape == (3, *case.output)
    assert np.isfinite(predicted).all()


def test_trains_a_step(case: Case) -> None:
    layer, model = network(case)
    before = layer.get_weights()
    loss = model.train_on_batch(arrays(case, 4), np.arange(4.0, dtype=np.float32)[:, None])
    assert np.isfinite(loss).all()
    for variable, old in zip(layer.weights, before, strict=True):
        assert not np.array_equal(variable.value, old), variable.name


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_trains_a_step_as_on_the_reference(case: Case, device: str) -> None:
    if device == "emulated":
        pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    _, model = network(case)
    x, y = arrays(case, 4), np.arange(4.0, dtype=np.float32)[:, None]
    start, after = model.get_weights(), {}
    for where in ("reference", device):
        model.set_weights(start)
        model.compile(optimizer="sgd", loss="mse", device=where)
        loss = model.train_on_batch(x, y)
        after[where] = [np.asarray(loss), *model.get_weights(), model.predict_on_batch(x)]
    for want, got in zip(after["reference"], after[device], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_frozen_layer_does_not_train(case: Case) -> None:
    layer, model = network(case)
    layer.trainable = False
    model.compile(optimizer="sgd", loss="mse", device="reference")
    before, head = layer.get_weights(), model.get_layer("head").get_weights()
    model.train_on_batch(arrays(case, 4), np.arange(4.0, dtype=np.float32)[:, None])
    for variable, old in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(variable.value, old, err_msg=variable.name)
    assert not np.array_equal(model.get_layer("head").get_weights()[0], head[0])


def test_a_model_of_it_pickles_after_training(case: Case) -> None:
    _, model = network(case)
    x = arrays(case, 4)
    model.train_on_batch(x, np.arange(4.0, dtype=np.float32)[:, None])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_on_batch(x), model.predict_on_batch(x))

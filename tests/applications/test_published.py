"""The published networks have the published numbers of parameters, shapes and costs.

Counts of parameters are compared with those that others print, which differ in what they count:

Keras     everything, the moving statistics of batch normalization included (keras.io/api/applications)
torch     what is trained (torchvision's table of models, meta["num_params"])
Caffe     everything in the model file; its models here have no batch normalization (BVLC's bvlc_alexnet, bvlc_googlenet)
the paper, for LeNet-5
"""

import math
import re
from typing import Any

import numpy as np
import pytest

from fastcnn import applications, layers, models
from fastcnn.applications.resnet import widened
from fastcnn.models.summary import _costs, scaled

EVERYTHING = {
    "Digits": 66_474,  # of our own
    "TutorialMNIST": 93_322,  # Keras
    "TutorialCIFAR10": 3_247_422,  # the tutorial's 3.25 M
    "AlexNet": 60_965_224,  # Caffe (bvlc_alexnet), whose groups are the paper's; the paper says 60 million
    "InceptionV1": 6_998_552,  # Caffe without the auxiliary classifiers; the sums of the paper's table are rounded
    "VGG16": 138_357_544,  # Keras, torch
    "VGG19": 143_667_240,  # Keras, torch
    "ResNet50": 25_636_712,  # Keras
    "InceptionV3": 23_851_784,  # Keras
    "Xception": 22_910_480,  # Keras
}
TRAINED = {
    "VGG11": 132_863_336,  # torch
    "VGG13": 133_047_848,  # torch
    "ResNet18": 11_689_512,  # torch
    "ResNet34": 21_797_672,  # torch
    "ResNet50": 25_557_032 + 26_560,  # torch, and a bias of each convolution's filters as in Keras
    "ResNet20": 269_722,  # the paper's 0.27 M, as the usual implementation with option A counts them
    "LeNet5": 60_000 + 850,  # the paper, and ten classes of 84 weights and a bias
}


OWN = {"Digits", "TutorialMNIST", "TutorialCIFAR10", "TutorialKeras"}


def trained(model: Any) -> int:
    return sum(math.prod(v.shape) for v in model.trainable_weights)


@pytest.mark.parametrize(("name", "count"), EVERYTHING.items())
@pytest.mark.usefixtures("shapes_only")
def test_parameters_of_all_kinds(name: str, count: int) -> None:
    assert applications.get(name)().count_params() == count


@pytest.mark.parametrize(("name", "count"), TRAINED.items())
@pytest.mark.usefixtures("shapes_only")
def test_trained_parameters(name: str, count: int) -> None:
    assert trained(applications.get(name)()) == count


@pytest.mark.usefixtures("shapes_only")
def test_googlenet_with_its_auxiliary_classifiers() -> None:
    model = applications.InceptionV1(auxiliary=True)
    assert model.count_params() == 13_378_280  # Caffe
    assert model.output_shape == [(None, 1000)] * 3
    assert model.output_names == ["predictions", "auxiliary1_predictions", "auxiliary2_predictions"]
    assert model.get_layer("auxiliary1_pool").output.shape == (None, 4, 4, 512)
    assert model.get_layer("auxiliary2_pool").output.shape == (None, 4, 4, 528)


@pytest.mark.parametrize("name", [name for name in applications.MODELS if name not in OWN])
@pytest.mark.usefixtures("shapes_only")
def test_docstrings_tell_parameters_and_cost(name: str) -> None:
    model, text = applications.get(name)(), re.sub(r"\s+", " ", applications.get(name).__doc__ or "")
    if name != "LeNet5":
        assert f"{trained(model):,} parameters" in text
    statistics = sum(v.size for v in model.non_trainable_weights if "moving" in v.name)
    assert not statistics or f"and {statistics:,} moving statistics" in text
    flops = sum(flops for flops, _ in _costs(model).values())
    assert f"{scaled(flops)}FLOP a picture" in text


LENET = {"C1": 156, "S2": 12, "C3": 1_516, "S4": 32, "C5": 48_120, "F6": 10_164}
"""Trainable parameters, section II.B of the paper."""


def test_each_layer_of_lenet_has_the_published_parameters() -> None:
    model = applications.LeNet5()
    counts = dict.fromkeys(LENET, 0)
    for layer in model.layers:
        if layer.name[:2] in counts:
            counts[layer.name[:2]] += sum(v.size for v in layer.trainable_weights)
    assert counts == LENET
    shapes = [model.get_layer(name).output.shape[1:] for name in ("C1", "S2", "C3", "S4", "C5")]
    assert shapes == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (1, 1, 120)]


def test_lenet_connects_maps_as_table_1_does() -> None:
    table = """X...XXX..XXXX.XX
               XX...XXX..XXXX.X
               XXX...XXX..X.XXX
               .XXX..XXXX..X.XX
               ..XXX..XXXX.XX.X
               ...XXX..XXXX.XXX"""
    model = applications.LeNet5()
    wired = [model.get_layer(f"C3_of_{n}_wires").get_weights()[0][0, 0].T.reshape(-1, n, 6).sum(1) for n in (3, 4)]
    connected = np.concatenate([*wired, np.ones((1, 6))]).T
    np.testing.assert_array_equal(connected, [[cell == "X" for cell in row] for row in table.split()])


def test_mnist_pictures_get_a_border() -> None:
    assert applications.LeNet5((28, 28, 1)).get_layer("border").output.shape == (None, 32, 32, 1)
    assert all(layer.name != "border" for layer in applications.LeNet5((40, 32, 3)).layers)


SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "AlexNet": {
        "conv1": (55, 55, 96), "pool1": (27, 27, 96), "conv2": (27, 27, 256), "pool2": (13, 13, 256), "conv4": (13, 13, 384),
        "pool5": (6, 6, 256),
    },
    "InceptionV1": {
        "conv1": (112, 112, 64), "pool1": (56, 56, 64), "pool2": (28, 28, 192), "inception_3a": (28, 28, 256),
        "inception_3b": (28, 28, 480), "inception_4e": (14, 14, 832), "pool4": (7, 7, 832), "inception_5b": (7, 7, 1024),
    },
    "VGG16": {"block1_pool": (112, 112, 64), "block3_conv3": (56, 56, 256), "block5_pool": (7, 7, 512)},
    "ResNet34": {
        "conv1_relu": (112, 112, 64), "conv2_block3_out": (56, 56, 64), "conv3_block4_out": (28, 28, 128),
        "conv4_block6_out": (14, 14, 256), "conv5_block3_out": (7, 7, 512),
    },
    "ResNet50": {
        "conv1_relu": (112, 112, 64), "conv2_block3_out": (56, 56, 256), "conv3_block4_out": (28, 28, 512),
        "conv4_block6_out": (14, 14, 1024), "conv5_block3_out": (7, 7, 2048),
    },
    "ResNet20": {"conv2_block3_out": (32, 32, 16), "conv3_block3_out": (16, 16, 32), "conv4_block3_out": (8, 8, 64)},
    "InceptionV3": {
        "conv1_relu": (149, 149, 32), "pool1": (73, 73, 64), "pool2": (35, 35, 192), "mixed2": (35, 35, 288),
        "mixed3": (17, 17, 768), "mixed8": (8, 8, 1280), "mixed10": (8, 8, 2048),
    },
    "Xception": {"block4_add": (19, 19, 728), "block12_add": (19, 19, 728), "block13_add": (10, 10, 1024)},
}  # fmt: skip
"""Outputs of layers as the papers' tables and figures have them."""


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.usefixtures("shapes_only")
def test_features_have_the_published_shapes(name: str) -> None:
    model = applications.get(name)()
    for layer, shape in SHAPES[name].items():
        assert model.get_layer(layer).output.shape == (None, *shape)


DEPTHS = {"VGG11": 11, "VGG13": 13, "VGG16": 16, "VGG19": 19, "ResNet18": 18, "ResNet34": 34, "ResNet50": 50, "ResNet20": 20}


@pytest.mark.parametrize(("name", "depth"), DEPTHS.items())
@pytest.mark.usefixtures("shapes_only")
def test_a_network_has_the_layers_of_its_name(name: str, depth: int) -> None:
    kinds = [type(layer).__name__ for layer in applications.get(name)().layers if not layer.name.endswith("_0_conv")]
    assert kinds.count("Conv2D") + kinds.count("Dense") == depth


def test_the_shortcut_of_option_a_is_every_second_pixel_between_channels_of_zeros() -> None:
    x = layers.Input((5, 4, 3))
    pictures = np.random.default_rng(0).random((2, 5, 4, 3), dtype=np.float32)
    y = models.Model(x, widened(x, 8, 2, "shortcut")).predict(pictures, verbose=0)
    np.testing.assert_array_equal(y[..., 2:5], pictures[:, ::2, ::2])
    assert not y[..., :2].any()
    assert not y[..., 5:].any()
    assert y.shape == (2, 3, 2, 8)

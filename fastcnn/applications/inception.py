"""Inception: modules of parallel convolutions with windows of several sizes, joined channel by channel.

InceptionV1  GoogLeNet. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015 (arXiv:1409.4842), table 1
InceptionV3  Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016 (arXiv:1512.00567), table 1,
             with the details that the paper leaves open as in Keras and in the authors' own code
"""

from collections.abc import Iterable, Sequence
from typing import Any

from fastcnn import layers, models
from fastcnn.applications.building import Network, average
from fastcnn.graph import KerasTensor

Size = int | tuple[int, int]
Chain = Sequence[tuple[int, Size]]
"""Convolutions one behind another, each (filters, window)."""

CAFFE: dict[str, Any] = dict(size=5, alpha=1e-4 / 5, beta=0.75, k=1.0)
"""The local response normalization of InceptionV1, whose numbers the paper leaves open, as in Caffe's bvlc_googlenet."""

MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""InceptionV1's filters: 1x1; 1x1 before 3x3; 3x3; 1x1 before 5x5; 5x5; 1x1 behind the pool."""


def InceptionV1(  # noqa: N802
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, auxiliary: bool = False, **options: Any
) -> models.Model:
    """GoogLeNet: 6,998,552 parameters, 13,378,280 with its auxiliary classifiers, 3.43 GFLOP a picture.

    auxiliary  True gives two more outputs, classes from the modules 4a and 4d; the authors train with
               loss_weights=[1, 0.3, 0.3] and the labels three times, and use the first output only

    Pictures from 32x32, with auxiliary classifiers from 65x65. `options`: see `building.Options`.
    """
    network = Network("InceptionV1", input_shape, classes, 65 if auxiliary else 32, options)
    if auxiliary and not network.options.include_top:
        raise ValueError("InceptionV1: auxiliary classifiers are part of the top: auxiliary=True needs include_top=True")
    x = _stem(network.input)
    further: list[KerasTensor] = []
    for name, filters in MODULES.items():
        if name in ("4a", "5a"):
            x = layers.MaxPooling2D(3, 2, "same", name=f"pool{int(name[0]) - 1}")(x)
        x = _module(x, f"inception_{name}", *filters)
        if auxiliary and name in ("4a", "4d"):
            further.append(_auxiliary(network, x, f"auxiliary{len(further) + 1}"))
    return network.model(x, _dropped, *further)


def _stem(x: KerasTensor) -> KerasTensor:
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = layers.Conv2D(64, 7, 2, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, 2, "same", name="pool1")(x)
    x = layers.LocalResponseNormalization(**CAFFE, name="norm1")(x)
    x = activated(x, 64, 1, "conv2_reduce")
    x = activated(x, 192, 3, "conv2")
    x = layers.LocalResponseNormalization(**CAFFE, name="norm2")(x)
    return layers.MaxPooling2D(3, 2, "same", name="pool2")(x)


def _module(
    x: KerasTensor, name: str, one: int, before_three: int, three: int, before_five: int, five: int, pooled: int
) -> KerasTensor:
    pool = layers.MaxPooling2D(3, 1, "same", name=f"{name}_pool")(x)
    branches = [
        activated(x, one, 1, f"{name}_1x1"),
        activated(activated(x, before_three, 1, f"{name}_3x3_reduce"), three, 3, f"{name}_3x3"),
        activated(activated(x, before_five, 1, f"{name}_5x5_reduce"), five, 5, f"{name}_5x5"),
        activated(pool, pooled, 1, f"{name}_pool_proj"),
    ]
    return layers.Concatenate(name=name)(branches)


def activated(x: KerasTensor, filters: int, size: int, name: str) -> KerasTensor:
    """relu(conv(x)), the shape of the picture kept: (None, height, width, C) -> (None, height, width, filters)."""
    return layers.Conv2D(filters, size, padding="same", activation="relu", name=name)(x)


def _auxiliary(network: Network, x: KerasTensor, name: str) -> KerasTensor:
    """Classes from features in the middle."""
    x = layers.AveragePooling2D(5, 3, name=f"{name}_pool")(x)
    x = layers.Flatten(name=f"{name}_flatten")(activated(x, 128, 1, f"{name}_conv"))
    x = layers.Dense(1024, activation="relu", name=f"{name}_fc")(x)
    return network.classified(layers.Dropout(0.7, name=f"{name}_dropout")(x), f"{name}_predictions")


def _dropped(features: KerasTensor) -> KerasTensor:
    return layers.Dropout(0.4, name="dropout")(average(features))


def InceptionV3(input_shape: tuple[int, int, int] = (299, 299, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """94 convolutions and a dense layer: 23,817,352 parameters and 34,432 moving statistics, 11.4 GFLOP a picture.

    Without the auxiliary classifier. The weights of Keras's InceptionV3 fit, and modules have the names that they have there.
    Pictures from 75x75. `options`: see `building.Options`.
    """
    network = Network("InceptionV3", input_shape, classes, 75, options)
    x = normalized(network.input, 32, 3, "conv1", strides=2, padding="valid")
    x = normalized(x, 32, 3, "conv2", padding="valid")
    x = normalized(x, 64, 3, "conv3")
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = normalized(x, 80, 1, "conv4", padding="valid")
    x = normalized(x, 192, 3, "conv5", padding="valid")
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    for k, pooled in enumerate((32, 64, 64)):
        x = _mixed(x, f"mixed{k}", [[(64, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)]], pooled)
    x = _reduced(x, "mixed3", [[(384, 3)], [(64, 1), (96, 3), (96, 3)]])
    for k, n in enumerate((128, 160, 160, 192), 4):
        once: Chain = [(n, 1), (n, (1, 7)), (192, (7, 1))]
        twice: Chain = [(n, 1), (n, (7, 1)), (n, (1, 7)), (n, (7, 1)), (192, (1, 7))]
        x = _mixed(x, f"mixed{k}", [[(192, 1)], once, twice], 192)
    x = _reduced(x, "mixed8", [[(192, 1), (320, 3)], [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3)]])
    for name in ("mixed9", "mixed10"):
        x = _wide(x, name)
    return network.model(x, average)


def _mixed(x: KerasTensor, name: str, chains: Iterable[Chain], pooled: int) -> KerasTensor:
    """Chains of convolutions and a pooled branch, side by side; height and width stay."""
    branches = [_chain(x, f"{name}_branch{k}", chain) for k, chain in enumerate(chains, 1)]
    return layers.Concatenate(name=name)([*branches, _average_branch(x, f"{name}_pool", pooled)])


def _reduced(x: KerasTensor, name: str, chains: Iterable[Chain]) -> KerasTensor:
    """Chains whose last convolution strides, and a maximum, side by side; height and width are halved."""
    branches = []
    for k, chain in enumerate(chains, 1):
        y = _chain(x, f"{name}_branch{k}", chain[:-1])
        branches.append(normalized(y, *chain[-1], f"{name}_branch{k}_conv{len(chain)}", strides=2, padding="valid"))
    return layers.Concatenate(name=name)([*branches, layers.MaxPooling2D(3, 2, name=f"{name}_pool")(x)])


def _wide(x: KerasTensor, name: str) -> KerasTensor:
    """Chains that end in a row and a column of pixels, side by side."""
    branches = [normalized(x, 320, 1, f"{name}_branch1_conv1")]
    for k, chain in enumerate((((384, 1),), ((448, 1), (384, 3))), 2):
        y = _chain(x, f"{name}_branch{k}", chain)
        ends = [normalized(y, 384, size, f"{name}_branch{k}_{size[0]}x{size[1]}") for size in ((1, 3), (3, 1))]
        branches.append(layers.Concatenate(name=f"{name}_branch{k}")(ends))
    return layers.Concatenate(name=name)([*branches, _average_branch(x, f"{name}_pool", 192)])


def _chain(x: KerasTensor, name: str, chain: Chain) -> KerasTensor:
    for k, (filters, size) in enumerate(chain, 1):
        x = normalized(x, filters, size, f"{name}_conv{k}")
    return x


def _average_branch(x: KerasTensor, name: str, filters: int) -> KerasTensor:
    return normalized(layers.AveragePooling2D(3, 1, "same", name=name)(x), filters, 1, f"{name}_conv")


def normalized(x: KerasTensor, filters: int, size: Size, name: str, strides: int = 1, padding: str = "same") -> KerasTensor:
    """relu(norm(conv(x))) without bias and scale: (None, height, width, C) -> (None, rows, columns, filters)."""
    x = layers.Conv2D(filters, size, strides, padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(scale=False, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)

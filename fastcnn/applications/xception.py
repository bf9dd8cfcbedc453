"""Xception: separable convolutions in residual blocks. Chollet, "Xception: Deep Learning with Depthwise Separable
Convolutions", CVPR 2017 (arXiv:1610.02357), figure 5.
"""

from typing import Any

from fastcnn import layers, models
from fastcnn.applications.building import Network, average
from fastcnn.graph import KerasTensor


def Xception(input_shape: tuple[int, int, int] = (299, 299, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """36 convolutions and a dense layer: 22,855,952 parameters and 54,528 moving statistics, 16.8 GFLOP a picture.

    Pictures from 71x71. Layers have Keras's names, and the weights of Keras's Xception fit. `options`: see `building.Options`.
    """
    network = Network("Xception", input_shape, classes, 71, options)
    x = network.input
    for k, filters in enumerate((32, 64), 1):
        conv = layers.Conv2D(filters, 3, 2 if k == 1 else 1, use_bias=False, name=f"block1_conv{k}")
        x = normalized(conv(x), f"block1_conv{k}_bn")
        x = activated(x, f"block1_conv{k}_act")
    x = reduced(x, (128, 128), 2)
    x = reduced(x, (256, 256), 3)
    x = reduced(x, (728, 728), 4)
    for block in range(5, 13):
        x = layers.Add(name=f"block{block}_add")([convolved(x, (728, 728, 728), block), x])
    x = reduced(x, (728, 1024), 13)
    for k, filters in enumerate((1536, 2048), 1):
        x = activated(separable(x, filters, f"block14_sepconv{k}"), f"block14_sepconv{k}_act")
    return network.model(x, average)


def reduced(x: KerasTensor, filters: tuple[int, int], block: int) -> KerasTensor:
    """A block that halves height and width, its shortcut projected: (None, height, width, C) -> (None, ..., filters[-1])."""
    conv = layers.Conv2D(filters[-1], 1, 2, "same", use_bias=False, name=f"block{block}_shortcut")
    shortcut = normalized(conv(x), f"block{block}_shortcut_bn")
    y = layers.MaxPooling2D(3, 2, "same", name=f"block{block}_pool")(convolved(x, filters, block))
    return layers.Add(name=f"block{block}_add")([y, shortcut])


def convolved(x: KerasTensor, filters: tuple[int, ...], block: int) -> KerasTensor:
    """Separable convolutions, each behind an activation; the picture itself comes activated into block 2."""
    for k, channels in enumerate(filters, 1):
        if (block, k) != (2, 1):
            x = activated(x, f"block{block}_sepconv{k}_act")
        x = separable(x, channels, f"block{block}_sepconv{k}")
    return x


def separable(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """A separable 3x3 convolution and its normalization."""
    return normalized(layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x), f"{name}_bn")


def normalized(x: KerasTensor, name: str) -> KerasTensor:
    """x normalized over the batch."""
    return layers.BatchNormalization(name=name)(x)


def activated(x: KerasTensor, name: str) -> KerasTensor:
    """relu(x)."""
    return layers.Activation("relu", name=name)(x)

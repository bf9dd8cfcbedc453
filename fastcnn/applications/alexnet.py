"""AlexNet. Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012,
section 3.
"""

from typing import Any

from fastcnn import initializers, layers, models
from fastcnn.applications.building import Network
from fastcnn.graph import KerasTensor


def AlexNet(input_shape: tuple[int, int, int] = (227, 227, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """Five convolutions and three dense layers: 60,965,224 parameters, 1.6 GFLOP a picture.

    As published, with the two groups of the two GPUs in convolutions 2, 4 and 5, local response normalization, overlapping
    pools, dropout, and the first weights of section 5. The paper's pictures of 224x224 pixels give the 55x55 windows of its
    figure 2 only with a border; they are 227x227 here, as is usual. Pictures from 67x67. `options`: see `building.Options`.
    """
    network = Network("AlexNet", input_shape, classes, 67, options)
    x = convolution(network.input, 96, 11, "conv1", strides=4)
    x = _pooled(layers.LocalResponseNormalization(name="norm1")(x), "pool1")
    x = convolution(x, 256, 5, "conv2", padding="same", groups=2, bias_initializer="ones")
    x = _pooled(layers.LocalResponseNormalization(name="norm2")(x), "pool2")
    x = convolution(x, 384, 3, "conv3", padding="same")
    x = convolution(x, 384, 3, "conv4", padding="same", groups=2, bias_initializer="ones")
    x = convolution(x, 256, 3, "conv5", padding="same", groups=2, bias_initializer="ones")
    return network.model(_pooled(x, "pool5"), _dense, kernel_initializer=first_weights())


def convolution(x: KerasTensor, filters: int, size: int, name: str, **options: Any) -> KerasTensor:
    """relu(conv(x)): (None, height, width, C) -> (None, rows, columns, filters)."""
    return layers.Conv2D(filters, size, activation="relu", kernel_initializer=first_weights(), name=name, **options)(x)


def first_weights() -> initializers.Initializer:
    """Section 5: normal, with a standard deviation of 0.01."""
    return initializers.RandomNormal(stddev=0.01)


def _pooled(x: KerasTensor, name: str) -> KerasTensor:
    return layers.MaxPooling2D(3, 2, name=name)(x)


def _dense(features: KerasTensor) -> KerasTensor:
    x = layers.Flatten(name="flatten")(features)
    for name in ("fc6", "fc7"):
        dense = layers.Dense(4096, activation="relu", kernel_initializer=first_weights(), bias_initializer="ones", name=name)
        x = layers.Dropout(0.5, name=f"{name}_dropout")(dense(x))
    return x

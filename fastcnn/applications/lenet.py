"""LeNet-5. LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of the
IEEE 86 (11), 1998, section II.B.
"""

from typing import Any

import numpy as np

from fastcnn import initializers, layers, models
from fastcnn.graph import KerasTensor

SIDE = 32
"""Of the paper's pictures: the 28x28 of MNIST with a border of zeros."""

THREES = ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5))
FOURS = (
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
)  # fmt: skip
"""Table I of the paper: the maps of S2 that a map of C3 sees. The sixteenth map sees all six."""


def LeNet5(input_shape: tuple[int, int, int] = (32, 32, 1), classes: int = 10) -> models.Model:  # noqa: N802
    """C1, S2, C3, S4, C5 and F6 as published, with their 60,000 parameters; then 850 of ten classes; 798 kFLOP a picture.

    As published: a layer S multiplies the mean of four pixels by a number of its map, adds another and activates, and each
    filter of C3 sees only some maps of S2. Otherwise: the last layer is a softmax over dense units, in place of distances from
    drawings of the characters; and the activation is tanh, in place of 1.7159 tanh(2x / 3).

    Pictures below 32x32 get a border of zeros, as those of MNIST do in the paper.
    """
    x = picture = layers.Input(input_shape)
    borders = [max(0, SIDE - n) for n in input_shape[:2]]
    if any(borders):
        x = layers.ZeroPadding2D([(n // 2, n - n // 2) for n in borders], name="border")(x)
    x = layers.Conv2D(6, 5, activation="tanh", name="C1")(x)
    x = _subsampled(x, "S2")
    x = layers.Concatenate(name="C3")([
        _connected(x, THREES, "C3_of_3"), _connected(x, FOURS, "C3_of_4"), _convolved(x, 1, name="C3_of_6"),
    ])  # fmt: skip
    x = _subsampled(x, "S4")
    x = layers.Flatten(name="flatten")(_convolved(x, 120, name="C5"))
    x = layers.Dense(84, activation="tanh", name="F6")(x)
    return models.Model(picture, layers.Dense(classes, activation="softmax", name="predictions")(x), name="LeNet5")


def _subsampled(x: KerasTensor, name: str) -> KerasTensor:
    x = layers.AveragePooling2D(2, name=f"{name}_mean")(x)
    return layers.DepthwiseConv2D(1, activation="tanh", depthwise_initializer="ones", name=name)(x)


def _connected(x: KerasTensor, maps: tuple[tuple[int, ...], ...], name: str) -> KerasTensor:
    """A filter for each group of maps, which sees these only."""
    wires = [k for group in maps for k in group]
    kernel = initializers.Constant(np.eye(int(x.shape[-1] or 0), dtype=np.float32)[:, wires][None, None])
    wired = layers.Conv2D(len(wires), 1, use_bias=False, kernel_initializer=kernel, trainable=False, name=f"{name}_wires")
    return _convolved(wired(x), len(maps), groups=len(maps), name=name)


def _convolved(x: KerasTensor, filters: int, **options: Any) -> KerasTensor:
    return layers.Conv2D(filters, 5, activation="tanh", **options)(x)

"""Residual networks: blocks that add what they compute to their input. He, Zhang, Ren and Sun, "Deep Residual Learning for
Image Recognition", CVPR 2016 (arXiv:1512.03385).

ResNet18 ResNet34  basic blocks, two 3x3 convolutions each, for 224x224 pictures (table 1)
ResNet50           bottleneck blocks, 1x1, 3x3 and 1x1, for 224x224 pictures (table 1)
ResNet20           basic blocks for 32x32 pictures (section 4.2)

All blocks are of the first kind: each convolution is normalized, the last activation follows the sum, and a bottleneck
strides in its first convolution. Strided windows are centred as the authors' are, with as much padding before as after. In the
networks for large pictures a shortcut is projected where the shape changes (the paper's option B), and layers have Keras's
names; in ResNet20 it is the identity, subsampled and with zeros for the new channels (option A).
"""

from functools import partial
from typing import Any, Protocol

from fastcnn import layers, models
from fastcnn.applications.building import Network, average
from fastcnn.graph import KerasTensor

EPSILON = 1.001e-5
"""Of the normalization, as Keras has it."""


class Block(Protocol):
    """A residual block with so many filters, which strides in its first convolution."""

    def __call__(self, x: KerasTensor, filters: int, strides: int, name: str) -> KerasTensor: ...


def ResNet18(input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """17 convolutions and a dense layer: 11,689,512 parameters and 9,600 moving statistics, 3.63 GFLOP a picture.

    Pictures from 32x32. `options`: see `building.Options`.
    """
    return _resnet("ResNet18", basic, (2, 2, 2, 2), input_shape, classes, options)


def ResNet34(input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """33 convolutions and a dense layer: 21,797,672 parameters and 17,024 moving statistics, 7.34 GFLOP a picture.

    Pictures from 32x32. `options`: see `building.Options`.
    """
    return _resnet("ResNet34", basic, (3, 4, 6, 3), input_shape, classes, options)


def ResNet50(input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """49 convolutions and a dense layer: 25,583,592 parameters and 53,120 moving statistics, 7.74 GFLOP a picture.

    Its convolutions have biases, which the normalization makes useless: so the weights of Keras's ResNet50 fit. Pictures from
    32x32. `options`: see `building.Options`.
    """
    return _resnet("ResNet50", bottleneck, (3, 4, 6, 3), input_shape, classes, options)


def ResNet20(input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, **options: Any) -> models.Model:  # noqa: N802
    """19 convolutions and a dense layer for CIFAR-10: 269,722 parameters and 1,376 moving statistics, 81.6 MFLOP a picture.

    Three stages of three blocks, at 32x32, 16x16 and 8x8 pixels. Pictures from 4x4. `options`: see `building.Options`.
    """
    network = Network("ResNet20", input_shape, classes, 4, options)
    x = activated(normalized(network.input, 16, 3, name="conv1"), "conv1_relu")
    for stage, filters in enumerate((16, 32, 64), 2):
        x = _stage(x, partial(basic, projected=False), filters, 3, 1 if stage == 2 else 2, f"conv{stage}")
    return network.model(x, average)


def _resnet(
    name: str, block: Block, depths: tuple[int, ...], input_shape: Any, classes: int, options: dict[str, Any]
) -> models.Model:
    network = Network(name, input_shape, classes, 32, options)
    x = normalized(network.input, 64, 7, 2, name="conv1", use_bias=block is bottleneck)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(activated(x, "conv1_relu"))
    x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    for stage, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512), strict=True), 2):
        x = _stage(x, block, filters, depth, 1 if stage == 2 else 2, f"conv{stage}")
    return network.model(x, average)


def _stage(x: KerasTensor, block: Block, filters: int, depth: int, strides: int, name: str) -> KerasTensor:
    """`depth` blocks, the first of which strides."""
    for k in range(1, depth + 1):
        x = block(x, filters, strides if k == 1 else 1, f"{name}_block{k}")
    return x


def basic(x: KerasTensor, filters: int, strides: int, name: str, projected: bool = True) -> KerasTensor:
    """relu(shortcut(x) + conv(relu(conv(x)))), 3x3 both: (None, height, width, C) -> (None, rows, columns, filters)."""
    shortcut = x
    if x.shape[-1] != filters or strides > 1:
        shortcut = normalized(x, filters, 1, strides, name=f"{name}_0") if projected else widened(x, filters, strides, name)
    y = activated(normalized(x, filters, 3, strides, name=f"{name}_1"), f"{name}_1_relu")
    y = normalized(y, filters, 3, name=f"{name}_2")
    return activated(layers.Add(name=f"{name}_add")([shortcut, y]), f"{name}_out")


def bottleneck(x: KerasTensor, filters: int, strides: int, name: str) -> KerasTensor:
    """relu(shortcut(x) + conv1x1(relu(conv3x3(relu(conv1x1(x)))))): (None, ..., C) -> (None, ..., 4 * filters)."""
    convolved = partial(normalized, use_bias=True)
    shortcut = x
    if x.shape[-1] != 4 * filters or strides > 1:
        shortcut = convolved(x, 4 * filters, 1, strides, name=f"{name}_0")
    y = activated(convolved(x, filters, 1, strides, name=f"{name}_1"), f"{name}_1_relu")
    y = activated(convolved(y, filters, 3, name=f"{name}_2"), f"{name}_2_relu")
    y = convolved(y, 4 * filters, 1, name=f"{name}_3")
    return activated(layers.Add(name=f"{name}_add")([shortcut, y]), f"{name}_out")


def widened(x: KerasTensor, filters: int, strides: int, name: str) -> KerasTensor:
    """Option A: every `strides`-th pixel, with channels of zeros before and after its own. It has no weights."""
    before = (filters - int(x.shape[-1] or 0)) // 2
    x = layers.AveragePooling2D(1, strides, name=f"{name}_0_pool")(x)
    # Channels are made an axis of the picture, whose border is padded.
    x = layers.Permute((3, 1, 2), name=f"{name}_0_channels_first")(x)
    x = layers.ZeroPadding2D(((before, filters - int(x.shape[1] or 0) - before), (0, 0)), name=f"{name}_0_pad")(x)
    return layers.Permute((2, 3, 1), name=f"{name}_0_channels_last")(x)


def normalized(x: KerasTensor, filters: int, size: int, strides: int = 1, *, name: str, use_bias: bool = False) -> KerasTensor:
    """A convolution and its normalization: (None, height, width, C) -> (None, rows, columns, filters)."""
    if strides > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    padding = "same" if strides == 1 else "valid"
    conv = layers.Conv2D(
        filters, size, strides, padding, use_bias=use_bias, kernel_initializer="he_normal", name=f"{name}_conv"
    )
    return layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(conv(x))


def activated(x: KerasTensor, name: str) -> KerasTensor:
    """relu(x)."""
    return layers.Activation("relu", name=name)(x)

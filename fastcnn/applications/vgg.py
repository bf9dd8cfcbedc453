"""VGG: stacks of 3x3 convolutions. Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015 (arXiv:1409.1556), table 1.

VGG11 VGG13 VGG16 VGG19  configurations A, B, D and E, named by their layers with weights

Pictures are 224x224x3, or of any size from 32x32. Layers have Keras's names; the weights of Keras's VGG16 and VGG19 fit.
Between the dense layers is the paper's dropout, which Keras leaves out.
"""

from typing import Any

from fastcnn import layers, models
from fastcnn.applications.building import Network
from fastcnn.graph import KerasTensor


def VGG11(input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """Configuration A: 132,863,336 parameters, 15.2 GFLOP a picture. `options`: see `building.Options`."""
    return _vgg("VGG11", (1, 1, 2, 2, 2), input_shape, classes, options)


def VGG13(input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """Configuration B: 133,047,848 parameters, 22.6 GFLOP a picture. `options`: see `building.Options`."""
    return _vgg("VGG13", (2, 2, 2, 2, 2), input_shape, classes, options)


def VGG16(input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """Configuration D: 138,357,544 parameters, 31 GFLOP a picture. `options`: see `building.Options`."""
    return _vgg("VGG16", (2, 2, 3, 3, 3), input_shape, classes, options)


def VGG19(input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, **options: Any) -> models.Model:  # noqa: N802
    """Configuration E: 143,667,240 parameters, 39.3 GFLOP a picture. `options`: see `building.Options`."""
    return _vgg("VGG19", (2, 2, 4, 4, 4), input_shape, classes, options)


def _vgg(name: str, depths: tuple[int, ...], input_shape: Any, classes: int, options: dict[str, Any]) -> models.Model:
    network = Network(name, input_shape, classes, 32, options)
    x = network.input
    for block, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1):
        for k in range(1, depth + 1):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{block}_conv{k}")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return network.model(x, _dense)


def _dense(features: KerasTensor) -> KerasTensor:
    x = layers.Flatten(name="flatten")(features)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
        x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
    return x

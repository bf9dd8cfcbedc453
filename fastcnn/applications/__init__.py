"""Networks by name: functions that build an uncompiled model for a picture's shape and a number of classes.

    from fastcnn.applications import TutorialMNIST
    model = TutorialMNIST()

digits     Digits: a small network for the bundled 8x8 digits
tutorials  TutorialMNIST TutorialCIFAR10 TutorialKeras: the networks of the tutorials
lenet      LeNet5
alexnet    AlexNet
vgg        VGG11 VGG13 VGG16 VGG19
resnet     ResNet18 ResNet34 ResNet50, and ResNet20 for small pictures
inception  InceptionV1, which is GoogLeNet, and InceptionV3
xception   Xception
building   what the published networks share: their further arguments (include_top, pooling, ...) are its `Options`
MODELS     all of them by name; `get` finds one

The published networks are built layer for layer as their papers have them. There are no pretrained weights.
"""

from collections.abc import Callable
from typing import Any

from fastcnn.applications.alexnet import AlexNet
from fastcnn.applications.digits import Digits
from fastcnn.applications.inception import InceptionV1, InceptionV3
from fastcnn.applications.lenet import LeNet5
from fastcnn.applications.resnet import ResNet18, ResNet20, ResNet34, ResNet50
from fastcnn.applications.tutorials import TutorialCIFAR10, TutorialKeras, TutorialMNIST
from fastcnn.applications.vgg import VGG11, VGG13, VGG16, VGG19
from fastcnn.applications.xception import Xception
from fastcnn.utils.suggest import unknown

__all__ = [
    "MODELS", "get",
    "Digits", "TutorialMNIST", "TutorialCIFAR10", "TutorialKeras",
    "LeNet5", "AlexNet", "VGG11", "VGG13", "VGG16", "VGG19",
    "ResNet18", "ResNet20", "ResNet34", "ResNet50", "InceptionV1", "InceptionV3", "Xception",
]  # fmt: skip

MODELS: dict[str, Callable[..., Any]] = {
    builder.__name__: builder
    for builder in (
        Digits, TutorialMNIST, TutorialCIFAR10, TutorialKeras,
        LeNet5, AlexNet, VGG11, VGG13, VGG16, VGG19,
        ResNet18, ResNet20, ResNet34, ResNet50, InceptionV1, InceptionV3, Xception,
    )
}  # fmt: skip


def get(name: str) -> Callable[..., Any]:
    """The function of this name: (input_shape, classes) -> model. ValueError, with the nearest name, for an unknown one."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]

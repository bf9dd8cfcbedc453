"""The networks of the CNN tutorials that fastcnn began with, as they print them.

TutorialMNIST    three convolutions, 93,322 parameters
TutorialCIFAR10  four convolutions and a wide dense layer, 3.25 M parameters
TutorialKeras    two small convolutions with batch normalization
"""

from fastcnn import layers, models


def TutorialMNIST(input_shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10) -> models.Sequential:  # noqa: N802
    """The MNIST network: 99.26 % test accuracy in the tutorial after 20 epochs of Adam, batch 64."""
    return models.Sequential(
        [
            layers.Conv2D(32, (3, 3), activation="relu", input_shape=input_shape),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ],
        name="TutorialMNIST",
    )


def TutorialCIFAR10(input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10) -> models.Sequential:  # noqa: N802
    """The CIFAR-10 network: 79.12 % in the tutorial after 60 epochs of Adam, batch 128.

    Two of the tutorial's faults are mended: the softmax is applied once, and dropout works.
    """
    return models.Sequential(
        [
            layers.Conv2D(32, (3, 3), padding="same", activation="relu", input_shape=input_shape),
            layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Conv2D(128, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(128, (2, 2), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(1500, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(classes, activation="softmax"),
        ],
        name="TutorialCIFAR10",
    )


def TutorialKeras(input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10) -> models.Sequential:  # noqa: N802
    """The smaller CIFAR-10 network: LeNet's convolutions, each normalized over the batch before its activation."""
    return models.Sequential(
        [
            layers.Conv2D(6, (3, 3), padding="same", input_shape=input_shape),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(16, (3, 3)),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dense(120),
            layers.Activation("relu"),
            layers.Dense(classes),
            layers.Activation("softmax"),
        ],
        name="TutorialKeras",
    )

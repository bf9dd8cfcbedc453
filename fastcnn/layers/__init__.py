"""The layers that networks are made of, under Keras 3's names. Everything is channels-last, the batch axis first.

base             Layer, the base of all, also of your own
core             Input InputLayer Dense Flatten Reshape
convolutional    Conv2D
pooling          MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D
activation       Activation ReLU LeakyReLU Softmax
normalization    BatchNormalization
regularization   Dropout
merging          Add Concatenate
configuration    serialize deserialize
"""

from .activation import Activation, LeakyReLU, ReLU, Softmax
from .base import Layer, LayerError
from .configuration import deserialize, serialize
from .convolutional import Conv2D
from .core import Dense, Flatten, Input, InputLayer, Reshape
from .merging import Add, Concatenate
from .normalization import BatchNormalization
from .pooling import AveragePooling2D, AvgPool2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPool2D, MaxPooling2D
from .regularization import Dropout

__all__ = [
    "Layer", "LayerError", "Input", "InputLayer",
    "Conv2D", "MaxPooling2D", "MaxPool2D", "AveragePooling2D", "AvgPool2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D",
    "Dense", "Flatten", "Reshape", "Activation", "ReLU", "LeakyReLU", "Softmax",
    "Dropout", "BatchNormalization", "Add", "Concatenate",
    "serialize", "deserialize",
]  # fmt: skip

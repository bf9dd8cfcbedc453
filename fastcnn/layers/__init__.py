"""The layers that networks are made of, under Keras 3's names. Everything is channels-last, the batch axis first.

base             Layer, the base of all, also of your own
core             Input InputLayer Dense Flatten Reshape Permute RepeatVector
convolutional    Conv1D Conv2D Conv3D, Conv1DTranspose ..., DepthwiseConv1D ..., SeparableConv1D ...
pooling          MaxPooling1D ..., AveragePooling1D ..., GlobalMaxPooling1D ..., GlobalAveragePooling1D ...
resizing         UpSampling1D ..., ZeroPadding1D ..., Cropping1D ...
activation       Activation ReLU LeakyReLU PReLU ELU Softmax
normalization    BatchNormalization LayerNormalization GroupNormalization LocalResponseNormalization
regularization   Dropout SpatialDropout1D ... GaussianDropout GaussianNoise
preprocessing    Rescaling Normalization
embedding        Embedding
augmentation     RandomFlip RandomCrop RandomTranslation RandomRotation RandomZoom
                 RandomBrightness RandomContrast RandomErasing
merging          Add Subtract Multiply Average Maximum Minimum Concatenate
configuration    serialize deserialize
"""

from .activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from .augmentation import (
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from .base import Layer, LayerError
from .configuration import deserialize, serialize
from .convolutional import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    Convolution1D,
    Convolution1DTranspose,
    Convolution2D,
    Convolution2DTranspose,
    Convolution3D,
    Convolution3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConvolution1D,
    SeparableConvolution2D,
)
from .core import Dense, Flatten, Input, InputLayer, Permute, RepeatVector, Reshape
from .embedding import Embedding
from .merging import Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract
from .normalization import BatchNormalization, GroupNormalization, LayerNormalization, LocalResponseNormalization
from .pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from .preprocessing import Normalization, Rescaling
from .regularization import (
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from .resizing import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)

__all__ = [
    "Layer", "LayerError", "Input", "InputLayer",
    "Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D",
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    "Convolution1DTranspose", "Convolution2DTranspose", "Convolution3DTranspose",
    "DepthwiseConv1D", "DepthwiseConv2D",
    "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "MaxPool1D", "MaxPool2D", "MaxPool3D",
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D", "AvgPool3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D",
    "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
    "Cropping1D", "Cropping2D", "Cropping3D", "Permute", "RepeatVector",
    "Dense", "Flatten", "Reshape", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax",
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise",
    "Rescaling", "Normalization", "Embedding",
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "LocalResponseNormalization",
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate",
    "RandomFlip", "RandomCrop", "RandomTranslation", "RandomRotation", "RandomZoom",
    "RandomBrightness", "RandomContrast", "RandomErasing",
    "serialize", "deserialize",
]  # fmt: skip

"""BatchNormalization, LayerNormalization, GroupNormalization, LocalResponseNormalization. Shapes stay."""

from typing import Any

import numpy as np

from .. import initializers, ops
from ..trace import Value
from ..variables import Variable
from .base import Layer, described, refuse, regularized
from .core import positive


class BatchNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, channel by channel; the shape stays. (Ioffe and Szegedy 2015.)

    In training mean and variance are the batch's, and moving averages of them are kept: moving = momentum * moving +
    (1 - momentum) * batch. Otherwise, and always when the layer is frozen (`trainable = False`), they are the moving ones.

    Weights: gamma (if scale), beta (if center), moving_mean, moving_variance, each (channels,).
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **options: Any,
    ):
        super().__init__(**options)
        regularized(self, beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer)
        regularized(self, beta_constraint=beta_constraint, gamma_constraint=gamma_constraint)
        refuse(self, renorm=renorm, renorm_clipping=renorm_clipping, synchronized=synchronized)
        self.axis, self.momentum, self.epsilon, self.center, self.scale = axis, momentum, epsilon, center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Any) -> None:
        """Make the four vectors."""
        if self.axis not in (-1, len(input_shape) - 1):
            raise ValueError(f"channels lie along the last axis: axis must be -1 or {len(input_shape) - 1}, got {self.axis}")
        shape = (input_shape[-1],)
        self.gamma = self._weight("gamma", shape) if self.scale else None
        self.beta = self._weight("beta", shape) if self.center else None
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, name="moving_mean", trainable=False)
        self.moving_variance = self.add_weight(shape, self.moving_variance_initializer, name="moving_variance", trainable=False)

    def call(self, inputs: Value, training: bool = False) -> Value:
        """(None, ..., channels) -> the same shape."""
        if inputs.shape[-1:] != self.moving_mean.shape:
            raise ValueError(f"was built for {self.moving_mean.size} channels, the input has {inputs.shape[-1]}")
        return ops.batch_normalization(
            inputs,
            self.gamma,
            self.beta,
            self.moving_mean,
            self.moving_variance,
            momentum=self.momentum,
            epsilon=self.epsilon,
            training=training and self.trainable,
        )


class ScaledNormalization(Layer):
    """What layer and group normalisation have in common: y = gamma * normalised(x) + beta, channel by channel.

    Weights: gamma (if scale), beta (if center), each (channels,).
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        regularized(self, beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer)
        regularized(self, beta_constraint=beta_constraint, gamma_constraint=gamma_constraint)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        last = len(input_shape) - 1
        if self.axis not in (-1, last, [-1], [last], (-1,), (last,)):
            raise ValueError(f"channels lie along the last axis: axis must be -1 or {last}, got {self.axis}")
        shape = (input_shape[-1],)
        self.gamma = self._weight("gamma", shape) if self.scale else None
        self.beta = self._weight("beta", shape) if self.center else None
        # A list, so that it is not one of the layer's weights.
        self._ones = [Variable(np.ones(shape, np.float32), trainable=False, name=f"{self.name}/ones")]

    def normalised(self, inputs: Value) -> Value:
        """Numbers of mean 0 and variance 1."""
        raise NotImplementedError

    def call(self, inputs: Value) -> Value:
        """(None, ..., channels) -> the same shape."""
        y = self.normalised(inputs)
        if self.gamma is None and self.beta is None:
            return y
        return ops.scale(y, self.gamma or self._ones[0], self.beta)


class LayerNormalization(ScaledNormalization):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of each pixel's channels. (Ba, Kiros and
    Hinton 2016.)

    Weights: gamma (if scale), beta (if center), each (channels,).
    """

    def __init__(
        self, axis: int = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True, rms_scaling: bool = False,
        **options: Any,
    ):  # fmt: skip
        super().__init__(axis, epsilon, center, scale, **options)
        refuse(self, rms_scaling=rms_scaling)

    def normalised(self, inputs: Value) -> Value:
        """Pixel by pixel."""
        return ops.layer_normalization(inputs, self.epsilon)


class GroupNormalization(ScaledNormalization):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of a sample's groups of neighbouring
    channels, over all pixels. (Wu and He 2018.)

    groups  that the channels are cut into, all of one size; -1 is as many as channels, which is instance normalisation

    Weights: gamma (if scale), beta (if center), each (channels,).
    """

    def __init__(
        self, groups: int = 32, axis: int = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True, **options: Any
    ):
        super().__init__(axis, epsilon, center, scale, **options)
        self.groups = groups if groups == -1 else positive(self, "groups", groups)

    def build(self, input_shape: Any) -> None:
        """Check the groups, make gamma and beta."""
        self._groups = input_shape[-1] if self.groups == -1 else self.groups
        if input_shape[-1] % self._groups:
            raise ValueError(f"{input_shape[-1]} channels cannot be cut into {self.groups} groups of one size")
        super().build(input_shape)

    def normalised(self, inputs: Value) -> Value:
        """Sample by sample, group by group."""
        return ops.group_normalization(inputs, self._groups, self.epsilon)


class LocalResponseNormalization(Layer):
    """y = x / (k + alpha * sum of x^2 over the `size` nearest channels)^beta, pixel by pixel. (Krizhevsky, Sutskever and Hinton
    2012, whose numbers are the defaults. PyTorch's alpha is `size` times this one, its k is 1 by default.)

    Of an even number of channels one more lies before the channel than after it.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, **options: Any):
        super().__init__(**options)
        self.size, self.alpha, self.beta, self.k = positive(self, "size", size), alpha, beta, k
        if k <= 0 or alpha < 0:
            raise ValueError(f"{described(self)}: k must be more than 0 and alpha at least 0, got k={k!r}, alpha={alpha!r}")

    def build(self, input_shape: Any) -> None:
        """Make the matrix and the offset of the weighted sum over neighbours, which are no weights."""
        channels = np.arange(input_shape[-1])
        distance = channels[:, None] - channels
        near = (distance >= -(self.size // 2)) & (distance <= (self.size - 1) // 2)
        made = np.float32(self.alpha * near), np.full(len(channels), self.k, np.float32)
        self._sum = [Variable(values, trainable=False, name=f"{self.name}/neighbours") for values in made]

    def call(self, inputs: Value) -> Value:
        """(None, ..., channels) -> the same shape."""
        energy = ops.dense(ops.square(inputs), *self._sum)
        return inputs * ops.exp(ops.log(energy) * -self.beta)

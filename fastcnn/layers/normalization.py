"""BatchNormalization."""

from typing import Any

from .. import initializers, ops
from ..trace import Value
from .base import Layer, refuse


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
        beta_regularizer: None = None,
        gamma_regularizer: None = None,
        beta_constraint: None = None,
        gamma_constraint: None = None,
        renorm: bool = False,
        renorm_clipping: None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **options: Any,
    ):
        super().__init__(**options)
        refuse(self, beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer)
        refuse(self, beta_constraint=beta_constraint, gamma_constraint=gamma_constraint)
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
        self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma") if self.scale else None
        self.beta = self.add_weight(shape, self.beta_initializer, name="beta") if self.center else None
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

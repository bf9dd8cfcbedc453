"""Initial values of weights, under Keras's names, as classes or as strings ("glorot_uniform").

    constants           Zeros Ones Constant
    fixed width         RandomUniform RandomNormal TruncatedNormal
    width by fan        GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal
    by name             get serialize

An initializer is called with a shape and returns a float32 array. Numbers come from a counter-based generator on the host,
keyed by (seed, variable), so the same `utils.set_random_seed` gives the same weights on every backend.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from fastcnn_kernels.random import reference as random
from numpy.typing import NDArray

from .utils.custom_objects import find
from .utils.naming import snake_case
from .utils.random_seed import current_seed, next_stream

Shape = tuple[int, ...]
_STEP = 2**32 - 1  # no training step reaches it, so masks and weights never share random numbers


class Initializer:
    """Base of initializers. A subclass writes `__call__(shape, dtype=None)` and keeps its arguments in `get_config`."""

    def __call__(self, shape: Shape, dtype: Any = None) -> NDArray[np.float32]:
        """An array of this shape."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__(shape, dtype=None)")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Initializer":
        """The initializer of a configuration."""
        return cls(**config)


class Constant(Initializer):
    """The same number everywhere; or a whole array, such as a filter made by hand."""

    def __init__(self, value: Any = 0.0):
        self.value = value

    def __call__(self, shape: Shape, dtype: Any = None) -> NDArray[np.float32]:
        value = np.asarray(self.value, np.float32)
        if value.ndim and value.shape != tuple(shape):
            raise ValueError(f"an array of shape {value.shape} cannot initialize a weight of shape {tuple(shape)}")
        return np.broadcast_to(value, shape).copy()

    def get_config(self) -> dict[str, Any]:
        return {"value": np.asarray(self.value).tolist()}


class Zeros(Initializer):
    """0 everywhere."""

    def __call__(self, shape: Shape, dtype: Any = None) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)


class Ones(Initializer):
    """1 everywhere."""

    def __call__(self, shape: Shape, dtype: Any = None) -> NDArray[np.float32]:
        return np.ones(shape, np.float32)


class RandomInitializer(Initializer):
    """Base of random initializers.

    seed: None draws other numbers for every variable, from the process's seed (`utils.set_random_seed`); a whole number
    draws the same ones each time.
    """

    def __init__(self, seed: int | None = None):
        self.seed = seed

    def draw(self, distribution: Callable[..., NDArray[Any]], shape: Shape) -> NDArray[Any]:
        """Standard numbers of the generator's `distribution`, float32."""
        seed, stream = (current_seed(), next_stream()) if self.seed is None else (self.seed, 0)
        return distribution(seed, _STEP, stream, math.prod(shape)).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class RandomUniform(RandomInitializer):
    """Uniform from minval to maxval."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Shape, dtype: Any = None) -> NDArray[np.float32]:
        u = self.draw(random.uniform, shape)
        return (self.minval + (self.maxval - self.minval) * u).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class RandomNormal(RandomInitializer):
    """Normal with this mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Shape, dtype: Any = None) -> NDArray[np.float32]:
        return (self.mean + self.stddev * self.draw(random.normal, shape)).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomNormal):
    """Normal, but numbers more than two standard deviations from the mean are drawn again."""

    def __call__(self, shape: Shape, dtype: Any = None) -> NDArray[np.float32]:
        return (self.mean + self.stddev * self.draw(random.truncated_normal, shape)).astype(np.float32)


def compute_fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight: inputs that an output sums, outputs that an input reaches, as Keras counts them.

    A kernel (..., C_in / groups, C_out) has the pixels of its window times C_in / groups, and times C_out. A vector has
    its length twice.
    """
    if len(shape) < 2:
        return (math.prod(shape), math.prod(shape))
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class _Scaled(RandomInitializer):
    """variance = scale / fan, fan being fan_in or, with `average`, the mean of fan_in and fan_out."""

    scale = 1.0
    average = False

    def variance(self, shape: Shape) -> float:
        """Of the numbers that a weight of this shape gets."""
        fan_in, fan_out = compute_fans(shape)
        return self.scale / max(1.0, (fan_in + fan_out) / 2 if self.average else fan_in)


class _ScaledUniform(_Scaled):
    def __call__(self, shape: Shape, dtype: Any = None) -> NDArray[np.float32]:
        limit = math.sqrt(3.0 * self.variance(shape))
        return ((2.0 * self.draw(random.uniform, shape) - 1.0) * limit).astype(np.float32)


class _ScaledNormal(_Scaled):
    # The standard deviation of a standard normal cut off at +-2.
    truncated_stddev = 0.87962566103423978

    def __call__(self, shape: Shape, dtype: Any = None) -> NDArray[np.float32]:
        stddev = math.sqrt(self.variance(shape)) / self.truncated_stddev
        return (self.draw(random.truncated_normal, shape) * stddev).astype(np.float32)


class _Glorot(_Scaled):
    average = True


class _He(_Scaled):
    scale = 2.0


class GlorotUniform(_ScaledUniform, _Glorot):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)). (Glorot and Bengio 2010.)"""


class GlorotNormal(_ScaledNormal, _Glorot):
    """Truncated normal of variance 2 / (fan_in + fan_out). (Glorot and Bengio 2010.)"""


class HeUniform(_ScaledUniform, _He):
    """Uniform in +-sqrt(6 / fan_in). (He et al. 2015.)"""


class HeNormal(_ScaledNormal, _He):
    """Truncated normal of variance 2 / fan_in. (He et al. 2015.)"""


class LecunUniform(_ScaledUniform):
    """Uniform in +-sqrt(3 / fan_in). (LeCun et al. 1998.)"""


class LecunNormal(_ScaledNormal):
    """Truncated normal of variance 1 / fan_in. (LeCun et al. 1998; Klambauer et al. 2017.)"""


_CLASSES: dict[str, type[Initializer]] = {
    c.__name__: c
    for c in (
        Zeros, Ones, Constant, RandomUniform, RandomNormal, TruncatedNormal,
        GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal,
    )
}  # fmt: skip
_KNOWN = {
    **{snake_case(name): c for name, c in _CLASSES.items()}, **_CLASSES, "uniform": RandomUniform, "normal": RandomNormal,
}  # fmt: skip


def get(identifier: Any) -> Callable[..., Any]:
    """An initializer from its name, its configuration, its class, an array, or any function of (shape, dtype=None).

    ValueError for an unknown name.
    """
    if isinstance(identifier, dict):
        return find("initializer", identifier["class_name"], _KNOWN)(**identifier.get("config", {}))
    if isinstance(identifier, str):
        identifier = find("initializer", identifier, _KNOWN)
    if isinstance(identifier, np.ndarray):
        return Constant(identifier)
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier):
        return identifier
    raise ValueError(f"an initializer is a name, an object of fastcnn.initializers, an array or a function, got {identifier!r}")


def serialize(initializer: Any) -> dict[str, Any] | str:
    """The configuration that `get` reads back; of a function, its name among `custom_objects`."""
    if isinstance(initializer, Initializer):
        return {"class_name": type(initializer).__name__, "config": initializer.get_config()}
    return str(initializer.__name__)

"""Dropout and Gaussian noise in NumPy. No mask is kept: backward draws the same numbers again."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Scalars
from ..random.reference import normal, uniform

Array = NDArray[Any]


def dropout_forward(
    plan: Any, x: Any, scalars: Any, y: Any, *, rate: float, op_id: int, by_channel: bool = False
) -> None:
    """y = x / (1 - rate) where u >= rate, else 0."""
    plan.launch(_dropout, x, scalars, y, rate=rate, op_id=op_id, by_channel=by_channel)


def dropout_backward(
    plan: Any, dy: Any, scalars: Any, dx: Any, *, rate: float, op_id: int, by_channel: bool = False
) -> None:
    """dx = dy / (1 - rate) where u >= rate, else 0."""
    plan.launch(_dropout, dy, scalars, dx, rate=rate, op_id=op_id, by_channel=by_channel)


def gaussian_noise(
    plan: Any, x: Any, scalars: Any, y: Any, *, stddev: float, multiplicative: bool, op_id: int
) -> None:
    """y = x + stddev * z, or x * (1 + stddev * z)."""
    plan.launch(_gaussian_noise, x, scalars, y, stddev=stddev, multiplicative=multiplicative, op_id=op_id)


def _dropout(x: Array, scalars: Array, y: Array, *, rate: float, op_id: int, by_channel: bool) -> None:
    drawn = (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1]) if by_channel else x.shape
    u = uniform(int(scalars[Scalars.SEED]), int(scalars[Scalars.STEP]), op_id, math.prod(drawn)).reshape(drawn)
    y[...] = np.where(u >= np.float32(rate), x / (1 - rate), 0)


def _gaussian_noise(x: Array, scalars: Array, y: Array, *, stddev: float, multiplicative: bool, op_id: int) -> None:
    z = stddev * normal(int(scalars[Scalars.SEED]), int(scalars[Scalars.STEP]), op_id, x.size).reshape(x.shape)
    y[...] = x * (1 + z) if multiplicative else x + z

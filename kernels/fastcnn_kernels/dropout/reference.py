"""Dropout in NumPy. The mask is not kept: backward draws the same numbers again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Scalars
from ..random.reference import uniform

Array = NDArray[Any]


def dropout_forward(plan: Any, x: Any, scalars: Any, y: Any, *, rate: float, op_id: int) -> None:
    """y = x / (1 - rate) where u >= rate, else 0."""
    plan.launch(_dropout, x, scalars, y, rate=rate, op_id=op_id)


def dropout_backward(plan: Any, dy: Any, scalars: Any, dx: Any, *, rate: float, op_id: int) -> None:
    """dx = dy / (1 - rate) where u >= rate, else 0."""
    plan.launch(_dropout, dy, scalars, dx, rate=rate, op_id=op_id)


def _dropout(x: Array, scalars: Array, y: Array, *, rate: float, op_id: int) -> None:
    u = uniform(int(scalars[Scalars.SEED]), int(scalars[Scalars.STEP]), op_id, x.size).reshape(x.shape)
    y[...] = np.where(u >= np.float32(rate), x / (1 - rate), 0)

"""Permutation of axes in NumPy."""

from typing import Any

from numpy.typing import NDArray

from ..api import Extents


def transpose(plan: Any, x: Any, y: Any, *, axes: Extents) -> None:
    """Axis j of y is axis axes[j] of x."""
    plan.launch(_transpose, x, y, axes=axes)


def _transpose(x: NDArray[Any], y: NDArray[Any], *, axes: Extents) -> None:
    y[...] = x.transpose(axes)

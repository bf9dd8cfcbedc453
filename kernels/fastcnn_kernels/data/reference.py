"""Data in and out in NumPy."""

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def gather(plan: Any, source: Any, index: Any, y: Any, *, scale: float = 1.0, offset: float = 0.0) -> None:
    """y[n] = scale * source[index[n]] + offset."""
    plan.launch(_gather, source, index, y, scale=scale, offset=offset)


def export(plan: Any, x: Any, destination: Any) -> None:
    """destination[n] = x[n]."""
    plan.launch(_export, x, destination)


def _gather(source: Array, index: Array, y: Array, *, scale: float, offset: float) -> None:
    rows = source[index[: len(y)]].astype(y.dtype)
    # Class numbers and flags stay integers: only a real scale makes them numbers of the line.
    y[...] = rows if (scale, offset) == (1.0, 0.0) else scale * rows + offset


def _export(x: Array, destination: Array) -> None:
    destination[: len(x)] = x

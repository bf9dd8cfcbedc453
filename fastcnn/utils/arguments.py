"""Arguments that are numbers: as what is computed with, or an error that says what was expected."""

from typing import Any

import numpy as np


def at_least_zero(name: str, value: Any) -> float:
    """`value` as a float; ValueError where it is not a finite number of at least 0."""
    if isinstance(value, str) or not (np.isscalar(value) and np.isfinite(value) and value >= 0):  # type: ignore[operator]
        raise ValueError(f"{name} must be a number of at least 0, got {value!r}")
    return float(value)  # type: ignore[arg-type]

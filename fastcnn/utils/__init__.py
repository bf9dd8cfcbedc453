"""Helpers of two kinds: for users' scripts, exported here, and for the rest of fastcnn.

arrays          `to_categorical`, `train_test_split`
random_seed     `set_random_seed`
sequence        `PyDataset`, by its older name `Sequence`: data larger than memory
gradient_check  `check_gradients`: a model's gradients against central differences
naming          `clear_session`: automatic layer names begin anew
custom_objects  `custom_object_scope`: names of one's own in configurations
registry        classes and functions by name
files           `write_atomically`: files that are complete or absent
suggest         `nearest`, `unknown`: the answer to a misspelled name
"""

from typing import Any

from .arrays import to_categorical, train_test_split
from .custom_objects import custom_object_scope
from .naming import clear_session
from .random_seed import set_random_seed
from .sequence import PyDataset, Sequence

__all__ = [
    "PyDataset", "Sequence", "check_gradients", "clear_session", "custom_object_scope", "set_random_seed", "to_categorical",
    "train_test_split",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The gradient checker needs programs, which need these helpers: it is imported when it is asked for."""
    if name == "check_gradients":
        from .gradient_check import check_gradients

        return check_gradients
    raise AttributeError(f"module 'fastcnn.utils' has no attribute {name!r}")

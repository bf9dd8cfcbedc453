"""Networks by name: functions that build an uncompiled model for a picture's shape and a number of classes.

    from fastcnn.applications import TutorialMNIST
    model = TutorialMNIST()

digits     Digits: a small network for the bundled 8x8 digits
tutorials  TutorialMNIST, TutorialCIFAR10, TutorialKeras: the networks of the tutorials
MODELS     all of them by name; `get` finds one
"""

from collections.abc import Callable
from typing import Any

from fastcnn.applications.digits import Digits
from fastcnn.applications.tutorials import TutorialCIFAR10, TutorialKeras, TutorialMNIST
from fastcnn.utils.suggest import unknown

__all__ = ["MODELS", "Digits", "TutorialCIFAR10", "TutorialKeras", "TutorialMNIST", "get"]

MODELS: dict[str, Callable[..., Any]] = {
    builder.__name__: builder for builder in (Digits, TutorialMNIST, TutorialCIFAR10, TutorialKeras)
}


def get(name: str) -> Callable[..., Any]:
    """The function of this name: (input_shape, classes) -> model. ValueError, with the nearest name, for an unknown one."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]

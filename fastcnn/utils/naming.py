"""Names of layers and models: `snake_case` and `unique_name` make them as Keras does, `clear_session` counts anew."""

import re
from collections import Counter

_used: Counter[str] = Counter()


def snake_case(name: str) -> str:
    """A class name in Keras's way: Conv2D -> conv2d, MaxPooling2D -> max_pooling2d, ReLU -> re_lu."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def unique_name(class_name: str) -> str:
    """conv2d, conv2d_1, conv2d_2, ...: a name that this process has not given since `clear_session`."""
    name = snake_case(class_name)
    _used[name] += 1
    return name if _used[name] == 1 else f"{name}_{_used[name] - 1}"


def clear_session() -> None:
    """Begin the automatic names anew: the next Conv2D is conv2d. Models that exist keep theirs."""
    _used.clear()

"""What "adam" or "mse" stands for: names, classes, saved configurations and objects themselves, in one argument.

resolve    the object that an identifier stands for
serialize  an object as plain values, which `resolve` reads back
"""

from collections.abc import Mapping
from typing import Any

from .custom_objects import find


def resolve(kind: str, identifier: Any, names: Mapping[str, type]) -> Any:
    """The object that a name, a class, a configuration of `serialize` or an object itself stands for.

    kind: what it is called in errors. names: the known classes by name; their own names count too, and custom objects.
    ValueError, with the nearest name, where a name is nobody's.
    """
    if isinstance(identifier, Mapping):
        found = _find(kind, str(identifier.get("function") or identifier.get("class_name")), names)
        return found if "function" in identifier else found(**identifier.get("config", {}))
    found = _find(kind, identifier, names) if isinstance(identifier, str) else identifier
    return found() if isinstance(found, type) else found


def _find(kind: str, name: str, names: Mapping[str, type]) -> Any:
    classes = {cls.__name__: cls for cls in names.values()}
    return find(kind, name, classes if name in classes else names)


def serialize(item: Any) -> dict[str, Any]:
    """`{"class_name", "config"}` of an object with `get_config`; a function is its name. TypeError for anything else."""
    if hasattr(item, "get_config"):
        return {"class_name": type(item).__name__, "config": item.get_config()}
    if callable(item) and hasattr(item, "__name__"):
        return {"function": item.__name__}
    raise TypeError(f"{item!r} cannot be saved: give its class a get_config() that returns its constructor's arguments")

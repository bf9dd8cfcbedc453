"""Names in configurations: `find` turns one into an object, `custom_object_scope` adds names of your own."""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from .suggest import unknown

_custom: ContextVar[dict[str, Any] | None] = ContextVar("custom_objects", default=None)


@contextlib.contextmanager
def custom_object_scope(objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let configurations that are read inside name these layers, initializers and functions, by these names."""
    token = _custom.set({**current(), **(objects or {})})
    try:
        yield
    finally:
        _custom.reset(token)


def current() -> dict[str, Any]:
    """The objects of all open scopes."""
    return _custom.get() or {}


def find(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """The custom or known object of this name; ValueError, with the nearest name, where there is none."""
    every = {**known, **current()}
    if name not in every:
        raise ValueError(f"{unknown(kind, name, every)}; one of your own must be passed in custom_objects={{{name!r}: ...}}")
    return every[name]

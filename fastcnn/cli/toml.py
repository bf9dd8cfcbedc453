"""Writes TOML: tables of strings, numbers, truth values and lists, which `tomllib` reads back as they were."""

import json
from collections.abc import Mapping
from typing import Any


def dumps(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """`tables` as TOML, one [table] each, in their order. A key whose value is None is left out: TOML has no null."""
    return "\n".join(_table(name, entries) for name, entries in tables.items())


def _table(name: str, entries: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}\n" for key, value in entries.items() if value is not None]
    return f"[{name}]\n" + "".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    return "[" + ", ".join(_value(entry) for entry in value) + "]"


def _string(text: str) -> str:
    # JSON's escapes are TOML's too, but JSON lets DEL stand, and a file name may hold bytes that are no text.
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")

"""Answers to an unknown name: `nearest` finds the known name that was probably meant, `unknown` writes the error."""

import difflib
from collections.abc import Iterable


def nearest(name: str, choices: Iterable[str]) -> str:
    """The one of `choices` that is spelled most like `name`, upper or lower case, or "" where none is near."""
    by_lower_case = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(str(name).lower(), by_lower_case, n=1, cutoff=0.5)
    return by_lower_case[matches[0]] if matches else ""


def unknown(kind: str, name: object, choices: Iterable[str]) -> ValueError:
    """The error for a `name` that is none of `choices`, to be raised by the caller.

    >>> raise unknown("initializer", "he_norm", ["zeros", "he_normal"])
    Traceback (most recent call last):
    ValueError: unknown initializer 'he_norm'; did you mean 'he_normal'? known: zeros, he_normal
    """
    known = list(choices)
    match = nearest(str(name), known)
    question = f"did you mean {match!r}? " if match else ""
    return ValueError(f"unknown {kind} {name!r}; {question}known: {', '.join(known)}")

"""`Finding`, what the doctor says, and CHECKS, the table of all that it looks for.

A check is a generator: it yields what it saw, with numbers, once a case; nothing where all is well. Its docstring is the
explanation, the rest stands in the decorator that enters it into the table:

    @check("FC106", "softmax over a single unit", fix="Give the last layer one unit a class ...")
    def softmax_of_one(setup: Setup) -> Seen:
        \"\"\"One number divided by itself: the output is 1 whatever the weights are.\"\"\"
        for head in setup.heads:
            if head.activation == "softmax" and head.units == 1:
                yield f"output {head.name!r} has shape {head.value.shape}"

Numbers are for ever: one that is given up is not given again.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Seen = Iterator[str]
Look = Callable[[Any], Seen]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    number       FC and three digits; the same for ever
    title        the mistake in a few words
    seen         what was seen here, with its numbers
    explanation  what it does
    fix          what to do
    """

    number: str
    title: str
    seen: str
    explanation: str
    fix: str


@dataclass(frozen=True)
class Check:
    """A function that looks for one mistake, and what is said where it finds it."""

    number: str
    title: str
    fix: str
    look: Look

    def findings(self, subject: Any) -> list[Finding]:
        """What the check says of a subject."""
        explanation = " ".join((inspect.getdoc(self.look) or "").split())
        return [Finding(self.number, self.title, seen, explanation, self.fix) for seen in self.look(subject)]


CHECKS: dict[str, Check] = {}
"""Every check by its number."""


def check(number: str, title: str, *, fix: str) -> Callable[[Look], Look]:
    """Decorator: enter a function into CHECKS."""

    def enter(function: Look) -> Look:
        CHECKS[number] = Check(number, title, fix, function)
        return function

    return enter


def run(group: str, subject: Any) -> list[Finding]:
    """The findings of all checks whose number begins with FC and one of the digits of `group`, by number."""
    numbers = sorted(number for number in CHECKS if number[2] in group)
    return [finding for number in numbers for finding in CHECKS[number].findings(subject)]

"""`Finding`, what the doctor says, and `check`, which makes a function one of the things that it looks for.

A check is a generator: it yields a line of what it saw, with numbers, for each case; nothing where all is well. Its docstring is
the explanation, and what else a reader needs stands in the decorator. Another one is therefore one more function:

    @check("FC110", ERROR, "nothing can be trained", needs="model", fix="Set layer.trainable = True ...")
    def frozen(setup: Setup) -> Seen:
        \"\"\"Every weight is frozen, so no step changes anything.\"\"\"
        if not setup.model.trainable_weights:
            yield f"0 of {len(setup.model.weights)} weights are trainable"

Numbers are for ever: one that is given up is not given again.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
ERROR: Severity = "error"
WARNING: Severity = "warning"
NOTE: Severity = "note"
SEVERITIES = (ERROR, WARNING, NOTE)
Seen = Iterator[str]


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    number    FC and three digits; the same for ever
    severity  "error": it cannot work as intended; "warning": it costs accuracy or time; "note": worth knowing
    title     the mistake in a few words
    seen      what was seen here, with its numbers
    why       what it does
    fix       what to do
    """

    number: str
    severity: Severity
    title: str
    seen: str
    why: str
    fix: str

    def to_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Check:
    """A function that looks for one mistake, and what is said where it finds it. `needs` are names of what `offers` holds."""

    number: str
    severity: Severity
    title: str
    fix: str
    needs: frozenset[str]
    look: Callable[[Any], Seen]

    @property
    def why(self) -> str:
        """The explanation: the function's docstring, in one line."""
        return " ".join((inspect.getdoc(self.look) or "").split())

    def findings(self, subject: Any) -> list[Finding]:
        """What the check says of a subject; nothing where that does not offer what the check needs."""
        if not self.needs <= subject.offers:
            return []
        return [Finding(self.number, self.severity, self.title, seen, self.why, self.fix) for seen in self.look(subject)]


CHECKS: dict[str, Check] = {}
"""Every check by its number."""


def check(
    number: str, severity: Severity, title: str, *, fix: str, needs: str = ""
) -> Callable[[Callable[[Any], Seen]], Callable[[Any], Seen]]:
    """Decorator: enter a function into CHECKS. `needs`: words, separated by spaces."""

    def enter(function: Callable[[Any], Seen]) -> Callable[[Any], Seen]:
        if number in CHECKS:
            raise ValueError(f"{number} is taken by {CHECKS[number].look.__name__}")
        CHECKS[number] = Check(number, severity, title, fix, frozenset(needs.split()), function)
        return function

    return enter


def run(group: str, subject: Any) -> list[Finding]:
    """The findings of all checks whose number begins with one of the digits of `group`, the worst first."""
    numbers = sorted(number for number in CHECKS if number[2] in group)
    found = [finding for number in numbers for finding in CHECKS[number].findings(subject)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))

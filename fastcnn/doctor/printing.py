"""Findings and checks as tables for people to read."""

from collections.abc import Iterable, Sequence
from typing import Any

from .findings import CHECKS, Finding

COLOURS = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}


def show(findings: Sequence[Finding], console: Any = None) -> None:
    """Print each finding: what it is, what was seen, why it matters and what to do; then how many there are."""
    from rich.console import Console
    from rich.text import Text

    console = console or Console(highlight=False)
    for finding in findings:
        head = f"{finding.number} {finding.severity}: "
        console.print(Text.assemble((head, COLOURS[finding.severity]), (finding.title, "bold")), soft_wrap=True)
        _paragraphs(console, {"seen": finding.seen, "why": finding.why, "fix": finding.fix})
    console.print(summary(findings))


def show_checks(console: Any = None) -> None:
    """Print every check: number, severity, title, explanation and fix."""
    from rich.console import Console
    from rich.text import Text

    console = console or Console(highlight=False)
    for number, check in sorted(CHECKS.items()):
        head = f"{number} {check.severity}: "
        console.print(Text.assemble((head, COLOURS[check.severity]), (check.title, "bold")), soft_wrap=True)
        _paragraphs(console, {"why": check.why, "fix": check.fix})


def summary(findings: Sequence[Finding]) -> str:
    """How many findings of each severity there are, in words."""
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in COLOURS}
    told = [f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts.items() if count]
    return ", ".join(told) if told else "Nothing wrong was found."


def _paragraphs(console: Any, parts: dict[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table: Any = Table.grid(padding=(0, 1))
    table.add_column(width=6, justify="right", style="dim")
    table.add_column(overflow="fold")
    for name, words in parts.items():
        table.add_row(name, Text(words))
    console.print(table)
    console.print()


def listing(checks: Iterable[Any]) -> str:
    """One line a check, as the package's docstring has them."""
    return "\n".join(f"    {check.number}  {check.severity:8} {check.title}" for check in checks)

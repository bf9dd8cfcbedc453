"""`fastcnn verify`: whether a device computes here what the float64 reference says.

Every op x the cases of fastcnn_kernels.cases, with guard zones around all memory; the adjoint identity of convolutions;
repeated runs, bit for bit; whole networks, ten steps of training beside the reference. Prints a table, writes a report, and
ends with exit code 1 if anything is wrong.
"""

import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastcnn import backends, trajectories
from fastcnn.cli.arguments import Parser, device_option, kernels_option, load_kernels
from fastcnn.cli.devices import device_name
from fastcnn.cli.machine import duration, versions
from fastcnn.cli.racing import print_ranking
from fastcnn.utils.files import write_atomically

KINDS = {"op": "op", "registered": "registered", "adjoint": "adjoint identity", "network": "ten steps of"}


def describe(parser: Parser) -> None:
    """Add the arguments."""
    device_option(parser)
    parser.add_argument("--exhaustive", action="store_true", help="every case and every network: hours on the emulator")
    kernels_option(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the report goes (default: verify-DEVICE.json)")


def run(arguments: Any) -> int:
    """Check everything; 1 if anything is wrong."""
    backend = backends.resolve(arguments.device)
    registered = load_kernels(arguments)
    file = arguments.out or Path(f"verify-{backend.name}.json")
    if not file.resolve().parent.is_dir():
        raise ValueError(f"--out {file}: there is no folder {file.resolve().parent}")
    began = time.perf_counter()
    outcomes = _performed(checks(backend, arguments.exhaustive))
    report = _report(backend, arguments.exhaustive, outcomes, time.perf_counter() - began)
    write_atomically(file, (json.dumps(report, indent=1) + "\n").encode())
    _print(outcomes)
    if registered:
        print_ranking(backend)
    wrong = sum(not outcome.passed for outcome in outcomes)
    verdict = f"{wrong} of {len(outcomes)} checks failed" if wrong else f"all {len(outcomes)} checks passed"
    print(f"\n{device_name(backend.name)}: {verdict} in {duration(report['seconds'])}; see {file}")
    return 1 if wrong else 0


def checks(backend: Any, exhaustive: bool) -> list[Any]:
    """Everything to find out about a backend, ops in the order of the protocol."""
    from fastcnn_kernels.cases import cases as all_cases
    from fastcnn_kernels.verify import adjoint_checks, chosen, op_checks, registered_checks

    cases = chosen(backend, exhaustive)
    of_ops = [*op_checks(backend, cases), *registered_checks(backend, all_cases()), *adjoint_checks(backend, cases)]
    return [*of_ops, *trajectories.checks(backend, exhaustive)]


def _performed(checks: list[Any]) -> list[Any]:
    from fastcnn_kernels.verify import perform
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    outcomes = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(checks))
        for check in checks:
            progress.update(task, description=check.subject)
            outcomes.append(perform(check))
            progress.advance(task)
    return outcomes


def _report(backend: Any, exhaustive: bool, outcomes: list[Any], seconds: float) -> dict[str, Any]:
    return {
        "device": backend.name,
        "hardware": device_name(backend.name),
        "versions": versions(),
        "exhaustive": exhaustive,
        "passed": all(outcome.passed for outcome in outcomes),
        "seconds": round(seconds, 1),
        # JSON has no NaN, which is the error of a check that raised.
        "checks": [{**asdict(o), "error": None if math.isnan(o.error) else o.error} for o in outcomes],
    }


def _print(outcomes: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("check", box=None)
    for title in ("cases", "largest error,\n% of allowed", "seconds", ""):
        table.add_column(title, justify="right")
    subjects = dict.fromkeys((outcome.kind, outcome.subject) for outcome in outcomes)
    for kind, subject in subjects:
        own = [outcome for outcome in outcomes if (outcome.kind, outcome.subject) == (kind, subject)]
        name = subject if kind == "op" else f"{KINDS[kind]} {subject}"
        table.add_row(name, str(len(own)), _worst(own), f"{sum(o.seconds for o in own):.1f}", _verdict(own))
    Console().print(table)
    for outcome in outcomes:
        if not outcome.passed:
            print(f"\nFAILED {outcome.kind} {outcome.subject}, {outcome.case}:\n{outcome.message}")


def _worst(outcomes: Iterable[Any]) -> str:
    errors = [outcome.error for outcome in outcomes if not math.isnan(outcome.error)]
    return f"{100 * max(errors):.0f}" if errors else "-"


def _verdict(outcomes: list[Any]) -> str:
    wrong = sum(not outcome.passed for outcome in outcomes)
    return f"[red]{wrong} failed[/]" if wrong else "[green]ok[/]"

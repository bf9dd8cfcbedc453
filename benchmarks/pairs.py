"""Two libraries in alternation: processes that measure on request, and pairs of their measurements.

    Worker        a process that answers requests as in worker.py, and how much other work the machine did meanwhile
    Row           what was measured
    compare       the best of the other side's settings, then pairs
    undisturbed   measure again what was disturbed

A process that waits sleeps: both sides' idle threads stop spinning within milliseconds, and SETTLE passes before a request.
A measurement during which the machine's processors did other work than that worker's is disturbed; so is one in which the
waiting side was not idle. Disturbed pairs are measured again; which pairs are kept never depends on their times.
"""

import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SETTLE = 0.05
QUIET = 0.2
"""Processors' worth of other work that a measurement bears: clocks tick every 10 ms, so a short one is known no better."""
TRIALS = 2
"""Measurements of each setting, the best of which counts, when the other side's setting is chosen."""
ATTEMPTS = 3
"""At most this many times as many measurements as are wanted are made."""

Sample = tuple[float, float]
"""What was measured, and how much other work there was meanwhile, in processors."""


class WorkerError(RuntimeError):
    """A worker could not do what it was asked, or took too long."""


class Worker:
    """A process of `module`. One that dies, or that is ended for taking too long, is started afresh when asked again."""

    def __init__(self, python: str, module: str, environment: Mapping[str, str], limit: float = 600.0):
        self.command = [python, "-m", f"benchmarks.{module}"]
        self.environment, self.limit = {**os.environ, **environment}, limit
        self.process: subprocess.Popen[str] | None = None

    def _start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command, stdin=pipe, stdout=pipe, text=True, env=self.environment, cwd=ROOT, start_new_session=True
        )

    def ask(self, do: str, **request: Any) -> Any:
        """Send a request and wait for its result; WorkerError if there is none."""
        if self.process is None or self.process.poll() is not None:
            self.process = self._start()
        assert self.process.stdin
        assert self.process.stdout
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], self.limit)[0]:
            self.end()
            raise WorkerError(f"no answer within {self.limit:.0f} seconds")
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(f"the process ended with status {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["result"]

    def measure(self, do: str, **request: Any) -> Sample:
        """The milliseconds that the worker answers, and the other work meanwhile."""
        time.sleep(SETTLE)
        before, start = self._clocks(), time.perf_counter()
        result = self.ask(do, **request)
        seconds = time.perf_counter() - start
        busy, own = (now - then for now, then in zip(self._clocks(), before, strict=True))
        return result["ms"], max(0.0, busy - own) / seconds

    def _clocks(self) -> tuple[float, float]:
        """Seconds that all processors were busy, or taken away by the host, and that this worker was."""
        if self.process is None or not Path("/proc/stat").exists():
            return 0.0, 0.0
        user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
        own = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        tick = os.sysconf("SC_CLK_TCK")
        return (user + nice + system + sum(rest)) / tick, sum(map(int, own)) / tick

    def end(self) -> None:
        """End the process and its children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


@dataclass
class Row:
    """One task. `settings` holds what the first round measured of each setting, or why it could not; `others` the other work
    of each pair, in processors."""

    task: str
    unit: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    setting: str = ""
    settings: dict[str, float | str] = field(default_factory=dict)
    others: list[float] = field(default_factory=list)
    remark: str = ""
    error: str = ""

    def ratios(self) -> list[float]:
        """Theirs over ours, pair by pair."""
        return [b / a for a, b in zip(self.ours, self.theirs, strict=False)]

    def ratio(self) -> float:
        """The median ratio; not a number where there are no pairs."""
        return statistics.median(self.ratios() or [float("nan")])


def compare(row: Row, ours: Callable[[], Sample], theirs: Mapping[str, Callable[[], Sample]], pairs: int) -> Row:
    """Fill the row in: choose the best of their settings, then alternate, each side going first in every other pair."""
    ours()
    for name, measure in theirs.items():
        try:
            measure()
            row.settings[name] = min(values[0] for _, values in undisturbed([measure], TRIALS))
        except WorkerError as error:
            row.settings[name] = str(error)
    usable = {name: value for name, value in row.settings.items() if not isinstance(value, str)}
    if theirs and not usable:
        raise WorkerError(f"no setting works: {row.settings}")
    row.setting = min(usable, key=usable.__getitem__, default="")
    sides = [ours, theirs[row.setting]] if theirs else [ours]
    found = undisturbed(sides, pairs)
    row.others = [other for other, _ in found]
    row.ours, row.theirs = ([values[side] for _, values in found if side < len(sides)] for side in (0, 1))
    return row


def undisturbed(sides: list[Callable[[], Sample]], wanted: int) -> list[tuple[float, list[float]]]:
    """(other work, values side by side) of the `wanted` first quiet rounds, in order; of the quietest if there are too few."""
    found: list[tuple[float, list[float]]] = []
    while len(found) < ATTEMPTS * wanted and sum(other <= QUIET for other, _ in found) < wanted:
        found.append(_round(sides, reverse=len(found) % 2 == 1))
    kept = sorted(range(len(found)), key=lambda k: max(QUIET, found[k][0]))[:wanted]
    return [found[k] for k in sorted(kept)]


def _round(sides: list[Callable[[], Sample]], reverse: bool) -> tuple[float, list[float]]:
    """The most other work of the measurements, and what they measured, in the order of `sides`."""
    samples = [measure() for measure in (reversed(sides) if reverse else sides)]
    return max(other for _, other in samples), [value for value, _ in (reversed(samples) if reverse else samples)]

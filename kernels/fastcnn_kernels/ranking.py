"""Kernels raced against each other: ours and every registered one that claims a case.

    Entry     one kernel's result
    rank      the entries of a case, the best first
    claimed   the cases that a registered kernel is used for
    seconds   the time of a trial's op, the median of several runs
"""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from .cases import Case
from .registry import Registration, kind_of, only, registrations
from .trial import Trial, build, trial

OURS = "ours"


@dataclass(frozen=True)
class Entry:
    """`cost` is in `unit`: seconds, or where time means nothing, on the emulated device, instructions of warps."""

    name: str
    cost: float
    unit: str


def rank(case: Case, backend: Any) -> list[Entry]:
    """Ours and the registered kernels that claim the case, the cheapest first."""
    entries = [_entry(OURS, (), case, backend)]
    claiming = [one for one in registrations(kind_of(backend)) if _claims(one, case, backend)]
    entries += [_entry(one.name, (one,), case, backend) for one in claiming]
    return sorted(entries, key=lambda entry: entry.cost)


def claimed(registration: Registration, backend: Any, cases: Iterable[Case]) -> list[Case]:
    """Those of `cases`, and the registration's own, that it is used for. `backend` builds a plan for each, and runs none."""
    return [case for case in (*registration.cases, *cases) if _claims(registration, case, backend)]


def _claims(registration: Registration, case: Case, backend: Any) -> bool:
    if case.op != registration.op:
        return False
    asked = []

    def launch(plan: Any, **operands: Any) -> None:
        asked.append(operands)

    probe = Registration(registration.op, registration.backend, launch, registration.when, registration.name)
    with only(probe):
        build(case, backend)
    return bool(asked)


def _entry(name: str, used: tuple[Registration, ...], case: Case, backend: Any) -> Entry:
    with only(*used):
        prepared = trial(case, backend)
    prepared.run()
    if getattr(getattr(backend, "device", None), "name", "") == "emulated":
        return Entry(name, float(_instructions(prepared, backend.device)), "instructions")
    return Entry(name, seconds(prepared.run_op, getattr(backend, "device", None)), "seconds")


def _instructions(prepared: Trial, device: Any) -> int:
    from .emulator import Counters

    before, device.counters = device.counters, Counters()
    try:
        prepared.run_op()
        return sum(device.counters.warps.values())
    finally:
        device.counters = before


def seconds(action: Callable[[], None], device: Any = None, repeats: int = 7, least: float = 1e-3) -> float:
    """The median of `repeats` means, each over so many runs that it takes `least` seconds. `device` is waited for."""
    wait = device.synchronize if device is not None else nullcontext
    times: list[float] = []
    runs = 1
    while len(times) < repeats:
        wait()
        began = time.perf_counter()
        for _ in range(runs):
            action()
        wait()
        elapsed = time.perf_counter() - began
        if elapsed < least and not times:
            runs *= 2
            continue
        times.append(elapsed / runs)
    return float(np.median(times))

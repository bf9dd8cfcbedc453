"""Whether a backend computes what the float64 reference does: the checks behind `fastcnn verify`, op by op.

    Check                  something to find out; `perform` does it
    Outcome                what came of it
    op_checks(backend)     every op x the cases: values, shapes, dtypes, the same bits in a second run
    registered_checks(...) every registered kernel x the cases that it claims, and what it is compared with ours
    adjoint_checks(...)    <conv(x), dy> = <x, conv_backward's dx> = <w, its dw>, which needs no reference
    guarded(backend)       the same backend with guard zones around all memory, and a look at them

Errors are told as shares of what is allowed (trial.TOLERANCE).
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .api import operations
from .cases import Case, arrays, cases, heavy_cases
from .paths import representatives
from .ranking import claimed
from .registry import Registration, kind_of, only, registrations
from .trial import EPSILON, TOLERANCE, compare, run


@dataclass(frozen=True)
class Check:
    """`action` returns the largest error as a share of what is allowed; it raises AssertionError where that is exceeded."""

    kind: str
    subject: str
    case: str
    action: Callable[[], float]


@dataclass(frozen=True)
class Outcome:
    """What came of a check. `message` is empty if it passed."""

    kind: str
    subject: str
    case: str
    passed: bool
    error: float
    seconds: float
    message: str


def perform(check: Check) -> Outcome:
    """Do a check. Whatever it raises is its outcome: one faulty kernel must not hide the next."""
    began, error, message = time.perf_counter(), float("nan"), ""
    try:
        error = check.action()
    except Exception as problem:
        notes = getattr(problem, "__notes__", ())
        message = "\n".join([f"{type(problem).__name__}: {problem}".strip(), *notes])
    return Outcome(check.kind, check.subject, check.case, not message, error, time.perf_counter() - began, message)


def chosen(backend: Any, exhaustive: bool) -> list[Case]:
    """The cases to run. On the emulated device, where they take long, one a code path unless all are wanted."""
    if exhaustive:
        return [*cases(), *heavy_cases()]
    return list(cases()) if _device(backend) != "emulated" else representatives(cases(), dry(backend))


def dry(backend: Any) -> Any:
    """A twin of a CUDA backend that only allocates; any other backend as it is."""
    from .device.dry import DryDevice

    return type(backend)(DryDevice()) if _device(backend) else backend


def _device(backend: Any) -> str:
    """The name of a CUDA backend's device; empty for others."""
    return backend.device.name if hasattr(backend, "device") else ""


def op_checks(backend: Any, some: Iterable[Case]) -> list[Check]:
    """A check for each case; for an op of the protocol without one, a check that fails."""
    some = list(some)
    backend, look = guarded(backend)

    def check(case: Case) -> Check:
        def action() -> float:
            with only():
                share = compare(case, backend)
            look()
            return share

        return Check("op", case.op, case.reason, action)

    missing = [op for op in operations() if op not in {case.op for case in some}]
    return [check(case) for case in some] + [Check("op", op, "no case", _never) for op in missing]


def _never() -> float:
    raise AssertionError("no case of this op was run")


def registered_checks(backend: Any, some: Iterable[Case]) -> list[Check]:
    """A check for each case that a registered kernel claims; for a kernel that claims none, a check that fails."""
    some, (guarded_backend, look) = list(some), guarded(backend)

    def check(registration: Registration, case: Case) -> Check:
        def action() -> float:
            with only(registration):
                share = compare(case, guarded_backend)
            look()
            return share

        return Check("registered", f"{registration.op}: {registration.name}", case.reason, action)

    found = []
    for one in registrations(kind_of(backend)):
        mine = claimed(one, dry(backend), some)
        found += [check(one, case) for case in mine]
        if not mine:
            found.append(Check("registered", f"{one.op}: {one.name}", "no case", _unclaimed))
    return found


def _unclaimed() -> float:
    raise AssertionError("it claims none of the cases: pass some of its own to register(..., cases=[...])")


def guarded(backend: Any) -> tuple[Any, Callable[[], None]]:
    """The backend with guard zones around all memory, and a function that raises AssertionError where one was written to.

    On the CPU a run looks at them itself; the emulated device checks every access; the reference has NumPy's arrays.
    """
    if backend.name == "cpu":
        from .host.guarded import GuardedBackend

        return GuardedBackend(), _nothing
    if _device(backend) in ("", "emulated"):
        return backend, _nothing
    from .device.guarded import GuardedDevice

    device = GuardedDevice(backend.device)
    return type(backend)(device), device.check


def _nothing() -> None:
    pass


# ------ the adjoint identity


def adjoint_checks(backend: Any, some: Iterable[Case]) -> list[Check]:
    """For every linear convolution or dense layer among the cases whose gradients are both there."""
    return [Check("adjoint", _op(case), case.reason, partial(adjoint, case, backend)) for case in some if _linear(case)]


def _op(case: Case) -> str:
    return case.op.removesuffix("_backward")


def _linear(case: Case) -> bool:
    plain = case.attributes.get("activation") == "linear" and case.numbers == "normal"
    return case.op in ("conv_backward", "dense_backward") and plain and {"dx", "dw"} <= {n for n, s in case.shapes.items() if s}


def adjoint(case: Case, backend: Any) -> float:
    """Hold <y, dy>, <x, dx> and <w, dw> against each other, y = forward(x, w) without bias; the largest gap as a share."""
    operands = arrays(case)
    shapes = {**case.shapes, "b": None, "db": None}
    options: dict[str, Any] = dict(dtypes=case.dtypes, batch_size=case.batch_size)
    y = run(backend, f"{_op(case)}_forward", operands, shapes, case.attributes, **options)["y"]
    gradients = run(backend, case.op, {**operands, "y": y}, shapes, case.attributes, **options)
    pairs = ((y, operands["dy"]), (operands["x"], gradients["dx"]), (operands["w"], gradients["dw"]))
    products = [float(np.vdot(a.astype(np.float64), b.astype(np.float64))) for a, b in pairs]
    # The errors of the summands are independent, and as large as rounding makes a sum of their own terms.
    size = max(float(np.sqrt(np.sum((a.astype(np.float64) * b) ** 2))) for a, b in pairs)
    allowed = TOLERANCE * EPSILON * size * float(np.sqrt(np.prod(case.shapes["w"][:-1])))
    gap = max(products) - min(products)
    if gap > allowed:
        raise AssertionError(f"{case}: <y, dy>, <x, dx>, <w, dw> are {products}, further apart than {allowed:.3g}")
    return float(gap / allowed)

"""One case a code path: which cases are enough to run everything that a backend has, where running all of them takes too long.

A path is a kernel launched for an op, or a property of the op's geometry (dilated, grouped, padded on one side, ...) that a
kernel treats by numbers and not by code of its own.
"""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from .cases import Case
from .trial import build

Path = tuple[str, str]


def representatives(cases: Iterable[Case], backend: Any) -> list[Case]:
    """The cheapest cases that together take every path that `cases` take, in their order. Nothing is run.

    `backend` builds a plan for each case; where that allocates memory, a device that only counts it is enough.
    """
    seen: set[Path] = set()
    chosen = set()
    pool = list(cases)
    for case in sorted(pool, key=work):
        new = set(paths(case, backend)) - seen
        if new:
            seen |= new
            chosen.add(case)
    return [case for case in pool if case in chosen]


def paths(case: Case, backend: Any) -> list[Path]:
    """The paths that a case takes."""
    plan = build(case, backend).plan
    kernels = [plan.launches[i].kernel for i in plan.launches_of(1)]
    return [(case.op, name) for name in (*kernels, *_properties(case))]


def _properties(case: Case) -> list[str]:
    attributes = case.attributes
    found = {
        "a batch of one": case.batch_size == 1,
        "strided": max(attributes.get("strides", (1,))) > 1,
        "dilated": max(attributes.get("dilation", (1,))) > 1,
        "grouped": attributes.get("groups", 1) > 1,
        "padded": any(map(sum, attributes.get("padding", ()))),
        "padded on one side": any(before != after for before, after in attributes.get("padding", ())),
        f"{len(attributes.get('strides', ()))} axes": "strides" in attributes,
        f"numbers: {case.numbers}": case.numbers not in ("normal", "distinct", "grid"),
        **{f"without {name}": shape is None for name, shape in case.shapes.items()},
    }
    return [name for name, present in found.items() if present]


def work(case: Case) -> int:
    """About how many operations a case takes: for comparison only."""
    sizes = [_size(shape) for shape in case.shapes.values()]
    w = case.shapes.get("w")
    taps: Sequence[int] = w[:-1] if w and "y" in case.shapes else ()
    return sum(sizes) + prod(taps) * _size(case.shapes["y"]) if taps else sum(sizes)


def _size(shape: Any) -> int:
    if shape is None:
        return 0
    return sum(map(_size, shape)) if isinstance(shape, list) else prod(shape)

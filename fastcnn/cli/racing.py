"""How registered kernels rank against ours, as a table: after `fastcnn verify` and `fastcnn roofline` with --kernels."""

from collections.abc import Iterable
from typing import Any


def print_ranking(backend: Any) -> None:
    """A row for each case that a registered kernel claims: the kernels, the cheapest first, and how many times as much they
    cost."""
    from rich.console import Console
    from rich.table import Table

    table = Table("op", "case", "kernels, the cheapest first", box=None, title="registered kernels against ours")
    for case, entries in _ranked(backend):
        table.add_row(case.op, case.reason, "; ".join(_told(entry, entries[0]) for entry in entries))
    Console().print(table)


def _ranked(backend: Any) -> Iterable[tuple[Any, list[Any]]]:
    from fastcnn_kernels.cases import cases
    from fastcnn_kernels.ranking import claimed, rank
    from fastcnn_kernels.registry import kind_of, registrations
    from fastcnn_kernels.verify import dry

    found = {id(c): c for one in registrations(kind_of(backend)) for c in claimed(one, dry(backend), cases())}
    return [(case, rank(case, backend)) for case in found.values()]


def _told(entry: Any, best: Any) -> str:
    amount = f"{entry.cost * 1e6:.3g} us" if entry.unit == "seconds" else f"{entry.cost:,.0f} {entry.unit}"
    return f"{entry.name} {amount}" + (f" ({entry.cost / best.cost:.2f}x)" if entry is not best else "")

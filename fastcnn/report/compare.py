"""Two reports side by side: `fastcnn report --compare A.json B.json`."""

from html import escape
from pathlib import Path

from . import charts, page, tables
from .charts import Series
from .schema import Report, parse
from .tables import Cell, Table


def read(path: Path) -> Report:
    """A report from its file. ValueError, naming the file, for what is none."""
    try:
        return parse(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def compared(first: Report, second: Report, names: tuple[str, str]) -> list[Table]:
    """The tables of both, a column for each device of each."""
    pairs = [
        (f"{device.name}, {name}", device)
        for report, name in zip((first, second), names, strict=True)
        for device in report.devices
    ]
    rows: list[list[Cell]] = [[label, *(form(device) for _, device in pairs)] for label, form in tables.DEVICE_ROWS.items()]
    return [
        _settings(first, second, names),
        Table("Device by device", ["", *(name for name, _ in pairs)], rows, _warning(first, second)),
    ]


def _settings(first: Report, second: Report, names: tuple[str, str]) -> Table:
    """What was measured where."""
    sides = [{tables.text(row[0]): row[1] for row in tables.about(report).rows} for report in (first, second)]
    labels = list(dict.fromkeys([*sides[0], *sides[1]]))
    return Table(
        "The two machines", ["", *names], [[label, *(side.get(label, tables.NONE) for side in sides)] for label in labels]
    )


def _warning(first: Report, second: Report) -> str:
    """What makes the numbers incomparable, where something does."""
    ours, theirs = first.setup, second.setup
    different = [
        name for name in ("network", "data", "train", "batch_size", "epochs") if getattr(ours, name) != getattr(theirs, name)
    ]
    return f"Not the same training: {', '.join(name.replace('_', ' ') for name in different)} differ." if different else ""


def compared_page(first: Report, second: Report, names: tuple[str, str]) -> str:
    """The tables as a page, with both machines' predictions drawn over each other."""
    rates = [
        Series(f"{device.name}, {name}", [(r.batch_size, r.samples_per_second) for r in device.throughput], k % charts.COLOURS)
        for k, (name, device) in enumerate((n, d) for r, n in zip((first, second), names, strict=True) for d in r.devices)
    ]
    chart = charts.lines("Predictions", "batch size", "pictures a second", rates, logarithmic=(True, True))
    sections = [page.section(table, [chart] if k else []) for k, table in enumerate(compared(first, second, names))]
    return page.document(
        f"{first.machine.processor} and {second.machine.processor}", f"{escape(names[0])} beside {names[1]}", sections
    )

"""What a report says, as tables: written once, drawn for the terminal, for Markdown and for HTML.

Number            a value of report.json and how it is shown; all numbers that are shown are such
milliseconds percent rate ...    numbers in their units
Table             a title, what to know about it, columns, rows
tutorials devices throughput operations layers agreement about    the tables of a report
markdown console  two of the three ways to draw them; page.py has the third
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastcnn.cli import machine

from .schema import Device, Operation, Report, Row, Spread


@dataclass(frozen=True)
class Number:
    """A value that stands in report.json, and how people read it."""

    value: float
    text: str


Part = str | Number
Cell = Part | tuple[Part, ...]
NONE = "–"


@dataclass(frozen=True)
class Table:
    """Columns and rows of cells; the first column names the row. `note` is a sentence or two about it."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    note: Cell = ""


def parts(cell: Cell) -> tuple[Part, ...]:
    """What a cell is made of."""
    return cell if isinstance(cell, tuple) else (cell,)


def text(cell: Cell) -> str:
    """A cell as plain text."""
    return "".join(part.text if isinstance(part, Number) else part for part in parts(cell))


# Numbers.

PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def shown(value: float | None, form: Callable[[float], Number]) -> Cell:
    """The number, or a dash where there is none."""
    return NONE if value is None else form(value)


def significant(value: float) -> str:
    """Three significant digits, without an exponent: 0.0123, 1.23, 123, 1,234."""
    if value == 0:
        return "0"
    digits = 2
    size = abs(value)
    while size >= 9.995:
        size, digits = size / 10, digits - 1
    while size < 0.9995:
        size, digits = size * 10, digits + 1
    return f"{value:,.{max(digits, 0)}f}"


def milliseconds(seconds: float) -> Number:
    """1.23 ms."""
    return Number(seconds, f"{significant(1e3 * seconds)} ms")


def duration(seconds: float) -> Number:
    """As the tutorials write it: 8m 4s; below a second in milliseconds."""
    return milliseconds(seconds) if seconds < 1 else Number(seconds, machine.duration(seconds))


def percent(share: float) -> Number:
    """A percentage with one decimal below ten, else whole."""
    return Number(share, f"{100 * share:.{1 if share < 0.0995 else 0}f} %")


def accuracy(share: float) -> Number:
    """A percentage as the tutorials write it."""
    return Number(share, f"{100 * share:.2f} %")


def count(number: float) -> Number:
    """A whole number."""
    return Number(number, f"{number:,.0f}")


def times(factor: float) -> Number:
    """A multiple."""
    return Number(factor, f"{significant(factor)}×")


def plain(value: float) -> Number:
    """A number without a unit."""
    return Number(value, f"{value:.6g}")


def small(value: float) -> Number:
    """An error."""
    return Number(value, f"{value:.1e}")


def scaled(unit: str) -> Callable[[float], Number]:
    """Numbers of a unit, with the prefix that fits: 1.23 GFLOP/s."""

    def form(value: float) -> Number:
        factor, prefix = next((p for p in PREFIXES if abs(value) >= p[0]), PREFIXES[-1])
        return Number(value, f"{significant(value / factor)} {prefix}{unit}")

    return form


FLOP, FLOPS, BYTES, RATE = scaled("FLOP"), scaled("FLOP/s"), scaled("B"), scaled("B/s")


# Tables.


def tutorials(report: Report) -> Table:
    """The table that the tutorials end with, and this machine's rows."""
    columns = ["Device", "Time", "Accuracy", "", "Network", "Batch size", "Epochs"]
    note = (
        "Rows without a mark are the tutorials’ own. An accuracy is that of the epochs that were trained, on the test pictures."
    )
    return Table("The tutorials’ table", columns, [_row(row) for row in report.table], note)


def _row(row: Row) -> list[Cell]:
    how = ("from " + row.projected if row.projected else "measured here") if row.here else ""
    seconds: Cell = (duration(row.seconds), " projected") if row.projected else duration(row.seconds)
    numbers: list[Cell] = [seconds, shown(row.accuracy, accuracy)]
    return [row.device, *numbers, how, row.network, count(row.batch_size), count(row.epochs)]


def devices(report: Report) -> Table:
    """A column a device."""
    rows: list[list[Cell]] = [[name, *(form(device) for device in report.devices)] for name, form in DEVICE_ROWS.items()]
    goal = report.setup.target
    reached: tuple[Part, ...] = (
        () if goal is None else (" The accuracy to reach, on the validation pictures, is ", accuracy(goal), ".")
    )
    missing = [f" {device.name}: {told}." for device in report.devices for told in device.missing]
    missing += [f" Not measured: {told}." for told in report.missing]
    return Table("Device by device", ["", *(device.name for device in report.devices)], rows, (NOTE, *reached, *missing))


NOTE = (
    "Medians; in brackets what most calls lie between. A first step counts from compile, in a fresh process: cold with no "
    "compiled kernel in the cache, warm with all of them. Training includes validation, and no compiling of kernels."
)


def _spread(spread: Spread) -> Cell:
    return milliseconds(spread.median), " (", milliseconds(spread.low), " – ", milliseconds(spread.high), ")"


DEVICE_ROWS: dict[str, Callable[[Device], Cell]] = {
    "Hardware": lambda d: d.hardware,
    "Library": lambda d: d.library,
    "Training, all epochs": lambda d: duration(d.training.whole_seconds),
    "… which was": lambda d: f"projected from {d.training.projected}" if d.training.projected else "measured",
    "… beside the fastest": lambda d: times(d.training.times_fastest),
    "Test accuracy": lambda d: shown(d.training.test_accuracy, accuracy),
    "Time to accuracy": lambda d: shown(d.training.target_seconds, duration),
    "Samples a second": lambda d: count(d.training.samples_per_second),
    "Training step": lambda d: _spread(d.steps.seconds),
    "… batch size": lambda d: count(d.steps.batch_size),
    "… computes": lambda d: FLOP(d.steps.flops),
    "… at": lambda d: FLOPS(d.steps.flops_per_second),
    "… of the peak": lambda d: shown(d.steps.peak_share, percent),
    "First step, cold": lambda d: duration(d.first_step.cold) if d.first_step else NONE,
    "First step, warm": lambda d: duration(d.first_step.warm) if d.first_step else NONE,
    "One picture": lambda d: _spread(d.latency),
    "Peak memory": lambda d: BYTES(d.memory.peak),
    "… intermediate results": lambda d: shown(d.memory.arenas, BYTES),
    "Peak of multiply-adds": lambda d: FLOPS(d.peaks.flops) if d.peaks else NONE,
    "Peak of memory": lambda d: RATE(d.peaks.bytes) if d.peaks else NONE,
}


def throughput(report: Report) -> Table:
    """Predictions a second, a row a batch size."""
    sizes = sorted({rate.batch_size for device in report.devices for rate in device.throughput})
    rates = [{rate.batch_size: rate.samples_per_second for rate in device.throughput} for device in report.devices]
    rows: list[list[Cell]] = [[count(size), *(shown(known.get(size), count) for known in rates)] for size in sizes]
    note = "Pictures a second. A size that would have taken too long was left out."
    return Table("Predictions against batch size", ["Batch size", *(d.name for d in report.devices)], rows, note)


def operations(device: Device) -> Table:
    """A training step, operation by operation."""
    columns = ["Operation", "Layer", "Time", "Share", "Work", "Speed", "Memory", "Bound by", "Of the roofline"]
    return Table(f"{device.name}: operations of a training step", columns, [_operation(o) for o in device.operations], ROOFLINE)


ROOFLINE = (
    "Work is counted from shapes, memory as every operand moved once. More than the whole roofline is possible: where operands "
    "stay in a cache, and where an algorithm multiplies less than the definition by which work is counted."
)


def _operation(found: Operation) -> list[Cell]:
    bound: list[Cell] = [found.bound or NONE, shown(found.roofline_share, percent)]
    rates: list[Cell] = [FLOPS(found.flops_per_second), RATE(found.bytes_per_second)]
    return [found.name, found.layer, milliseconds(found.seconds), percent(found.share), FLOP(found.flops), *rates, *bound]


def layers(device: Device) -> Table:
    """A training step, layer by layer."""
    rows: list[list[Cell]] = [[x.layer, milliseconds(x.seconds), percent(x.share)] for x in device.layers]
    note = "Forward and backward together, each operation by itself."
    return Table(f"{device.name}: layers in a training step", ["Layer", "Time", "Share"], rows, note)


def agreement(report: Report) -> Table:
    """What differs from the reference, and by how much."""
    checked = [(device.name, device.agreement) for device in report.devices if device.agreement]
    errors = [{layer.layer: layer.error for layer in found.layers} for _, found in checked]
    names = list(dict.fromkeys(name for known in errors for name in known))
    rows: list[list[Cell]] = [[name, *(shown(known.get(name), small) for known in errors)] for name in names]
    rows.append(["losses of all steps", *(small(found.loss_error) for _, found in checked)])
    rows.append(["weights after them", *(small(found.weight_error) for _, found in checked)])
    rows.append(["first difference", *(found.first_difference or "none" for _, found in checked)])
    note: Cell = "No device was held to the reference."
    if checked:
        found = checked[0][1]
        note = (
            "Largest difference from the reference in double precision, as a share of the largest value: a layer’s results "
            "before training, then ", count(found.steps), " steps of momentum SGD on ", count(found.batch_size),
            " pictures from the same weights and masks. Up to ", small(found.allowed), " is rounding.",
        )  # fmt: skip
    return Table("Do they learn the same?", ["Layer", *(name for name, _ in checked)], rows, note)


def about(report: Report) -> Table:
    """Hardware, versions, and what was trained."""
    here, setup = report.machine, report.setup
    versions: list[list[Cell]] = [[name, version] for name, version in report.versions.items()]
    rows: list[list[Cell]] = [
        ["Processor", (here.processor, ", ", count(here.threads), " threads")],
        ["Memory", BYTES(here.memory)],
        ["Graphics", ", ".join(here.gpus) or "none usable"],
        ["System", here.system],
        *versions,
        ["Network", (setup.network, ", ", count(setup.parameters), " parameters")],
        ["Pictures", _counted(to_train=setup.train, to_validate=setup.validation, to_test=setup.test)],
        ["Data", setup.data],
        ["Optimizer", ("Adam, learning rate ", plain(setup.learning_rate), ", seed ", count(setup.seed))],
        ["Batch size", count(setup.batch_size)],
        ["Epochs", count(setup.epochs)],
        ["Command", report.command],
        ["Made", (report.created, ", in ", duration(report.seconds))],
    ]  # fmt: skip
    return Table("Hardware, versions, settings", ["", ""], rows)


def _counted(**counts: int) -> Cell:
    said = [(count(number), f" {name.replace('_', ' ')}; ") for name, number in counts.items()]
    return tuple(part for pair in said for part in pair)


def overview(report: Report) -> list[Table]:
    """What everybody wants to know."""
    return [tutorials(report), devices(report), throughput(report), agreement(report)]


def details(report: Report) -> list[Table]:
    """What only some want to know."""
    measured = [device for device in report.devices if device.operations]
    return [table for device in measured for table in (layers(device), operations(device))] + [about(report)]


# Drawing.


def markdown(tables: Sequence[Table]) -> str:
    """GitHub's Markdown."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *([text(cell) for cell in row] for row in table.rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    note = f"\n{text(table.note)}\n" if text(table.note) else ""
    return f"## {table.title}\n\n" + "\n".join(lines) + f"\n{note}"


def console(table: Table) -> Any:
    """A table of rich."""
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(title=table.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for k, column in enumerate(table.columns):
        drawn.add_column(Text(column), justify="right" if k else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(text(cell)) for cell in row))
    return drawn

"""report.html: one page that needs no network and no JavaScript, for phones and desktops, in light and dark.

page      the page of a report
document  any headline and sections as such a page; page.css says how it looks
section   a table with its figures
answer    what the report says, in a sentence
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from . import charts, tables
from .charts import Series
from .schema import Device, Report
from .tables import Cell, Number, Part, Table, parts

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser lets the page do: show itself. Nothing is loaded and nothing runs."""
STYLE = Path(__file__).with_name("page.css").read_text("utf-8")


def page(report: Report) -> str:
    """The whole page."""
    sections = [
        section(tables.tutorials(report), [_times(report)]),
        section(tables.devices(report), _curves(report)),
        section(tables.throughput(report), [_throughput(report)], beside=True),
        section(tables.agreement(report), _losses(report), beside=True),
        "<h2>Where a training step’s time goes</h2>",
        _grid([charts.roofline(device) for device in report.devices if device.operations and device.peaks]),
        f'<p class="note">{tables.ROOFLINE}</p>',
        *(_folded(table, opened=k == 0) for k, table in enumerate(tables.details(report)[:-1])),
        section(tables.details(report)[-1], []),
    ]
    headline = f"{report.setup.network} on {report.machine.processor}"
    return document(headline, answer(report), sections)


def document(headline: str, sentence: Cell, sections: Sequence[str]) -> str:
    """A page of sections that are HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(headline)} · fastcnn report</title>\n"
        f'<link rel="icon" href="data:,">\n<style>\n{STYLE}</style>\n</head>\n'
        f'<body>\n<h1>{escape(headline)}</h1>\n<p class="muted">fastcnn report</p>\n<p class="answer">{cell(sentence)}</p>\n'
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def said(report: Report) -> str:
    """The answer as plain text."""
    return tables.text(answer(report))


def answer(report: Report) -> Cell:
    """Which device is how fast, and whether they learn the same."""
    ordered = sorted(report.devices, key=lambda device: device.training.whole_seconds)
    said: list[Part] = [f"{ordered[0].name} trains this network in ", tables.duration(ordered[0].training.whole_seconds)]
    said.append(_how(ordered[0]))
    for device in ordered[1:]:
        said += [f"; {device.name} takes ", tables.times(device.training.times_fastest), " as long" + _how(device)]
    checked = [device for device in report.devices if device.agreement and device.name != "reference"]
    differing = [device.name for device in checked if device.agreement and device.agreement.first_difference]
    if differing:
        said.append(f". Not the same as the reference: {', '.join(differing)}.")
    elif checked:
        said.append(
            f". {' and '.join(device.name for device in checked)} learn{'s' * (len(checked) == 1)} what the reference learns."
        )
    else:
        said.append(".")
    return tuple(said)


def _how(device: Device) -> str:
    return f" (projected from {device.training.projected})" if device.training.projected else ""


# Figures.


def _times(report: Report) -> str:
    network = report.table[0].network
    rows = [
        (row.device + (" (projected)" if row.projected else ""), tables.duration(row.seconds), row.here)
        for row in report.table
        if row.network == network
    ]
    return charts.bars(f"{network}: time of the tutorials’ training", sorted(rows, key=lambda row: row[1].value))


def _curves(report: Report) -> list[str]:
    trained = [(d.name, d.training.epochs, k) for k, d in _coloured(report) if len(d.training.epochs) > 1]
    if not trained:
        return []
    reached = [Series(name, [(e.seconds, 100 * e.val_accuracy) for e in epochs], k) for name, epochs, k in trained]
    losses = [Series(name, [(n, e.loss) for n, e in enumerate(epochs, start=1)], k) for name, epochs, k in trained]
    return [
        charts.lines("Time to accuracy", "seconds", "validation accuracy, %", reached, logarithmic=(True, False)),
        charts.lines("The same curve?", "epoch", "training loss", losses, logarithmic=(False, True)),
    ]


def _throughput(report: Report) -> str:
    rates = [Series(d.name, [(r.batch_size, r.samples_per_second) for r in d.throughput], k) for k, d in _coloured(report)]
    return charts.lines("Predictions", "batch size", "pictures a second", rates, logarithmic=(True, True))


def _losses(report: Report) -> list[str]:
    checked = [(d.name, d.agreement, k) for k, d in _coloured(report) if d.agreement]
    if not checked:
        return []
    series = [Series(name, list(enumerate(found.losses, start=1)), k) for name, found, k in checked]
    expected = list(enumerate(checked[0][1].reference_losses, start=1))
    double = Series("reference, double precision", expected, charts.ROOF, dashed=True)
    return [charts.lines("The first steps", "step", "loss", [*series, double], logarithmic=(False, False))]


def _coloured(report: Report) -> list[tuple[int, Device]]:
    return [(k % charts.COLOURS, device) for k, device in enumerate(report.devices)]


# HTML.


def cell(content: Cell) -> str:
    """Text and numbers; a number carries the very value of report.json."""
    return "".join(_number(part) if isinstance(part, Number) else escape(part) for part in parts(content))


def _number(number: Number) -> str:
    return f'<data value="{number.value!r}">{escape(number.text)}</data>'


def section(table: Table, figures: Sequence[str], beside: bool = False) -> str:
    """A table with its figures above it, or beside it where there is room."""
    kind = "beside" if beside and figures else "above"
    return f'<h2>{escape(table.title)}</h2>\n<div class="{kind}">{_grid(figures)}<div>{_table(table)}</div></div>'


def _folded(table: Table, opened: bool) -> str:
    state = " open" if opened else ""
    return f"<details{state}><summary>{escape(table.title)}</summary>{_table(table)}</details>"


def _grid(figures: Sequence[str]) -> str:
    return f'<div class="figures">{"".join(figures)}</div>\n' if figures else ""


def _table(table: Table) -> str:
    titles = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = "\n".join(_row(table, row) for row in table.rows)
    note = f'<p class="note">{cell(table.note)}</p>' if table.note else ""
    head = f"<thead><tr>{titles}</tr></thead>" if any(table.columns) else ""
    return f'<div class="wide" tabindex="0"><table>{head}<tbody>\n{rows}\n</tbody></table></div>{note}'


def _row(table: Table, row: Sequence[Cell]) -> str:
    cells = "".join(
        f"<td{_bar(column, content)}>{cell(content)}</td>" for column, content in zip(table.columns[1:], row[1:], strict=True)
    )
    return f'<tr><th scope="row">{cell(row[0])}</th>{cells}</tr>'


def _bar(column: str, content: Any) -> str:
    return f' class="bar" style="--share: {100 * content.value:.1f}%"' if column == "Share" else ""

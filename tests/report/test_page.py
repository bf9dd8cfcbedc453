"""What is shown: every number stands in report.json and reads as it does there; the page needs nothing but itself."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fastcnn.report import page, tables
from fastcnn.report.charts import axis
from fastcnn.report.schema import Report, document
from fastcnn.report.tables import Number

PREFIXES = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "": 1.0}
FACTORS = {"ms": 1e-3, "%": 1e-2, "×": 1.0, "s": 1.0, "": 1.0}
DURATION = re.compile(r"(?:(\d+)h )?(\d+)m(?: (\d+)s)?")
UNITS = re.compile(r"([\d.,e+-]+)\s?(ms|%|×|s|[TGMk]?(?:FLOP/s|FLOP|B/s|B)|)")


class Shown(HTMLParser):
    """Numbers as (value, text), and all other text that is seen, but for rulers of charts."""

    def __init__(self, source: str):
        super().__init__()
        self.numbers: list[tuple[float, str]] = []
        self.words: list[str] = []
        self.open: list[tuple[str, dict[str, Any]]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        if tag not in ("meta", "link"):
            self.open.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        while self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        tag, attributes = self.open[-1] if self.open else ("", {})
        value = attributes.get("value", attributes.get("data-value"))
        if value is not None:
            self.numbers.append((float(value), data))
        elif tag != "style" and attributes.get("class") != "ruler":
            self.words.append(data)


def leaves(value: Any) -> Iterator[Any]:
    """Everything in a JSON document that is no list and no object, and keys."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def reading(text: str) -> tuple[float, float]:
    """What a number says as it is shown, and half a unit of its last place."""
    if found := DURATION.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return 3600.0 * hours + 60 * minutes + seconds, 30.0 if hours else 0.5
    number, unit = UNITS.fullmatch(text).groups()  # type: ignore[union-attr]
    mantissa, _, exponent = number.replace(",", "").partition("e")
    factor = FACTORS.get(unit) or PREFIXES[re.sub("FLOP/s|FLOP|B/s|B", "", unit)]
    last_place = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return float(mantissa) * 10.0 ** int(exponent or 0) * factor, 0.5001 * last_place * factor


def test_every_number_stands_in_the_document_and_reads_as_it_does_there(report: Report):
    found = Shown(page.page(report))
    known = {float(leaf) for leaf in leaves(json.loads(document(report))) if type(leaf) in (int, float)}
    assert len(found.numbers) > 200
    for value, text in found.numbers:
        assert value in known, text
        read, half = reading(text)
        assert abs(read - value) <= half, (value, text)


def test_no_number_is_shown_that_is_not_marked_as_one(report: Report):
    strings = sorted((leaf for leaf in leaves(json.loads(document(report))) if isinstance(leaf, str)), key=len, reverse=True)
    for words in Shown(page.page(report)).words:
        left = words
        for text in strings:
            left = left.replace(text, "") if any(c.isdigit() for c in text) else left
        assert not re.search(r"\d", left), words


def test_the_page_asks_for_nothing(report: Report):
    source = page.page(report)
    assert "<script" not in source
    assert not re.search(r"(https?:)?//|url\(|@import|<iframe|<object", source)
    assert re.findall(r'\b(?:src|href)="([^"]*)"', source) == ["data:,"]
    assert source.index(page.POLICY) < source.index("<title>")


def test_words_from_outside_are_text(report: Report):
    odd = replace(report, machine=replace(report.machine, processor='<b>"&'), command="a | b")
    assert "<b>" not in page.page(odd)
    assert '<b>"&' in unescape(page.page(odd))
    assert "a \\| b" in tables.markdown(tables.details(odd))


def test_the_tutorials_rows_come_first_and_what_was_projected_says_so(report: Report):
    rows = [[tables.text(cell) for cell in row] for row in tables.tutorials(report).rows]
    assert [row[:3] for row in rows[:2]] == [["GTX 1070", "8m 4s", "79.12 %"], ["i7 7700HQ", "3h 30m", "78.91 %"]]
    assert {row[3] for row in rows[2:]} >= {"from 2 epochs"}
    assert all(row[1].endswith(" projected") and row[3].startswith("from ") for row in rows[2:])
    drawn = page.page(report)
    for row in report.table:
        assert not row.projected or f"{row.device} (projected)" in drawn or row.network != "TutorialCIFAR10"


def test_markdown_and_terminal_show_the_same(report: Report):
    from rich.console import Console

    console = Console(width=300, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in tables.overview(report):
        console.print(tables.console(table))
    seen, written = console.export_text(), tables.markdown(tables.overview(report))
    for row in (row for table in tables.overview(report) for row in table.rows):
        for cell in map(tables.text, row):
            assert cell in seen
            assert cell in written


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.012345, "0.0123"), (1.2345, "1.23"), (9.999, "10.0"), (99.96, "100"), (123.4, "123"), (12345.6, "12,346")],
)
def test_significant_digits(value: float, text: str):
    assert tables.significant(value) == text


def test_units():
    shown = [tables.duration(0.5), tables.duration(484), tables.percent(0.0551), tables.percent(1.5), tables.FLOPS(2.5e11)]
    assert [number.text for number in shown] == ["500 ms", "8m 4s", "5.5 %", "150 %", "250 GFLOP/s"]
    assert shown[0] == Number(0.5, "500 ms")


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("values", [(1.0, 1.0), (0.2, 3.0), (1.0, 512.0), (1e6, 4e11)])
def test_axes_hold_their_values_and_have_few_round_ticks(values: tuple[float, float], logarithmic: bool):
    scale = axis(values, 0, 100, logarithmic)
    assert all(0 < scale(value) < 100 for value in values)
    assert len(scale.ticks()) <= 7
    assert all(0 <= scale(tick) <= 100 for tick in scale.ticks())


# In a browser.

SAYS = """<script>
addEventListener("load", () => top.postMessage(JSON.stringify({
  width: innerWidth, scrolls: document.documentElement.scrollWidth, requests: performance.getEntriesByType("resource").length,
  ground: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
  figures: [...document.querySelectorAll("svg")].map(s => s.getBoundingClientRect().width) }), "*"))
</script>"""
HEARS = """<script>addEventListener("message", event => { document.documentElement.dataset.said = event.data })</script>"""


@pytest.mark.parametrize("width", [500, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it_without_errors_and_requests(report: Report, browser: str, tmp_path: Path, width: int, dark: bool):
    """The page is watched by a script of the test's own, for which its policy is widened; whatever else the policy forbids is
    an error in the console. Headless Chromium's windows are at least 500 pixels wide, so a phone is a frame of 390 in one."""
    watched = page.page(report).replace(page.POLICY, page.POLICY + "; script-src 'unsafe-inline'")
    (tmp_path / "report.html").write_text(watched.replace("</head>", SAYS + HEARS + "</head>"))
    phone = width == 500
    outer = tmp_path / "phone.html"
    outer.write_text(HEARS + '<iframe src="report.html" style="width: 390px; height: 800px; border: 0"></iframe>')
    said, log = visited(browser, tmp_path, outer if phone else tmp_path / "report.html", width, dark)
    assert "CONSOLE" not in log
    assert said["requests"] == 0
    assert said["scrolls"] <= said["width"] == (390 if phone else 1200)
    assert min(said["figures"]) > 250
    brightness = [sum(map(int, re.findall(r"\d+", said[name])[:3])) for name in ("ground", "ink")]
    assert (brightness[0] < brightness[1]) == dark


def visited(browser: str, folder: Path, file: Path, width: int, dark: bool) -> tuple[Any, str]:
    """What the page's watcher said, and what the browser logged."""
    options = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--window-size={width},900",
        f"--user-data-dir={folder / 'profile'}", "--disable-background-networking",
        "--disable-component-update", "--no-first-run", "--dump-dom", "--virtual-time-budget=2000",
    ]  # fmt: skip
    done = subprocess.run([browser, *options, file.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-said="([^"]*)"', done.stdout)
    assert found, done.stderr
    return json.loads(unescape(found[1])), done.stderr

"""Charts as SVG, in colours and sizes that the page around them chooses.

    Series    a name, points, a colour
    lines     curves over two axes
    roofline  operations of a device below what its peaks allow
    bars      a bar a row, on a logarithmic scale

Numbers along the axes are rulers (class "ruler"); every other number comes from report.json.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from .schema import Device
from .tables import Number

WIDTH, HEIGHT = 360.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 10.0, 24.0, 38.0
LARGEST_DOT, SMALLEST_DOT = 9.0, 2.5
NAMED_DOTS, LETTER = 3, 6.0
ROW = 42.0
COLOURS = 5
ROOF = 9
"""Colours by number: of devices, and of what they are held to."""
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A curve in the colour of a place in the report's list of devices. `dashed` for what others are held to."""

    name: str
    points: Sequence[Point]
    colour: int
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """A range of values on a line of pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        low, high, at = (math.log10(x) if self.logarithmic else x for x in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values, three to seven of them."""
        return _powers(self.low, self.high) if self.logarithmic else _multiples(self.low, self.high)


def axis(values: Sequence[float], start: float, end: float, logarithmic: bool) -> Axis:
    """An axis that holds the values with a little room."""
    low, high = min(values), max(values)
    if logarithmic:
        room = max((high / low) ** 0.04, 1.05)
        return Axis(low / room, high * room, start, end, True)
    room = 0.04 * (high - low) or max(abs(high), 1) * 0.04
    return Axis(low - room, high + room, start, end, False)


def _powers(low: float, high: float) -> list[float]:
    decades = math.log10(high / low)
    digits = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 3 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [digit * 10.0**e for e in exponents for digit in digits if low <= digit * 10.0**e <= high]
    return found[:: max(1, math.ceil(len(found) / 6))]


def _multiples(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def lines(title: str, x_label: str, y_label: str, series: Sequence[Series], *, logarithmic: tuple[bool, bool]) -> str:
    """Curves. `logarithmic` says it of x and of y."""
    points = [point for one in series for point in one.points]
    x = axis([p[0] for p in points], LEFT, WIDTH - RIGHT, logarithmic[0])
    y = axis([p[1] for p in points], HEIGHT - BOTTOM, TOP, logarithmic[1])
    curves = [_curve(one, x, y) for one in series]
    key = "".join(f'<span class="s{one.colour}">{escape(one.name)}</span>' for one in series)
    return _figure(title, _frame(x, y, x_label, y_label) + "".join(curves), key)


def _curve(one: Series, x: Axis, y: Axis) -> str:
    places = [(x(a), y(b)) for a, b in one.points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    dash = ' stroke-dasharray="5 4"' if one.dashed else ""
    dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.4"/>' for a, b in places) if len(places) < 30 else ""
    return f'<g class="s{one.colour}"><polyline points="{path}"{dash}/>{"" if one.dashed else dots}</g>'


def roofline(device: Device) -> str:
    """Speed against operations a byte, a dot an operation, its area the share of time, below the peaks' two lines."""
    assert device.peaks is not None
    shown = [o for o in device.operations if o.flops]
    ridge = device.peaks.flops / device.peaks.bytes
    x = axis([ridge, *(o.intensity for o in shown)], LEFT, WIDTH - RIGHT, True)
    speeds = [o.flops_per_second for o in shown]
    y = axis([device.peaks.flops, device.peaks.bytes * x.low, *speeds], HEIGHT - BOTTOM, TOP, True)
    roof = [(at, min(device.peaks.flops, device.peaks.bytes * at)) for at in (x.low, ridge, x.high)]
    largest = max(o.share for o in shown)
    dots = "".join(
        f'<circle cx="{x(o.intensity):.1f}" cy="{y(o.flops_per_second):.1f}" '
        f'r="{max(SMALLEST_DOT, LARGEST_DOT * math.sqrt(o.share / largest)):.1f}" class="{o.bound}">'
        f"<title>{escape(f'{o.layer}: {o.name}')}</title></circle>"
        for o in shown
    )
    drawn = f'<g class="roof">{_curve(Series("", roof, ROOF, dashed=True), x, y)}</g><g class="dots">{dots}</g>' + _names(
        device, x, y
    )
    key = '<span class="compute">bound by compute</span><span class="memory">bound by memory</span>'
    frame = _frame(x, y, "operations a byte", "operations a second")
    return _figure(f"{device.name}: roofline of a training step", frame + drawn, key)


def _names(device: Device, x: Axis, y: Axis) -> str:
    """The operations that take longest, named to the left of their dots or, where there is no room, to the right; one below the
    other where they would meet."""
    longest = sorted((o for o in device.operations if o.flops), key=lambda o: -o.share)[:NAMED_DOTS]
    places = sorted((y(o.flops_per_second) + 4, x(o.intensity), f"{o.layer} {o.name.rpartition('_')[2]}") for o in longest)
    heights = [place[0] for place in places]
    for above, k in pairwise(range(len(heights))):
        heights[k] = max(heights[k], heights[above] + 13)
    return "".join(_name(at, height, name) for height, (_, at, name) in zip(heights, places, strict=True))


def _name(at: float, height: float, name: str) -> str:
    left = at - 12 - LETTER * len(name) >= LEFT
    place, anchor = (at - 12, "end") if left else (at + 12, "start")
    return f'<text x="{place:.1f}" y="{height:.1f}" text-anchor="{anchor}">{escape(name)}</text>'


def bars(title: str, rows: Sequence[tuple[str, Number, bool]]) -> str:
    """A row: its name, its number, and whether it was measured here. The scale is logarithmic: each line ten times the last."""
    values = [number.value for _, number, _ in rows]
    x = axis([min(values) / 2, *values], 0, WIDTH - 2, True)
    height = ROW * len(rows)
    rulers = "".join(f'<path class="grid" d="M{x(t):.1f} 0V{height}"/>' for t in _powers(x.low, x.high) if _is_power(t))
    drawn = "".join(_bar(k, row, x) for k, row in enumerate(rows))
    return _figure(
        title, rulers + drawn, '<span class="muted">logarithmic: each line is ten times the one before</span>', height
    )


def _is_power(value: float) -> bool:
    return abs(math.log10(value) - round(math.log10(value))) < 1e-9


def _bar(k: int, row: tuple[str, Number, bool], x: Axis) -> str:
    name, number, here = row
    top, colour = ROW * k, "s0" if here else "other"
    value = f'<tspan class="value" data-value="{number.value!r}">{escape(number.text)}</tspan>'
    return (
        f'<rect class="{colour}" x="0" y="{top + 19:.1f}" width="{x(number.value):.1f}" height="14" rx="2"/>'
        f'<text x="0" y="{top + 13:.1f}">{escape(name)} <tspan dx="6">{value}</tspan></text>'
    )


def _frame(x: Axis, y: Axis, x_label: str, y_label: str) -> str:
    bottom, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
    across = "".join(
        f'<path class="grid" d="M{LEFT} {y(t):.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="ruler" x="{LEFT - 5}" y="{y(t) + 4:.1f}" text-anchor="end">{_tick(t)}</text>'
        for t in y.ticks()
    )
    along = "".join(
        f'<text class="ruler" x="{x(t):.1f}" y="{bottom + 15}" text-anchor="middle">{_tick(t)}</text>' for t in x.ticks()
    )
    names = (
        f'<text class="label" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text class="label" x="0" y="11">{escape(y_label)}</text>'
    )
    return f'{across}{along}{names}<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>'


def _tick(value: float) -> str:
    factor, prefix = next((p for p in PREFIXES if abs(value) >= 0.9999 * p[0]), (1.0, ""))
    return f"{value / factor:.4g}{prefix}"


def _figure(title: str, drawn: str, key: str, height: float = HEIGHT) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><p class="key">{key}</p>'
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title)}">{drawn}</svg></figure>'
    )

"""What every backend decides alike: affine maps and rectangles from random words, in integers, so that all have the same bits.

    fixed_range, box_ranges   ranges of random numbers as whole numbers
    functions                 number, drawn, composed and box, for a backend

They work on int64 numbers, and on NumPy arrays of them: the reference calls them as they are, kernels inline them. A random u
is a whole number in [0, 2^24), for u / 2^24 in [0, 1).

A map is six numbers (a, b, s, c, d, t). Pixels count from the centre of their picture and in half pixels, so that all are whole
numbers: pixel i of n is at 2 i + 1 - n. y's pixel at (v, h) shows the place (a v + b h + s, c v + d h + t) of x.
a, b, c, d are in units of 2^-24, s and t in units of 2^-16 half pixels; none goes beyond LIMIT.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..api import TRANSFORMS

FLIP, TRANSLATION, CROP, ROTATION, ZOOM = range(len(TRANSFORMS))
ONE, PIXEL, TURN = 1 << 24, 1 << 17, 1 << 32
"""1 in the units of a map's factors; a pixel in the units of its offsets; a whole turn in those of `sine`."""
LIMIT = 1 << 30
UNITS = {"flip": ONE, "translation": PIXEL, "crop": PIXEL, "rotation": TURN, "zoom": ONE}
C1, C3, C5, C7, C9, C11, C13 = (round(2**30 * (math.pi / 2) ** k / math.factorial(k)) for k in (1, 3, 5, 7, 9, 11, 13))
"""sin(pi/2 z) = C1 z - C3 z^3 + ..., in units of 2^-30; what is left out is below 7e-10 for z in [0, 1]."""


def fixed_range(transform: str, low: tuple[float, ...], high: tuple[float, ...]) -> tuple[int, int, int, int]:
    """(low, span) of the rows' and of the columns' number, in the transform's units; a single entry is that of both."""
    unit = UNITS[transform]
    first, *second = ((round(a * unit), round(b * unit) - round(a * unit)) for a, b in zip(low, high, strict=True))
    return (*first, *(second[0] if second else first))


def box_ranges(scale: tuple[float, float], probability: tuple[float, float]) -> tuple[int, int, int, int]:
    """(low, span) of the shares and of the probability, in units of 2^-32 and 2^-24."""
    shares, chances = [round(share * 2**32) for share in scale], [round(chance * 2**24) for chance in probability]
    return shares[0], shares[1] - shares[0], chances[0], chances[1] - chances[0]


class Functions(NamedTuple):
    """number(kind, low, span, u), drawn(kind, first, second), composed(map, map), box(size, ranges, six random numbers)."""

    number: Any
    drawn: Any
    composed: Any
    box: Any


def functions(inlined: Callable[[Any], Any]) -> Functions:
    """The functions, each made by `inlined` into what a backend can call."""

    @inlined
    def number(kind, low, span, u):
        """low + span * u / 2^24; of a crop, low and a whole number of pixels."""
        part = span * u >> 24
        if kind == CROP:
            part = part >> 17 << 17
        return low + part

    @inlined
    def sine(turn):
        """sin(2 pi turn / 2^32) in units of 2^-24, off by less than one of them; exact at quarters of a turn."""
        place = turn & (TURN - 1)
        half, within = place >> 31, place & ((1 << 31) - 1)
        z = (1 << 30) - abs(within - (1 << 30))
        square = z * z >> 30
        series = C11 - (C13 * square >> 30)
        series = C9 - (series * square >> 30)
        series = C7 - (series * square >> 30)
        series = C5 - (series * square >> 30)
        series = C3 - (series * square >> 30)
        series = C1 - (series * square >> 30)
        return ((series * z >> 30) + 32 >> 6) * (1 - 2 * half)

    @inlined
    def drawn(kind, first, second):
        """The map of a transform from the numbers of its rows and columns."""
        a, b, s, c, d, t = ONE, 0, 0, 0, ONE, 0
        if kind == FLIP:
            a, d = ONE * (1 - 2 * (first >> 23)), ONE * (1 - 2 * (second >> 23))
        if kind == TRANSLATION:
            s, t = -first, -second
        if kind == CROP:
            s, t = first, second
        if kind == ROTATION:
            a, b = sine(first + TURN // 4), sine(first)
            c, d = -b, a
        if kind == ZOOM:
            a, d = first, second
        return a, b, s, c, d, t

    @inlined
    def limited(x):
        """x in [-LIMIT, LIMIT]."""
        return abs(x + LIMIT) - abs(x - LIMIT) >> 1

    @inlined
    def product(p, q, x, y):
        """p x + q y of factors p, q, rounded."""
        return limited(p * x + q * y + ONE // 2 >> 24)

    @inlined
    def composed(before, behind):
        """The map that shows what the first map shows at the place that the second one leads to."""
        a, b, s, c, d, t = before
        a2, b2, s2, c2, d2, t2 = behind
        return (
            product(a, b, a2, c2), product(a, b, b2, d2), limited(product(a, b, s2, t2) + s),
            product(c, d, a2, c2), product(c, d, b2, d2), limited(product(c, d, s2, t2) + t),
        )  # fmt: skip

    @inlined
    def root(x):
        """The whole part of the square root of x in [0, 2^32], bit by bit."""
        result = x * 0
        for k in range(17):
            trial = result + (65536 >> k)
            result = result + (trial * trial <= x) * (65536 >> k)
        return result

    @inlined
    def start(extent, share, u):
        """Where a random stretch of share / 2^16 of an axis begins, in units of 2^-16 pixels."""
        return ((extent << 16) - share * extent) * u >> 24

    @inlined
    def box(height, width, scale, scale_span, chance, chance_span, u0, u1, u2, u3, u4, u5):
        """(top, bottom, left, right) of a rectangle, see random_box: the pixels from its start on and before its end. The
        ranges are those of `box_ranges`."""
        share_v, share_h = root(scale + (scale_span * u0 >> 24)), root(scale + (scale_span * u1 >> 24))
        v, h = start(height, share_v, u2) + 65535, start(width, share_h, u3) + 65535
        there = (u4 < chance + (chance_span * u5 >> 24)) * 1
        bottom, right = v + share_v * height >> 16, h + share_h * width >> 16
        return (v >> 16) * there, bottom * there, (h >> 16) * there, right * there

    return Functions(number, drawn, composed, box)

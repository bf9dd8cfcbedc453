"""Padding and cropping on the CPU: line by line of y, zeros where x has no pixel."""

from typing import Any

import numpy as np

from ..api import Padding
from ..host.functions import inlined
from ..host.runner import kernel
from ..host.walk import DEPTH, HEIGHT, WIDTH, line_address, number, walk
from ..simd import load_f32x16, splat, store_f32x16

BLOCKS, _D, _H, _W = 0, 1, 3, 5
"""Numbers of the kernel: blocks; for D, H, W the extent of x and the padding before it."""


def pad(plan: Any, x: Any, y: Any, *, padding: Padding) -> None:
    """y = x with a border of zeros, or without a border where padding is negative."""

    def arguments(at: Any) -> list[int]:
        layout = at.layout(x)
        before = (*(0,) * (3 - len(padding)), *(before for before, _ in padding))
        axes = zip((layout.depth, layout.height, layout.width), before, strict=True)
        return walk(at, (y, x), (layout.blocks, *(n for axis in axes for n in axis)), join=False)

    plan.launch(pad_kernel, arguments, reads=[x], writes=[y])


@inlined
def _outside(a, axis, i):
    """Whether x has no pixel where y has pixel i of an axis."""
    return i < number(a, axis + 1) or i >= number(a, axis + 1) + number(a, axis)


@inlined
def _zero(y, first, last):
    """Zero the pixels first .. last - 1 of the line at address y."""
    for w in range(first, last):
        store_f32x16(y + 64 * w, splat(np.float32(0)))


@kernel
def pad_kernel(a, first, last):
    """y[d, h, w] = x[d - before, h - before, w - before] or 0. Operands y, x. Reads and writes a pixel once."""
    left = max(0, number(a, _W + 1))
    right = min(a[WIDTH], number(a, _W + 1) + number(a, _W))
    for n in range(first, last):
        for b in range(number(a, BLOCKS)):
            for d in range(a[DEPTH]):
                for h in range(a[HEIGHT]):
                    y = line_address(a, 0, n, b, d, h)
                    if _outside(a, _D, d) or _outside(a, _H, h):
                        _zero(y, 0, a[WIDTH])
                        continue
                    x = line_address(a, 1, n, b, d - number(a, _D + 1), h - number(a, _H + 1)) - 64 * number(a, _W + 1)
                    _zero(y, 0, left)
                    for w in range(left, right):
                        store_f32x16(y + 64 * w, load_f32x16(x + 64 * w))
                    _zero(y, right, a[WIDTH])

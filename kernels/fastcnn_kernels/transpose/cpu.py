"""Permutation of axes on the CPU: whole vectors where the channels stay the last axis, else one number at a time."""

from typing import Any

from ..api import Extents
from ..host.runner import kernel
from ..host.walk import BLOCK, CHANNELS, DEPTH, HEIGHT, WIDTH, line_address, number, sample_address, stride, walk
from ..simd import load_f32, load_f32x16, store_f32, store_f32x16

BLOCKS, KEPT, _STRIDE, _CHANNEL = 0, 1, 2, 6
"""Numbers of the kernel: y's blocks; whether channels stay the last axis; for y's axes D, H, W, C the bytes of a step in x, 0
for the axis that x's channels became; for D, H, W whether they are that axis."""


def transpose(plan: Any, x: Any, y: Any, *, axes: Extents) -> None:
    """Axis j of y is axis axes[j] of x."""
    unit = 5 - len(axes)
    order = (*range(unit), *(unit + axis - 1 for axis in axes[1:]))

    def arguments(at: Any) -> list[int]:
        source = at.layout(x)
        strides = source.plane, source.row, source.pixel, 0
        numbers = (at.layout(y).blocks, order[3] == 3, *(strides[axis] for axis in order), *(axis == 3 for axis in order[:3]))
        return walk(at, (y, x), numbers, join=False)

    plan.launch(transpose_kernel, arguments, reads=[x], writes=[y])


@kernel
def transpose_kernel(a, first, last):
    """y[d, h, w, c] = x[those, permuted]. Operands y, x. Writes y in order and reads a number of x once."""
    for n in range(first, last):
        for b in range(number(a, BLOCKS)):
            for d in range(a[DEPTH]):
                for h in range(a[HEIGHT]):
                    y = line_address(a, 0, n, b, d, h)
                    line = sample_address(a, 1, n) + d * number(a, _STRIDE) + h * number(a, _STRIDE + 1)
                    for w in range(a[WIDTH]):
                        x = line + w * number(a, _STRIDE + 2)
                        if number(a, KEPT):
                            store_f32x16(y + 64 * w, load_f32x16(x + b * stride(a, 1, BLOCK)))
                            continue
                        channel = d * number(a, _CHANNEL) + h * number(a, _CHANNEL + 1) + w * number(a, _CHANNEL + 2)
                        x += (channel >> 4) * stride(a, 1, BLOCK) + 4 * (channel & 15)
                        for c in range(16 * b, min(16 * b + 16, stride(a, 0, CHANNELS))):
                            store_f32(y + 64 * w + 4 * (c - 16 * b), load_f32(x + c * number(a, _STRIDE + 3)))

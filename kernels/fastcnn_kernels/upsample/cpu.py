"""Upsampling on the CPU: every pixel of the result is a weighted sum over a box of pixels of the source, in both directions.

    upsample_forward    the pixels that an output lies between
    upsample_backward   the outputs that a pixel reaches, row-major
    Weights             of one axis: which source pixels each pixel of the result sees, and how much of them
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Extents
from ..host.functions import inlined
from ..host.runner import kernel
from ..host.walk import DEPTH, HEIGHT, WIDTH, line_address, number, walk
from ..simd import fma, load_f32, load_f32x16, load_i64, load_splat, splat, store_f32x16

Indices = NDArray[np.int64]
BLOCKS, _D, _H, _W = range(4)
"""Numbers of the kernel: blocks; the addresses of a table for each of D, H, W."""
ENTRY = 24
"""Bytes of an entry of a table: first source pixel, how many, address of their weights."""


def upsample_forward(plan: Any, x: Any, y: Any, *, factors: Extents, interpolation: str) -> None:
    """y = x enlarged."""
    axes = zip(x.shape[1:-1], factors, strict=True)
    _launch(plan, x, y, [Weights(*_shares(extent, factor, interpolation)) for extent, factor in axes])


def upsample_backward(plan: Any, dy: Any, dx: Any, *, factors: Extents, interpolation: str) -> None:
    """dx = dy, gathered where forward put x."""
    shares = [_shares(extent, factor, interpolation) for extent, factor in zip(dx.shape[1:-1], factors, strict=True)]
    _launch(plan, dy, dx, [Weights(pixels, outputs, weights) for outputs, pixels, weights in shares])


class Weights:
    """The matrix of one axis with these entries, row by row; the columns of a row follow each other."""

    def __init__(self, rows: Indices, columns: Indices, weights: NDArray[np.float32]):
        order = np.lexsort((columns, rows))
        self.weights = np.ascontiguousarray(weights[order], np.float32)
        first, count = np.unique(rows[order], return_index=True, return_counts=True)[1:]
        places = self.weights.ctypes.data + 4 * first
        self.table = np.ascontiguousarray(np.stack((columns[order][first], count, places), -1), np.int64)
        self.address = self.table.ctypes.data


def _shares(extent: int, factor: int, interpolation: str) -> tuple[Indices, Indices, NDArray[np.float32]]:
    """Of one axis: every output and pixel that have to do with each other, and how much of the pixel there is in the output."""
    outputs = np.arange(extent * factor)
    if interpolation == "nearest":
        return outputs, outputs // factor, np.ones(len(outputs), np.float32)
    centres = np.clip((outputs + 0.5) / factor - 0.5, 0, extent - 1)
    pixels = np.floor(centres).astype(np.int64)
    second = centres - pixels
    between = second > 0
    weights = np.concatenate((1 - second, second[between])).astype(np.float32)
    return np.concatenate((outputs, outputs[between])), np.concatenate((pixels, pixels[between] + 1)), weights


def _launch(plan: Any, source: Any, result: Any, axes: list[Weights]) -> None:
    one = Weights(*_shares(1, 1, "nearest"))
    whole = [*[one] * (3 - len(axes)), *axes]

    def arguments(at: Any) -> list[int]:
        return walk(at, (result, source), (at.layout(result).blocks, *(axis.address for axis in whole)), join=False)

    plan.launch(weighted_kernel, arguments, reads=[source], writes=[result])


@inlined
def _entry(a, axis, i):
    """First source pixel, how many, and the address of their weights, for pixel i of the result."""
    entry = number(a, axis) + ENTRY * i
    return load_i64(entry), load_i64(entry + 8), load_i64(entry + 16)


@kernel
def weighted_kernel(a, first, last):
    """result[i] = sum of weight * source over the box of source pixels that i sees, line by line. Operands result, source.

    Writes a pixel once; a line of the source is read once from memory and from the nearest cache after that.
    """
    for n in range(first, last):
        for b in range(number(a, BLOCKS)):
            for i_d in range(a[DEPTH]):
                d, count_d, weights_d = _entry(a, _D, i_d)
                for i_h in range(a[HEIGHT]):
                    h, count_h, weights_h = _entry(a, _H, i_h)
                    result = line_address(a, 0, n, b, i_d, i_h)
                    for i_w in range(a[WIDTH]):
                        w, count_w, weights_w = _entry(a, _W, i_w)
                        total = splat(np.float32(0))
                        for k_d in range(count_d):
                            for k_h in range(count_h):
                                source = line_address(a, 1, n, b, d + k_d, h + k_h) + 64 * w
                                along = splat(np.float32(0))
                                for k_w in range(count_w):
                                    along = fma(load_splat(weights_w + 4 * k_w), load_f32x16(source + 64 * k_w), along)
                                share = load_f32(weights_d + 4 * k_d) * load_f32(weights_h + 4 * k_h)
                                total = fma(splat(share), along, total)
                        store_f32x16(result + 64 * i_w, total)

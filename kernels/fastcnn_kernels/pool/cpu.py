"""Pooling on the CPU: windows clamped to the image, sixteen channels at a time.

    max_pool_forward  max_pool_backward          with the winner's position in the window
    average_pool_forward  average_pool_backward  over the pixels of the window that lie inside the image

Forward reads a window of x an output. Backward zeroes a block of dx, then adds dy to the pixels of its window, output by output
in row-major order: each block (a plane of 16 channels) stays in the nearest cache meanwhile.
"""

from typing import Any

import numpy as np

from ..host.functions import inlined
from ..host.runner import kernel
from ..host.walk import DEPTH, HEIGHT, PLANE, ROW, WIDTH, line_address, number, present, stride, walk
from ..simd import (
    is_nan,
    load_f32x16,
    load_u8x16,
    load_u32x16,
    select,
    select_u32,
    splat,
    splat_u32,
    store_f32x16,
    store_u8x16,
    store_u32x16,
    u8_to_u32,
    u32_to_u8,
)

BLOCKS, WIDE, AXES = 0, 1, 2
"""Numbers of every kernel here: blocks; bytes of an entry of argmax; then for D, H, W: extent of x, window, stride, padding."""
_D, _H, _W = AXES, AXES + 4, AXES + 8


def max_pool_forward(plan: Any, x: Any, y: Any, argmax: Any, *, window: Any, strides: Any, padding: Any) -> None:
    """y = maximum of the window, argmax = its first winner."""

    def arguments(at: Any) -> list[int]:
        return _arguments(at, (y, x, argmax), x, argmax, window, strides, padding)

    plan.launch(max_pool_forward_kernel, arguments, reads=[x], writes=[y, argmax])


def max_pool_backward(plan: Any, argmax: Any, dy: Any, dx: Any, *, window: Any, strides: Any, padding: Any) -> None:
    """dx = sum of dy over the windows won."""

    def arguments(at: Any) -> list[int]:
        return _arguments(at, (dy, dx, argmax), dx, argmax, window, strides, padding)

    plan.launch(pool_backward_kernel, arguments, reads=[argmax, dy], writes=[dx])


def average_pool_forward(plan: Any, x: Any, y: Any, *, window: Any, strides: Any, padding: Any) -> None:
    """y = mean of the window's pixels inside x."""

    def arguments(at: Any) -> list[int]:
        return _arguments(at, (y, x), x, None, window, strides, padding)

    plan.launch(average_pool_forward_kernel, arguments, reads=[x], writes=[y])


def average_pool_backward(plan: Any, dy: Any, dx: Any, *, window: Any, strides: Any, padding: Any) -> None:
    """dx = sum of dy / number of pixels over the windows."""

    def arguments(at: Any) -> list[int]:
        return _arguments(at, (dy, dx, None), dx, None, window, strides, padding)

    plan.launch(pool_backward_kernel, arguments, reads=[dy], writes=[dx])


def _arguments(at: Any, operands: Any, x: Any, argmax: Any, window: Any, strides: Any, padding: Any) -> list[int]:
    layout = at.layout(x)
    unit = 3 - len(window)
    axes = zip(
        (layout.depth, layout.height, layout.width),
        (*(1,) * unit, *window),
        (*(1,) * unit, *strides),
        (*(0,) * unit, *(before for before, _ in padding)),
        strict=True,
    )
    entry = argmax.dtype.itemsize if argmax else 0
    return walk(at, operands, (layout.blocks, entry, *(n for axis in axes for n in axis)), join=False)


@inlined
def _window(a, axis, o):
    """First pixel of output o's window on an axis, and the part (first, last + 1) of the window that lies inside the image."""
    start = o * number(a, axis + 2) - number(a, axis + 3)
    return start, max(0, -start), min(number(a, axis + 1), number(a, axis) - start)


@inlined
def _maximum(a, x, d0, d1, h0, h1, w0, w1):
    """The largest pixel, and its position, of the part of a window that begins at address x; the first NaN wins."""
    plane, line, kh, kw = stride(a, 1, PLANE), stride(a, 1, ROW), number(a, _H + 1), number(a, _W + 1)
    best = load_f32x16(x + d0 * plane + h0 * line + 64 * w0)
    winner = splat_u32(np.uint32((d0 * kh + h0) * kw + w0))
    for d in range(d0, d1):
        for h in range(h0, h1):
            where, position = x + d * plane + h * line, (d * kh + h) * kw
            for w in range(w0, w1):
                value = load_f32x16(where + 64 * w)
                wins = (value > best) | (is_nan(value) & (best == best))
                best = select(wins, value, best)
                winner = select_u32(wins, splat_u32(np.uint32(position + w)), winner)
    return best, winner


@inlined
def _sum(a, x, d0, d1, h0, h1, w0, w1):
    """The sum of the pixels of the part of a window that begins at address x."""
    plane, line, total = stride(a, 1, PLANE), stride(a, 1, ROW), splat(np.float32(0))
    for d in range(d0, d1):
        for h in range(h0, h1):
            where = x + d * plane + h * line
            for w in range(w0, w1):
                total = total + load_f32x16(where + 64 * w)
    return total


@inlined
def _spread(a, dx, gradient, winner, d0, d1, h0, h1, w0, w1):
    """Add the gradient to the winner, or without argmax to every pixel, of the part of a window that begins at address dx."""
    plane, line, kh, kw = stride(a, 1, PLANE), stride(a, 1, ROW), number(a, _H + 1), number(a, _W + 1)
    by_winner, nothing = present(a, 2), splat(np.float32(0))
    for d in range(d0, d1):
        for h in range(h0, h1):
            where, position = dx + d * plane + h * line, (d * kh + h) * kw
            for w in range(w0, w1):
                part = gradient
                if by_winner:
                    part = select(winner == splat_u32(np.uint32(position + w)), gradient, nothing)
                store_f32x16(where + 64 * w, load_f32x16(where + 64 * w) + part)


@inlined
def _zero(a, n, b):
    """Zero the interior of a block of dx, operand 1."""
    for d in range(number(a, _D)):
        for h in range(number(a, _H)):
            where = line_address(a, 1, n, b, d, h)
            for w in range(number(a, _W)):
                store_f32x16(where + 64 * w, splat(np.float32(0)))


@kernel
def max_pool_forward_kernel(a, first, last):
    """y = max over the window of x, argmax its first winner's position. Operands y, x, argmax."""
    for n in range(first, last):
        for b in range(number(a, BLOCKS)):
            for od in range(a[DEPTH]):
                d, d0, d1 = _window(a, _D, od)
                for oh in range(a[HEIGHT]):
                    h, h0, h1 = _window(a, _H, oh)
                    y, argmax = line_address(a, 0, n, b, od, oh), line_address(a, 2, n, b, od, oh)
                    x = line_address(a, 1, n, b, d, h)
                    for ow in range(a[WIDTH]):
                        w, w0, w1 = _window(a, _W, ow)
                        best, winner = _maximum(a, x + 64 * w, d0, d1, h0, h1, w0, w1)
                        store_f32x16(y + 64 * ow, best)
                        if number(a, WIDE) == 1:
                            store_u8x16(argmax + 16 * ow, u32_to_u8(winner))
                        else:
                            store_u32x16(argmax + 64 * ow, winner)


@kernel
def average_pool_forward_kernel(a, first, last):
    """y = sum over the window's pixels inside x / their number. Operands y, x."""
    for n in range(first, last):
        for b in range(number(a, BLOCKS)):
            for od in range(a[DEPTH]):
                d, d0, d1 = _window(a, _D, od)
                for oh in range(a[HEIGHT]):
                    h, h0, h1 = _window(a, _H, oh)
                    y, x = line_address(a, 0, n, b, od, oh), line_address(a, 1, n, b, d, h)
                    for ow in range(a[WIDTH]):
                        w, w0, w1 = _window(a, _W, ow)
                        count = splat(np.float32((d1 - d0) * (h1 - h0) * (w1 - w0)))
                        store_f32x16(y + 64 * ow, _sum(a, x + 64 * w, d0, d1, h0, h1, w0, w1) / count)


@kernel
def pool_backward_kernel(a, first, last):
    """dx += dy at the window's winner, or without argmax dy / count at every pixel of it. Operands dy, dx, argmax or None."""
    for n in range(first, last):
        for b in range(number(a, BLOCKS)):
            _zero(a, n, b)
            for od in range(a[DEPTH]):
                d, d0, d1 = _window(a, _D, od)
                for oh in range(a[HEIGHT]):
                    h, h0, h1 = _window(a, _H, oh)
                    dy, argmax = line_address(a, 0, n, b, od, oh), line_address(a, 2, n, b, od, oh)
                    dx = line_address(a, 1, n, b, d, h)
                    for ow in range(a[WIDTH]):
                        w, w0, w1 = _window(a, _W, ow)
                        gradient, winner = load_f32x16(dy + 64 * ow), splat_u32(np.uint32(0))
                        if number(a, WIDE) == 1:
                            winner = u8_to_u32(load_u8x16(argmax + 16 * ow))
                        elif number(a, WIDE) == 4:
                            winner = load_u32x16(argmax + 64 * ow)
                        else:
                            gradient = gradient / splat(np.float32((d1 - d0) * (h1 - h0) * (w1 - w0)))
                        _spread(a, dx + 64 * w, gradient, winner, d0, d1, h0, h1, w0, w1)

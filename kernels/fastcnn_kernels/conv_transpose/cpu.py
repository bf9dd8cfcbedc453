"""Transposed convolution on the CPU: the launches of the convolution from y's shape to x's, and the bias in a pass over y.

    conv_transpose_forward     its data gradient, at x
    conv_transpose_backward    its forward pass, at dy; its weight gradient, with x as the gradient of its output
"""

from typing import Any

from ..api import Extents, Padding, Tensor
from ..conv.cpu import conv_backward, conv_forward
from ..host.layout import blocks_of
from ..host.runner import kernel
from ..host.walk import BLOCK, ROWS, WIDTH, number, row, stride, walk
from ..simd import load_f32x16, store_f32x16


def conv_transpose_forward(
    plan: Any, x: Any, w: Any, b: Any, y: Any, *, strides: Extents, padding: Padding, dilation: Extents
) -> None:
    """y = data gradient of the convolution at x, plus b."""
    # Of the convolution's input, the data gradient needs the shape only.
    conv_backward(plan, y, w, x, x, y, None, None, strides=strides, padding=padding, dilation=dilation)
    if b is None:
        return

    def arguments(at: Any) -> list[int]:
        return walk(at, (y,), (blocks_of(y.shape[-1]), at(b)), blocks=1)

    plan.launch(add_bias_kernel, arguments, reads=[y, b], writes=[y])


def conv_transpose_backward(
    plan: Any, x: Any, w: Any, dy: Any, dx: Any, dw: Any, db: Any, *,
    strides: Extents, padding: Padding, dilation: Extents,
) -> None:
    """dx = convolution of dy, dw = weight gradient with x as the gradient of its output."""
    geometry: dict[str, Any] = dict(strides=strides, padding=padding, dilation=dilation)
    if db:
        _bias_gradient(plan, dy, db)
    if dw:
        conv_backward(plan, dy, w, x, x, None, dw, None, **geometry)
    if dx:
        conv_forward(plan, dy, w, None, dx, **geometry)


def _bias_gradient(plan: Any, dy: Any, db: Any) -> None:
    """db = sum of dy: that of a 1x1 convolution, of whose weights nothing but the shape is asked."""
    channels, rank = dy.shape[-1], len(dy.shape) - 2
    w, one = Tensor("1x1", (*(1,) * rank, channels, channels), kind="parameter"), (1,) * rank
    conv_backward(plan, dy, w, dy, dy, None, None, db, strides=one, padding=((0, 0),) * rank, dilation=one)


@kernel
def add_bias_kernel(a, first, last):
    """y += bias, by channel, in place. Operand y; numbers blocks, bias."""
    for n in range(first, last):
        for b in range(number(a, 0)):
            bias = load_f32x16(number(a, 1) + 64 * b)
            for i in range(a[ROWS]):
                y = row(a, 0, n, i) + b * stride(a, 0, BLOCK)
                for p in range(0, 64 * a[WIDTH], 64):
                    store_f32x16(y + p, load_f32x16(y + p) + bias)

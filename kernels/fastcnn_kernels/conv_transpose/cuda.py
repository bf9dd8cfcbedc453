"""Transposed convolution on the GPU: the launches of the convolution from y's shape to x's, and the bias in a pass over y.

    conv_transpose_forward     its data gradient, at x
    conv_transpose_backward    its forward pass, at dy; its weight gradient, with x as the gradient of its output
"""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import uint32

from ..api import Extents, Padding, Tensor
from ..conv.cuda import conv_backward, conv_forward
from ..device.kernel import CudaKernel, kernel
from ..device.tiles import elementwise_grid

THREADS = 256


def conv_transpose_forward(
    plan: Any, x: Any, w: Any, b: Any, y: Any, *, strides: Extents, padding: Padding, dilation: Extents
) -> None:
    """y = data gradient of the convolution at x, plus b."""
    # Of the convolution's input, the data gradient needs the shape only.
    conv_backward(plan, y, w, x, x, y, None, None, strides=strides, padding=padding, dilation=dilation)
    if b is not None:
        arguments = (b, y, y.shape[-1], y.size)
        plan.launch(add_bias_kernel(), elementwise_grid(y.size, THREADS), arguments, writes=(y,))


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


@cache
def add_bias_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, u32, u32", threads=THREADS, registers=32)
    def add_bias(b, y, C, n):
        """y[i] += b[i % C], i < n. Reads and writes 4 bytes an element, coalesced."""
        i = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        while i < n:
            y[i] += b[uint32(i % C)]
            i = uint32(i + THREADS * cuda.gridDim.x)

    return add_bias

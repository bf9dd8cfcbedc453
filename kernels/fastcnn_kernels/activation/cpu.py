"""Elementwise activations on the CPU: one pass, sixteen lanes at a time, at the speed of memory.

    activation_forward   y = act(x)              8 bytes an element
    activation_backward  dx = dy * act'(y)       12 bytes an element
"""

from typing import Any

import numpy as np

from ..host.functions import activate, activation_number, derivative
from ..host.runner import kernel
from ..host.walk import ROWS, WIDTH, number, real, row, walk
from ..simd import load_f32x16, splat, store_f32x16


def activation_forward(plan: Any, x: Any, y: Any, *, activation: str, alpha: float = 0.0) -> None:
    """y = act(x)."""
    numbers = (activation_number(activation), float(alpha))
    plan.launch(activation_forward_kernel, lambda at: walk(at, (x, y), numbers), reads=[x], writes=[y])


def activation_backward(plan: Any, y: Any, dy: Any, dx: Any, *, activation: str, alpha: float = 0.0) -> None:
    """dx = dy * act'(y)."""
    numbers = (activation_number(activation), float(alpha))
    plan.launch(activation_backward_kernel, lambda at: walk(at, (y, dy, dx), numbers), reads=[y, dy], writes=[dx])


@kernel
def activation_forward_kernel(a, first, last):
    """y = act(x); operands x, y; numbers activation, alpha."""
    activation, alpha = number(a, 0), splat(np.float32(real(a, 1)))
    for n in range(first, last):
        for i in range(a[ROWS]):
            x, y = row(a, 0, n, i), row(a, 1, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                store_f32x16(y + p, activate(load_f32x16(x + p), activation, alpha))


@kernel
def activation_backward_kernel(a, first, last):
    """dx = dy * act'(y); operands y, dy, dx; numbers activation, alpha."""
    activation, alpha = number(a, 0), splat(np.float32(real(a, 1)))
    for n in range(first, last):
        for i in range(a[ROWS]):
            y, dy, dx = row(a, 0, n, i), row(a, 1, n, i), row(a, 2, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                store_f32x16(dx + p, load_f32x16(dy + p) * derivative(load_f32x16(y + p), activation, alpha))

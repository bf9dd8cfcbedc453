"""Elementwise arithmetic on the CPU: one pass, sixteen lanes at a time, at the speed of memory.

    unary_forward  unary_backward    y = function(x) and its gradient
    binary_forward binary_backward   y = function(a, b) and its gradients
    affine                           y = scale * x + offset
    add add_parameters               y = sum of xs, pair by pair with the kernel of binary_forward
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..api import BINARY, UNARY
from ..host.functions import inlined
from ..host.runner import kernel
from ..host.unary import unary, unary_derivative
from ..host.walk import ROWS, WIDTH, number, parameter_rows, present, real, row, walk, walk_parameters
from ..simd import fma, load_f32x16, maximum, minimum, select, splat, store_f32x16

ADD, SUBTRACT, MULTIPLY, MAXIMUM, MINIMUM = range(len(BINARY))


def unary_forward(plan: Any, x: Any, y: Any, *, function: str) -> None:
    """y = function(x)."""
    plan.launch(unary_forward_kernel(function), lambda at: walk(at, (x, y)), reads=[x], writes=[y])


def unary_backward(plan: Any, x: Any, y: Any, dy: Any, dx: Any, *, function: str) -> None:
    """dx = dy * function'(x)."""
    plan.launch(unary_backward_kernel(function), lambda at: walk(at, (x, y, dy, dx)), reads=[x, y, dy], writes=[dx])


def binary_forward(plan: Any, a: Any, b: Any, y: Any, *, function: str) -> None:
    """y = function(a, b)."""
    numbers = (BINARY.index(function),)
    plan.launch(binary_forward_kernel, lambda at: walk(at, (a, b, y), numbers), reads=[a, b], writes=[y])


def binary_backward(plan: Any, a: Any, b: Any, dy: Any, da: Any, db: Any, *, function: str) -> None:
    """Gradients of binary_forward."""
    numbers = (BINARY.index(function),)
    plan.launch(
        binary_backward_kernel, lambda at: walk(at, (a, b, dy, da, db), numbers), reads=[a, b, dy], writes=[da, db]
    )


def affine(plan: Any, x: Any, y: Any, *, scale: float, offset: float = 0.0) -> None:
    """y = scale * x + offset."""
    numbers = (float(scale), float(offset))
    plan.launch(affine_kernel, lambda at: walk(at, (x, y), numbers), reads=[x], writes=[y])


def add(plan: Any, xs: Sequence[Any], y: Any) -> None:
    """y = sum of xs from left to right."""
    if len(xs) == 1:
        affine(plan, xs[0], y, scale=1.0)
    for left, right in _pairs(xs, y):
        binary_forward(plan, left, right, y, function="add")


def add_parameters(plan: Any, xs: Sequence[Any], y: Any) -> None:
    """y = sum of xs from left to right, for parameters."""
    rows = parameter_rows(y)
    if len(xs) == 1:
        copy = (1.0, 0.0)
        plan.launch(
            affine_kernel, lambda at: walk_parameters(at, (xs[0], y), copy), reads=xs, writes=[y], outputs=rows
        )
    for pair in _pairs(xs, y):
        plan.launch(
            binary_forward_kernel,
            lambda at, pair=pair: walk_parameters(at, (*pair, y), (ADD,)),
            reads=pair,
            writes=[y],
            outputs=rows,
        )


def _pairs(xs: Sequence[Any], y: Any) -> list[tuple[Any, Any]]:
    """The operands of the additions that sum xs into y."""
    return [(y if i > 1 else xs[0], xs[i]) for i in range(1, len(xs))]


@inlined
def _binary(a, b, function):
    if function == ADD:
        return a + b
    if function == SUBTRACT:
        return a - b
    if function == MULTIPLY:
        return a * b
    if function == MAXIMUM:
        return maximum(a, b)
    return minimum(a, b)


@inlined
def _binary_derivatives(a, b, function):
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    if function == ADD:
        return one, one
    if function == SUBTRACT:
        return one, zero - one
    if function == MULTIPLY:
        return b, a
    if function == MAXIMUM:
        return select(a >= b, one, zero), select(a >= b, zero, one)
    return select(a <= b, one, zero), select(a <= b, zero, one)


@cache
def unary_forward_kernel(function: str) -> kernel:
    """The kernel of one function."""
    chosen = UNARY.index(function)

    def unary_forward(a, first, last):
        """y = function(x); operands x, y."""
        for n in range(first, last):
            for i in range(a[ROWS]):
                x, y = row(a, 0, n, i), row(a, 1, n, i)
                for p in range(0, 64 * a[WIDTH], 64):
                    store_f32x16(y + p, unary(load_f32x16(x + p), chosen))

    unary_forward.__name__ = f"unary_forward_{function}"
    return kernel(unary_forward)


@cache
def unary_backward_kernel(function: str) -> kernel:
    """The kernel of one function's derivative."""
    chosen = UNARY.index(function)

    def unary_backward(a, first, last):
        """dx = dy * function'(x); operands x, y, dy, dx."""
        for n in range(first, last):
            for i in range(a[ROWS]):
                x, y, dy, dx = row(a, 0, n, i), row(a, 1, n, i), row(a, 2, n, i), row(a, 3, n, i)
                for p in range(0, 64 * a[WIDTH], 64):
                    slope = unary_derivative(load_f32x16(x + p), load_f32x16(y + p), chosen)
                    store_f32x16(dx + p, load_f32x16(dy + p) * slope)

    unary_backward.__name__ = f"unary_backward_{function}"
    return kernel(unary_backward)


@kernel
def binary_forward_kernel(a, first, last):
    """y = function(u, v); operands u, v, y, of which y may be u; number function."""
    function = number(a, 0)
    for n in range(first, last):
        for i in range(a[ROWS]):
            u, v, y = row(a, 0, n, i), row(a, 1, n, i), row(a, 2, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                store_f32x16(y + p, _binary(load_f32x16(u + p), load_f32x16(v + p), function))


@kernel
def binary_backward_kernel(a, first, last):
    """du = dy * df/du, dv = dy * df/dv, either of which may be None; operands u, v, dy, du, dv; number function."""
    function = number(a, 0)
    for n in range(first, last):
        for i in range(a[ROWS]):
            u, v, dy, du, dv = row(a, 0, n, i), row(a, 1, n, i), row(a, 2, n, i), row(a, 3, n, i), row(a, 4, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                by_u, by_v = _binary_derivatives(load_f32x16(u + p), load_f32x16(v + p), function)
                gradient = load_f32x16(dy + p)
                if present(a, 3):
                    store_f32x16(du + p, gradient * by_u)
                if present(a, 4):
                    store_f32x16(dv + p, gradient * by_v)


@kernel
def affine_kernel(a, first, last):
    """y = scale * x + offset; operands x, y; numbers scale, offset."""
    scale, offset = splat(np.float32(real(a, 0))), splat(np.float32(real(a, 1)))
    for n in range(first, last):
        for i in range(a[ROWS]):
            x, y = row(a, 0, n, i), row(a, 1, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                store_f32x16(y + p, fma(load_f32x16(x + p), scale, offset))

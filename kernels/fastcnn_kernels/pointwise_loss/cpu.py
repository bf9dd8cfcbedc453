"""Losses that are a mean over elements, on the CPU: one pass over prediction and label, sixteen lanes at a time.

    pointwise_loss_forward     8 bytes an element; the sum of a sample in float64
    pointwise_loss_backward    12 bytes an element

One kernel a function of POINTWISE_LOSSES: `function` is a constant of it, so that there is no branch inside the loop.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from ..api import POINTWISE_LOSSES
from ..host.functions import exp, inlined, log, log1p, signum, tanh
from ..host.runner import kernel
from ..host.walk import BLOCK, CHANNELS, ROWS, WIDTH, number, real, row, sample_address, stride, walk
from ..simd import (
    absolute,
    f32_to_f64,
    first_lanes,
    fma,
    horizontal_sum_f64,
    load_f32,
    load_f32x16,
    maximum,
    minimum,
    select,
    splat,
    splat_f64,
    store_f32,
    store_f32x16,
)

LEAST, MOST = np.float32(1e-7), np.float32(1 - 1e-7)
"""What stands for 0 and 1 where a logarithm is taken or a quotient formed."""
PARAMETERS = 3
"""Parameters of a function at most."""


def pointwise_loss_forward(
    plan: Any, y: Any, labels: Any, loss: Any, *, function: str, parameters: tuple[float, ...] = ()
) -> None:
    """loss[n] = mean over elements of function(y, t)."""

    def arguments(at: Any) -> list[int]:
        layout = at.layout(y)
        numbers = (1 / (layout.pixels * layout.channels), *_padded(parameters), layout.blocks)
        return walk(at, (y, labels), numbers, others=(loss,), blocks=1)

    plan.launch(forward_kernel(function), arguments, reads=[y, labels], writes=[loss])


def pointwise_loss_backward(
    plan: Any, y: Any, labels: Any, dloss: Any, dy: Any, *, function: str, parameters: tuple[float, ...] = ()
) -> None:
    """dy = dloss[n] / elements * derivative of function(y, t) by y."""

    def arguments(at: Any) -> list[int]:
        layout = at.layout(y)
        numbers = (1 / (layout.pixels * layout.channels), *_padded(parameters))
        return walk(at, (y, labels, dy), numbers, others=(dloss,))

    plan.launch(backward_kernel(function), arguments, reads=[y, labels, dloss], writes=[dy])


def _padded(parameters: tuple[float, ...]) -> tuple[float, ...]:
    return (*map(float, parameters), *(0.0,) * (PARAMETERS - len(parameters)))


# ------ values and slopes of each function, with its parameters a, b, c


def value_of(y: Any, t: Any, a: Any, b: Any, c: Any, function: int) -> Any:
    """function(y, t) by its number in POINTWISE_LOSSES; in kernels only."""
    raise NotImplementedError


def slope_of(y: Any, t: Any, a: Any, b: Any, c: Any, function: int) -> Any:
    """The derivative of function(y, t) by y, by the number of the function; in kernels only."""
    raise NotImplementedError


@inlined
def _squared(y, t, a, b, c):
    return (y - t) * (y - t)


@inlined
def _squared_slope(y, t, a, b, c):
    return (y - t) + (y - t)


@inlined
def _absolute(y, t, a, b, c):
    return absolute(y - t)


@inlined
def _absolute_slope(y, t, a, b, c):
    return signum(y - t)


@inlined
def _percent(t):
    return splat(np.float32(100)) / maximum(absolute(t), splat(LEAST))


@inlined
def _percentage(y, t, a, b, c):
    return absolute(y - t) * _percent(t)


@inlined
def _percentage_slope(y, t, a, b, c):
    return signum(y - t) * _percent(t)


@inlined
def _log_ratio(y, t):
    return log1p(maximum(y, splat(LEAST))) - log1p(maximum(t, splat(LEAST)))


@inlined
def _squared_logarithmic(y, t, a, b, c):
    ratio = _log_ratio(y, t)
    return ratio * ratio


@inlined
def _squared_logarithmic_slope(y, t, a, b, c):
    ratio = _log_ratio(y, t)
    return select(y >= splat(LEAST), (ratio + ratio) / (splat(np.float32(1)) + y), splat(np.float32(0)))


@inlined
def _huber(y, t, a, b, c):
    distance = absolute(y - t)
    near = minimum(distance, a)
    return near * (distance - splat(np.float32(0.5)) * near)


@inlined
def _huber_slope(y, t, a, b, c):
    return minimum(maximum(y - t, splat(np.float32(0)) - a), a)


@inlined
def _log_cosh(y, t, a, b, c):
    distance = absolute(y - t)
    return distance + (log1p(exp(distance * splat(np.float32(-2)))) - splat(np.float32(0.6931471805599453)))


@inlined
def _log_cosh_slope(y, t, a, b, c):
    return tanh(y - t)


@inlined
def _sign(t):
    """Labels 0 and 1 as -1 and 1."""
    return select(t == splat(np.float32(0)), splat(np.float32(-1)), t)


@inlined
def _hinge(y, t, a, b, c):
    return maximum(splat(np.float32(1)) - _sign(t) * y, splat(np.float32(0)))


@inlined
def _hinge_slope(y, t, a, b, c):
    zero = splat(np.float32(0))
    return select(_hinge(y, t, a, b, c) > zero, zero - _sign(t), zero)


@inlined
def _squared_hinge(y, t, a, b, c):
    margin = _hinge(y, t, a, b, c)
    return margin * margin


@inlined
def _squared_hinge_slope(y, t, a, b, c):
    return splat(np.float32(-2)) * _sign(t) * _hinge(y, t, a, b, c)


@inlined
def _poisson(y, t, a, b, c):
    return y - t * log(y + splat(LEAST))


@inlined
def _poisson_slope(y, t, a, b, c):
    return splat(np.float32(1)) - t / (y + splat(LEAST))


@inlined
def _clipped(x, most):
    return minimum(maximum(x, splat(LEAST)), splat(most))


@inlined
def _divergence(y, t, a, b, c):
    q = _clipped(t, np.float32(1))
    return q * log(q / _clipped(y, np.float32(1)))


@inlined
def _divergence_slope(y, t, a, b, c):
    zero = splat(np.float32(0))
    inside = (y >= splat(LEAST)) & (splat(np.float32(1)) >= y)
    return select(inside, zero - _clipped(t, np.float32(1)) / y, zero)


@inlined
def _wrongness(y, t):
    """1 - the probability of the true answer."""
    one = splat(np.float32(1))
    return maximum(fma(t, one - y, (one - t) * y), splat(LEAST))


@inlined
def _binary(y, t):
    # 1 - p is clipped as such: float32 holds 1e-7, but not 1 - 1e-7.
    one = splat(np.float32(1))
    return splat(np.float32(0)) - (t * log(_clipped(y, MOST)) + (one - t) * log(_clipped(one - y, MOST)))


@inlined
def _focal(y, t, a, b, c):
    wrong = exp(a * log(_wrongness(y, t)))
    return fma(t, b, (splat(np.float32(1)) - t) * c) * wrong * _binary(y, t)


@inlined
def _focal_slope(y, t, a, b, c):
    one, zero = splat(np.float32(1)), splat(np.float32(0))
    wrong = _wrongness(y, t)
    inside = (y >= splat(LEAST)) & (splat(MOST) >= y)
    slope = select(inside, (one - t) / (one - y) - t / y, zero)
    steep = a * (one - t - t) / wrong * _binary(y, t) + slope
    return fma(t, b, (one - t) * c) * exp(a * log(wrong)) * steep


_FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "squared": (_squared, _squared_slope),
    "absolute": (_absolute, _absolute_slope),
    "percentage": (_percentage, _percentage_slope),
    "squared_logarithmic": (_squared_logarithmic, _squared_logarithmic_slope),
    "huber": (_huber, _huber_slope),
    "log_cosh": (_log_cosh, _log_cosh_slope),
    "hinge": (_hinge, _hinge_slope),
    "squared_hinge": (_squared_hinge, _squared_hinge_slope),
    "poisson": (_poisson, _poisson_slope),
    "divergence": (_divergence, _divergence_slope),
    "focal": (_focal, _focal_slope),
}


@overload(value_of, prefer_literal=True, jit_options={"forceinline": True})
def _chosen_value(y, t, a, b, c, function):
    if not isinstance(function, types.IntegerLiteral):
        return None
    chosen = _FUNCTIONS[POINTWISE_LOSSES[function.literal_value]][0]
    return lambda y, t, a, b, c, function: chosen(y, t, a, b, c)


@overload(slope_of, prefer_literal=True, jit_options={"forceinline": True})
def _chosen_slope(y, t, a, b, c, function):
    if not isinstance(function, types.IntegerLiteral):
        return None
    chosen = _FUNCTIONS[POINTWISE_LOSSES[function.literal_value]][1]
    return lambda y, t, a, b, c, function: chosen(y, t, a, b, c)


# ------ kernels


@inlined
def _parameter(a, index):
    return splat(np.float32(real(a, 1 + index)))


@cache
def forward_kernel(function: str) -> kernel:
    """The kernel of one function."""
    chosen = POINTWISE_LOSSES.index(function)

    def pointwise_loss(a, first, last):
        """loss[n] = share * sum of function(y, t). Operands y, labels, loss; numbers share, three parameters, blocks."""
        p0, p1, p2 = _parameter(a, 0), _parameter(a, 1), _parameter(a, 2)
        for n in range(first, last):
            total = splat_f64(0.0)
            for i in range(a[ROWS]):
                y, labels = row(a, 0, n, i), row(a, 1, n, i)
                for b in range(number(a, 4)):
                    lanes = first_lanes(stride(a, 0, CHANNELS) - 16 * b)
                    here, there = y + b * stride(a, 0, BLOCK), labels + b * stride(a, 1, BLOCK)
                    for p in range(0, 64 * a[WIDTH], 64):
                        value = value_of(load_f32x16(here + p), load_f32x16(there + p), p0, p1, p2, chosen)
                        total = total + f32_to_f64(select(lanes, value, splat(np.float32(0))))
            store_f32(sample_address(a, 2, n), np.float32(horizontal_sum_f64(total) * real(a, 0)))

    pointwise_loss.__name__ = f"pointwise_loss_forward_{function}"
    return kernel(pointwise_loss)


@cache
def backward_kernel(function: str) -> kernel:
    """The kernel of one function's derivative."""
    chosen = POINTWISE_LOSSES.index(function)

    def pointwise_loss_slope(a, first, last):
        """dy = share * dloss[n] * slope(y, t). Operands y, labels, dy, dloss; numbers share, three parameters."""
        p0, p1, p2 = _parameter(a, 0), _parameter(a, 1), _parameter(a, 2)
        for n in range(first, last):
            scale = splat(np.float32(load_f32(sample_address(a, 3, n)) * real(a, 0)))
            for i in range(a[ROWS]):
                y, labels, dy = row(a, 0, n, i), row(a, 1, n, i), row(a, 2, n, i)
                for p in range(0, 64 * a[WIDTH], 64):
                    slope = slope_of(load_f32x16(y + p), load_f32x16(labels + p), p0, p1, p2, chosen)
                    store_f32x16(dy + p, scale * slope)

    pointwise_loss_slope.__name__ = f"pointwise_loss_backward_{function}"
    return kernel(pointwise_loss_slope)

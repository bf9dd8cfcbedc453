"""Losses that are a mean over elements, on the GPU: one pass over prediction and label.

    pointwise_loss_forward     lanes share a sample; 8 bytes an element
    pointwise_loss_backward    a thread an element; 12 bytes

One kernel a function of POINTWISE_LOSSES.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device.kernel import CudaKernel, kernel
from ..device.reduction import THREADS, lanes_for, row_of, rows_grid, total_of
from ..device.tiles import elementwise_grid
from ..ptx import inlined

LEAST, MOST = 1e-7, 1 - 1e-7
"""What stands for 0 and 1 where a logarithm is taken or a quotient formed."""
PARAMETERS = 3
"""Parameters of a function at most."""


def pointwise_loss_forward(
    plan: Any, y: Any, labels: Any, loss: Any, *, function: str, parameters: tuple[float, ...] = ()
) -> None:
    """loss[n] = mean over elements of function(y, t)."""
    samples, size = loss.size, y.size // loss.size
    lanes = lanes_for(size)
    arguments = (y, labels, loss, samples, size, 1 / size, *_padded(parameters))
    plan.launch(forward_kernel(function, lanes), rows_grid(samples, lanes), arguments, writes=(loss,))


def pointwise_loss_backward(
    plan: Any, y: Any, labels: Any, dloss: Any, dy: Any, *, function: str, parameters: tuple[float, ...] = ()
) -> None:
    """dy = dloss[n] / elements * derivative of function(y, t) by y."""
    size = y.size // dloss.size
    arguments = (y, labels, dloss, dy, size, 1 / size, *_padded(parameters), y.size)
    plan.launch(backward_kernel(function), elementwise_grid(y.size, THREADS), arguments, writes=(dy,))


def _padded(parameters: tuple[float, ...]) -> tuple[float, ...]:
    return (*parameters, *(0.0,) * (PARAMETERS - len(parameters)))


# ------ values and slopes of each function, with its parameters a, b, c


@inlined
def _signum(x):
    # 0 * x rather than 0: NaN stays NaN.
    return float32(1) if x > float32(0) else float32(-1) if x < float32(0) else float32(0) * x


@inlined
def _at_least(x):
    # As written, NaN stays NaN: min.f32 and max.f32 would hide it.
    return float32(LEAST) if x < float32(LEAST) else x


@inlined
def _clipped(x, most):
    return float32(most) if x > float32(most) else _at_least(x)


@inlined
def _sign(t):
    """Labels 0 and 1 as -1 and 1."""
    return float32(-1) if t == float32(0) else t


@inlined
def _margin(y, t):
    distance = float32(1) - _sign(t) * y
    return float32(0) if distance < float32(0) else distance


@inlined
def _wrongness(y, t):
    """1 - the probability of the true answer."""
    return _at_least(t * (float32(1) - y) + (float32(1) - t) * y)


@inlined
def _binary(y, t):
    p = _clipped(y, MOST)
    return -(t * math.log(p) + (float32(1) - t) * math.log1p(-p))


def _squared(y, t, a, b, c):
    return (y - t) * (y - t)


def _squared_slope(y, t, a, b, c):
    return (y - t) + (y - t)


def _absolute(y, t, a, b, c):
    return abs(y - t)


def _absolute_slope(y, t, a, b, c):
    return _signum(y - t)


def _percentage(y, t, a, b, c):
    return float32(100) * abs(y - t) / _at_least(abs(t))


def _percentage_slope(y, t, a, b, c):
    return float32(100) * _signum(y - t) / _at_least(abs(t))


def _squared_logarithmic(y, t, a, b, c):
    ratio = math.log1p(_at_least(y)) - math.log1p(_at_least(t))
    return ratio * ratio


def _squared_logarithmic_slope(y, t, a, b, c):
    ratio = math.log1p(_at_least(y)) - math.log1p(_at_least(t))
    return float32(2) * ratio / (float32(1) + y) if y >= float32(LEAST) else float32(0)


def _huber(y, t, a, b, c):
    distance = abs(y - t)
    near = a if distance > a else distance
    return near * (distance - float32(0.5) * near)


def _huber_slope(y, t, a, b, c):
    distance = y - t
    return a if distance > a else -a if distance < -a else distance


def _log_cosh(y, t, a, b, c):
    distance = abs(y - t)
    return distance + (math.log1p(math.exp(float32(-2) * distance)) - float32(0.6931471805599453))


def _log_cosh_slope(y, t, a, b, c):
    return math.tanh(y - t)


def _hinge(y, t, a, b, c):
    return _margin(y, t)


def _hinge_slope(y, t, a, b, c):
    return -_sign(t) if _margin(y, t) > float32(0) else float32(0)


def _squared_hinge(y, t, a, b, c):
    margin = _margin(y, t)
    return margin * margin


def _squared_hinge_slope(y, t, a, b, c):
    return float32(-2) * _sign(t) * _margin(y, t)


def _poisson(y, t, a, b, c):
    return y - t * math.log(y + float32(LEAST))


def _poisson_slope(y, t, a, b, c):
    return float32(1) - t / (y + float32(LEAST))


def _divergence(y, t, a, b, c):
    q = _clipped(t, 1.0)
    return q * math.log(q / _clipped(y, 1.0))


def _divergence_slope(y, t, a, b, c):
    return -_clipped(t, 1.0) / y if y >= float32(LEAST) and y <= float32(1) else float32(0)


def _focal(y, t, a, b, c):
    wrong = math.exp(a * math.log(_wrongness(y, t)))
    return (t * b + (float32(1) - t) * c) * wrong * _binary(y, t)


def _focal_slope(y, t, a, b, c):
    wrong, slope = _wrongness(y, t), float32(0)
    if y >= float32(LEAST) and y <= float32(MOST):
        slope = (float32(1) - t) / (float32(1) - y) - t / y
    steep = a * (float32(1) - t - t) / wrong * _binary(y, t) + slope
    return (t * b + (float32(1) - t) * c) * math.exp(a * math.log(wrong)) * steep


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


# ------ kernels


@cache
def forward_kernel(function: str, lanes: int) -> CudaKernel:
    """The kernel of one function, for samples that `lanes` threads share."""
    place, total_across, mask, value = row_of(lanes), total_of(lanes), lanes - 1, inlined(_FUNCTIONS[function][0])
    signature = "f32*, f32*, f32*, u32, u32, f32, f32, f32, f32"

    @kernel(signature, threads=THREADS, registers=48, variant=f"{function},{lanes}")
    def pointwise_loss_forward(y, labels, loss, samples, size, share, a, b, c):
        """loss[n] = share * sum of function(y, t) over n's `size` elements, n < samples. Reads 8 bytes an element."""
        sample, i, end = place(samples, size)
        total = float32(0)
        while i < end:
            total += value(y[i], labels[i], a, b, c)
            i = uint32(i + lanes)
        total = total_across(total)
        if sample < samples and cuda.threadIdx.x & mask == 0:
            loss[sample] = share * total

    return pointwise_loss_forward


@cache
def backward_kernel(function: str) -> CudaKernel:
    """The kernel of one function's derivative."""
    slope = inlined(_FUNCTIONS[function][1])

    @kernel("f32*, f32*, f32*, f32*, u32, f32, f32, f32, f32, u32", threads=THREADS, registers=48, variant=function)
    def pointwise_loss_backward(y, labels, dloss, dy, size, share, a, b, c, n):
        """dy[i] = share * dloss[i // size] * slope(y[i], t[i]), i < n. Reads 8 and writes 4 bytes an element."""
        i = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        while i < n:
            dy[i] = share * dloss[uint32(i // size)] * slope(y[i], labels[i], a, b, c)
            i = uint32(i + THREADS * cuda.gridDim.x)

    return pointwise_loss_backward

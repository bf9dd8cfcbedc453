"""Activations for CUDA kernels: functions of one float32, inlined where they are called."""

import math
from collections.abc import Callable
from typing import Any

from numba import cuda
from numba.cuda.types import float32


def _inlined(function: Callable[..., Any]) -> Any:
    return cuda.jit(device=True, inline="always")(function)


def _linear(x, alpha):
    return x


def _relu(x, alpha):
    # max.f32 would turn NaN into 0 and hide where it began.
    return float32(0) if x < float32(0) else x


def _leaky_relu(x, alpha):
    return x if x > float32(0) else alpha * x


def _sigmoid(x, alpha):
    return float32(1) / (float32(1) + math.exp(-x))


def _tanh(x, alpha):
    return math.tanh(x)


def _linear_slope(y, alpha):
    return float32(1)


def _relu_slope(y, alpha):
    return float32(1) if y > float32(0) else float32(0)


def _leaky_relu_slope(y, alpha):
    return float32(1) if y > float32(0) else alpha


def _sigmoid_slope(y, alpha):
    return y * (float32(1) - y)


def _tanh_slope(y, alpha):
    return float32(1) - y * y


_FORWARD = {"linear": _linear, "relu": _relu, "leaky_relu": _leaky_relu, "sigmoid": _sigmoid, "tanh": _tanh}
_SLOPE = {
    "linear": _linear_slope, "relu": _relu_slope, "leaky_relu": _leaky_relu_slope,
    "sigmoid": _sigmoid_slope, "tanh": _tanh_slope,
}  # fmt: skip


def activate(activation: str) -> Any:
    """act(x, alpha) for use inside a kernel."""
    return _inlined(_FORWARD[activation])


def derivative(activation: str) -> Any:
    """act'(x) as a function of (y, alpha), y = act(x), for use inside a kernel."""
    return _inlined(_SLOPE[activation])

"""Activations for CUDA kernels: functions of one float32, inlined where they are called.

    activate, derivative    ACTIVATIONS, whose derivatives are functions of the output
    FUNCTIONS               the activations of UNARY: (function of x, gradient as a function of x and dy)
"""

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


# ------ activations whose derivative is a function of x

_SELU_SCALE, _SELU_ALPHA = float32(1.0507009873554805), float32(1.6732632423543772)
_GELU_SLOPE, _GELU_CUBE = float32(2 * 0.7978845608028654), float32(0.044715)
_ROOT_HALF, _DENSITY, _SIXTH = float32(0.7071067811865476), float32(0.3989422804014327), float32(1 / 6)


@_inlined
def _gate(x):
    return float32(1) / (float32(1) + math.exp(-x))


@_inlined
def _normal_cdf(x):
    """Formula 7.1.26 of Abramowitz and Stegun: absolute error at most 2e-7."""
    t = float32(1) / (float32(1) + float32(0.3275911) * _ROOT_HALF * abs(x))
    p = (float32(1.061405429) * t - float32(1.453152027)) * t + float32(1.421413741)
    p = (p * t - float32(0.284496736)) * t + float32(0.254829592)
    tail = float32(0.5) * p * t * math.exp(float32(-0.5) * x * x)
    return float32(1) - tail if x > float32(0) else tail


@_inlined
def _gelu_gate(x):
    return _gate(_GELU_SLOPE * (x + _GELU_CUBE * x * x * x))


@_inlined
def _clipped(x, high):
    # As written, NaN stays NaN: min.f32 and max.f32 would hide it.
    return float32(0) if x < float32(0) else high if x > high else x


def _elu(x):
    return x if x > float32(0) else math.expm1(x)


def _elu_gradient(x, dy):
    return dy if x > float32(0) else dy * math.exp(x)


def _selu(x):
    return _SELU_SCALE * (x if x > float32(0) else _SELU_ALPHA * math.expm1(x))


def _selu_gradient(x, dy):
    return dy * _SELU_SCALE * (float32(1) if x > float32(0) else _SELU_ALPHA * math.exp(x))


def _gelu(x):
    return x * _normal_cdf(x)


def _gelu_gradient(x, dy):
    return dy * (_normal_cdf(x) + x * _DENSITY * math.exp(float32(-0.5) * x * x))


def _gelu_tanh(x):
    return x * _gelu_gate(x)


def _gelu_tanh_gradient(x, dy):
    gate = _gelu_gate(x)
    inner = _GELU_SLOPE * (float32(1) + float32(3) * _GELU_CUBE * x * x)
    return dy * (gate + x * gate * (float32(1) - gate) * inner)


def _silu(x):
    return x * _gate(x)


def _silu_gradient(x, dy):
    gate = _gate(x)
    return dy * (gate + x * gate * (float32(1) - gate))


def _softplus(x):
    return (x if x > float32(0) else float32(0)) + math.log1p(math.exp(-abs(x)))


def _softplus_gradient(x, dy):
    return dy * _gate(x)


def _softsign(x):
    return x / (float32(1) + abs(x))


def _softsign_gradient(x, dy):
    share = float32(1) / (float32(1) + abs(x))
    return dy * share * share


def _hard_sigmoid(x):
    return _clipped(_SIXTH * x + float32(0.5), float32(1))


def _hard_sigmoid_gradient(x, dy):
    return dy * _SIXTH if abs(x) < float32(3) else float32(0)


def _hard_silu(x):
    return x * _clipped(_SIXTH * x + float32(0.5), float32(1))


def _hard_silu_gradient(x, dy):
    slope = float32(2) * _SIXTH * x + float32(0.5) if x > float32(-3) else float32(0)
    return dy if x >= float32(3) else dy * slope


def _relu6(x):
    return _clipped(x, float32(6))


def _relu6_gradient(x, dy):
    return dy if x > float32(0) and x < float32(6) else float32(0)


@_inlined
def _mish_terms(x):
    """e = exp(x) and e (e + 2), with which tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2); beyond 20 that is 1."""
    e = math.exp(x if x < float32(20) else float32(20))
    return e, e * (e + float32(2))


def _mish(x):
    excess = _mish_terms(x)[1]
    return x * (excess / (excess + float32(2)))


def _mish_gradient(x, dy):
    e, excess = _mish_terms(x)
    share = float32(1) / (excess + float32(2))
    return dy * (excess * share + x * share * float32(4) * (e * e + e) * share)


def _step(x):
    return float32(1) if x > float32(0) else x if x != x else float32(0)


def _step_gradient(x, dy):
    return float32(0)


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "elu": (_elu, _elu_gradient),
    "selu": (_selu, _selu_gradient),
    "gelu": (_gelu, _gelu_gradient),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_gradient),
    "silu": (_silu, _silu_gradient),
    "softplus": (_softplus, _softplus_gradient),
    "softsign": (_softsign, _softsign_gradient),
    "hard_sigmoid": (_hard_sigmoid, _hard_sigmoid_gradient),
    "hard_silu": (_hard_silu, _hard_silu_gradient),
    "relu6": (_relu6, _relu6_gradient),
    "mish": (_mish, _mish_gradient),
    "step": (_step, _step_gradient),
}

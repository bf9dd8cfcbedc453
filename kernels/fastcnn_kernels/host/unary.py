"""The functions of one tensor, UNARY, for sixteen lanes: values and derivatives, chosen by number when a kernel is compiled.

    unary(x, function)                  function(x)
    unary_derivative(x, y, function)    function'(x), where y = function(x) is known

`function` is a constant of the kernel: each function is code of its own, without a branch inside the loop.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from ..api import UNARY
from ..simd import absolute, fma, maximum, minimum, select, splat
from .functions import exp, expm1, inlined, log, log1p, normal_cdf, sigmoid, signum

SELU_SCALE, SELU_ALPHA = np.float32(1.0507009873554805), np.float32(1.6732632423543772)
"""The fixed point of mean 0 and variance 1 (Klambauer, Unterthiner, Mayr and Hochreiter 2017)."""
GELU_SLOPE, GELU_CUBE = np.float32(2 * 0.7978845608028654), np.float32(0.044715)
"""tanh's argument, twice: 2 sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016)."""
DENSITY = np.float32(0.3989422804014327)
"""1 / sqrt(2 pi)."""
SIXTH = np.float32(1 / 6)


def unary(x: Any, function: int) -> Any:
    """function(x) by its number in UNARY; in kernels only."""
    raise NotImplementedError


def unary_derivative(x: Any, y: Any, function: int) -> Any:
    """function'(x) by its number in UNARY; in kernels only."""
    raise NotImplementedError


# ------ values


@inlined
def _square(x):
    return x * x


@inlined
def _elu(x):
    return select(x > splat(np.float32(0)), x, expm1(x))


@inlined
def _selu(x):
    return splat(SELU_SCALE) * select(x > splat(np.float32(0)), x, splat(SELU_ALPHA) * expm1(x))


@inlined
def _gelu(x):
    return x * normal_cdf(x)


@inlined
def _gelu_gate(x):
    """(1 + tanh u) / 2 = sigmoid(2 u)."""
    return sigmoid(splat(GELU_SLOPE) * fma(splat(GELU_CUBE) * x * x, x, x))


@inlined
def _gelu_tanh(x):
    return x * _gelu_gate(x)


@inlined
def _silu(x):
    return x * sigmoid(x)


@inlined
def _softplus(x):
    zero = splat(np.float32(0))
    return maximum(x, zero) + log1p(exp(zero - absolute(x)))


@inlined
def _softsign(x):
    return x / (splat(np.float32(1)) + absolute(x))


@inlined
def _clipped(x, high):
    """x limited to 0 ... high; NaN stays NaN."""
    return minimum(maximum(x, splat(np.float32(0))), splat(high))


@inlined
def _hard_sigmoid(x):
    return _clipped(fma(x, splat(SIXTH), splat(np.float32(0.5))), np.float32(1))


@inlined
def _hard_silu(x):
    return x * _hard_sigmoid(x)


@inlined
def _relu6(x):
    return _clipped(x, np.float32(6))


@inlined
def _mish(x):
    excess = _mish_terms(x)[1]
    return x * (excess / (excess + splat(np.float32(2))))


@inlined
def _mish_terms(x):
    """e = exp(x) and e (e + 2), with which tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2); beyond 20 that is 1."""
    e = exp(minimum(x, splat(np.float32(20))))
    return e, e * (e + splat(np.float32(2)))


@inlined
def _step(x):
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    return select(x > zero, one, select(x <= zero, zero, x))


# ------ derivatives


@inlined
def _square_slope(x, y):
    return x + x


@inlined
def _abs_slope(x, y):
    return signum(x)


@inlined
def _exp_slope(x, y):
    return y


@inlined
def _log_slope(x, y):
    return splat(np.float32(1)) / x


@inlined
def _elu_slope(x, y):
    one = splat(np.float32(1))
    return select(x > splat(np.float32(0)), one, y + one)


@inlined
def _selu_slope(x, y):
    return select(x > splat(np.float32(0)), splat(SELU_SCALE), y + splat(SELU_SCALE * SELU_ALPHA))


@inlined
def _gelu_slope(x, y):
    return fma(x, splat(DENSITY) * exp(splat(np.float32(-0.5)) * x * x), normal_cdf(x))


@inlined
def _gelu_tanh_slope(x, y):
    one, gate = splat(np.float32(1)), _gelu_gate(x)
    inner = splat(GELU_SLOPE) * fma(splat(np.float32(3) * GELU_CUBE) * x, x, one)
    return fma(y * (one - gate), inner, gate)


@inlined
def _silu_slope(x, y):
    gate = sigmoid(x)
    return fma(y, splat(np.float32(1)) - gate, gate)


@inlined
def _softplus_slope(x, y):
    return sigmoid(x)


@inlined
def _softsign_slope(x, y):
    one = splat(np.float32(1))
    share = one / (one + absolute(x))
    return share * share


@inlined
def _between(x, low, high, inside):
    """`inside` where low < x < high, else 0."""
    zero = splat(np.float32(0))
    return select(x > splat(low), select(x < splat(high), inside, zero), zero)


@inlined
def _hard_sigmoid_slope(x, y):
    return _between(x, np.float32(-3), np.float32(3), splat(SIXTH))


@inlined
def _hard_silu_slope(x, y):
    one = splat(np.float32(1))
    ramp = fma(x, splat(np.float32(1 / 3)), splat(np.float32(0.5)))
    return select(x >= splat(np.float32(3)), one, select(x > splat(np.float32(-3)), ramp, splat(np.float32(0))))


@inlined
def _relu6_slope(x, y):
    return _between(x, np.float32(0), np.float32(6), splat(np.float32(1)))


@inlined
def _mish_slope(x, y):
    e, excess = _mish_terms(x)
    share = splat(np.float32(1)) / (excess + splat(np.float32(2)))
    return fma(x * share, splat(np.float32(4)) * fma(e, e, e) * share, excess * share)


@inlined
def _step_slope(x, y):
    return splat(np.float32(0))


# ------ the choice

_FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "square": (_square, _square_slope),
    "abs": (inlined(lambda x: absolute(x)), _abs_slope),
    "exp": (exp, _exp_slope),
    "log": (log, _log_slope),
    "elu": (_elu, _elu_slope),
    "selu": (_selu, _selu_slope),
    "gelu": (_gelu, _gelu_slope),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_slope),
    "silu": (_silu, _silu_slope),
    "softplus": (_softplus, _softplus_slope),
    "softsign": (_softsign, _softsign_slope),
    "hard_sigmoid": (_hard_sigmoid, _hard_sigmoid_slope),
    "hard_silu": (_hard_silu, _hard_silu_slope),
    "relu6": (_relu6, _relu6_slope),
    "mish": (_mish, _mish_slope),
    "step": (_step, _step_slope),
}


@overload(unary, prefer_literal=True, jit_options={"forceinline": True})
def _chosen(x, function):
    if not isinstance(function, types.IntegerLiteral):
        return None
    value = _FUNCTIONS[UNARY[function.literal_value]][0]
    return lambda x, function: value(x)


@overload(unary_derivative, prefer_literal=True, jit_options={"forceinline": True})
def _chosen_derivative(x, y, function):
    if not isinstance(function, types.IntegerLiteral):
        return None
    slope = _FUNCTIONS[UNARY[function.literal_value]][1]
    return lambda x, y, function: slope(x, y)

"""Elementwise functions of vectors, inlined into kernels: exp, expm1, log, log1p, tanh, sigmoid, normal_cdf, signum, and
the activations by number.

exp is the polynomial of Cephes (Moshier): x = n ln 2 + r, 2^n by exponent arithmetic, e^r by degree 5; relative error at most
2e-7 in [-86.6, 88.7], 0 below, clamped above. tanh and sigmoid are made from it: absolute error at most 2e-7. log is that of
FreeBSD's msun (e_logf.c): relative error at most 1.5e-7, -inf at 0 and
at denormal numbers, which the runner takes as 0. normal_cdf is formula 7.1.26 of Abramowitz and Stegun: absolute error at most
2e-7, and no digit lost by subtraction where it is small.
"""

import numpy as np
from numba import njit

from ..api import ACTIVATIONS
from ..simd import (
    absolute,
    f32_as_u32,
    f32_to_i32_bits,
    fma,
    maximum,
    minimum,
    round_even,
    select,
    splat,
    splat_u32,
    u32_as_f32,
    u32_to_f32,
)

LOWEST, HIGHEST, THIRD = np.float32(-86.6), np.float32(88.72283), np.float32(1 / 3)
LINEAR, RELU, LEAKY_RELU, SIGMOID, TANH = range(len(ACTIVATIONS))


def activation_number(activation: str) -> int:
    """The number by which kernels know an activation."""
    return ACTIVATIONS.index(activation)


def inlined(function):
    """A helper that kernels inline; compiled with each kernel, never on its own."""
    return njit(inline="always")(function)


@inlined
def exp(x):
    """e^x in every lane."""
    clamped = minimum(maximum(x, splat(LOWEST)), splat(HIGHEST))
    n = round_even(clamped * splat(np.float32(1.44269504)))
    r = fma(n, splat(np.float32(-0.693359375)), clamped)
    r = fma(n, splat(np.float32(2.12194440e-4)), r)
    p = fma(splat(np.float32(1.9875691500e-4)), r, splat(np.float32(1.3981999507e-3)))
    p = fma(p, r, splat(np.float32(8.3334519073e-3)))
    p = fma(p, r, splat(np.float32(4.1665795894e-2)))
    p = fma(p, r, splat(np.float32(1.6666665459e-1)))
    p = fma(p, r, splat(np.float32(5.0000001201e-1)))
    y = fma(p, r * r, r) + splat(np.float32(1))
    # 2^n is built as 2^(n-1) * 2: the exponent field of 2^128 alone would already be infinity.
    exponent = f32_to_i32_bits(n) + splat_u32(np.uint32(126))
    y = y * u32_as_f32(exponent << splat_u32(np.uint32(23))) * splat(np.float32(2))
    return select(x < splat(LOWEST), splat(np.float32(0)), y)


@inlined
def log(x):
    """ln x in every lane, NaN below zero: x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), and a series in f / (2 + f)."""
    # 0x3f3504f3 is sqrt(1/2): moved there, the exponent field of x counts from it.
    moved = f32_as_u32(x) + splat_u32(np.uint32(0x3F800000 - 0x3F3504F3))
    k = u32_to_f32(moved >> splat_u32(np.uint32(23))) - splat(np.float32(127))
    f = u32_as_f32((moved & splat_u32(np.uint32(0x007FFFFF))) + splat_u32(np.uint32(0x3F3504F3))) - splat(np.float32(1))
    s = f / (splat(np.float32(2)) + f)
    z = s * s
    w = z * z
    even = z * fma(w, splat(np.float32(0.28498786688)), splat(np.float32(0.66666662693)))
    odd = w * fma(w, splat(np.float32(0.24279078841)), splat(np.float32(0.40000972152)))
    half = splat(np.float32(0.5)) * f * f
    y = fma(k, splat(np.float32(9.0580006145e-06)), s * (half + even + odd)) - half + f
    y = fma(k, splat(np.float32(6.9313812256e-01)), y)
    y = select(x > splat(np.float32(3.4028235e38)), x, y)
    y = select(absolute(x) < splat(np.float32(2**-126)), splat(np.float32(-np.inf)), y)
    return select(x >= splat(np.float32(0)), y, splat(np.float32(np.nan)))


@inlined
def log1p(x):
    """log(1 + x) of x > -1/2: log u, u = 1 + x as rounded, and what the rounding took, by log's derivative 1 / u."""
    one = splat(np.float32(1))
    u = one + x
    return log(u) + (x - (u - one)) / u


@inlined
def sigmoid(x):
    """1 / (1 + e^-x) in every lane."""
    one = splat(np.float32(1))
    return one / (one + exp(splat(np.float32(0)) - x))


@inlined
def tanh(x):
    """(1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x; x itself where |x| is so small that the quotient loses digits."""
    magnitude = absolute(x)
    e = exp(magnitude * splat(np.float32(-2)))
    one, zero = splat(np.float32(1)), splat(np.float32(0))
    t = (one - e) / (one + e)
    # Below 0.02 the series x - x^3/3 is exact to float32.
    t = select(magnitude < splat(np.float32(0.02)), magnitude - magnitude * magnitude * magnitude * splat(THIRD), t)
    return select(x < zero, zero - t, t)


@inlined
def expm1(x):
    """e^x - 1 of x <= 0, by t = tanh(x / 2): 2 t / (1 - t). Small x keep their digits."""
    t = tanh(splat(np.float32(0.5)) * x)
    return (t + t) / (splat(np.float32(1)) - t)


@inlined
def normal_cdf(x):
    """The share of the standard normal distribution below x, (1 + erf(x / sqrt 2)) / 2."""
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    t = one / fma(absolute(x), splat(np.float32(0.3275911 * 0.7071067811865476)), one)
    p = fma(splat(np.float32(1.061405429)), t, splat(np.float32(-1.453152027)))
    p = fma(p, t, splat(np.float32(1.421413741)))
    p = fma(p, t, splat(np.float32(-0.284496736)))
    p = fma(p, t, splat(np.float32(0.254829592)))
    tail = splat(np.float32(0.5)) * p * t * exp(splat(np.float32(-0.5)) * x * x)
    return select(x > zero, one - tail, tail)


@inlined
def signum(x):
    """-1, 0 or 1, as x is; NaN of NaN."""
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    return select(x > zero, one, select(x < zero, zero - one, zero * x))


@inlined
def activate(x, activation, alpha):
    """act(x) for an activation number and a splat alpha."""
    zero = splat(np.float32(0))
    if activation == RELU:
        return maximum(x, zero)
    if activation == LEAKY_RELU:
        return select(x > zero, x, alpha * x)
    if activation == SIGMOID:
        return sigmoid(x)
    if activation == TANH:
        return tanh(x)
    return x


@inlined
def derivative(y, activation, alpha):
    """act'(x) as a function of y = act(x)."""
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    if activation == RELU:
        return select(y > zero, one, zero)
    if activation == LEAKY_RELU:
        return select(y > zero, one, alpha)
    if activation == SIGMOID:
        return y * (one - y)
    if activation == TANH:
        return one - y * y
    return one

"""Random numbers in CPU kernels: sixteen Philox counters at a time, the words of random/reference.py.

    philox         four vectors of words for sixteen counters
    normal         two normal numbers from each of sixteen pairs of words
"""


import numpy as np

from ..host.functions import inlined, log, log1p
from ..simd import fma, multiply_high, select, splat, splat_u32, sqrt, u32_to_f32

ROUNDS = 10
MULTIPLIER_0, MULTIPLIER_1 = np.uint32(0xD2511F53), np.uint32(0xCD9E8D57)
KEY_STEP_0, KEY_STEP_1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)


@inlined
def philox(c0, c1, c2, c3, seed):
    """Philox4x32-10 of sixteen counters under an int64 seed."""
    k0, k1 = splat_u32(np.uint32(seed)), splat_u32(np.uint32(seed >> 32))
    multiplier_0, multiplier_1 = splat_u32(MULTIPLIER_0), splat_u32(MULTIPLIER_1)
    for _ in range(ROUNDS):
        high_0, low_0 = multiply_high(multiplier_0, c0), multiplier_0 * c0
        high_1, low_1 = multiply_high(multiplier_1, c2), multiplier_1 * c2
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
        k0, k1 = k0 + splat_u32(KEY_STEP_0), k1 + splat_u32(KEY_STEP_1)
    return c0, c1, c2, c3


@inlined
def normal(first, second):
    """Two normal numbers from each pair of words (Box and Muller 1958): sqrt(-2 ln((first + 1) / 2^32)) times the cosine and
    the sine of second / 2^32 turns."""
    radius, (cosine, sine) = _radius(first), _circle(second)
    return radius * cosine, radius * sine


@inlined
def _radius(word):
    """sqrt(-2 ln u), u = (word + 1) / 2^32; for u near 1 by the distance from it, which keeps its digits."""
    one, unit = splat(np.float32(1)), splat(np.float32(2.0**-32))
    below_one = u32_to_f32(word ^ splat_u32(np.uint32(0xFFFFFFFF))) * unit
    near = log1p(splat(np.float32(0)) - below_one)
    logarithm = select(word >= splat_u32(np.uint32(1 << 31)), near, log((u32_to_f32(word) + one) * unit))
    return sqrt(splat(np.float32(-2)) * logarithm)


@inlined
def _circle(turns):
    """Cosine and sine of turns / 2^32 turns: the nearest quarter exactly, and polynomials of Cephes (Moshier) for the rest."""
    one, two, zero = splat_u32(np.uint32(1)), splat_u32(np.uint32(2)), splat(np.float32(0))
    moved = turns + splat_u32(np.uint32(1 << 29))
    quarter = moved >> splat_u32(np.uint32(30))
    left = u32_to_f32(moved & splat_u32(np.uint32((1 << 30) - 1))) - splat(np.float32(1 << 29))
    x = left * splat(np.float32(np.pi / 2**31))
    z = x * x
    s = fma(splat(np.float32(-1.9515295891e-4)), z, splat(np.float32(8.3321608736e-3)))
    s = fma(fma(s, z, splat(np.float32(-1.6666654611e-1))) * z, x, x)
    c = fma(splat(np.float32(2.443315711809948e-5)), z, splat(np.float32(-1.388731625493765e-3)))
    c = fma(c, z, splat(np.float32(4.166664568298827e-2)))
    c = fma(c * z, z, fma(splat(np.float32(-0.5)), z, splat(np.float32(1))))
    odd = (quarter & one) == one
    cosine, sine = select(odd, s, c), select(odd, c, s)
    cosine = select(((quarter + one) & two) == two, zero - cosine, cosine)
    return cosine, select((quarter & two) == two, zero - sine, sine)

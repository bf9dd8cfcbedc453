"""Random numbers in GPU kernels: the words of random/reference.py, a counter a thread.

    philox         four words of one counter
    normal         two normal numbers from two words
    SEED, STEP     what keys and counters begin with, in the scalars buffer
"""

import math

from numba.cuda.types import float32, int32, uint32, uint64

from ..api import Scalars
from ..ptx import inlined

SEED, STEP = 2 * Scalars.SEED, 2 * Scalars.STEP
"""Where the numbers begin in the scalars buffer, in words of 32 bits."""
ROUNDS = 10
MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
KEY_STEP_0, KEY_STEP_1 = 0x9E3779B9, 0xBB67AE85


@inlined
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 of the counter (c0, c1, c2, c3) under the key (k0, k1), all uint32."""
    for _ in range(ROUNDS):
        product_0 = uint64(c0) * uint64(MULTIPLIER_0)
        product_1 = uint64(c2) * uint64(MULTIPLIER_1)
        c0, c2 = uint32((product_1 >> uint64(32)) ^ c1 ^ k0), uint32((product_0 >> uint64(32)) ^ c3 ^ k1)
        c1, c3 = uint32(product_1), uint32(product_0)
        k0, k1 = uint32(k0 + uint32(KEY_STEP_0)), uint32(k1 + uint32(KEY_STEP_1))
    return c0, c1, c2, c3


@inlined
def normal(first, second):
    """Two normal numbers from two words (Box and Muller 1958): sqrt(-2 ln((first + 1) / 2^32)) times the cosine and the sine
    of second / 2^32 turns."""
    radius, (cosine, sine) = _radius(first), _circle(second)
    return radius * cosine, radius * sine


@inlined
def _radius(word):
    """sqrt(-2 ln u), u = (word + 1) / 2^32; for u near 1 by the distance from it, which keeps its digits."""
    if word >= uint32(1 << 31):
        logarithm = math.log1p(-float32(uint32(word ^ uint32(0xFFFFFFFF))) * float32(2.0**-32))
    else:
        logarithm = math.log((float32(word) + float32(1)) * float32(2.0**-32))
    return math.sqrt(float32(-2) * logarithm)


@inlined
def _circle(turns):
    """Cosine and sine of turns / 2^32 turns: the nearest quarter exactly, and polynomials of Cephes (Moshier) for the rest."""
    quarter = uint32(uint32(turns + uint32(1 << 29)) >> uint32(30))
    x = float32(int32(uint32(turns - uint32(quarter << uint32(30))))) * float32(math.pi / 2**31)
    z = x * x
    s = ((float32(-1.9515295891e-4) * z + float32(8.3321608736e-3)) * z - float32(1.6666654611e-1)) * z * x + x
    c = (float32(2.443315711809948e-5) * z - float32(1.388731625493765e-3)) * z + float32(4.166664568298827e-2)
    c = c * z * z + (float32(1) - float32(0.5) * z)
    cosine, sine = (s, c) if quarter & uint32(1) else (c, s)
    return -cosine if uint32(quarter + uint32(1)) & uint32(2) else cosine, -sine if quarter & uint32(2) else sine

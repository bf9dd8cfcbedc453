"""Random numbers in CPU kernels: sixteen Philox counters at a time, the words of random/reference.py.

    philox         four vectors of words for sixteen counters
"""


import numpy as np

from ..host.functions import inlined
from ..simd import multiply_high, splat_u32

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

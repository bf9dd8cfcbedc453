"""Random numbers in GPU kernels: the words of random/reference.py, a counter a thread.

    philox         four words of one counter
"""


from numba.cuda.types import uint32, uint64

from ..ptx import inlined

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

"""What the processor can do at most, measured by kernels that do nothing else.

    fma_kernel    multiply-adds of vectors, in registers alone
    copy_kernel   a copy that is larger than the caches
"""

import numpy as np

from ..simd import TILE_BLOCKS, TILE_PIXELS, fma, load_f32x16, splat, store_f32x16
from .runner import kernel

CHAINS = min(12, TILE_PIXELS * TILE_BLOCKS)
"""Independent sums: as many as hide the latency of one, and fit into the registers."""
ROUNDS = 20000
FLOPS = 2 * 16 * CHAINS * ROUNDS
"""Of one output of fma_kernel."""
ROW = 1 << 16
"""Bytes of one output of copy_kernel."""


@kernel
def fma_kernel(a, first, last):
    """CHAINS sums x = x * c + c of 16 lanes, ROUNDS times; a: the address where they are left, 64 * CHAINS bytes an output."""
    c = splat(np.float32(0.5))
    for n in range(first, last):
        x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11 = c, c, c, c, c, c, c, c, c, c, c, c
        for _ in range(ROUNDS):
            x0, x1, x2 = fma(x0, c, c), fma(x1, c, c), fma(x2, c, c)
            if CHAINS >= 6:
                x3, x4, x5 = fma(x3, c, c), fma(x4, c, c), fma(x5, c, c)
            if CHAINS >= 12:
                x6, x7, x8 = fma(x6, c, c), fma(x7, c, c), fma(x8, c, c)
                x9, x10, x11 = fma(x9, c, c), fma(x10, c, c), fma(x11, c, c)
        here = a[0] + 64 * CHAINS * n
        store_f32x16(here, x0 + x1 + x2 + x3 + x4 + x5)
        store_f32x16(here + 64, x6 + x7 + x8 + x9 + x10 + x11)


@kernel
def copy_kernel(a, first, last):
    """y = x for rows of ROW bytes; a: the addresses of x and y."""
    for p in range(ROW * first, ROW * last, 64):
        store_f32x16(a[1] + p, load_f32x16(a[0] + p))

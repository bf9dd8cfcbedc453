"""The kernel that lays out an image for polyphase.py."""

import numpy as np

from ..host.runner import kernel
from ..simd import load_f32, load_i64, splat, store_f32, store_f32x16


@kernel
def space_to_depth(a, first, last):
    """y[pixel, lane] = x at in_x[pixel] + lanes[lane], which are bytes; padding lanes 0.

    For each sample and pixel of y a float a lane: reads and writes 4 bytes a lane and computes nothing.
    """
    x, x_sample, in_x, y, y_sample, y_block, in_y = a[0], a[1], a[2], a[3], a[4], a[5], a[6]
    pixels, lanes, count = a[7], a[8], a[9]
    zero = splat(np.float32(0))
    for n in range(first, last):
        for p in range(pixels):
            source, target = x + n * x_sample + load_i64(in_x + 8 * p), y + n * y_sample + load_i64(in_y + 8 * p)
            for k in range(0, count, 16):
                block = target + k // 16 * y_block
                store_f32x16(block, zero)
                for lane in range(k, min(k + 16, count)):
                    store_f32(block + 4 * (lane - k), load_f32(source + load_i64(lanes + 8 * lane)))

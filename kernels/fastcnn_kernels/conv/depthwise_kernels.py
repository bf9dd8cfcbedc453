"""The kernels of depthwise convolutions: one channel in, one out, so a vector of 16 channels meets a vector of 16 weights.

    depthwise_product            y or dx: a register tile of pixels, contracted over taps
    depthwise_weight_gradient    dw: a register tile of taps, contracted over pixels

Each fma has an operand of its own in memory, so both are bound by the two loads a cycle that processors do.
"""

from typing import Any

import numpy as np
from llvmlite import ir

from ..host.runner import kernel
from ..simd import address, bits_as_f64, call_llvm, f32x16, literal_intrinsic, load_f32x16, load_i64, splat, tuple_of_zeros
from .tiles import same_vectors, store_tile, tile_addresses

PIXELS, TAPS = 8, 9
"""Rows of the register tiles: enough sums to hide the latency of fma, few enough that their addresses fit into registers."""


@literal_intrinsic
def multiply_add(typingctx: Any, tile: Any, places: Any, offset: Any, vector: Any) -> Any:
    """tile[i] += f32x16 at places[i] + offset  *  vector."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        sums, where, shift, factor = args
        for i in range(tile.count):
            place = address(builder, builder.add(builder.extract_value(where, i), shift), f32x16.ir)
            total = call_llvm(builder, "fmuladd", builder.load(place, align=4), factor, builder.extract_value(sums, i))
            sums = builder.insert_value(sums, total, i)
        return sums

    return tile(tile, places, offset, f32x16), codegen


@kernel
def depthwise_product(a, first, last):
    """y[pixel] = max(floor, bias + sum over taps of x[pixel + tap] * w[tap]), 16 channels at a time.

    For each sample and block of channels, for each entry of the table (pixels of x, pixels of y, taps, their number, number of
    pixels), tiles of PIXELS pixels; 2 taps FLOPs an element. A tap is (bytes in x, bytes in w). Entries share x and y, the
    phases of a strided data gradient, while these stay in the second-level cache.
    """
    x, x_sample, x_block, y, y_sample, y_block = a[0], a[1], a[2], a[3], a[4], a[5]
    w, bias, bias_block, entries, count = a[6], a[7], a[8], a[9], a[10]
    blocks, floor = a[11], splat(np.float32(bits_as_f64(a[12])))
    for n in range(first, last):
        for b in range(blocks):
            source, target = x + n * x_sample + b * x_block, y + n * y_sample + b * y_block
            for e in range(entries, entries + 40 * count, 40):
                x_pixels, y_pixels, taps = load_i64(e), load_i64(e + 8), load_i64(e + 16)
                tap_count, pixels = load_i64(e + 24), load_i64(e + 32)
                for p in range(0, pixels, PIXELS):
                    tile = same_vectors(bias + b * bias_block, PIXELS, 1)
                    places = tile_addresses(source, x_pixels, 8, p, pixels - 1, PIXELS)
                    for k in range(tap_count):
                        weight = load_f32x16(w + load_i64(taps + 16 * k + 8) + 64 * b)
                        tile = multiply_add(tile, places, load_i64(taps + 16 * k), weight)
                    store_tile(tile, tile_addresses(target, y_pixels, 8, p, pixels - 1, PIXELS), 64, floor)


@kernel
def depthwise_weight_gradient(a, first, last):
    """dw[tap] = sum over samples and pixels of x[pixel + tap] * dz[pixel], 16 channels at a time; 2 taps FLOPs an element.

    For each block of channels, tiles of TAPS taps cross all pixels of the slice. A tap is (bytes in x, bytes in dw).
    """
    x, x_sample, x_block, x_pixels = a[0], a[1], a[2], a[3]
    z, z_sample, z_block, z_pixels = a[4], a[5], a[6], a[7]
    dw, taps, tap_count, blocks, pixels = a[8], a[9], a[10], a[11], a[12]
    for b in range(blocks):
        for k in range(0, tap_count, TAPS):
            tile = tuple_of_zeros(TAPS)
            places = tile_addresses(x + b * x_block, taps, 16, k, tap_count - 1, TAPS)
            for n in range(first, last):
                for p in range(pixels):
                    gradient = load_f32x16(z + n * z_sample + b * z_block + load_i64(z_pixels + 8 * p))
                    tile = multiply_add(tile, places, n * x_sample + load_i64(x_pixels + 8 * p), gradient)
            targets = tile_addresses(dw + 64 * b, taps + 8, 16, k, tap_count - 1, TAPS)
            store_tile(tile, targets, 64, splat(np.float32(-np.inf)))

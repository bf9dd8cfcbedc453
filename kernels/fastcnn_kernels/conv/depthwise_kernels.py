"""The kernels of depthwise convolutions: one channel in, one out, so a vector of 16 channels meets a vector of 16 weights.

    contract             y or dx: a register tile of pixels, contracted over taps
    depthwise_forward    y
    depthwise_backward   dw and db, a register tile of taps, contracted over pixels; then dx

Each fma has an operand of its own in memory, so both are bound by the two loads a cycle that processors do.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit

from ..host.runner import kernel
from ..simd import (
    address,
    bits_as_f64,
    call_llvm,
    f32x16,
    literal_intrinsic,
    load_f32x16,
    load_i64,
    splat,
    store_f32x16,
    tuple_of_zeros,
)
from .tiles import load_tile, same_vectors, store_tile, tile_addresses

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


@njit
def contract(source, target, entries, count, weights, start, floor):
    """target[pixel] = max(floor, start + sum over taps of source[pixel + tap] * weights[tap]), for one block of channels.

    For each of the `count` entries of a table, (pixels of the source, pixels of the target, taps, their number, number of
    pixels), tiles of PIXELS pixels; 2 taps FLOPs an element. A tap is (bytes in the source, bytes in the weights). Entries, the
    phases of a strided data gradient, share both images while these stay in the second-level cache. `start`: an address.
    """
    for e in range(entries, entries + 40 * count, 40):
        in_source, in_target, taps = load_i64(e), load_i64(e + 8), load_i64(e + 16)
        tap_count, pixels = load_i64(e + 24), load_i64(e + 32)
        for p in range(0, pixels, PIXELS):
            tile = same_vectors(start, PIXELS, 1)
            places = tile_addresses(source, in_source, 8, p, pixels - 1, PIXELS)
            for k in range(tap_count):
                weight = load_f32x16(weights + load_i64(taps + 16 * k + 8))
                tile = multiply_add(tile, places, load_i64(taps + 16 * k), weight)
            store_tile(tile, tile_addresses(target, in_target, 8, p, pixels - 1, PIXELS), 64, floor)


@kernel
def depthwise_forward(a, first, last):
    """y = max(floor, x * w + b): `contract` for each sample and block of 16 channels."""
    x, x_sample, x_block, y, y_sample, y_block = a[0], a[1], a[2], a[3], a[4], a[5]
    w, bias, bias_block, entries, count = a[6], a[7], a[8], a[9], a[10]
    blocks, floor = a[11], splat(np.float32(bits_as_f64(a[12])))
    for n in range(first, last):
        for b in range(blocks):
            source, target = x + n * x_sample + b * x_block, y + n * y_sample + b * y_block
            contract(source, target, entries, count, w + 64 * b, bias + b * bias_block, floor)


@kernel
def depthwise_backward(a, first, last):
    """dw[tap] = sum over samples and pixels of x[pixel + tap] * dz[pixel], db the same of dz, dx as `contract` of dz and w.

    For each sample and block of 16 channels, while these images are in a cache: tiles of TAPS taps cross all pixels, then dx.
    Sums go from sample to sample through dw and db. 2 taps FLOPs an element for each of dw and dx; x, dz and dx cross the
    memory bus once. A tap is (bytes in x, bytes in dw). Without dw there are no taps; db = 0 and count = 0 where the bias'
    gradient and dx are not wanted.
    """
    x, x_sample, x_block, x_pixels = a[0], a[1], a[2], a[3]
    z, z_sample, z_block, z_pixels = a[4], a[5], a[6], a[7]
    dw, db, taps, tap_count, blocks, pixels = a[8], a[9], a[10], a[11], a[12], a[13]
    dx, dx_sample, dx_block, w, zeros, entries, count = a[14], a[15], a[16], a[17], a[18], a[19], a[20]
    floor = splat(np.float32(-np.inf))
    for n in range(first, last):
        for b in range(blocks):
            image, gradients = x + n * x_sample + b * x_block, z + n * z_sample + b * z_block
            for k in range(0, tap_count, TAPS):
                places = tile_addresses(image, taps, 16, k, tap_count - 1, TAPS)
                targets = tile_addresses(dw + 64 * b, taps + 8, 16, k, tap_count - 1, TAPS)
                tile, total = tuple_of_zeros(TAPS), splat(np.float32(0))
                if n > first:
                    tile = load_tile(tile, targets, 64)
                for p in range(pixels):
                    gradient = load_f32x16(gradients + load_i64(z_pixels + 8 * p))
                    tile, total = multiply_add(tile, places, load_i64(x_pixels + 8 * p), gradient), total + gradient
                store_tile(tile, targets, 64, floor)
                if k == 0 and db != 0:
                    if n > first:
                        total = total + load_f32x16(db + 64 * b)
                    store_f32x16(db + 64 * b, total)
            contract(gradients, dx + n * dx_sample + b * dx_block, entries, count, w + 64 * b, zeros, floor)

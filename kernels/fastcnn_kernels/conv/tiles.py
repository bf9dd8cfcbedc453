"""The kernels of convolutions and dense layers: register tiles that walk tables (see tables.py).

    product            forward and data gradient: pixels x lanes, contracted over rows; one kernel a panel width
    weight_gradient    rows x lanes, contracted over pixels; one kernel a panel width
    narrow_gradient    the same for few rows, dz made on the fly: first layers, whose dz nobody else needs
    output_gradient    dz = dy * act'(y), scattered to the pixels that won their pool's window, and its sum, db
    clear              zeros, where the data gradient has pixels that no tap sees
    pack               weights as panels, transposed for the data gradient
    gather, add_slices sums over slices, permuted by a table or in order

A tile keeps TILE_PIXELS x V accumulators of 16 lanes in registers; an update is one `outer_product`: P broadcasts, V loads and
P*V fma. Tiles at a ragged end repeat their last pixel or row: it is computed and stored several times, with equal bits.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types

from ..api import ACTIVATIONS
from ..host.functions import LINEAR, derivative, inlined
from ..host.runner import kernel
from ..simd import (
    LANES,
    TILE_BLOCKS,
    TILE_PIXELS,
    address,
    bits_as_f64,
    f32x16,
    literal_intrinsic,
    load_f32,
    load_f32x16,
    load_i64,
    load_u8x16,
    make_intrinsic,
    outer_product,
    select,
    select_u8,
    splat,
    splat_u8,
    store_f32,
    store_f32x16,
    store_u8x16,
    tuple_of_zeros,
)

I64 = ir.IntType(64)
GATHER_RUN, ADD_RUN = 1024, 16384
"""Bytes that one output of `gather` and of `add_slices` stands for."""


# ------ tiles as values


@literal_intrinsic
def tile_addresses(typingctx: Any, base: Any, table: Any, step: Any, first: Any, last: Any, count: Any) -> Any:
    """`count` addresses: base + the int64 at table + step * min(first + i, last)."""
    n = count.literal_value

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        start, entries, stride, begin, end, _ = args
        found = ir.Constant(ir.ArrayType(I64, n), ir.Undefined)
        for i in range(n):
            index = builder.add(begin, ir.Constant(I64, i))
            index = builder.select(builder.icmp_signed("<", index, end), index, end)
            entry = address(builder, builder.add(entries, builder.mul(stride, index)), I64)
            found = builder.insert_value(found, builder.add(start, builder.load(entry, align=8)), i)
        return found

    return types.UniTuple(types.int64, n)(*(types.int64,) * 5, types.literal(n)), codegen


@literal_intrinsic
def same_vectors(typingctx: Any, base: Any, rows: Any, blocks: Any) -> Any:
    """A tile of `rows` equal rows: the `blocks` consecutive vectors at base."""
    height, width = rows.literal_value, blocks.literal_value

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        places = [builder.add(args[0], ir.Constant(I64, 64 * v)) for v in range(width)]
        vectors = [builder.load(address(builder, place, f32x16.ir), align=4) for place in places]
        tile = ir.Constant(ir.ArrayType(f32x16.ir, height * width), ir.Undefined)
        for i in range(height * width):
            tile = builder.insert_value(tile, vectors[i % width], i)
        return tile

    counts = (types.literal(height), types.literal(width))
    return types.UniTuple(f32x16, height * width)(types.int64, *counts), codegen


def _places(builder: ir.IRBuilder, tile: Any, addresses: Any, block: ir.Value) -> list[ir.Value]:
    """Typed pointers to the vectors of a tile: V of them, `block` bytes apart, at each address."""
    width = tile.type.count // addresses.type.count
    found = []
    for p in range(addresses.type.count):
        place = builder.extract_value(addresses, p)
        for _ in range(width):
            found.append(address(builder, place, f32x16.ir))
            place = builder.add(place, block)
    return found


@literal_intrinsic
def load_tile(typingctx: Any, like: Any, addresses: Any, block: Any) -> Any:
    """A tile of `like`'s size: the vectors at every address, `block` bytes apart."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile = args[0]
        for i, place in enumerate(_places(builder, *args)):
            tile = builder.insert_value(tile, builder.load(place, align=4), i)
        return tile

    return like(like, addresses, types.int64), codegen


@literal_intrinsic
def store_tile(typingctx: Any, tile: Any, addresses: Any, block: Any, floor: Any) -> Any:
    """Store maximum(tile, floor), a NaN as it is: row p at address p, its vectors `block` bytes apart."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        accumulators, where, block_bytes, lowest = args
        for i, place in enumerate(_places(builder, accumulators, where, block_bytes)):
            value = builder.extract_value(accumulators, i)
            value = builder.select(builder.fcmp_unordered(">", value, lowest), value, lowest)
            builder.store(value, place, align=4)
        return context.get_dummy_value()

    return types.void(tile, addresses, types.int64, f32x16), codegen


@literal_intrinsic
def prefetch(typingctx: Any, addresses: Any, offset: Any) -> Any:
    """Ask for the cache line at every address + offset, in the second-level cache."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        read, second_level, data = i32(0), i32(2), i32(1)
        for p in range(addresses.count):
            place = builder.inttoptr(builder.add(builder.extract_value(args[0], p), args[1]), pointer)
            builder.call(function, [place, read, second_level, data])
        return context.get_dummy_value()

    return types.void(addresses, types.int64), codegen


def _transpose(
    builder: ir.IRBuilder, source: ir.Value, step: ir.Value, last: ir.Value, target: ir.Value, target_step: ir.Value
) -> None:
    rows = []
    for i in range(LANES):
        index = ir.Constant(I64, i)
        index = builder.select(builder.icmp_signed("<", index, last), index, last)
        rows.append(builder.load(address(builder, builder.add(source, builder.mul(index, step)), f32x16.ir), align=4))
    for distance in (8, 4, 2, 1):
        low = [lane if not lane & distance else LANES + lane - distance for lane in range(LANES)]
        high = [lane + distance if not lane & distance else LANES + lane for lane in range(LANES)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), order) for order in (low, high)]
        for i in range(LANES):
            if not i & distance:
                pair = rows[i], rows[i | distance]
                rows[i], rows[i | distance] = (builder.shuffle_vector(*pair, mask) for mask in masks)
    for i, row in enumerate(rows):
        place = builder.add(target, builder.mul(target_step, ir.Constant(I64, i)))
        builder.store(row, address(builder, place, f32x16.ir), align=4)


transpose_block = make_intrinsic(types.void, (types.int64,) * 5, _transpose)
"""transpose_block(source, step, last, target, target_step): 16x16 floats, rows beyond `last` repeat row `last`. A butterfly:
stage d swaps the two d x d squares off the diagonal of every 2d x 2d square."""


# ------ forward and data gradient


@inlined
def contract(tile, pixels, rows, fours, threes, singles, w, ld):
    """tile += sum over the table `rows` of x[pixel + row] * w[row]: entries of 4 rows, then of 3, then of one."""
    for r in range(fours):
        entry = rows + 16 * r
        tile = outer_product(tile, pixels, load_i64(entry), w + load_i64(entry + 8), 64, ld, 4, 4)
    for r in range(fours, fours + threes):
        entry = rows + 16 * r
        tile = outer_product(tile, pixels, load_i64(entry), w + load_i64(entry + 8), 64, ld, 3, 4)
    for r in range(fours + threes, fours + threes + singles):
        entry = rows + 16 * r
        tile = outer_product(tile, pixels, load_i64(entry), w + load_i64(entry + 8), 64, ld, 1, 4)
    return tile


@njit
def pool(source, row, blocks, y, y_pixels, y_block, argmax, argmax_pixels, argmax_block, first, last, window):
    """Windows first .. last - 1 of a chunk: the largest of `window` consecutive pixels and its number, the first of equals.

    Pixel p of the chunk lies at source + p * row. A NaN is larger than any number.
    """
    for q in range(first, last):
        for v in range(blocks):
            place = source + (q - first) * window * row + 64 * v
            best, winner = load_f32x16(place), splat_u8(np.uint8(0))
            for k in range(1, window):
                value = load_f32x16(place + k * row)
                keep, number = best >= value, best == best
                winner = select_u8(number, select_u8(keep, winner, splat_u8(np.uint8(k))), winner)
                best = select(number, select(keep, best, value), best)
            store_f32x16(y + load_i64(y_pixels + 8 * q) + v * y_block, best)
            store_u8x16(argmax + load_i64(argmax_pixels + 8 * q) + v * argmax_block, winner)


def pixels_of(blocks: int) -> int:
    """Pixels of the product's register tile: more where a panel is narrow, as far as their addresses fit into registers."""
    return TILE_PIXELS if blocks == TILE_BLOCKS else 8


@cache
def product(blocks: int) -> kernel:
    """The product kernel for panels of `blocks` blocks."""
    tile_pixels = pixels_of(blocks)

    def product(a, first, last):
        """y[pixel, lanes] = max(floor, bias + sum over rows of x[pixel + row] * w[row, lanes]).

        Over the samples first .. last - 1 and all panels, or, where a[SAMPLES] > 0, over the panels first .. last - 1 and all
        samples. A panel is (table of runs, fours, threes, singles, bytes in w, first block). For each group of samples, for
        each panel: its rows of w stay in the second-level cache while tiles of P pixels cross the group. Where `window` > 0,
        the tiles of `chunk` pixels go to `scratch` and only the largest pixel of each window to y. Where `packing` is given, a
        panel is packed just before it is used, so that large weights come from memory once. The first panel, for which x may
        have to come from memory, asks for the next tile's pixels while it computes one.
        """
        x, x_sample, x_pixels = a[0], a[1], a[2]
        y, y_sample, y_block, y_pixels = a[3], a[4], a[5], a[6]
        w, ld, bias, bias_block = a[7], a[8], a[9], a[10]
        panels, panel_count, panel_bytes, packing = a[11], a[12], a[13], a[14]
        pixels, group, chunk, samples, floor = a[15], a[16], a[17], a[18], splat(np.float32(bits_as_f64(a[19])))
        scratch, scratch_pixels, window = a[20], a[21], a[22]
        argmax, argmax_sample, argmax_block, argmax_pixels = a[23], a[24], a[25], a[26]
        x_block, x_blocks = a[27], a[28]
        first_sample, last_sample, first_panel, last_panel = first, last, 0, panel_count
        if samples > 0:
            first_sample, last_sample, first_panel, last_panel = 0, samples, first, last
        for n in range(first_sample, last_sample, group):
            count = min(group, last_sample - n) * pixels
            for q in range(first_panel, last_panel):
                panel = panels + 48 * q
                rows, fours, threes, singles = load_i64(panel), load_i64(panel + 8), load_i64(panel + 16), load_i64(panel + 24)
                weights, block = w + load_i64(panel + 32), load_i64(panel + 40)
                if packing != 0:
                    weights = w + first * panel_bytes
                    pack_panel(packing, q, weights)
                y_panel = y + n * y_sample + block * y_block
                argmax_panel = argmax + n * argmax_sample + block * argmax_block
                for c in range(0, count, chunk):
                    end = min(c + chunk, count)
                    target, target_pixels, target_block = y_panel, y_pixels, y_block
                    if window > 0:
                        target, target_pixels, target_block = scratch - 64 * blocks * c, scratch_pixels, 64
                    for p in range(c, end, tile_pixels):
                        tile = same_vectors(bias + block * bias_block, tile_pixels, blocks)
                        places = tile_addresses(x + n * x_sample, x_pixels, 8, p, end - 1, tile_pixels)
                        if q == first_panel and x_blocks > 0:
                            upcoming = tile_addresses(x + n * x_sample, x_pixels, 8, p + tile_pixels, count - 1, tile_pixels)
                            for k in range(x_blocks):
                                prefetch(upcoming, k * x_block)
                        tile = contract(tile, places, rows, fours, threes, singles, weights, ld)
                        places = tile_addresses(target, target_pixels, 8, p, end - 1, tile_pixels)
                        store_tile(tile, places, target_block, floor)
                    if window > 0:
                        pool(
                            scratch, 64 * blocks, blocks, y_panel, y_pixels, y_block, argmax_panel, argmax_pixels,
                            argmax_block, c // window, end // window, window,
                        )

    return named(product, blocks)


def named(function: Callable[..., None], variant: object) -> kernel:
    """A kernel made by a factory, called after its variant."""
    function.__name__ = f"{function.__name__}_{variant}"
    return kernel(function)


# ------ weight gradient


@cache
def weight_gradient(blocks: int) -> kernel:
    """The weight gradient kernel for panels of `blocks` blocks."""
    accumulators = TILE_PIXELS * blocks

    def weight_gradient(a, first, last):
        """dw[row, lanes] = sum over pixels of x[pixel + row] * dz[pixel, lanes], rows under all taps mixed.

        An item is `run` rows of a panel, which is (row table, rows, bytes in dw, first block of dz). All items over the samples
        first .. last - 1, or, where a[SAMPLES] > 0, items first .. last - 1 over all samples. For each group of samples, whose
        x stays in the second-level cache, for each item, for each chunk of pixels, whose dz stays in the first-level cache:
        every tile of P rows adds the chunk to dw, and asks for the channels of the tiles to come.
        """
        x, x_sample, x_pixels = a[0], a[1], a[2]
        z, z_sample, z_block, z_pixels = a[3], a[4], a[5], a[6]
        dw, panels, pixels, group, chunk = a[7], a[8], a[9], a[10], a[11]
        items, run, runs, samples = a[12], a[13], a[14], a[15]
        lowest = splat(np.float32(-np.inf))
        first_sample, last_sample, first_item, last_item = first, last, 0, items
        if samples > 0:
            first_sample, last_sample, first_item, last_item = 0, samples, first, last
        for n in range(first_sample, last_sample, group):
            count = min(group, last_sample - n) * pixels
            for item in range(first_item, last_item):
                panel = panels + 32 * (item // runs)
                rows, first_row = load_i64(panel), item % runs * run
                last_row = min(load_i64(panel + 8), first_row + run) - 1
                target = dw + load_i64(panel + 16)
                x_group, z_group = x + n * x_sample, z + n * z_sample + load_i64(panel + 24) * z_block
                for c in range(0, count, chunk):
                    end = min(c + chunk, count)
                    for r in range(first_row, last_row + 1, TILE_PIXELS):
                        places = tile_addresses(target, rows + 8, 16, r, last_row, TILE_PIXELS)
                        tile = tuple_of_zeros(accumulators)
                        if n > first_sample or c > 0:
                            tile = load_tile(tile, places, 64)
                        channels = tile_addresses(x_group, rows, 16, r, last_row, TILE_PIXELS)
                        upcoming = tile_addresses(x_group, rows, 16, r + LANES, last_row, 1)
                        for p in range(8 * c, 8 * end, 8):
                            pixel = load_i64(x_pixels + p)
                            prefetch(upcoming, pixel)
                            tile = outer_product(tile, channels, pixel, z_group + load_i64(z_pixels + p), z_block, 0, 1, 4)
                        store_tile(tile, places, 64, lowest)

    return named(weight_gradient, blocks)


def narrow_rows(blocks: int) -> int:
    """The most rows of narrow_gradient's register tile, whose addresses have to fit into registers too."""
    return max(1, min(10, TILE_PIXELS * TILE_BLOCKS // blocks))


@cache
def narrow_gradient(blocks: int, height: int, window: int, activation: int) -> kernel:
    """The kernel for panels of `blocks` blocks, tiles of `height` rows, pool windows of `window` pixels (1 is no pool), and an
    activation's number."""
    accumulators = height * blocks

    def narrow_gradient(a, first, last):
        """dw[row, lanes] = sum over pixels of x[pixel + row] * dz[pixel, lanes], dz = dy * act'(y) at each window's winner;
        db = sum of dz. 2 rows lanes FLOPs a pixel; for each panel and tile of rows, x, y, dy of a sample are read once, and
        dz passes through `scratch`.

        db = 0, a null address, where it is not wanted.
        """
        x, x_sample, x_pixels, dw, rows, row_count = a[0], a[1], a[2], a[3], a[4], a[5]
        dy, dy_sample, dy_block, dy_pixels = a[6], a[7], a[8], a[9]
        y, y_sample, y_block, y_pixels = a[10], a[11], a[12], a[13]
        argmax, argmax_sample, argmax_block, argmax_pixels = a[14], a[15], a[16], a[17]
        db, panels, pixels, slope, scratch = a[18], a[19], a[20], splat(np.float32(bits_as_f64(a[21]))), a[22]
        zero = splat(np.float32(0))
        for q in range(panels):
            if db != 0:
                for v in range(blocks):
                    store_f32x16(db + 64 * (q * blocks + v), zero)
            for n in range(first, last):
                for r in range(0, row_count, height):
                    places = tile_addresses(x, rows, 16, r, row_count - 1, height)
                    targets = tile_addresses(dw + 64 * q * blocks, rows + 8, 16, r, row_count - 1, height)
                    tile = tuple_of_zeros(accumulators)
                    if n > first:
                        tile = load_tile(tile, targets, 64)
                    for p in range(pixels):
                        for v in range(blocks):
                            block = q * blocks + v
                            gradient = load_f32x16(dy + n * dy_sample + block * dy_block + load_i64(dy_pixels + 8 * p))
                            if activation != LINEAR:
                                value = load_f32x16(y + n * y_sample + block * y_block + load_i64(y_pixels + 8 * p))
                                gradient = gradient * derivative(value, activation, slope)
                            if r == 0 and db != 0:
                                store_f32x16(db + 64 * block, load_f32x16(db + 64 * block) + gradient)
                            if window == 1:
                                store_f32x16(scratch + 64 * v, gradient)
                            else:
                                number = argmax + n * argmax_sample + block * argmax_block
                                winner = load_u8x16(number + load_i64(argmax_pixels + 8 * p))
                                for w in range(window):
                                    here = select(winner == splat_u8(np.uint8(w)), gradient, zero)
                                    store_f32x16(scratch + 64 * (w * blocks + v), here)
                        for w in range(window):
                            pixel = n * x_sample + load_i64(x_pixels + 8 * (p * window + w))
                            tile = outer_product(tile, places, pixel, scratch + 64 * w * blocks, 64, 0, 1, 4)
                    store_tile(tile, targets, 64, splat(np.float32(-np.inf)))

    return named(narrow_gradient, f"{blocks}_{height}_{window}_{ACTIVATIONS[activation]}")


@kernel
def output_gradient(a, first, last):
    """dz = dy * act'(y), written to the winner of each window and zero to its other pixels; db = sum of dz over the samples.

    y = 0 where the activation is linear, dz = 0 where only db is wanted, db = 0 where it is not: each a null address.
    """
    dy, dy_sample, dy_block, dy_pixels = a[0], a[1], a[2], a[3]
    y, y_sample, y_block, y_pixels = a[4], a[5], a[6], a[7]
    argmax, argmax_sample, argmax_block, argmax_pixels = a[8], a[9], a[10], a[11]
    z, z_sample, z_block, z_pixels = a[12], a[13], a[14], a[15]
    db, blocks, pixels, window = a[16], a[17], a[18], a[19]
    activation, alpha, zero = a[20], splat(np.float32(bits_as_f64(a[21]))), splat(np.float32(0))
    for n in range(first, last):
        for v in range(blocks):
            total = zero
            for p in range(pixels):
                gradient = load_f32x16(dy + n * dy_sample + v * dy_block + load_i64(dy_pixels + 8 * p))
                if y != 0:
                    value = load_f32x16(y + n * y_sample + v * y_block + load_i64(y_pixels + 8 * p))
                    gradient = gradient * derivative(value, activation, alpha)
                total = total + gradient
                if z != 0:
                    target = z + n * z_sample + v * z_block
                    if window == 1:
                        store_f32x16(target + load_i64(z_pixels + 8 * p), gradient)
                    else:
                        winner = load_u8x16(argmax + n * argmax_sample + v * argmax_block + load_i64(argmax_pixels + 8 * p))
                        for k in range(window):
                            here = select(winner == splat_u8(np.uint8(k)), gradient, zero)
                            store_f32x16(target + load_i64(z_pixels + 8 * (p * window + k)), here)
            if db != 0:
                if n > first:
                    total = total + load_f32x16(db + 64 * v)
                store_f32x16(db + 64 * v, total)


@kernel
def clear(a, first, last):
    """Zero the samples first .. last - 1 of an image and its halo: a[0] is where it begins, a[1] bytes of a sample."""
    for place in range(a[0] + first * a[1], a[0] + last * a[1], 64):
        store_f32x16(place, splat(np.float32(0)))


# ------ weights and sums


@njit
def pack_panel(table, panel, target):
    """Panel number `panel` of w (taps, channels, lanes), described by `table`, becomes consecutive rows of its lanes.

    Copied: row (tap, channel), lanes out. Transposed: row (tap, lane out), lanes in; rows are padded to whole blocks.
    """
    w, ld, taps, channels, columns = load_i64(table), load_i64(table + 8), load_i64(table + 16), load_i64(table + 24), 0
    columns, first, blocks, transposed = load_i64(table + 32), load_i64(table + 40), load_i64(table + 48), load_i64(table + 56)
    block = first + panel * blocks
    if transposed == 0:
        for r in range(taps * channels):
            for v in range(blocks):
                store_f32x16(target + 64 * (r * blocks + v), load_f32x16(w + r * ld + 64 * (block + v)))
        return
    for tap in range(taps):
        for column in range(columns):
            for v in range(blocks):
                channel = 16 * (block + v)
                source = w + (tap * channels + channel) * ld + 64 * column
                rows = 16 * (tap * columns + column)
                last = channels - 1 - channel
                transpose_block(source, ld, last, target + 64 * (rows * blocks + v), 64 * blocks)


@kernel
def pack(a, first, last):
    """Panels first .. last - 1 of a weight, each `a[2]` bytes, to a[1]."""
    for panel in range(first, last):
        pack_panel(a[0], panel, a[1] + panel * a[2])


@kernel
def gather(a, first, last):
    """target[i] = sum over slices of source[slice, index[i]], 0 where index[i] < 0."""
    target, source, index, count, slices, stride = a[0], a[1], a[2], a[3], a[4], a[5]
    run = GATHER_RUN // 4
    for i in range(first * run, min(last * run, count)):
        total, k = np.float32(0), load_i64(index + 8 * i)
        if k >= 0:
            for s in range(slices):
                total += load_f32(source + s * stride + 4 * k)
        store_f32(target + 4 * i, total)


@kernel
def add_slices(a, first, last):
    """target[i] = sum over slices, in order, of source[slice, i], in vectors."""
    target, source, nbytes, slices, stride = a[0], a[1], a[2], a[3], a[4]
    for i in range(first * ADD_RUN, min(last * ADD_RUN, nbytes), 64):
        total = load_f32x16(source + i)
        for s in range(1, slices):
            total = total + load_f32x16(source + s * stride + i)
        store_f32x16(target + i, total)

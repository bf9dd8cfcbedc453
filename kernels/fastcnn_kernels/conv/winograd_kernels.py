"""The kernels of Winograd convolutions: what happens to a group of tiles, each stage over all of its channels.

    input_transform     V = B^T x B                     output_transform    y = pool(max(floor, A^T M A + bias))
    gradient_transform  Z = A dz A^T, and db            input_gradient      dx += B D B^T
    multiply            M = V U, or D = Z U^T           accumulate          dU += V^T Z
    filter_transform    U = G w G^T                     filter_gradient     dw = G^T dU G

V, M, Z and D are scratch: for every frequency f of F = alpha x alpha' a matrix (tiles, channels) in blocks of 16 channels,
[F][C/16][tiles][16]; U and dU are [F][panels][rows][lanes of a panel]. The stages of a convolution share no state but these,
so `by_groups` runs them one after the other on so few tiles that the scratch stays in the second-level cache. Their
`first` and `last` count the tiles of the whole batch: sample n has tiles n*T .. n*T + T - 1.

A tile's entry in the table is six int64: bytes from the sample's origin to the tile in x (or dx), in the output (or dy), in the
activation's value, in argmax; rows and columns of the output, after the pool, that lie inside the image.
"""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from ..api import ACTIVATIONS
from ..host.functions import LINEAR, derivative, inlined
from ..host.runner import call_kernel, kernel
from ..simd import (
    TILE_BLOCKS,
    TILE_PIXELS,
    address,
    bits_as_f64,
    f32x16,
    literal_intrinsic,
    load_f32x16,
    load_i64,
    load_u8x16,
    make_intrinsic,
    outer_product,
    quotient,
    remainder,
    select,
    select_u8,
    splat,
    splat_u8,
    store_f32x16,
    store_u8x16,
    tuple_of_zeros,
)
from .filtering import Tile, transform, transform_add, transform_bias
from .tiles import named

I64 = ir.IntType(64)
X, Y, VALUE, ARGMAX, ROWS, COLUMNS, ENTRY = 0, 8, 16, 24, 32, 40, 48
"""Bytes of a tile's entry."""
ACCUMULATORS = TILE_PIXELS * TILE_BLOCKS

address_of = make_intrinsic(types.int64, (types.CPointer(types.int64),), lambda b, pointer: b.ptrtoint(pointer, I64))


@kernel
def by_groups(a, first, last):
    """Every stage on a group of tiles, then on the next group, for the samples first .. last - 1.

    a: tiles of a sample, tiles of a group, number of stages; for each stage its kernel's address and where in `a` its
    arguments begin.
    """
    tiles, group, stages = a[0], a[1], a[2]
    here, end = address_of(a), last * tiles
    for t in range(first * tiles, end, group):
        for s in range(stages):
            call_kernel(a[3 + 2 * s], here + 8 * a[4 + 2 * s], t, min(t + group, end))


# ------ transforms


@inlined
def clear(start, count):
    """Zero `count` vectors."""
    for k in range(count):
        store_f32x16(start + 64 * k, splat(np.float32(0)))


@inlined
def clear_border(corner, row, height, width, above, below, left, right):
    """Zero the halo of a plane that begins at `corner`."""
    span = left + width + right
    clear(corner, above * span)
    for h in range(above, above + height):
        clear(corner + h * row, left)
        clear(corner + h * row + 64 * (left + width), right)
    clear(corner + (above + height) * row, below * span)


@cache
def input_transform(tile: Tile) -> kernel:
    """The kernel for one kind of tile."""
    (m, r, m_, r_), columns = tile.numbers, tile.columns.alpha

    def input_transform(a, first, last):
        """V[f, channel, tile] = (B^T d B)[f], d the inputs of a tile, in x with its halo: alpha^2 vectors in and out."""
        x, x_sample, x_block, x_row, table, tiles = a[0], a[1], a[2], a[3], a[4], a[5]
        v, frequency, block, blocks = a[6], a[7], a[8], a[9]
        for c in range(blocks):
            n, i = quotient(first, tiles), remainder(first, tiles)
            for t in range(first, last):
                source = x + n * x_sample + c * x_block + load_i64(table + ENTRY * i + X)
                target = v + c * block + 64 * (t - first)
                transform("bt", m, r, m_, r_, source, x_row, 64, target, columns * frequency, frequency)
                i += 1
                if i == tiles:
                    n, i = n + 1, 0

    return named(input_transform, tile)


@inlined
def finish(scratch, y, y_row, argmax, argmax_row, rows, columns, width, high, wide):
    """From a tile in `scratch`, `width` vectors a row, to y: copied, or the largest of each window and its number."""
    for line in range(rows):
        for k in range(columns):
            corner = scratch + 64 * (line * high * width + k * wide)
            best, winner = load_f32x16(corner), splat_u8(np.uint8(0))
            if high * wide > 1:
                for w in range(1, high * wide):
                    value = load_f32x16(corner + 64 * (w // wide * width + w % wide))
                    keep, real = best >= value, best == best
                    winner = select_u8(real, select_u8(keep, winner, splat_u8(np.uint8(w))), winner)
                    best = select(real, select(keep, best, value), best)
                store_u8x16(argmax + line * argmax_row + 16 * k, winner)
            store_f32x16(y + line * y_row + 64 * k, best)


@inlined
def collect(scratch, dy, dy_row, y, y_row, argmax, argmax_row, rows, columns, width, high, wide, activation, slope):
    """dz of a tile into `scratch`, `width` vectors a row; its sum."""
    zero = splat(np.float32(0))
    total = zero
    for line in range(rows):
        for k in range(columns):
            gradient = load_f32x16(dy + line * dy_row + 64 * k)
            if activation != LINEAR:
                gradient = gradient * derivative(load_f32x16(y + line * y_row + 64 * k), activation, slope)
            total = total + gradient
            corner = scratch + 64 * (line * high * width + k * wide)
            if high * wide > 1:
                winner = load_u8x16(argmax + line * argmax_row + 16 * k)
                for w in range(high * wide):
                    here = select(winner == splat_u8(np.uint8(w)), gradient, zero)
                    store_f32x16(corner + 64 * (w // wide * width + w % wide), here)
            else:
                store_f32x16(corner, gradient)
    return total


@cache
def output_transform(tile: Tile, window: tuple[int, int]) -> kernel:
    """The kernel for one kind of tile and a max pool, whose window divides the tile's outputs; (1, 1) is none."""
    (m, r, m_, r_), (high, wide) = tile.numbers, window
    rows, columns, alpha, pooled = m // high, m_ // wide, tile.columns.alpha, window != (1, 1)

    def output_transform(a, first, last):
        """y = max(floor, A^T M A + bias), or the largest of each window and its number, the first of equals; a NaN is larger
        than any number. A tile that hangs over the image's edge, or is pooled, goes to `scratch` first."""
        products, frequency, block, blocks = a[0], a[1], a[2], a[3]
        y, y_sample, y_block, y_row, table, tiles = a[4], a[5], a[6], a[7], a[8], a[9]
        bias, bias_block, floor, scratch = a[10], a[11], splat(np.float32(bits_as_f64(a[12]))), a[13]
        argmax, argmax_sample, argmax_block, argmax_row = a[14], a[15], a[16], a[17]
        for c in range(blocks):
            n, i, shift = quotient(first, tiles), remainder(first, tiles), load_f32x16(bias + c * bias_block)
            for t in range(first, last):
                entry, source = table + ENTRY * i, products + c * block + 64 * (t - first)
                inside_rows, inside_columns = load_i64(entry + ROWS), load_i64(entry + COLUMNS)
                whole = inside_rows == rows and inside_columns == columns
                target = y + n * y_sample + c * y_block + load_i64(entry + Y)
                number = argmax + n * argmax_sample + c * argmax_block + load_i64(entry + ARGMAX)
                if whole and not pooled:
                    transform_bias("at", m, r, m_, r_, source, alpha * frequency, frequency, target, y_row, 64, shift, floor)
                else:
                    transform_bias("at", m, r, m_, r_, source, alpha * frequency, frequency, scratch, 64 * m_, 64, shift, floor)
                    # With constants the loops are unrolled.
                    if whole:
                        finish(scratch, target, y_row, number, argmax_row, rows, columns, m_, high, wide)
                    else:
                        finish(
                            scratch, target, y_row, number, argmax_row, inside_rows, inside_columns, m_, high, wide
                        )
                i += 1
                if i == tiles:
                    n, i = n + 1, 0

    return named(output_transform, f"{tile}_{high}x{wide}")


@cache
def gradient_transform(tile: Tile, window: tuple[int, int], activation: int) -> kernel:
    """The kernel for one kind of tile, the max pool behind the convolution, (1, 1) for none, and an activation's number."""
    (m, r, m_, r_), (high, wide) = tile.numbers, window
    rows, columns, alpha = m // high, m_ // wide, tile.columns.alpha

    def gradient_transform(a, first, last):
        """Z = A dz A^T, dz = dy * act'(y) at the winner of each window, 0 elsewhere and outside the image; db = sum of dz.

        db = 0, a null address, where it is not wanted; it begins anew at the tile `begin`.
        """
        dy, dy_sample, dy_block, dy_row = a[0], a[1], a[2], a[3]
        y, y_sample, y_block, y_row = a[4], a[5], a[6], a[7]
        argmax, argmax_sample, argmax_block, argmax_row = a[8], a[9], a[10], a[11]
        table, tiles, z, frequency, block, blocks = a[12], a[13], a[14], a[15], a[16], a[17]
        db, begin, slope, scratch = a[18], a[19], splat(np.float32(bits_as_f64(a[20]))), a[21]
        for c in range(blocks):
            n, i, total = quotient(first, tiles), remainder(first, tiles), splat(np.float32(0))
            if db != 0 and first > begin:
                total = load_f32x16(db + 64 * c)
            for t in range(first, last):
                entry = table + ENTRY * i
                inside_rows, inside_columns = load_i64(entry + ROWS), load_i64(entry + COLUMNS)
                from_dy = dy + n * dy_sample + c * dy_block + load_i64(entry + Y)
                from_y = y + n * y_sample + c * y_block + load_i64(entry + VALUE)
                number = argmax + n * argmax_sample + c * argmax_block + load_i64(entry + ARGMAX)
                # With constants the loops are unrolled.
                if inside_rows == rows and inside_columns == columns:
                    here = collect(
                        scratch, from_dy, dy_row, from_y, y_row, number, argmax_row, rows, columns, m_, high, wide,
                        activation, slope,
                    )  # fmt: skip
                else:
                    clear(scratch, m * m_)
                    here = collect(
                        scratch, from_dy, dy_row, from_y, y_row, number, argmax_row, inside_rows, inside_columns,
                        m_, high, wide, activation, slope,
                    )  # fmt: skip
                total = total + here
                target = z + c * block + 64 * (t - first)
                transform("a", m, r, m_, r_, scratch, 64 * m_, 64, target, alpha * frequency, frequency)
                i += 1
                if i == tiles:
                    n, i = n + 1, 0
            if db != 0:
                store_f32x16(db + 64 * c, total)

    return named(gradient_transform, f"{tile}_{high}x{wide}_{ACTIVATIONS[activation]}")


@cache
def input_gradient(tile: Tile) -> kernel:
    """The kernel for one kind of tile."""
    (m, r, m_, r_), columns = tile.numbers, tile.columns.alpha

    def input_gradient(a, first, last):
        """dx += B D B^T, `shift` bytes further: tiles overlap, and reach into the halo. With `opens` a sample's block is zeroed
        before its first tile, with `closes` its halo behind its last one."""
        d, frequency, block, blocks = a[0], a[1], a[2], a[3]
        dx, dx_sample, dx_block, dx_row, table, tiles = a[4], a[5], a[6], a[7], a[8], a[9]
        shift, opens, closes, depth, height, width = a[10], a[11], a[12], a[13], a[14], a[15]
        front, back, above, below, left, right = a[16], a[17], a[18], a[19], a[20], a[21]
        span = left + width + right
        plane = (above + height + below) * span
        for c in range(blocks):
            n, i = quotient(first, tiles), remainder(first, tiles)
            for t in range(first, last):
                image = dx + n * dx_sample + c * dx_block
                corner = image - above * dx_row - 64 * left
                if i == 0 and opens:
                    clear(corner - 64 * front * plane, (front + depth + back) * plane)
                source, target = d + c * block + 64 * (t - first), image + load_i64(table + ENTRY * i + X) + shift
                transform_add("b", m, r, m_, r_, source, columns * frequency, frequency, target, dx_row, 64)
                i += 1
                if i == tiles:
                    n, i = n + 1, 0
                    if closes:
                        clear(corner - 64 * front * plane, front * plane)
                        for p in range(depth):
                            clear_border(corner + 64 * p * plane, dx_row, height, width, above, below, left, right)
                        clear(corner + 64 * depth * plane, back * plane)

    return named(input_gradient, tile)


# ------ products, one a frequency


@literal_intrinsic
def rows_apart(typingctx: Any, base: Any, count: Any, apart: Any) -> Any:
    """`count` addresses, `apart` bytes apart."""
    n, step = count.literal_value, apart.literal_value

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        found = ir.Constant(ir.ArrayType(I64, n), ir.Undefined)
        for i in range(n):
            found = builder.insert_value(found, builder.add(args[0], I64(i * step)), i)
        return found

    return types.UniTuple(types.int64, n)(types.int64, types.literal(n), types.literal(step)), codegen


def _vectors(builder: ir.IRBuilder, args: Any, width: int) -> list[ir.Value]:
    """Pointers to the vectors of a tile, args = (tile, address, bytes to the next row, to the next of its `width` vectors)."""
    tile, where, row, block = args[:4]
    places: list[ir.Value] = []
    for i in range(tile.type.count):
        shift = builder.add(builder.mul(row, I64(i // width)), builder.mul(block, I64(i % width)))
        places.append(address(builder, builder.add(where, shift), f32x16.ir))
    return places


@literal_intrinsic
def load_rows(typingctx: Any, like: Any, where: Any, row: Any, block: Any, width: Any) -> Any:
    """A tile of `like`'s size from memory: see _vectors."""
    count = width.literal_value

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile = args[0]
        for i, place in enumerate(_vectors(builder, args, count)):
            tile = builder.insert_value(tile, builder.load(place, align=4), i)
        return tile

    return like(like, *(types.int64,) * 3, types.literal(count)), codegen


@literal_intrinsic
def store_rows(typingctx: Any, tile: Any, where: Any, row: Any, block: Any, width: Any) -> Any:
    """A tile to memory: see _vectors."""
    count = width.literal_value

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        for i, place in enumerate(_vectors(builder, args, count)):
            builder.store(builder.extract_value(args[0], i), place, align=4)
        return context.get_dummy_value()

    return types.void(tile, *(types.int64,) * 3, types.literal(count)), codegen


def pixels_of(blocks: int) -> int:
    """Tiles that a register tile of `multiply` spans: what the panel's blocks leave of the accumulators, at most 12."""
    return min(12, ACCUMULATORS // blocks)


def rows_of(blocks: int) -> int:
    """Rows of a register tile of `accumulate`: a power of two, so that it lies in one block of channels."""
    return 1 << ((ACCUMULATORS // blocks).bit_length() - 1)


@cache
def multiply(blocks: int) -> kernel:
    """The kernel for panels of `blocks` blocks."""
    pixels, accumulators = pixels_of(blocks), pixels_of(blocks) * blocks

    def multiply(a, first, last):
        """target[f, lanes, tile] = sum over rows of source[f, row, tile] * U[f, row, lanes]; 2 F tiles rows lanes FLOPs.

        For each panel and frequency, whose part of U stays in the first-level cache, register tiles of P tiles cross the
        group. The last one may compute tiles beyond it: scratch has room for them.
        """
        s, s_frequency, s_block, rows = a[0], a[1], a[2], a[3]
        u, u_frequency, u_panel, panels = a[4], a[5], a[6], a[7]
        target, frequency, block, frequencies = a[8], a[9], a[10], a[11]
        for q in range(panels):
            for f in range(frequencies):
                source, weights = s + f * s_frequency, u + f * u_frequency + q * u_panel
                for t in range(0, last - first, pixels):
                    places = rows_apart(source + 64 * t, pixels, 64)
                    tile = tuple_of_zeros(accumulators)
                    for r in range(0, rows - 3, 4):
                        offset = (r >> 4) * s_block + 4 * (r & 15)
                        tile = outer_product(tile, places, offset, weights + 64 * blocks * r, 64, 64 * blocks, 4, 4)
                    for r in range(rows & ~3, rows):
                        offset = (r >> 4) * s_block + 4 * (r & 15)
                        tile = outer_product(tile, places, offset, weights + 64 * blocks * r, 64, 0, 1, 4)
                    store_rows(tile, target + f * frequency + q * blocks * block + 64 * t, 64, block, blocks)

    return named(multiply, blocks)


@cache
def accumulate(blocks: int) -> kernel:
    """The kernel for panels of `blocks` blocks."""
    height, accumulators = rows_of(blocks), rows_of(blocks) * blocks

    def accumulate(a, first, last):
        """dU[f, row, lanes] = sum over tiles of V[f, row, tile] * Z[f, lanes, tile]; 2 F tiles rows lanes FLOPs.

        Added to what is there, unless the group is the first of the slice. Register tiles of R rows.
        """
        v, v_frequency, v_block, rows = a[0], a[1], a[2], a[3]
        z, z_frequency, z_block, panels = a[4], a[5], a[6], a[7]
        du, frequency, panel, frequencies, begin = a[8], a[9], a[10], a[11], a[12]
        count = last - first
        for f in range(frequencies):
            for q in range(panels):
                lanes = z + f * z_frequency + q * blocks * z_block
                for r in range(0, rows, height):
                    target = du + f * frequency + q * panel + 64 * blocks * r
                    places = rows_apart(v + f * v_frequency + (r >> 4) * v_block + 4 * (r & 15), height, 4)
                    tile = tuple_of_zeros(accumulators)
                    if first > begin:
                        tile = load_rows(tile, target, 64 * blocks, 64, blocks)
                    for t in range(0, count - 3, 4):
                        tile = outer_product(tile, places, 64 * t, lanes + 64 * t, z_block, 64, 4, 64)
                    for t in range(count & ~3, count):
                        tile = outer_product(tile, places, 64 * t, lanes + 64 * t, z_block, 0, 1, 64)
                    store_rows(tile, target, 64 * blocks, 64, blocks)

    return named(accumulate, blocks)


# ------ filters


@cache
def filter_transform(tile: Tile) -> kernel:
    """The kernel for one kind of tile."""
    (m, r, m_, r_), columns = tile.numbers, tile.columns.alpha

    def filter_transform(a, first, last):
        """U[f, row, lanes] = (G w G^T)[f] for rows first .. last - 1 of all panels of w."""
        w, tap, row, panel = a[0], a[1], a[2], a[3]
        u, frequency, u_panel, panels, blocks = a[4], a[5], a[6], a[7], a[8]
        for k in range(first, last):
            for q in range(panels):
                for v in range(blocks):
                    source = w + q * panel + k * row + 64 * v
                    target = u + q * u_panel + 64 * (k * blocks + v)
                    transform("g", m, r, m_, r_, source, r_ * tap, tap, target, columns * frequency, frequency)

    return named(filter_transform, tile)


@cache
def filter_gradient(tile: Tile) -> kernel:
    """The kernel for one kind of tile."""
    (m, r, m_, r_), columns = tile.numbers, tile.columns.alpha

    def filter_gradient(a, first, last):
        """dw = G^T dU G, for the slice's own sums."""
        du, frequency, u_panel, panels, blocks = a[0], a[1], a[2], a[3], a[4]
        dw, tap, row, rows = a[5], a[6], a[7], a[8]
        for k in range(rows):
            for q in range(panels):
                for v in range(blocks):
                    source = du + q * u_panel + 64 * (k * blocks + v)
                    target = dw + k * row + 64 * (q * blocks + v)
                    transform("gt", m, r, m_, r_, source, columns * frequency, frequency, target, r_ * tap, tap)

    return named(filter_gradient, tile)

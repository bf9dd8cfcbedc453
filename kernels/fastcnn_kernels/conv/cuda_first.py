"""First layers on the GPU: convolutions of pictures of 1 to 4 channels, whose part of a sample stays in shared memory.

    CHANNELS, tile_of    which products, and the tiles that they get
    Band, band_for       a block's part of a sample: which one a shape gets
    first_layer_kernel   the kernel for a Variant and a number of channels
    copy_box             x on its way to shared memory
    multiply_tap         what a thread multiplies under one tap

The product of cuda_product.py would fetch every float of x once a tap, by an address of its own, since so few channels are no
vector. Here a block copies its pixels with all that their taps see, zeros outside of the image, and multiplies without further
barriers. A sum is 9 to 200 terms, so that memory sets the pace, and arithmetic is float32 in every precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

from llvmlite import ir
from numba import cuda
from numba.cuda import types
from numba.cuda.extending import intrinsic
from numba.cuda.types import float32, uint32

from ..device.gemm import FULL_GPU, Tile, copies, get_lines, put_lines
from ..device.kernel import CudaKernel, kernel
from ..device.tiles import SHARED_BYTES, WORD, ceil_div
from ..ptx import after, element, inlined, read4
from .cuda_gradient import next_pixel_of
from .cuda_product import Share, Variant, epilogue, pixel_of

CHANNELS = 4
"""Channels of x at most."""
NARROW, WIDE = Tile(128, 16, 32, 4, 4, (64, 64)), Tile(128, 32, 32, 4, 8, (96, 96))
"""For up to 16 filters, and for more: pixels of a turn, filters of a block, lines of w that are copied at once."""
BANKS = 32
COPIES = 8
"""Floats of x that are on their way to a thread at once."""


def tile_of(filters: int) -> Tile:
    """A block's tile."""
    return NARROW if filters <= NARROW.columns else WIDE


# ------ which part of a sample a block has


@dataclass(frozen=True)
class Band:
    """Neighbouring lines of a sample's outputs, and the box of x that their taps see, as it lies in shared memory.

    Outputs are counted in units: pixels, or the windows of a pool. A line is what has one place on the first walked axis.

    units          of a band
    bands          of a sample; the last one may have fewer units
    slices, lines  of the box, along D and H
    length         floats of a line of the box
    line_pitch, slice_pitch     floats from one line, and from one slice, to the next
    shared_bytes   of all that is in shared memory
    """

    units: int
    bands: int
    slices: int
    lines: int
    length: int
    line_pitch: int
    slice_pitch: int
    shared_bytes: int

    @property
    def numbers(self) -> tuple[int, ...]:
        """The first arguments of the kernel."""
        return (self.units, self.bands, self.slices, self.lines, self.length, self.line_pitch, self.slice_pitch)


def band_for(walks: Sequence[Any], axes: int, window: Sequence[int], blocks: int, channels: int, floats: int) -> Band | None:
    """The largest band with which `blocks` samples and tiles of filters fill the GPU, but at least a turn of pixels; None where
    a single line needs more shared memory than there is, with the `floats` that are not x.

    walks   cuda.Walk of D, H and W; the last `axes` of them are used, and rows come in windows
    """
    lines = walks[-axes].rows // window[-axes]
    while True:
        band = _band(walks, axes, window, lines, channels, floats)
        fits = band.shared_bytes <= SHARED_BYTES
        too_few = band.units * prod(window) > WIDE.rows and band.bands * blocks < FULL_GPU
        if lines == 1 or (fits and not too_few):
            return band if fits else None
        lines = ceil_div(lines, 2)


def _band(walks: Sequence[Any], axes: int, window: Sequence[int], lines: int, channels: int, floats: int) -> Band:
    rows = [walk.rows // k for walk, k in zip(walks, window, strict=True)]
    mine = [lines if axis == 3 - axes else count for axis, count in enumerate(rows)]
    seen = [(n * k - 1) * a.stride + (a.taps - 1) * a.step + 1 for n, k, a in zip(mine, window, walks, strict=True)]
    apart = [a.stride * k for a, k in zip(walks, window, strict=True)]
    length = seen[2] * channels
    line = _pitch(length, apart[1], rows[2] * apart[2] * channels)
    plane = _pitch(seen[1] * line, apart[0], rows[1] * apart[1] * line)
    nbytes = WORD * (floats + seen[0] * plane)
    return Band(prod(mine), ceil_div(rows[3 - axes], lines), seen[0], seen[1], length, line, plane, nbytes)


def _pitch(least: int, stride: int, step: int) -> int:
    """The smallest number from `least` on, `stride` times which is in the bank of `step`; `least` if there is none.

    What follows the end of a line, or a slice, then lies in the bank after it: neighbouring units ask different banks.
    """
    return next((pitch for pitch in range(least, least + BANKS) if (stride * pitch - step) % BANKS == 0), least)


def other_floats(variant: Variant, terms: int) -> int:
    """Floats of shared memory that are not x: w in whole copies, and room for results on their way out."""
    tile = variant.tile
    room = tile.outputs * tile.threads if _has_room(variant) else 0
    return room + ceil_div(terms, tile.depth) * tile.depth * tile.columns


def _has_room(variant: Variant) -> bool:
    """Whether results pass through shared memory, since what is behind is too long to be unrolled."""
    return variant.behind.long and not variant.pooled


# ------ the kernel

SIGNATURE = "f32*, f32*, f32*, f32*, u8*, f32" + ", u32" * 41 + ", u64*"


@cache
def first_layer_kernel(variant: Variant, channels: int) -> CudaKernel:
    """The kernel for a variant whose x has so many channels."""
    tile, pooled, looped = variant.tile, variant.pooled, _has_room(variant)
    (grid_rows, grid_columns), outputs, threads, tile_columns = tile.thread_grid, tile.outputs, tile.threads, tile.columns
    copied, depth, room = copies(tile, tile.columns, variant.wide_out, across=False), tile.depth, outputs * threads * looped
    (w_vector, w_lanes, _, _), w_values = copied, copied.values
    get_w, put_w, copy_x = get_lines(copied), put_lines(copied, tile.columns), copy_box(variant.axes, channels, threads)
    pixel, later, multiply = pixel_of(variant.axes), next_pixel_of(variant.axes, grid_rows), multiply_tap(tile, channels)
    side, apart, held = (2, 4, 1) if pooled else (1, 1, tile.thread_rows)
    turn, quads, fours, next_columns = held * grid_rows, outputs // 4, tile.thread_columns // 4, 4 * grid_columns
    share = Share(4, 4 if pooled else 1, grid_rows, tile.thread_columns, 4, next_columns)
    finish = epilogue(Share(1, 1, 1, 4, 4, 4) if looped else share, variant)

    @kernel(SIGNATURE, threads=tile.threads, registers=tile.registers[0], variant=f"{channels} channels,{variant}")
    def first_layer(
        x, w, b, y, argmax, alpha, units, bands, slices, lines, length, line_pitch, slice_pitch,
        rows, columns, groups, C, terms, D, H, W, x_channels, OD, OH, OW,
        stride_d, stride_h, stride_w, first_d, first_h, first_w, taps_h, taps_w, step_d, step_h, step_w,
        filters, tap_0, tap_d, tap_h, tap_w, y_channels, y_0, y_n, y_d, y_h, y_w, extra,
    ):  # fmt: skip
        """y[m, c] = act(b[c] + sum over taps t and channels k of x[place of m and t, k] * w[t, k, c]), as cuda_product.product.

        Blocks: x bands of samples, y tiles of filters. A block copies its columns of w, and its box of x with zeros outside of
        the image, to shared memory. Then, for each turn of 128 pixels or 32 windows, for each tap, a thread adds the products
        of 4 pixels, or of a window, with 4 or 8 filters. Of a warp, eight threads have neighbouring units, in different banks,
        and four share them and have neighbouring filters. What is long `behind` goes through shared memory, as there.

        Reads the box once a tile of filters, not once a tap of it, and w once a block. A term of a thread is 4 + filters/4
        loads from shared memory for 8*filters FLOPs.
        """
        shared, total = cuda.shared.array(0, float32, alignment=16), cuda.local.array(outputs, float32)
        mine, base = cuda.local.array(w_values, float32), cuda.local.array(4, uint32)
        thread = uint32(cuda.threadIdx.x)
        n, column_0 = uint32(uint32(cuda.blockIdx.x) // bands), uint32(cuda.blockIdx.y * tile_columns)
        unit_0 = uint32((cuda.blockIdx.x - n * bands) * units)
        x_from = uint32(room + (terms + (depth - 1)) // depth * (depth * tile_columns))

        w_line, w_lane = uint32(thread // w_lanes), uint32(thread % w_lanes * w_vector)
        for begin in range(0, terms, depth):
            line = uint32(begin + w_line)
            get_w(mine, w, line, terms, uint32(column_0 + w_lane), columns, uint32(0), filters)
            put_w(shared, uint32(room + line * tile_columns + w_lane), mine)
        _, d, h, v = pixel(unit_0, OD, OH, OW)
        d, h, v = uint32(d * stride_d + first_d), uint32(h * side * stride_h + first_h), uint32(v * side * stride_w + first_w)
        copy_x(shared, x_from, x, n, d, h, v, D, H, W, slices, lines, length, line_pitch, slice_pitch)
        cuda.syncthreads()

        unit, column = uint32(thread // grid_columns), uint32(column_0 + thread % grid_columns * 4)
        first = uint32(n * OD * OH * OW + unit_0)
        units = min(units, uint32(OD * OH * OW - unit_0))
        taps_d = uint32(terms // (taps_h * taps_w * channels))
        _, d, h, v = pixel(unit, OD, OH, OW)
        while unit < units:
            for i in range(held):
                place = uint32(d * stride_d * slice_pitch + h * side * stride_h * line_pitch + v * side * stride_w * channels)
                # A unit that there is not would be in the bank of the thread's first one.
                base[i] = uint32(x_from + place) if uint32(unit + i * grid_rows) < units else base[0]
                _, d, h, v = later(uint32(0), d, h, v, OD, OH, OW)
            if pooled:
                base[1] = uint32(base[0] + stride_w * channels)
                base[2] = uint32(base[0] + stride_h * line_pitch)
                base[3] = uint32(base[2] + stride_w * channels)
            for i in range(outputs):
                total[i] = float32(0)
            w_at = uint32(room + thread % grid_columns * 4)
            for t_d in range(taps_d):
                for t_h in range(taps_h):
                    at = uint32(t_d * step_d * slice_pitch + t_h * step_h * line_pitch)
                    for _ in range(taps_w):
                        multiply(total, shared, base, at, w_at)
                        at, w_at = uint32(at + step_w * channels), uint32(w_at + channels * tile_columns)
            if not looped:
                finish(
                    total, uint32(apart * (first + unit)), column, uint32(apart * (first + units)), columns, uint32(0), b, y,
                    argmax, alpha, OD, OH, OW, y_channels, y_0, y_n, y_d, y_h, y_w, extra,
                )  # fmt: skip
            if looped:
                for i in range(outputs):
                    shared[uint32(i * threads + thread)] = total[i]
                for i in range(quads):
                    for e in range(4):
                        mine[e] = shared[uint32((4 * i + e) * threads + thread)]
                    finish(
                        mine, uint32(first + unit + i // fours * grid_rows), uint32(column + i % fours * next_columns),
                        uint32(first + units), columns, uint32(0), b, y, argmax, alpha, OD, OH, OW, y_channels,
                        y_0, y_n, y_d, y_h, y_w, extra,
                    )  # fmt: skip
            unit = uint32(unit + turn)

    return first_layer


@cache
def copy_box(axes: int, channels: int, threads: int) -> Any:
    """copy(shared, x_from, x, n, d, h, v, D, H, W, slices, lines, length, line_pitch, slice_pitch): the box of sample n of x
    that begins at (d, h, v), zeros outside of the sample. Neighbouring threads copy neighbouring floats of a line."""

    def copy(shared, x_from, x, n, d, h, v, D, H, W, slices, lines, length, line_pitch, slice_pitch):
        value, place = cuda.local.array(COPIES, float32), cuda.local.array(COPIES, uint32)
        floats, width, left = uint32(slices * lines * length), uint32(W * channels), uint32(v * channels)
        for begin in range(cuda.threadIdx.x, floats, threads * COPIES):
            for i in range(COPIES):
                number = uint32(begin + i * threads)
                line = uint32(number // length)
                j = uint32(number - line * length)
                z = uint32(line // lines) if axes > 2 else uint32(0)
                line = uint32(line - z * lines) if axes > 2 else line
                inside = number < floats and uint32(j + left) < width
                if axes > 1:
                    inside = inside and uint32(line + h) < H
                if axes > 2:
                    inside = inside and uint32(z + d) < D
                value[i] = float32(0)
                if inside:
                    value[i] = x[uint32(((n * D + d + z) * H + h + line) * width + left + j)]
                place[i] = uint32(x_from + z * slice_pitch + line * line_pitch + j)
            for i in range(COPIES):
                if uint32(begin + i * threads) < floats:
                    shared[place[i]] = value[i]

    return inlined(copy)


@cache
def multiply_tap(tile: Tile, channels: int) -> Any:
    """The intrinsic multiply(total, shared, base, at, w_at) for a tile and a number of channels.

    total[i, c] += sum over k < channels of shared[base[i] + at + k] * shared[w_at + k*tile.columns + column c], by fused
    multiply-adds in the order of k; w_at is the thread's first column of the tap.
    """
    rows, groups, apart = tile.thread_rows, range(tile.thread_columns // 4), 4 * tile.thread_grid[1]

    @intrinsic
    def multiply(typingctx: Any, total: Any, shared: Any, base: Any, at: Any, w_at: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            mine, bases = element(context, builder, total, args[0]), element(context, builder, base, args[2])
            at_rows = [builder.add(builder.load(after(builder, bases, i)), args[3]) for i in range(rows)]
            places = [element(context, builder, shared, args[1], place) for place in at_rows]
            w_first = element(context, builder, shared, args[1], args[4])
            sums = [builder.load(after(builder, mine, n)) for n in range(tile.outputs)]
            for k in range(channels):
                pixels = [builder.load(after(builder, place, k)) for place in places]
                columns = [v for g in groups for v in read4(builder, after(builder, w_first, k * tile.columns + g * apart))]
                pairs = [(pixel, column) for pixel in pixels for column in columns]
                sums = [builder.fma(*pair, value) for pair, value in zip(pairs, sums, strict=True)]
            for n, value in enumerate(sums):
                builder.store(value, after(builder, mine, n))
            return context.get_dummy_value()

        return types.void(total, shared, base, types.uint32, types.uint32), codegen

    return multiply

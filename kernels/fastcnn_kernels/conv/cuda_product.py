"""The product behind forward passes and data gradients on the GPU: an implicit GEMM whose rows are pixels.

    Variant             what a kernel is compiled for
    product_kernel      the kernel for a variant
    pixel_of, tap_of    where rows and terms of the sum lie
    Share, epilogue     which outputs are a thread's; bias, activation, pool and the way to memory

Everything about the convolution is a number at run time (kernel extents, strides, dilation, padding), so that one compiled
kernel serves all of them; only what changes the code is compiled in.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint8, uint32

from ..device.functions import activate
from ..device.gemm import Tile, copies, fetch, get_lines, multiply_step, put_across, put_lines
from ..device.kernel import CudaKernel, kernel
from ..device.tickets import combine
from ..ptx import choose, inlined
from .cuda_behind import NOTHING, Behind, drop_run, pass_through, scatter_run, store_run

OUTSIDE = 1 << 31
"""A place that stays outside of every image when taps are added to it."""


@dataclass(frozen=True)
class Variant:
    """What the kernel is compiled for.

    axes        how many spatial axes have borders or taps: 1 (W), 2 (H, W) or 3
    wide_in     whether 4 channels of the sum always lie together in x (and in w, if transposed), aligned to 16 bytes
    wide_out    the same of 4 columns of y (and of w, if not transposed)
    transposed  whether w is used as (tap, column, channel of the sum), as in the data gradient
    scattered   whether rows are not consecutive pixels of y, as in the data gradient of a strided convolution
    pooled      whether four consecutive rows are a 2x2 window, of which y gets the largest
    bias        whether there is one
    precision   what operands are rounded to: other than float32 by cuda_tensor.tensor_product, which also knows the
    gradient    of the weights: rows are taps and channels, and the sum runs over pixels
    sums        whether, of a gradient, the sum of dz is computed too
    behind      what is done with the result on its way to memory
    """

    tile: Tile
    axes: int
    wide_in: bool
    wide_out: bool
    transposed: bool = False
    scattered: bool = False
    pooled: bool = False
    bias: bool = False
    activation: str = "linear"
    precision: str = "float32"
    gradient: bool = False
    sums: bool = False
    behind: Behind = NOTHING

    def __str__(self) -> str:
        flags = ("wide_in", "wide_out", "transposed", "scattered", "pooled", "bias", "gradient", "sums")
        precision = [self.precision] * (self.precision != "float32")
        words = [*precision, str(self.tile), f"{self.axes}-D", *(flag for flag in flags if getattr(self, flag))]
        return ",".join([*words, *filter(None, [str(self.behind)]), self.activation])


@cache
def pixel_of(axes: int) -> Any:
    """pixel(m, D, H, W) -> (n, d, h, w), the coordinates of pixel m of a batch of images; 0 on axes that are not used."""

    def pixel(m, D, H, W):
        rest = uint32(m // W)
        w = uint32(m - rest * W)
        if axes == 1:
            return rest, uint32(0), uint32(0), w
        n = uint32(rest // H)
        h = uint32(rest - n * H)
        if axes == 2:
            return n, uint32(0), h, w
        volume = uint32(n // D)
        return volume, uint32(n - volume * D), h, w

    return inlined(pixel)


@inlined
def tap_of(term, channels, taps_h, taps_w):
    """Term = ((d * taps_h + h) * taps_w + w) * channels + channel -> (d, h, w, channel)."""
    tap = uint32(term // channels)
    line = uint32(tap // taps_w)
    d = uint32(line // taps_h)
    return d, uint32(line - d * taps_h), uint32(tap - line * taps_w), uint32(term - tap * channels)


@inlined
def next_tap(d, h, w, channel, channels, taps_h, taps_w):
    """Carry a channel that ran over into the taps."""
    while channel >= channels:
        channel = uint32(channel - channels)
        w = uint32(w + 1)
        if w == taps_w:
            w = uint32(0)
            h = uint32(h + 1)
            if h == taps_h:
                h = uint32(0)
                d = uint32(d + 1)
    return d, h, w, channel


SIGNATURE = "f32*, f32*, f32*, f32*, u8*, f32" + ", u32" * 36 + ", u64*"
"""Of product; without argmax, span, y_part and extra also of cuda_direct.direct_product."""


@cache
def product_kernel(variant: Variant) -> CudaKernel:
    """The kernel for a variant."""
    tile, axes, wide_in, wide_out = variant.tile, variant.axes, variant.wide_in, variant.wide_out
    transposed, pooled = variant.transposed, variant.pooled
    tile_rows, tile_columns, depth, outputs = tile.rows, tile.columns, tile.depth, tile.outputs
    a_copied = copies(tile, tile.rows, wide_in, across=True)
    b_copied = copies(tile, tile.columns, wide_in if transposed else wide_out, across=transposed)
    (a_vector, a_lanes, a_stride, a_lines), a_values = a_copied, a_copied.values
    (b_vector, b_lanes, b_stride, b_lines), b_values = b_copied, b_copied.values
    (_, grid_columns), (a_pitch, b_pitch) = tile.thread_grid, tile.pitches
    a_size, b_size = depth * a_pitch, depth * b_pitch
    a_buffers, b_buffers = 2 * a_size, 2 * b_size
    looped, held, threads, fours = variant.behind.long and not pooled, tile.outputs // 4, tile.threads, tile.thread_columns // 4
    shared_floats = max(a_buffers + b_buffers, outputs * threads if looped else 0)
    next_rows, next_columns = 4 * tile.thread_grid[0], 4 * tile.thread_grid[1]
    share = Share(tile.thread_rows, 4, 4 * tile.thread_grid[0], tile.thread_columns, 4, 4 * tile.thread_grid[1])
    share = Share(1, 4, 4, 4, 4, 4) if looped else share
    pixel, multiply, finish = pixel_of(axes), multiply_step(tile), epilogue(share, variant)
    split, add_parts = variant.behind.split, combine(outputs, tile.threads)
    get_a, get_b_across, get_b = fetch(a_vector), fetch(b_vector), get_lines(b_copied)
    put_a, put_b = put_across(a_copied, a_pitch), (put_across if transposed else put_lines)(b_copied, b_pitch)

    @kernel(SIGNATURE, threads=tile.threads, registers=tile.registers[not wide_in], variant=str(variant))
    def product(
        x, w, b, y, argmax, alpha, span, y_part, rows, columns, groups, channels, terms, D, H, W, C, OD, OH, OW,
        stride_d, stride_h, stride_w, first_d, first_h, first_w, taps_h, taps_w, step_d, step_h, step_w,
        filters, tap_0, tap_d, tap_h, tap_w, y_channels, y_0, y_n, y_d, y_h, y_w, extra,
    ):  # fmt: skip
        """y[m, c] = act(b[c] + sum over taps t and channels k of x[place of m and t, k] * w[t, k, c]), group by group.

        Row m is pixel (n, o) of images of OD x OH x OW pixels, in windows of four where pooled. Tap t of it is at place
        o*stride + first + t*step of x, whose images have D x H x W pixels of C channels, or zero outside of them. w has
        `filters` floats a row; transposed, tap t is number tap_0 + t . (tap_d, tap_h, tap_w) of w. Blocks: x tiles of rows, y
        tiles of columns, z parts of the sum times groups. Part p sums the terms p*span .. (p+1)*span of the taps * channels,
        tap outermost; where `split`, the last block of a tile adds them (device/tickets.py). What is `behind` reads `extra`.

        A row is read once a tile of columns and a column once a tile of rows: rows/tile.columns + columns/tile.rows floats a
        term for 2*rows*columns FLOPs. While a step is multiplied, the next one is on its way to registers; with two buffers of
        shared memory one barrier a step is enough.
        """
        shared = cuda.shared.array(shared_floats, float32, alignment=16)
        total = cuda.local.array(outputs, float32)
        a_next, b_next = cuda.local.array(a_values, float32), cuda.local.array(b_values, float32)
        base, at_d = cuda.local.array(a_lines, uint32), cuda.local.array(a_lines, uint32)
        at_h, at_w = cuda.local.array(a_lines, uint32), cuda.local.array(a_lines, uint32)
        thread = uint32(cuda.threadIdx.x)
        row_0, column_0 = uint32(cuda.blockIdx.x * tile_rows), uint32(cuda.blockIdx.y * tile_columns)
        part = uint32(uint32(cuda.blockIdx.z) // groups)
        group = uint32(cuda.blockIdx.z - part * groups)

        a_line, a_term = uint32(thread // a_lanes), uint32(thread % a_lanes * a_vector)
        for i in range(a_lines):
            m = uint32(row_0 + a_line + i * a_stride)
            if pooled:
                n, d, h, v = pixel(uint32(m // 4), OD, OH, OW)
                h, v = uint32(2 * h + m % 4 // 2), uint32(2 * v + m % 2)
            else:
                n, d, h, v = pixel(m, OD, OH, OW)
            d, h, v = uint32(d * stride_d + first_d), uint32(h * stride_h + first_h), uint32(v * stride_w + first_w)
            base[i] = uint32((((n * D + d) * H + h) * W + v) * C + group * channels)
            at_d[i], at_h[i], at_w[i] = d, h, v if m < rows else uint32(OUTSIDE)

        begin = uint32(part * span)
        end = min(terms, uint32(begin + span))
        term = uint32(begin + a_term)
        t_d, t_h, t_w, channel = tap_of(term, channels, taps_h, taps_w)
        b_line, b_lane = uint32(thread // b_lanes), uint32(thread % b_lanes * b_vector)
        a_put, b_put = uint32(a_term * a_pitch + a_line), uint32(b_line * b_pitch + b_lane)
        if transposed:
            b_put = uint32(b_lane * b_pitch + b_line)
        a_get, b_get = uint32(thread // grid_columns * 4), uint32(thread % grid_columns * 4)
        for i in range(outputs):
            total[i] = float32(0)

        for step in range(uint32((end - begin + (depth - 1)) // depth) + 1):
            d, h, v = uint32(t_d * step_d), uint32(t_h * step_h), uint32(t_w * step_w)
            place = uint32(((d * H + h) * W + v) * C + channel)
            for i in range(a_lines):
                inside = term < end and uint32(at_w[i] + v) < W
                if axes > 1:
                    inside = inside and uint32(at_h[i] + h) < H
                if axes > 2:
                    inside = inside and uint32(at_d[i] + d) < D
                get_a(a_next, i * a_vector, x, uint32(base[i] + place), inside)
            if transposed:
                for i in range(b_lines):
                    column = uint32(column_0 + b_line + i * b_stride)
                    number = uint32(tap_0 + t_d * tap_d + t_h * tap_h + t_w * tap_w)
                    place = uint32((number * columns + column) * filters + group * channels + channel)
                    get_b_across(b_next, i * b_vector, w, place, term < end and column < columns)
            else:
                line, column = uint32(begin + step * depth + b_line), uint32(column_0 + b_lane)
                get_b(b_next, w, line, end, column, columns, uint32(group * columns), filters)
            if step > 0:
                last = uint32((step + 1) % 2)
                b_from = uint32(a_buffers + last * b_size + b_get)
                multiply(total, shared, uint32(last * a_size + a_get), shared, b_from)
            put_a(shared, uint32(step % 2 * a_size + a_put), a_next)
            put_b(shared, uint32(a_buffers + step % 2 * b_size + b_put), b_next)
            cuda.syncthreads()
            term, channel = uint32(term + depth), uint32(channel + depth)
            t_d, t_h, t_w, channel = next_tap(t_d, t_h, t_w, channel, channels, taps_h, taps_w)

        whole = True
        if split:
            number = uint32((cuda.blockIdx.x * cuda.gridDim.y + cuda.blockIdx.y) * groups + group)
            whole = add_parts(total, shared, extra, number, part, uint32(cuda.gridDim.z // groups))
        if whole and not looped:
            finish(
                total, uint32(row_0 + a_get), uint32(column_0 + b_get), rows, columns, group, b, y, argmax, alpha,
                OD, OH, OW, y_channels, y_0, y_n, y_d, y_h, y_w, extra,
            )  # fmt: skip
        if whole and looped:
            # What is long would not be unrolled, and registers cannot be counted through: a loop needs memory.
            mine = cuda.local.array(4, float32)
            cuda.syncthreads()
            for i in range(outputs):
                shared[uint32(i * threads + thread)] = total[i]
            for i in range(held):
                for e in range(4):
                    mine[e] = shared[uint32((4 * i + e) * threads + thread)]
                row, column = uint32(i // fours), uint32(column_0 + b_get + i % fours * next_columns)
                finish(
                    mine, uint32(row_0 + a_get + row // 4 * next_rows + row % 4), column, rows, columns, group, b, y, argmax,
                    alpha, OD, OH, OW, y_channels, y_0, y_n, y_d, y_h, y_w, extra,
                )  # fmt: skip

    return product


@inlined
def larger(best, winner, value, k):
    """The larger of two pixels of a window, the first of equal ones; a NaN is larger than any number."""
    wins = (best < value) | ((value != value) & (best == best))
    return choose(wins, value, best), choose(wins, k, winner)


@dataclass(frozen=True)
class Share:
    """A thread's rows and columns of a tile: how many, in runs of so many neighbours, each so far from the one before.

    Where rows are windows, a run of rows is a window.
    """

    rows: int
    row_run: int
    next_rows: int
    columns: int
    column_run: int
    next_columns: int


def epilogue(share: Share, variant: Variant) -> Any:
    """finish(total, row, column, ...): bias, activation, maximum of each window, and the way to y for one thread's outputs."""
    scattered, pooled, bias, wide_out = variant.scattered, variant.pooled, variant.bias, variant.wide_out
    thread_rows, row_run, next_rows = share.rows, share.row_run, share.next_rows
    pitch, column_run, next_columns = share.columns, share.column_run, share.next_columns
    vector = column_run if wide_out else 1
    dropped, through, unpooled = variant.behind.dropped, bool(variant.behind.through), variant.behind.unpooled
    store, drop, scatter = store_run(vector), drop_run(vector), scatter_run(vector)
    pass_back = pass_through(vector, variant.behind.through or "linear")
    vectors, stored_rows, apart = pitch // vector, thread_rows // 4 if pooled else thread_rows, 4 if pooled else 1
    act, pixel = activate(variant.activation), pixel_of(variant.axes)

    def finish(
        total, row, column, rows, columns, group, b, y, argmax, alpha, OD, OH, OW, y_channels, y_0, y_n, y_d, y_h, y_w,
        extra,
    ):  # fmt: skip
        for c in range(pitch):
            here = uint32(column + c // column_run * next_columns + c % column_run)
            offset = float32(0)
            if bias and here < columns:
                offset = b[uint32(group * columns + here)]
            for i in range(thread_rows):
                total[i * pitch + c] = act(total[i * pitch + c] + offset, alpha)
        if pooled:
            winners = cuda.local.array(pitch, uint8)
        for i in range(stored_rows):
            m = uint32(row + i * apart // row_run * next_rows + i * apart % row_run)
            if pooled:
                for c in range(pitch):
                    first = 4 * i * pitch + c
                    best, winner = larger(total[first], uint8(0), total[first + pitch], uint8(1))
                    best, winner = larger(best, winner, total[first + 2 * pitch], uint8(2))
                    total[first], winners[c] = larger(best, winner, total[first + 3 * pitch], uint8(3))
            if scattered:
                n, d, h, w = pixel(m, OD, OH, OW)
                place = uint32(y_0 + n * y_n + d * y_d + h * y_h + w * y_w + group * columns)
            else:
                place = uint32(y_0 + m // apart * y_channels + group * columns)
            for v in range(vectors):
                here = uint32(column + v * vector // column_run * next_columns + v * vector % column_run)
                if m < rows and here < columns:
                    if dropped:
                        drop(total, i * apart * pitch + v * vector, uint32(place + here), extra)
                    if through:
                        pass_back(total, i * apart * pitch + v * vector, uint32(place + here), extra)
                    if unpooled:
                        scatter(y, total, i * apart * pitch + v * vector, uint32(place + here), extra)
                    else:
                        store(y, uint32(place + here), total, i * apart * pitch + v * vector)
                    if pooled:
                        for e in range(vector):
                            argmax[uint32(place + here + e)] = winners[v * vector + e]

    return inlined(finish)

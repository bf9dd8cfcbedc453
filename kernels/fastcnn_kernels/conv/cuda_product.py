"""The product behind forward passes and data gradients on the GPU: an implicit GEMM whose rows are pixels.

    Variant             what a kernel is compiled for
    product_kernel      the kernel for a variant

Everything about the convolution is a number at run time (kernel extents, strides, dilation, padding), so that one compiled
kernel serves all of them; only what changes the code is compiled in.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint8, uint32

from ..device.functions import activate
from ..device.gemm import Tile, load4, multiply_step, store4
from ..device.kernel import CudaKernel, kernel

OUTSIDE = 1 << 31
"""A place that stays outside every image when taps are added to it."""


@dataclass(frozen=True)
class Variant:
    """What the kernel is compiled for.

    axes        how many spatial axes have borders or taps: 1 (W), 2 (H, W) or 3
    wide_in     whether 4 channels of the sum always lie together in x, aligned to 16 bytes
    wide_out    the same of 4 columns of y (and of w, unless transposed)
    transposed  whether w is used as (tap, column, channel of the sum), as in the data gradient
    scattered   whether rows are not consecutive pixels of y, as in the data gradient of a strided convolution
    pooled      whether four consecutive rows are a 2x2 window, of which y gets the largest
    bias        whether there is one
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

    def __str__(self) -> str:
        flags = ("wide_in", "wide_out", "transposed", "scattered", "pooled", "bias")
        words = [str(self.tile), f"{self.axes}-D", *(flag for flag in flags if getattr(self, flag)), self.activation]
        return ",".join(words)


SIGNATURE = "f32*, f32*, f32*, f32*, u8*, f32" + ", u32" * 35


@cache
def pixel_of(axes: int) -> Any:
    """pixel(m, D, H, W) -> (n, d, h, w): coordinates of pixel m of a batch of images; those of unused axes are 0."""

    def pixel(m, D, H, W):
        rest = uint32(m // W)
        w = uint32(m - rest * W)
        if axes == 1:
            return rest, uint32(0), uint32(0), w
        n = uint32(rest // H)
        h = uint32(rest - n * H)
        if axes == 2:
            return n, uint32(0), h, w
        rest = n
        n = uint32(rest // D)
        return n, uint32(rest - n * D), h, w

    return cuda.jit(device=True, inline="always")(pixel)


@cache
def product_kernel(variant: Variant) -> CudaKernel:
    """The kernel for a variant."""
    tile, axes, pooled, transposed = variant.tile, variant.axes, variant.pooled, variant.transposed
    wide_in, wide_out, scattered, bias = variant.wide_in, variant.wide_out, variant.scattered, variant.bias
    tile_rows, tile_columns, depth = tile.rows, tile.columns, tile.depth
    threads, outputs = tile.threads, tile.outputs
    (grid_rows, grid_columns), (a_pitch, b_pitch) = tile.thread_grid, tile.pitches
    a_size, b_size = depth * a_pitch, depth * b_pitch
    a_buffers, b_buffers = 2 * a_size, 2 * b_size
    # A thread copies `vector` steps of the sum for every a_stride-th row, and of b for columns or steps likewise.
    vector = 4 if wide_in else 1
    a_stride = threads * vector // depth
    a_copies = tile.rows // a_stride
    a_values = a_copies * vector
    b_vector = vector if transposed else 4 if wide_out else 1
    b_lanes = (depth if transposed else tile.columns) // b_vector
    b_stride = threads // b_lanes
    b_copies = (tile.columns if transposed else depth) // b_stride
    b_values = b_copies * b_vector
    row_groups, column_groups = tile.thread_rows // 4, tile.thread_columns // 4
    multiply, act, pixel = multiply_step(tile), activate(variant.activation), pixel_of(axes)

    @kernel(SIGNATURE, threads=threads, registers=tile.registers, variant=str(variant))
    def product(
        x, w, b, y, argmax, alpha,
        rows, columns, channels, terms, span, groups,
        D, H, W, C, OD, OH, OW,
        stride_d, stride_h, stride_w, first_d, first_h, first_w, taps_h, taps_w, step_d, step_h, step_w,
        filters, tap_0, tap_d, tap_h, tap_w,
        y_first, y_n, y_d, y_h, y_w, y_channels,
    ):  # fmt: skip
        """y[m, c] = act(b[c] + sum over taps t and channels k of x[place of m + t*step, k] * w[t, k, c]).

        Rows m are pixels (n, od, oh, ow) of OD x OH x OW images, in windows of four where pooled; row m sees the tap (td, th, tw) at
        o*stride + first + t*step, or zero outside D x H x W. Blocks: x tiles of rows, y tiles of columns, z parts of the sum times
        groups. Part s sums terms s*span .. (s+1)*span of the taps * channels, tap outermost, and writes to part s of y.

        A block reads its rows of x once a column tile and its columns of w once a row tile: rows/tile.columns + columns/tile.rows
        floats a term, for 2 * rows * columns FLOPs. While a step is multiplied, the next one is on its way to registers; two
        buffers of shared memory make one barrier a step enough.
        """
        a = cuda.shared.array(a_buffers, float32, alignment=16)
        c = cuda.shared.array(b_buffers, float32, alignment=16)
        total = cuda.local.array(outputs, float32)
        a_next = cuda.local.array(a_values, float32)
        b_next = cuda.local.array(b_values, float32)
        base = cuda.local.array(a_copies, uint32)
        at_d = cuda.local.array(a_copies, uint32)
        at_h = cuda.local.array(a_copies, uint32)
        at_w = cuda.local.array(a_copies, uint32)

        thread = uint32(cuda.threadIdx.x)
        row_0, column_0 = uint32(cuda.blockIdx.x * tile_rows), uint32(cuda.blockIdx.y * tile_columns)
        part = uint32(cuda.blockIdx.z // groups)
        group = uint32(cuda.blockIdx.z - part * groups)
        x_group = uint32(group * channels)

        a_step, a_row = uint32(thread % (depth // vector) * vector), uint32(thread // (depth // vector))
        for i in range(a_copies):
            m = uint32(row_0 + a_row + i * a_stride)
            if pooled:
                n, od, oh, ow = pixel(uint32(m // 4), OD, OH, OW)
                oh, ow = uint32(2 * oh + m % 4 // 2), uint32(2 * ow + m % 2)
            else:
                n, od, oh, ow = pixel(m, OD, OH, OW)
            d, h, v = uint32(od * stride_d + first_d), uint32(oh * stride_h + first_h), uint32(ow * stride_w + first_w)
            base[i] = uint32((((n * D + d) * H + h) * W + v) * C + x_group)
            at_d[i], at_h[i], at_w[i] = d, h, v if m < rows else uint32(OUTSIDE)

        first = uint32(part * span)
        last = min(terms, uint32(first + span))
        term = uint32(first + a_step)
        tap = uint32(term // channels)
        channel = uint32(term - tap * channels)
        rest = uint32(tap // taps_w)
        t_w = uint32(tap - rest * taps_w)
        t_d = uint32(rest // taps_h)
        t_h = uint32(rest - t_d * taps_h)

        b_lane, b_row = uint32(thread % b_lanes), uint32(thread // b_lanes)
        for i in range(outputs):
            total[i] = float32(0)
        thread_row, thread_column = uint32(thread // grid_columns * 4), uint32(thread % grid_columns * 4)

        steps = uint32((last - first + (depth - 1)) // depth)
        for step in range(steps + 1):
            inside = term < last
            d, h, v = uint32(t_d * step_d), uint32(t_h * step_h), uint32(t_w * step_w)
            place = uint32(((d * H + h) * W + v) * C + channel)
            for i in range(a_copies):
                valid = inside and uint32(at_w[i] + v) < W
                if axes > 1:
                    valid = valid and uint32(at_h[i] + h) < H
                if axes > 2:
                    valid = valid and uint32(at_d[i] + d) < D
                for e in range(vector):
                    a_next[i * vector + e] = float32(0)
                if valid:
                    if wide_in:
                        load4(a_next, 4 * i, x, uint32(base[i] + place))
                    else:
                        a_next[i] = x[uint32(base[i] + place)]
            for i in range(b_copies):
                for e in range(b_vector):
                    b_next[i * b_vector + e] = float32(0)
                if transposed:
                    column = uint32(column_0 + b_row + i * b_stride)
                    number = uint32(tap_0 + t_d * tap_d + t_h * tap_h + t_w * tap_w)
                    source = uint32((number * columns + column) * filters + x_group + channel)
                    valid = inside and column < columns
                else:
                    column = uint32(column_0 + b_lane * b_vector)
                    k = uint32(first + step * depth + b_row + i * b_stride)
                    source = uint32(k * filters + group * columns + column)
                    valid = k < last and column < columns
                if valid:
                    if b_vector == 4:
                        load4(b_next, 4 * i, w, source)
                    else:
                        b_next[i] = w[source]
            if step > 0:
                multiply(total, a, uint32((step + 1) % 2 * a_size + thread_row), c, uint32((step + 1) % 2 * b_size + thread_column))
            a_first = uint32(step % 2 * a_size + a_step * a_pitch + a_row)
            for i in range(a_copies):
                for e in range(vector):
                    a[uint32(a_first + e * a_pitch + i * a_stride)] = a_next[i * vector + e]
            for i in range(b_copies):
                if transposed:
                    b_first = uint32(step % 2 * b_size + a_step * b_pitch + b_row + i * b_stride)
                    for e in range(b_vector):
                        c[uint32(b_first + e * b_pitch)] = b_next[i * b_vector + e]
                else:
                    b_first = uint32(step % 2 * b_size + (b_row + i * b_stride) * b_pitch + b_lane * b_vector)
                    if b_vector == 4:
                        store4(c, b_first, b_next, 4 * i)
                    else:
                        c[b_first] = b_next[i]
            cuda.syncthreads()
            term = uint32(term + depth)
            channel = uint32(channel + depth)
            while channel >= channels:
                channel = uint32(channel - channels)
                t_w = uint32(t_w + 1)
                if t_w == taps_w:
                    t_w = uint32(0)
                    t_h = uint32(t_h + 1)
                    if t_h == taps_h:
                        t_h = uint32(0)
                        t_d = uint32(t_d + 1)

        for g in range(row_groups):
            for s in range(column_groups):
                column = uint32(column_0 + s * 4 * grid_columns + thread_column)
                for e in range(4):
                    m = uint32(row_0 + g * 4 * grid_rows + thread_row + e)
                    if m < rows and column < columns:
                        store4(y, uint32(part * y_n + m * y_channels + group * columns + column), total, ((g * 4 + e) * column_groups + s) * 4)

    return product

"""What the backward pass of a convolution needs on the GPU besides products: weight gradients and sums in a fixed order.

    output_gradient_kernel      dz = dy * act'(y), at the winner of each window where there was a pool, and partial sums of dz
    weight_gradient_kernel      dw = x^T dz, an implicit GEMM whose sum runs over pixels
    sum_kernel                  the second pass: partial sums become one, always in the same order
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device.functions import derivative
from ..device.gemm import Tile, copies, fetch, get_lines, multiply_step, put_lines
from ..device.kernel import CudaKernel, kernel
from ..ptx import inlined, store4
from .cuda_product import pixel_of, tap_of

THREADS = 256


@dataclass(frozen=True)
class GradientVariant:
    """What a weight gradient kernel is compiled for: see cuda_product.Variant. wide_in is of x, wide_out of dz and dw;
    `sums` asks for the sum of dz too."""

    tile: Tile
    axes: int
    wide_in: bool
    wide_out: bool
    sums: bool = False

    def __str__(self) -> str:
        flags = ("wide_in", "wide_out", "sums")
        words = [str(self.tile), f"{self.axes}-D", *(flag for flag in flags if getattr(self, flag))]
        return ",".join(words)


@cache
def next_pixel_of(axes: int, stride: int) -> Any:
    """next(n, d, h, w, D, H, W): the pixel `stride` further on in a batch of images."""

    def after(n, d, h, w, D, H, W):
        w = uint32(w + stride)
        while w >= W:
            w = uint32(w - W)
            if axes == 1:
                n = uint32(n + 1)
            else:
                h = uint32(h + 1)
                if h == H:
                    h = uint32(0)
                    if axes == 2:
                        n = uint32(n + 1)
                    else:
                        d = uint32(d + 1)
                        if d == D:
                            d, n = uint32(0), uint32(n + 1)
        return n, d, h, w

    return inlined(after)


@cache
def weight_gradient_kernel(variant: GradientVariant) -> CudaKernel:
    """The kernel for a variant."""
    tile, axes, wide_in, wide_out = variant.tile, variant.axes, variant.wide_in, variant.wide_out
    tile_rows, tile_columns, depth, outputs = tile.rows, tile.columns, tile.depth, tile.outputs
    a_copied, b_copied = copies(tile, tile.rows, wide_in, across=False), copies(tile, tile.columns, wide_out, across=False)
    (a_vector, a_lanes, a_stride, a_lines), a_values = a_copied, a_copied.values
    (b_vector, b_lanes, _, _), b_values = b_copied, b_copied.values
    (grid_rows, grid_columns), (a_pitch, b_pitch) = tile.thread_grid, tile.pitches
    next_rows, next_columns = 4 * grid_rows, 4 * grid_columns
    thread_rows, thread_columns = tile.thread_rows, tile.thread_columns
    a_size, b_size = depth * a_pitch, depth * b_pitch
    a_buffers, b_buffers = 2 * a_size, 2 * b_size
    pixel, next_pixel, multiply = pixel_of(axes), next_pixel_of(axes, a_stride), multiply_step(tile)
    get_a, get_b = fetch(a_vector), get_lines(b_copied)
    put_a, put_b = put_lines(a_copied, a_pitch), put_lines(b_copied, b_pitch)
    vectors, vector = (thread_columns // 4, 4) if wide_out else (thread_columns, 1)
    registers, sums = tile.registers[not wide_in], variant.sums

    @kernel("f32*, f32*, f32*, f32*" + ", u32" * 27, threads=tile.threads, registers=registers, variant=str(variant))
    def weight_gradient(
        x, dz, dw, db, rows, columns, groups, channels, pixels, span, part_size, D, H, W, C, OD, OH, OW,
        stride_d, stride_h, stride_w, first_d, first_h, first_w, taps_h, taps_w, step_d, step_h, step_w, filters, db_part,
    ):  # fmt: skip
        """dw[t, k, c] = sum over pixels m of x[place of m and tap t, k] * dz[m, c], group by group; db[c] = sum of dz[m, c].

        Rows are taps * channels, tap outermost; places are those of cuda_product.product. Blocks: x tiles of rows, y tiles of
        columns, z parts of the sum times groups. Part p sums the pixels p*span .. (p+1)*span and writes part_size floats after
        the part before it, of db db_part floats. A thread of the blocks with the first rows sums one column for db.

        A pixel's row of x is read once a tile of columns, its row of dz once a tile of rows. Neither is turned: both lie in
        shared memory as in global memory. A thread copies the same rows (tap, channel) in every step, of ever further pixels.
        """
        a_tile = cuda.shared.array(a_buffers, float32, alignment=16)
        b_tile = cuda.shared.array(b_buffers, float32, alignment=16)
        total = cuda.local.array(outputs, float32)
        a_next, b_next = cuda.local.array(a_values, float32), cuda.local.array(b_values, float32)
        thread = uint32(cuda.threadIdx.x)
        row_0, column_0 = uint32(cuda.blockIdx.x * tile_rows), uint32(cuda.blockIdx.y * tile_columns)
        part = uint32(uint32(cuda.blockIdx.z) // groups)
        group = uint32(cuda.blockIdx.z - part * groups)

        a_line, a_lane = uint32(thread // a_lanes), uint32(thread % a_lanes * a_vector)
        row = uint32(row_0 + a_lane)
        t_d, t_h, t_w, channel = tap_of(row, channels, taps_h, taps_w)
        t_d, t_h, t_w = uint32(t_d * step_d + first_d), uint32(t_h * step_h + first_h), uint32(t_w * step_w + first_w)
        channel = uint32(channel + group * channels)
        b_line, b_lane = uint32(thread // b_lanes), uint32(thread % b_lanes * b_vector)
        column = uint32(column_0 + b_lane)
        begin = uint32(part * span)
        end = min(pixels, uint32(begin + span))
        at = uint32(begin + a_line)
        n, d, h, v = pixel(at, OD, OH, OW)
        a_put, b_put = uint32(a_line * a_pitch + a_lane), uint32(b_line * b_pitch + b_lane)
        a_get, b_get = uint32(thread // grid_columns * 4), uint32(thread % grid_columns * 4)
        for i in range(outputs):
            total[i] = float32(0)
        bias, summing = float32(0), sums and cuda.blockIdx.x == 0 and thread < tile_columns

        for step in range(uint32((end - begin + (depth - 1)) // depth) + 1):
            for i in range(a_lines):
                x_d, x_h, x_w = uint32(d * stride_d + t_d), uint32(h * stride_h + t_h), uint32(v * stride_w + t_w)
                inside = row < rows and at < end and x_w < W
                if axes > 1:
                    inside = inside and x_h < H
                if axes > 2:
                    inside = inside and x_d < D
                place = uint32((((n * D + x_d) * H + x_h) * W + x_w) * C + channel)
                get_a(a_next, i * a_vector, x, place, inside)
                at = uint32(at + a_stride)
                n, d, h, v = next_pixel(n, d, h, v, OD, OH, OW)
            line = uint32(begin + step * depth + b_line)
            get_b(b_next, dz, line, end, column, columns, uint32(group * columns), filters)
            if step > 0:
                last = uint32((step + 1) % 2)
                multiply(total, a_tile, uint32(last * a_size + a_get), b_tile, uint32(last * b_size + b_get))
                if summing:
                    for k in range(depth):
                        bias += b_tile[uint32(last * b_size + k * b_pitch + thread)]
            put_a(a_tile, uint32(step % 2 * a_size + a_put), a_next)
            put_b(b_tile, uint32(step % 2 * b_size + b_put), b_next)
            cuda.syncthreads()

        if summing and column_0 + thread < columns:
            db[uint32(part * db_part + group * columns + column_0 + thread)] = bias
        for i in range(thread_rows):
            row = uint32(row_0 + a_get + i // 4 * next_rows + i % 4)
            place = uint32(part * part_size + row * filters + group * columns)
            for j in range(vectors):
                column = uint32(column_0 + b_get + j * vector // 4 * next_columns + j * vector % 4)
                if row < rows and column < columns:
                    if wide_out:
                        store4(dw, uint32(place + column), total, i * thread_columns + 4 * j)
                    else:
                        dw[uint32(place + column)] = total[i * thread_columns + j]

    return weight_gradient


@cache
def output_gradient_kernel(lanes: int, activation: str, pooled: bool, writes: bool, sums: bool) -> CudaKernel:
    """The kernel for one activation. `lanes` (a power of two up to THREADS) channels lie side by side in a block."""
    slope, linear, lines = derivative(activation), activation == "linear", THREADS // lanes
    flags = dict(pooled=pooled, writes=writes, sums=sums)
    variant = ",".join([str(lanes), *(flag for flag, on in flags.items() if on), activation])

    @kernel("f32*, f32*, u8*, f32*, f32*, f32, f32" + ", u32" * 9, threads=THREADS, registers=56, variant=variant)
    def output_gradient(dy, y, argmax, dz, db, alpha, scale, pixels, channels, span, OD, OH, OW, window_d, window_h, window_w):
        """dz[m, c] = scale * dy[m, c] * act'(y[m, c]) where `writes`; db[part, c] = sum of dz over the part where `sums`.

        Where pooled, m is a window among OD x OH x OW an image: dz goes to its pixel number argmax[m, c] and 0 to the others.
        Block (part, tile of channels): pixels part*span .. (part+1)*span. A thread has one channel and every lines-th pixel;
        the lines of a block are added in order. 4 or 8 bytes are read for every dy and 4 (a pixel of the window) written.
        """
        partial = cuda.shared.array(THREADS, float32)
        thread = uint32(cuda.threadIdx.x)
        lane, line = uint32(thread % lanes), uint32(thread // lanes)
        channel = uint32(cuda.blockIdx.y * lanes + lane)
        begin = uint32(cuda.blockIdx.x * span)
        end = min(pixels, uint32(begin + span))
        m = uint32(begin + line)
        total = float32(0)
        while m < end and channel < channels:
            here = uint32(m * channels + channel)
            gradient = scale * dy[here]
            if not linear:
                gradient *= slope(y[here], alpha)
            total += gradient
            if writes and not pooled:
                dz[here] = gradient
            if writes and pooled:
                winner, k = uint32(argmax[here]), uint32(0)
                column = uint32(m % OW)
                image = uint32(m // OW)
                row = uint32(image % OH)
                image = uint32(image // OH)
                for d in range(window_d):
                    for h in range(window_h):
                        for w in range(window_w):
                            at = uint32((image * window_d + d) * OH * window_h + row * window_h + h)
                            at = uint32((at * OW * window_w + column * window_w + w) * channels + channel)
                            dz[at] = gradient if winner == k else float32(0)
                            k = uint32(k + 1)
            m = uint32(m + lines)
        if sums:
            partial[thread] = total
            cuda.syncthreads()
            if line == 0 and channel < channels:
                for i in range(1, lines):
                    total += partial[uint32(i * lanes + lane)]
                db[uint32(cuda.blockIdx.x * channels + channel)] = total

    return output_gradient


@cache
def sum_kernel(lines: int) -> CudaKernel:
    """The kernel; `lines` (a power of two up to THREADS) threads share one sum."""
    lanes = THREADS // lines

    @kernel("f32*, f32*, u32, u32, u32", threads=THREADS, registers=32, variant=str(lines))
    def sum_parts(parts, y, size, pitch, count):
        """y[i] = sum over p < count of parts[p * pitch + i], i < size.

        Line l of a block adds the parts l, l + lines, ...; then the lines are added in order. Reads 4 * count bytes an element.
        """
        partial = cuda.shared.array(THREADS, float32)
        thread = uint32(cuda.threadIdx.x)
        lane, line = uint32(thread % lanes), uint32(thread // lanes)
        i = uint32(cuda.blockIdx.x * lanes + lane)
        total = float32(0)
        part = line
        while part < count and i < size:
            total += parts[uint32(part * pitch + i)]
            part = uint32(part + lines)
        partial[thread] = total
        cuda.syncthreads()
        if line == 0 and i < size:
            for k in range(1, lines):
                total += partial[uint32(k * lanes + lane)]
            y[i] = total

    return sum_parts

"""Convolutions on tensor cores: one implicit GEMM for forward passes, data gradients, weight gradients and dense layers.

    tensor_product_kernel       the kernel for a Variant
    row_copies, pixel_copies    x on its way to shared memory, where the rows of the product are pixels, where they are taps
    by_slabs                    results on their way to memory

The matrix of patches, patches[pixel, (tap, channel)], is never stored. Forward pass and data gradient sum over its columns,
and copy ever further taps of the same pixels; the weight gradient sums over its rows, and copies the same taps of ever further
pixels. Both read runs of channels, 16 bytes a copy, and a copy from outside of the image, or past the end of a sum, is zeros.
That is all the difference: what is in shared memory is multiplied, finished and stored by the same code.
"""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device.gemm import Copies, Tile, copies
from ..device.kernel import CudaKernel, kernel
from ..device.tensor import Panel, multiply_step, stages
from ..device.tickets import combine
from ..device.tiles import WORD
from ..ptx import commit_copies, copy16, inlined, load4, shared_address, store2, wait_copies
from .cuda_gradient import next_pixel_of
from .cuda_product import OUTSIDE, SIGNATURE, Share, Variant, epilogue, next_tap, pixel_of, tap_of

SLAB = 32
"""Rows of a warp that go to shared memory at once on their way out."""


@cache
def tensor_product_kernel(variant: Variant) -> CudaKernel:
    """The kernel for a variant, whose operands are `wide` on both sides."""
    tile, gradient, transposed = variant.tile, variant.gradient, variant.transposed
    depth, outputs, buffers, grid_columns = tile.depth, tile.outputs, stages(tile), tile.columns // (4 * tile.thread_columns)
    a, b = Panel(tile.rows, depth, along=not gradient), Panel(tile.columns, depth, along=transposed)
    a_copied, b_copied = copies(tile, tile.rows, True, not gradient), copies(tile, tile.columns, True, transposed)
    (_, a_lanes, _, a_lines), (_, b_lanes, b_stride, b_lines) = a_copied, b_copied
    a_place, a_read, a_reads, b_place, b_read, b_reads = a.place, a.read, a.reads, b.place, b.read, b.reads
    a_bytes, step_bytes, b_apart = a.nbytes, a.nbytes + b.nbytes, b_stride * b.pitch
    shared_floats, ahead, tile_rows, tile_columns = buffers * step_bytes // WORD, buffers - 1, tile.rows, tile.columns
    warp_rows, warp_columns = 8 * tile.thread_rows, 4 * tile.thread_columns
    remember, copy_rows = row_copies(variant.axes, a_copied, a.pitch, variant.pooled)
    pixel, copy_pixels = pixel_of(variant.axes), pixel_copies(variant.axes, a_copied, a.pitch)
    multiply, wait = multiply_step(tile, variant.precision, a, b), wait_copies(buffers - 2)
    remembered, store = 4 * a_lines, by_slabs(variant)
    sums, split, add_parts = variant.sums, variant.behind.split, combine(outputs, tile.threads)

    @kernel(SIGNATURE, threads=tile.threads, registers=tile.registers[0], variant=str(variant), oldest="sm_80", blocks=1)
    def tensor_product(
        x, w, b, y, argmax, alpha, span, y_part, rows, columns, groups, channels, terms, D, H, W, C, OD, OH, OW,
        stride_d, stride_h, stride_w, first_d, first_h, first_w, taps_h, taps_w, step_d, step_h, step_w,
        filters, tap_0, tap_d, tap_h, tap_w, y_channels, y_0, y_n, y_d, y_h, y_w, extra,
    ):  # fmt: skip
        """y[m, c] = act(b[c] + sum over taps t and channels k of x[place of m and t, k] * w[t, k, c]), group by group; or, as a
        `gradient`, y[(t, k), c] = sum over pixels m of x[place of m and t, k] * w[m, c].

        Arguments, blocks and parts of sums are those of cuda_product.product, with w, y for dz, dw in a gradient: rows are the
        (t, k) then, tap outermost, and terms the pixels; the sum of dz, if wanted, goes to b, its parts tap_0 floats apart.
        x and w are rounded to the precision, products summed in float32.

        A step is 16 terms: 64 bytes of a row. `buffers` steps are in shared memory; each iteration waits for the oldest, starts
        to copy one `ahead`, over what was multiplied last, and multiplies. So one barrier an iteration is enough.
        Read: rows/tile.columns + columns/tile.rows floats a term for 2*rows*columns FLOPs.
        """
        shared = cuda.shared.array(shared_floats, float32, alignment=16)
        total = cuda.local.array(outputs, float32)
        a_from, b_from = cuda.local.array(a_reads, uint32), cuda.local.array(b_reads, uint32)
        pixels = cuda.local.array(remembered, uint32)
        thread = uint32(cuda.threadIdx.x)
        lane, warp = uint32(thread % 32), uint32(thread // 32)
        row_0, column_0 = uint32(cuda.blockIdx.x * tile_rows), uint32(cuda.blockIdx.y * tile_columns)
        part = uint32(uint32(cuda.blockIdx.z) // groups)
        group = uint32(cuda.blockIdx.z - part * groups)
        begin = uint32(part * span)
        end = min(terms, uint32(begin + span))

        warp_row, warp_column = uint32(warp // grid_columns * warp_rows), uint32(warp % grid_columns * warp_columns)
        for i in range(a_reads):
            a_from[i] = a_read(lane, uint32(warp_row + 8 * i))
        for i in range(b_reads):
            b_from[i] = uint32(a_bytes + b_read(lane, uint32(warp_column + 8 * i)))
        for i in range(outputs):
            total[i] = float32(0)

        base = shared_address(shared)
        a_line, a_lane = uint32(thread // a_lanes), uint32(thread % a_lanes)
        b_line, b_lane = uint32(thread // b_lanes), uint32(thread % b_lanes)
        a_put, b_put = uint32(base + a_place(a_line, a_lane)), uint32(base + a_bytes + b_place(b_line, b_lane))
        term = uint32(begin + a_line) if gradient else uint32(begin + 4 * a_lane)
        row = uint32(row_0 + 4 * a_lane)
        if gradient:
            t_d, t_h, t_w, channel = tap_of(row, channels, taps_h, taps_w)
            n, d, h, v = pixel(term, OD, OH, OW)
        else:
            t_d, t_h, t_w, channel = tap_of(term, channels, taps_h, taps_w)
            remember(pixels, row_0, a_line, rows, OD, OH, OW, stride_d, stride_h, stride_w, first_d, first_h, first_w, D, H, W)

        bias, summing = float32(0), sums and cuda.blockIdx.x == 0 and thread < tile_columns
        steps = uint32((end - begin + (depth - 1)) // depth)
        for step in range(steps + ahead):
            wait()
            cuda.syncthreads()
            into = uint32(step % buffers * step_bytes)
            if step < steps:
                at_d, at_h, at_w = uint32(t_d * step_d), uint32(t_h * step_h), uint32(t_w * step_w)
                if gradient:
                    at_d, at_h, at_w = uint32(at_d + first_d), uint32(at_h + first_h), uint32(at_w + first_w)
                    last = end if row < rows else uint32(0)
                    term, n, d, h, v = copy_pixels(
                        uint32(a_put + into), x, uint32(group * channels + channel), term, last, n, d, h, v, OD, OH, OW,
                        stride_d, stride_h, stride_w, at_d, at_h, at_w, D, H, W, C,
                    )  # fmt: skip
                else:
                    from_channel = uint32(group * channels + channel)
                    copy_rows(uint32(a_put + into), x, from_channel, term < end, pixels, at_d, at_h, at_w, D, H, W, C)
                for i in range(b_lines):
                    if transposed:
                        column, inside = uint32(column_0 + b_line + i * b_stride), term < end
                        number = uint32(tap_0 + t_d * tap_d + t_h * tap_h + t_w * tap_w)
                        place = uint32((number * columns + column) * filters + group * channels + channel)
                    else:
                        line, column = uint32(begin + step * depth + b_line + i * b_stride), uint32(column_0 + 4 * b_lane)
                        place, inside = uint32(line * filters + group * columns + column), line < end
                    copy16(uint32(b_put + into + i * b_apart), w, place, inside and column < columns)
                if not gradient:
                    term, channel = uint32(term + depth), uint32(channel + depth)
                    t_d, t_h, t_w, channel = next_tap(t_d, t_h, t_w, channel, channels, taps_h, taps_w)
            commit_copies()
            if step >= ahead:
                oldest = uint32((step + 1) % buffers * step_bytes)
                if summing:
                    for line in range(depth):
                        at_b = uint32(oldest + a_bytes + b_place(uint32(line), uint32(thread // 4)))
                        bias += shared[uint32(at_b // WORD + thread % 4)]
                oldest = uint32(base + oldest)
                multiply(total, oldest, a_from, oldest, b_from)

        if summing and column_0 + thread < columns:
            b[uint32(part * tap_0 + group * columns + column_0 + thread)] = bias
        whole = True
        if split:
            number = uint32((cuda.blockIdx.x * cuda.gridDim.y + cuda.blockIdx.y) * groups + group)
            whole = add_parts(total, shared, extra, number, part, uint32(cuda.gridDim.z // groups))
        if whole:
            store(
                total, shared, warp, lane, uint32(row_0 + warp_row), uint32(column_0 + warp_column), rows, columns,
                group, b, y, argmax, alpha, OD, OH, OW, y_channels, uint32(part * y_part + y_0), y_n, y_d, y_h, y_w, extra,
            )  # fmt: skip

    return tensor_product


def slab_of(tile: Tile) -> tuple[int, int]:
    """Rows of a warp's slab, and floats from one to the next: see by_slabs."""
    return min(SLAB, 8 * tile.thread_rows), 4 * tile.thread_columns + 8


@cache
def by_slabs(variant: Variant) -> Any:
    """store(total, shared, warp, lane, row, column, ...): the epilogue for a warp's results from `row` and `column` on.

    A thread's results lie two by two in rows eight apart. A warp puts them in shared memory, SLAB rows at once, and takes them
    back four columns a thread, of the four rows of a window where there is a pool: so stores are of 16 bytes, and the epilogue
    is a loop, however large the tile. Rows in shared memory are 8 floats longer than used: what is put together, and what is
    taken together, then lies in different banks.
    """
    tile, pooled, (rows_of_slab, pitch) = variant.tile, variant.pooled, slab_of(variant.tile)
    thread_rows, thread_columns = rows_of_slab // 8, tile.thread_columns
    slabs = tile.thread_rows // thread_rows
    together, taken = (4, 16) if pooled else (1, 4)
    in_turn = 32 // thread_columns * together
    turns, finish = rows_of_slab // in_turn, epilogue(Share(together, 4, 4, 4, 4, 4), variant)

    def store_slab(
        slab, total, shared, first, lane, row, column, rows, columns, group, b, y, argmax, alpha, OD, OH, OW, y_channels,
        y_0, y_n, y_d, y_h, y_w, extra,
    ):  # fmt: skip
        cuda.syncwarp()
        for i in range(thread_rows):
            for c in range(thread_columns // 2):
                place = uint32(first + (lane // 4 + 8 * i) * pitch + lane % 4 * 2 + 8 * c)
                store2(shared, place, total, (slab * thread_rows + i) * thread_columns + 2 * c)
        cuda.syncwarp()
        mine, my_column = cuda.local.array(taken, float32), uint32(lane % thread_columns * 4)
        for turn in range(turns):
            my_row = uint32(turn * in_turn + lane // thread_columns * together)
            for i in range(together):
                load4(mine, 4 * i, shared, uint32(first + (my_row + i) * pitch + my_column))
            finish(
                mine, uint32(row + slab * rows_of_slab + my_row), uint32(column + my_column), rows, columns, group, b, y,
                argmax, alpha, OD, OH, OW, y_channels, y_0, y_n, y_d, y_h, y_w, extra,
            )  # fmt: skip

    one = inlined(store_slab)

    def store(
        total, shared, warp, lane, row, column, rows, columns, group, b, y, argmax, alpha, OD, OH, OW, y_channels,
        y_0, y_n, y_d, y_h, y_w, extra,
    ):  # fmt: skip
        cuda.syncthreads()
        first = uint32(warp * (rows_of_slab * pitch))
        one(
            0, total, shared, first, lane, row, column, rows, columns, group, b, y, argmax, alpha, OD, OH, OW, y_channels,
            y_0, y_n, y_d, y_h, y_w, extra,
        )  # fmt: skip
        if slabs == 2:
            one(
                1, total, shared, first, lane, row, column, rows, columns, group, b, y, argmax, alpha, OD, OH, OW, y_channels,
                y_0, y_n, y_d, y_h, y_w, extra,
            )  # fmt: skip

    return inlined(store)


@cache
def row_copies(axes: int, copied: Copies, pitch: int, pooled: bool) -> tuple[Any, Any]:
    """remember, copy: the lines of a step are pixels, the same in every step."""
    _, _, stride, lines = copied
    pixel = pixel_of(axes)

    def remember(pixels, row_0, line_0, rows, OD, OH, OW, stride_d, stride_h, stride_w, first_d, first_h, first_w, D, H, W):
        """pixels[4i : 4i+4] = the place of the thread's i-th line under a tap at 0, and its coordinates."""
        for i in range(lines):
            m = uint32(row_0 + line_0 + i * stride)
            if pooled:
                n, d, h, v = pixel(uint32(m // 4), OD, OH, OW)
                h, v = uint32(2 * h + m % 4 // 2), uint32(2 * v + m % 2)
            else:
                n, d, h, v = pixel(m, OD, OH, OW)
            d, h, v = uint32(d * stride_d + first_d), uint32(h * stride_h + first_h), uint32(v * stride_w + first_w)
            pixels[4 * i] = uint32(((n * D + d) * H + h) * W + v)
            pixels[4 * i + 1], pixels[4 * i + 2] = d, h
            pixels[4 * i + 3] = v if m < rows else uint32(OUTSIDE)

    def copy(target, x, channel, wanted, pixels, at_d, at_h, at_w, D, H, W, C):
        """Copies of one step, under the tap at (at_d, at_h, at_w)."""
        tap = uint32((at_d * H + at_h) * W + at_w)
        for i in range(lines):
            inside = wanted and uint32(pixels[4 * i + 3] + at_w) < W
            if axes > 1:
                inside = inside and uint32(pixels[4 * i + 2] + at_h) < H
            if axes > 2:
                inside = inside and uint32(pixels[4 * i + 1] + at_d) < D
            copy16(uint32(target + i * stride * pitch), x, uint32((pixels[4 * i] + tap) * C + channel), inside)

    return inlined(remember), inlined(copy)


@cache
def pixel_copies(axes: int, copied: Copies, pitch: int) -> Any:
    """copy: the lines of a step are pixels from (n, d, h, v) on under a tap at `at`; returns (term, n, d, h, v) of the next."""
    _, _, stride, lines = copied
    after = next_pixel_of(axes, stride)

    def copy(
        target, x, channel, term, end, n, d, h, v, OD, OH, OW,
        stride_d, stride_h, stride_w, at_d, at_h, at_w, D, H, W, C,
    ):  # fmt: skip
        for i in range(lines):
            x_d, x_h, x_w = uint32(d * stride_d + at_d), uint32(h * stride_h + at_h), uint32(v * stride_w + at_w)
            inside = term < end and x_w < W
            if axes > 1:
                inside = inside and x_h < H
            if axes > 2:
                inside = inside and x_d < D
            place = uint32((((n * D + x_d) * H + x_h) * W + x_w) * C + channel)
            copy16(uint32(target + i * stride * pitch), x, place, inside)
            term = uint32(term + stride)
            n, d, h, v = after(n, d, h, v, OD, OH, OW)
        return term, n, d, h, v

    return inlined(copy)

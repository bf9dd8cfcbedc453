"""Convolutions whose groups are a channel or two wide (depthwise ones) on the GPU, without tiles: a thread has one output.

    NARROW                      columns of a group up to which these kernels are used: a tile would be nearly empty
    direct_product_kernel       forward pass and data gradient: see cuda_product.product
    direct_gradient_kernel      weight gradient: see cuda_gradient.weight_gradient

Neighbouring threads have neighbouring channels, so that every access is coalesced; there is next to nothing to share between
threads, and what there is comes from the first-level cache.
"""

from functools import cache

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device.functions import activate
from ..device.kernel import CudaKernel, kernel
from .cuda_gradient import THREADS, next_pixel_of
from .cuda_product import next_tap, pixel_of, tap_of

NARROW = 2
LANES = 32
LINES = THREADS // LANES


@cache
def direct_product_kernel(axes: int, transposed: bool, scattered: bool, bias: bool, activation: str) -> CudaKernel:
    """The kernel for one kind of product: see cuda_product.Variant."""
    pixel, act = pixel_of(axes), activate(activation)
    flags = dict(transposed=transposed, scattered=scattered, bias=bias)
    variant = ",".join([f"{axes}-D", *(flag for flag, on in flags.items() if on), activation])

    @kernel("f32*, f32*, f32*, f32*, f32" + ", u32" * 34, threads=THREADS, registers=40, variant=variant)
    def direct_product(
        x, w, b, y, alpha, rows, columns, groups, channels, terms, D, H, W, C, OD, OH, OW,
        stride_d, stride_h, stride_w, first_d, first_h, first_w, taps_h, taps_w, step_d, step_h, step_w,
        filters, tap_0, tap_d, tap_h, tap_w, y_channels, y_0, y_n, y_d, y_h, y_w,
    ):  # fmt: skip
        """y[m, c] = act(b[c] + sum over terms of x * w): cuda_product.product with one output a thread, columns fastest.

        Reads two floats a term for 2 FLOPs; each float of x is wanted by `taps` rows, each of w by all.
        """
        i = uint32(uint32(cuda.blockIdx.x) * THREADS + uint32(cuda.threadIdx.x))
        m = uint32(i // y_channels)
        c = uint32(i - m * y_channels)
        if m >= rows:
            return
        group = uint32(c // columns)
        n, o_d, o_h, o_w = pixel(m, OD, OH, OW)
        d, h, v = uint32(o_d * stride_d + first_d), uint32(o_h * stride_h + first_h), uint32(o_w * stride_w + first_w)
        total = float32(0)
        t_d, t_h, t_w, channel = uint32(0), uint32(0), uint32(0), uint32(0)
        for term in range(terms):
            x_d, x_h, x_w = uint32(d + t_d * step_d), uint32(h + t_h * step_h), uint32(v + t_w * step_w)
            if x_w < W and (axes < 2 or x_h < H) and (axes < 3 or x_d < D):
                place = uint32((((n * D + x_d) * H + x_h) * W + x_w) * C + group * channels + channel)
                if transposed:
                    number = uint32(tap_0 + t_d * tap_d + t_h * tap_h + t_w * tap_w)
                    weight = w[uint32((number * columns + c - group * columns) * filters + group * channels + channel)]
                else:
                    weight = w[uint32(term * filters + c)]
                total += x[place] * weight
            t_d, t_h, t_w, channel = next_tap(t_d, t_h, t_w, uint32(channel + 1), channels, taps_h, taps_w)
        if bias:
            total += b[c]
        place = uint32(y_0 + n * y_n + o_d * y_d + o_h * y_h + o_w * y_w + c) if scattered else i
        y[place] = act(total, alpha)

    return direct_product


@cache
def direct_gradient_kernel(axes: int) -> CudaKernel:
    """The kernel for images with this many axes."""
    pixel, next_pixel = pixel_of(axes), next_pixel_of(axes, LINES)

    @kernel("f32*, f32*, f32*" + ", u32" * 26, threads=THREADS, registers=40, variant=f"{axes}-D")
    def direct_gradient(
        x, dz, dw, rows, columns, groups, channels, pixels, span, part_size, D, H, W, C, OD, OH, OW,
        stride_d, stride_h, stride_w, first_d, first_h, first_w, taps_h, taps_w, step_d, step_h, step_w, filters,
    ):  # fmt: skip
        """dw[t, k, c] = sum over pixels m of x[place of m and tap t, k] * dz[m, c], groups of channels apart.

        Blocks: x tiles of LANES columns of all groups, y rows (t, k), z parts of the sum. A thread has one column and every
        LINES-th pixel of the part; the lines are added in order. Reads two floats a pixel for 2 FLOPs.
        """
        partial = cuda.shared.array(THREADS, float32)
        thread, row, part = uint32(cuda.threadIdx.x), uint32(cuda.blockIdx.y), uint32(cuda.blockIdx.z)
        lane, line = uint32(thread % LANES), uint32(thread // LANES)
        c = uint32(cuda.blockIdx.x * LANES + lane)
        t_d, t_h, t_w, channel = tap_of(row, channels, taps_h, taps_w)
        t_d, t_h, t_w = uint32(t_d * step_d + first_d), uint32(t_h * step_h + first_h), uint32(t_w * step_w + first_w)
        channel = uint32(channel + c // columns * channels)
        m = uint32(part * span + line)
        end = min(pixels, uint32(part * span + span))
        n, d, h, v = pixel(m, OD, OH, OW)
        total = float32(0)
        while m < end and c < filters:
            x_d, x_h, x_w = uint32(d * stride_d + t_d), uint32(h * stride_h + t_h), uint32(v * stride_w + t_w)
            if x_w < W and (axes < 2 or x_h < H) and (axes < 3 or x_d < D):
                place = uint32((((n * D + x_d) * H + x_h) * W + x_w) * C + channel)
                total += x[place] * dz[uint32(m * filters + c)]
            m = uint32(m + LINES)
            n, d, h, v = next_pixel(n, d, h, v, OD, OH, OW)
        partial[thread] = total
        cuda.syncthreads()
        if line == 0 and c < filters:
            for k in range(1, LINES):
                total += partial[uint32(k * LANES + lane)]
            dw[uint32(part * part_size + row * filters + c)] = total

    return direct_gradient

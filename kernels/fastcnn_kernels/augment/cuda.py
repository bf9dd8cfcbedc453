"""Augmentation on the GPU.

    random_affine random_uniform random_box   one thread a sample
    affine_sample adjust erase                one thread a pixel, all channels of it

What is decided is decided by geometry.py, and where a pixel of y lies in x is a matter of int64 numbers.
"""

from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, int32, int64, uint32

from ..api import TRANSFORMS
from ..device.kernel import CudaKernel, kernel
from ..device.pixels import loader, storer
from ..device.tiles import ceil_div
from ..ptx import inlined
from ..random.cuda import SEED, STEP, philox
from .geometry import box_ranges, fixed_range, functions
from .reference import MIDDLE, SPREAD

THREADS = 256
STREAM = "u32*, u32, u32, u32, u32"
"""How a kernel knows its stream: the scalars; whether the seed is the next two words, low and high, and not theirs; op_id."""
random_number, drawn, composed, rectangle = functions(inlined)


def _stream(scalars: Any, op_id: int, seed: int | None) -> tuple[Any, ...]:
    chosen = seed or 0
    return scalars, int(seed is not None), chosen % (1 << 32), chosen >> 32, op_id % (1 << 32)


@inlined
def draw(counter, high, scalars, seeded, seed_low, seed_high, op_id):
    """Philox of the counter (counter, high) of the op's stream."""
    k0 = seed_low if seeded else scalars[SEED]
    k1 = seed_high if seeded else scalars[SEED + 1]
    return philox(counter, high, scalars[STEP], op_id, k0, k1)


@inlined
def whole(word):
    """A random whole number in [0, 2^24)."""
    return int64(word >> uint32(8))


# ------ what is drawn by sample


def random_affine(
    plan: Any, scalars: Any, before: Any, y: Any, *, transform: str, low: tuple[float, ...], high: tuple[float, ...],
    op_id: int, seed: int | None,
) -> None:
    """y[n] = before[n], then a random map."""
    own = (TRANSFORMS.index(transform), *fixed_range(transform, low, high), int(len(low) == 1))
    arguments = (*_stream(scalars, op_id, seed), before, y, *own, y.shape[0])
    plan.launch(random_affine_kernel(before is not None), ceil_div(y.shape[0], THREADS), arguments, writes=(y,))


@cache
def random_affine_kernel(behind: bool) -> CudaKernel:
    """The kernel for a map that comes behind another one, or alone."""

    @kernel(
        f"{STREAM}, i32*, i32*, u32, i64, i64, i64, i64, u32, u32",
        threads=THREADS, registers=40, variant="behind" if behind else "alone",
    )  # fmt: skip
    def random_affine(
        scalars, seeded, seed_low, seed_high, op_id, before, y, kind, low_v, span_v, low_h, span_h, tied, samples
    ):
        """y[n] = before[n], then the map drawn for sample n. Reads and writes 24 bytes a sample."""
        n = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        if n >= samples:
            return
        words = draw(uint32(2 * n), uint32(0), scalars, seeded, seed_low, seed_high, op_id)
        rows = random_number(kind, low_v, span_v, whole(words[0]))
        columns = random_number(kind, low_h, span_h, whole(words[0] if tied else words[1]))
        a, b, s, c, d, t = drawn(kind, rows, columns)
        i = uint32(6 * n)
        if behind:
            first = int64(before[i]), int64(before[i + 1]), int64(before[i + 2])
            second = int64(before[i + 3]), int64(before[i + 4]), int64(before[i + 5])
            a, b, s, c, d, t = composed(first + second, (a, b, s, c, d, t))
        y[i], y[i + 1], y[i + 2] = int32(a), int32(b), int32(s)
        y[i + 3], y[i + 4], y[i + 5] = int32(c), int32(d), int32(t)

    return random_affine


def random_uniform(plan: Any, scalars: Any, y: Any, *, low: float, high: float, op_id: int, seed: int | None) -> None:
    """y[n] in [low, high)."""
    arguments = (*_stream(scalars, op_id, seed), y, low, high - low, y.shape[0])
    plan.launch(random_uniform_kernel(), ceil_div(y.shape[0], THREADS), arguments, writes=(y,))


@cache
def random_uniform_kernel() -> CudaKernel:
    """The kernel."""

    @kernel(f"{STREAM}, f32*, f32, f32, u32", threads=THREADS, registers=40)
    def random_uniform(scalars, seeded, seed_low, seed_high, op_id, y, low, span, samples):
        """y[n] = low + span * u. Writes 4 bytes a sample."""
        n = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        if n < samples:
            words = draw(uint32(2 * n), uint32(0), scalars, seeded, seed_low, seed_high, op_id)
            y[n] = low + span * (float32(words[0] >> uint32(8)) * float32(2.0**-24))

    return random_uniform


def random_box(
    plan: Any, scalars: Any, y: Any, *, size: tuple[int, int], scale: tuple[float, float], probability: tuple[float, float],
    op_id: int, seed: int | None,
) -> None:
    """y[n] = a random rectangle."""
    arguments = (*_stream(scalars, op_id, seed), y, *size, *box_ranges(scale, probability), y.shape[0])
    plan.launch(random_box_kernel(), ceil_div(y.shape[0], THREADS), arguments, writes=(y,))


@cache
def random_box_kernel() -> CudaKernel:
    """The kernel."""

    @kernel(f"{STREAM}, i32*" + ", i64" * 6 + ", u32", threads=THREADS, registers=40)
    def random_box(
        scalars, seeded, seed_low, seed_high, op_id, y, height, width, scale, scale_span, chance, chance_span, samples
    ):
        """y[n] = (top, bottom, left, right). Writes 16 bytes a sample."""
        n = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        if n >= samples:
            return
        u = draw(uint32(2 * n), uint32(0), scalars, seeded, seed_low, seed_high, op_id)
        v = draw(uint32(2 * n + 1), uint32(0), scalars, seeded, seed_low, seed_high, op_id)
        top, bottom, left, right = rectangle(
            height, width, scale, scale_span, chance, chance_span,
            whole(u[0]), whole(u[1]), whole(u[2]), whole(u[3]), whole(v[0]), whole(v[1]),
        )  # fmt: skip
        i = uint32(4 * n)
        y[i], y[i + 1], y[i + 2], y[i + 3] = int32(top), int32(bottom), int32(left), int32(right)

    return random_box


# ------ pictures


@inlined
def place(H, W):
    """(p, n, h, w): the thread's pixel of all pictures, its picture, its row and column."""
    p = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
    line = uint32(p // W)
    n = uint32(line // H)
    return p, n, uint32(line - n * H), uint32(p - line * W)


def _pixels(y: Any) -> int:
    return y.size // y.shape[-1]


def _vector(y: Any) -> int:
    return 1 if y.shape[-1] % 4 else 4


def affine_sample(
    plan: Any, x: Any, maps: Any, y: Any, *, interpolation: str, fill_mode: str, fill_value: float
) -> None:
    """y[n] = x[n] seen through maps[n]."""
    chosen = affine_sample_kernel(interpolation, fill_mode, _vector(y))
    arguments = (x, maps, y, fill_value, _pixels(y), *x.shape[1:3], *y.shape[1:])
    plan.launch(chosen, ceil_div(_pixels(y), THREADS), arguments, writes=(y,))


@cache
def pixel_within(fill_mode: str) -> Any:
    """within(i, extent): the pixel of an axis that stands for pixel i, both int32."""

    def nearest(i, extent):
        return max(int32(0), min(i, int32(extent - 1)))

    def wrapped(i, extent):
        behind = int32(extent - 1 - int32(uint32(-1 - i) % uint32(extent)))
        return int32(uint32(i) % uint32(extent)) if i >= 0 else behind

    def reflected(i, extent):
        # What lies before the first pixel is its own mirror image: pixel -1 - i is pixel i.
        j = int32(uint32(i if i >= 0 else -1 - i) % uint32(2 * extent))
        return min(j, int32(2 * extent - 1 - j))

    outside = inlined({"reflect": reflected, "wrap": wrapped}.get(fill_mode, nearest))

    def within(i, extent):
        return i if i >= 0 and i < extent else outside(i, extent)

    return inlined(within)


@inlined
def position(a, b, s, v, h, extent):
    """Where the place (v, h) of y lies along an axis of x of this extent, in units of 2^-25 pixels."""
    return int64(a) * int64(v) + int64(b) * int64(h) + (int64(s) << 8) + (int64(extent - 1) << 24)


@inlined
def fraction(where):
    """How far a position is beyond its pixel, in [0, 1)."""
    return float32(int32(uint32(where >> 1) & uint32((1 << 24) - 1))) * float32(2.0**-24)


@cache
def affine_sample_kernel(interpolation: str, fill_mode: str, vector: int) -> CudaKernel:
    """The kernel for an interpolation, a fill mode and channels by one or four."""
    make = _nearest_kernel if interpolation == "nearest" else _bilinear_kernel
    return make(fill_mode, vector, f"{interpolation},{fill_mode},{vector}")


SAMPLE = "f32*, i32*, f32*, f32" + ", u32" * 6
"""Arguments of both: x, maps, y, the fill value, y's pixels, H and W of x, OH and OW of y, C."""


def _nearest_kernel(fill_mode: str, vector: int, variant: str) -> CudaKernel:
    constant, within, load, store = fill_mode == "constant", pixel_within(fill_mode), loader(vector), storer(vector)

    @kernel(SAMPLE, threads=THREADS, registers=40, variant=variant)
    def affine_sample(x, maps, y, fill, pixels, H, W, OH, OW, C):
        """y[n, h, w] = the pixel of x[n] nearest to its place. Reads and writes 4 bytes an element."""
        value, height, width = cuda.local.array(vector, float32), int32(H), int32(W)
        p, n, h, w = place(OH, OW)
        if p >= pixels:
            return
        m, v, u = uint32(6 * n), int32(2 * h + 1 - OH), int32(2 * w + 1 - OW)
        i = int32(position(maps[m], maps[m + 1], maps[m + 2], v, u, height) + (1 << 24) >> 25)
        j = int32(position(maps[m + 3], maps[m + 4], maps[m + 5], v, u, width) + (1 << 24) >> 25)
        inside = i >= 0 and i < height and j >= 0 and j < width
        source = uint32(((n * H + uint32(within(i, height))) * W + uint32(within(j, width))) * C)
        for c in range(uint32(0), C, uint32(vector)):
            load(value, x, uint32(source + c))
            if constant and not inside:
                for e in range(vector):
                    value[e] = fill
            store(y, uint32(p * C + c), value)

    return affine_sample


def _bilinear_kernel(fill_mode: str, vector: int, variant: str) -> CudaKernel:
    constant, within, load, store = fill_mode == "constant", pixel_within(fill_mode), loader(vector), storer(vector)

    @inlined
    def weight(share, i, extent):
        return float32(0) if constant and (i < 0 or i >= extent) else share

    @inlined
    def add(sums, value, share, x, i):
        load(value, x, i)
        for e in range(vector):
            sums[e] += share * value[e]

    @kernel(SAMPLE, threads=THREADS, registers=56, variant=variant)
    def affine_sample(x, maps, y, fill, pixels, H, W, OH, OW, C):
        """y[n, h, w] = the four pixels of x[n] around its place, weighted: those outside a constant border with 0, and what is
        then missing to 1 is the fill value's. Reads x once and then from cache; writes 4 bytes an element."""
        value, sums = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        p, n, h, w = place(OH, OW)
        if p >= pixels:
            return
        height, width = int32(H), int32(W)
        m, v, u = uint32(6 * n), int32(2 * h + 1 - OH), int32(2 * w + 1 - OW)
        row = position(maps[m], maps[m + 1], maps[m + 2], v, u, height)
        column = position(maps[m + 3], maps[m + 4], maps[m + 5], v, u, width)
        share_i, share_j, i, j = fraction(row), fraction(column), int32(row >> 25), int32(column >> 25)
        top, bottom = weight(float32(1) - share_i, i, height), weight(share_i, int32(i + 1), height)
        left, right = weight(float32(1) - share_j, j, width), weight(share_j, int32(j + 1), width)
        rest = (float32(1) - (top + bottom) * (left + right)) * fill
        x0 = uint32((n * H + uint32(within(i, height))) * W)
        x1 = uint32((n * H + uint32(within(int32(i + 1), height))) * W)
        j0, j1 = uint32(within(j, width)), uint32(within(int32(j + 1), width))
        for c in range(uint32(0), C, uint32(vector)):
            for e in range(vector):
                sums[e] = rest
            add(sums, value, top * left, x, uint32((x0 + j0) * C + c))
            add(sums, value, top * right, x, uint32((x0 + j1) * C + c))
            add(sums, value, bottom * left, x, uint32((x1 + j0) * C + c))
            add(sums, value, bottom * right, x, uint32((x1 + j1) * C + c))
            store(y, uint32(p * C + c), sums)

    return affine_sample


def adjust(plan: Any, x: Any, centre: Any, amounts: Any, y: Any, *, low: float, high: float) -> None:
    """y = x brighter, or with more contrast."""
    arguments = (x, centre, amounts, y, low, high, _pixels(y), *y.shape[1:])
    plan.launch(adjust_kernel(centre is not None, _vector(y)), ceil_div(_pixels(y), THREADS), arguments, writes=(y,))


@cache
def adjust_kernel(contrast: bool, vector: int) -> CudaKernel:
    """The kernel for contrast or brightness, and channels by one or four."""
    load, store, variant = loader(vector), storer(vector), f"{'contrast' if contrast else 'brightness'},{vector}"

    @kernel("f32*, f32*, f32*, f32*, f32, f32" + ", u32" * 4, threads=THREADS, registers=40, variant=variant)
    def adjust(x, centre, amounts, y, low, high, pixels, H, W, C):
        """y = (x - centre) * amount + centre, or x + amount, in [low, high]. Reads and writes 4 bytes an element."""
        value, middle = cuda.local.array(vector, float32), cuda.local.array(vector, float32)
        p, n, _, _ = place(H, W)
        if p >= pixels:
            return
        amount = amounts[n]
        for c in range(uint32(0), C, uint32(vector)):
            load(value, x, uint32(p * C + c))
            if contrast:
                load(middle, centre, uint32(n * C + c))
            for e in range(vector):
                changed = (value[e] - middle[e]) * amount + middle[e] if contrast else value[e] + amount
                # min.f32 and max.f32 would hide NaN.
                value[e] = low if changed < low else (high if changed > high else changed)
            store(y, uint32(p * C + c), value)

    return adjust


def erase(
    plan: Any, x: Any, boxes: Any, scalars: Any, y: Any, *, fill: tuple[float, ...] | None, low: float, high: float,
    op_id: int, seed: int | None,
) -> None:
    """y = x with a rectangle filled."""
    fills = [min(max(float(value), low), high) for value in fill or (0.0,)]
    fills += fills[-1:] * (4 - len(fills))
    arguments = (*_stream(scalars, op_id, seed), x, boxes, y, low, high, high / SPREAD, *fills, _pixels(y), *y.shape[1:])
    plan.launch(erase_kernel(fill is None), ceil_div(_pixels(y), THREADS), arguments, writes=(y,))


@inlined
def halves(word):
    """The sum of the four bytes of a word, in two halves of it."""
    return uint32((word & uint32(0x00FF00FF)) + ((word >> uint32(8)) & uint32(0x00FF00FF)))


@cache
def erase_kernel(noisy: bool) -> CudaKernel:
    """The kernel for noise or a constant."""
    variant = "noise" if noisy else "constant"

    @kernel(f"{STREAM}, f32*, i32*, f32*" + ", f32" * 7 + ", u32" * 4, threads=THREADS, registers=40, variant=variant)
    def erase(
        scalars, seeded, seed_low, seed_high, op_id, x, boxes, y, low, high, deviation, fill_0, fill_1, fill_2, fill_3,
        pixels, H, W, C,
    ):  # fmt: skip
        """y = x, in the rectangle the fill, or noise in [low, high]. Reads and writes 4 bytes an element."""
        p, n, h, w = place(H, W)
        if p >= pixels:
            return
        box = uint32(4 * n)
        rows = int32(h) >= boxes[box] and int32(h) < boxes[box + 1]
        inside = rows and int32(w) >= boxes[box + 2] and int32(w) < boxes[box + 3]
        for c in range(uint32(0), C, uint32(1)):
            i = uint32(p * C + c)
            value = x[i]
            if inside and noisy:
                words = draw(i, uint32(1), scalars, seeded, seed_low, seed_high, op_id)
                pair = uint32(halves(words[0]) + halves(words[1]) + halves(words[2]) + halves(words[3]))
                total = uint32((pair & uint32(0xFFFF)) + (pair >> uint32(16)))
                value = min(max((float32(total) - float32(MIDDLE)) * deviation, low), high)
            elif inside:
                value = fill_0 if c == 0 else (fill_1 if c == 1 else (fill_2 if c == 2 else fill_3))
            y[i] = value

    return erase

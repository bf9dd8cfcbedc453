"""Convolutions of small images on tensor cores: the pixels that a tile of rows sees stay in shared memory for all of its taps.

    Images, Resident        a product's shape, and how it lies in shared memory
    resident_for            the rule: which products are computed so, and by which tile
    resident_kernel         the kernel for a Variant

cuda_tensor.tensor_product copies a pixel once for every tap that meets it, nine times under 3x3. Here a block copies the pixels
of its rows once, with the border of zeros around them: of a small image, all of them. Row m under tap t is then the pixel of m
a constant further on, the same for all rows, and ldmatrix reads it from where it is. Only weights go by in steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device import tensor
from ..device.gemm import FULL_GPU, Tile, copies
from ..device.kernel import CudaKernel, kernel
from ..device.tensor import CHUNK, MOST_STAGES, Panel, Rows, multiply_step
from ..device.tiles import SHARED_BYTES, WORD, ceil_div
from ..ptx import commit_copies, copy16, inlined, shared_address, wait_copies
from .cuda_product import OUTSIDE, SIGNATURE, Variant, next_tap, tap_of
from .cuda_tensor import by_slabs, slab_of

if TYPE_CHECKING:
    from .cuda import Walk

SMALL = 256
"""Pixels of a result's image at most: the tiles of larger ones are large as well, and read little each."""
ENOUGH = FULL_GPU // 2
"""Blocks at least: one for each multiprocessor of a large GPU."""
TILES = tuple(dict.fromkeys(tile for tiles in tensor.TILES.values() for tile in tiles))
"""The tiles that there are on tensor cores."""


@dataclass(frozen=True)
class Images:
    """A product whose rows are pixels of `samples` images, walked down and across with strides of 1, and whose terms are taps
    and channels. `pooled`, four consecutive rows are a 2x2 window."""

    samples: int
    down: "Walk"
    across: "Walk"
    channels: int
    columns: int
    pooled: bool

    @property
    def rows(self) -> int:
        """Rows of a sample."""
        return self.down.rows * self.across.rows

    @property
    def terms(self) -> int:
        """Terms of a sum."""
        return self.down.taps * self.across.taps * self.channels

    def bytes_in_steps(self, tile: Tile, parts: int) -> int:
        """What tensor_product moves: rows once a tap and tile of columns, columns once a tile of rows, parts of sums twice."""
        rows, columns = ceil_div(self.samples * self.rows, tile.rows), ceil_div(self.columns, tile.columns)
        patches = self.samples * _met(self.down) * _met(self.across) * self.channels
        sums = 2 * parts * tile.rows * tile.columns * columns if parts > 1 else 0
        return WORD * (patches * columns + rows * (self.terms * self.columns + sums))


def _met(walk: "Walk") -> int:
    """Pairs of a row and a tap that meet inside of the image."""
    return sum(0 <= o + walk.first + t * walk.step < walk.extent for o in range(walk.rows) for t in range(walk.taps))


def _reach(walk: "Walk") -> int:
    """Places from the first tap of a row to the last one."""
    return (walk.taps - 1) * abs(walk.step)


@dataclass(frozen=True)
class Resident:
    """A tile of a sample's rows, and the pixels that it sees: `lines` of `width` pixels, zeros where they are outside.

    Distances are in chunks of 16 bytes. Eight rows are read at once, without a conflict of banks if their chunks are different
    numbers modulo 8. Pixels are an odd number apart: eight neighbours differ; at least one chunk more than they need, which is
    zeros, is what terms beyond the last read. Lines are as far apart as makes eight rows over the end of a line differ like
    neighbours; pooled, the two lines of a window. What is left: a pair of windows, over the end of a line.
    """

    images: Images
    tile: Tile

    @property
    def tiles(self) -> int:
        """Tiles of a sample."""
        return ceil_div(self.images.rows, self.tile.rows)

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks along rows and columns."""
        return self.images.samples * self.tiles, ceil_div(self.images.columns, self.tile.columns)

    @property
    def lines(self) -> int:
        """Lines of pixels that a tile sees at most."""
        high, rows, size = 1 + self.images.pooled, self.images.rows, self.tile.rows
        of_line = high * self.images.across.rows
        ends = [(first // of_line, (min(first + size, rows) - 1) // of_line) for first in range(0, rows, size)]
        return high * max(last - first + 1 for first, last in ends) + _reach(self.images.down)

    @property
    def width(self) -> int:
        """Pixels of a line."""
        return self.images.across.rows + _reach(self.images.across)

    @property
    def pitch(self) -> int:
        """Distance of two pixels of a line."""
        return (self.images.channels * WORD // CHUNK + 1) | 1

    @property
    def apart(self) -> int:
        """Distance of two lines."""
        across, least = self.images.across.rows, self.width * self.pitch
        if not self.images.pooled and across % 8 == 0:
            return least
        return least + ((4 if self.images.pooled else across) * self.pitch - least) % 8

    @property
    def pixel_bytes(self) -> int:
        """Shared memory for pixels."""
        return ((self.lines - 1) * self.apart + self.width * self.pitch) * CHUNK

    @property
    def buffers(self) -> int:
        """Steps of weights in shared memory at once; two are needed."""
        return min(MOST_STAGES, (SHARED_BYTES - self.pixel_bytes) // (self.tile.columns * self.tile.depth * WORD))

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block: pixels and weights, and in their place, then, the results on their way out."""
        rows, pitch = slab_of(self.tile)
        weights = self.buffers * self.tile.columns * self.tile.depth * WORD
        return max(self.pixel_bytes + weights, self.tile.threads // 32 * rows * pitch * WORD)

    @property
    def bytes(self) -> int:
        """What is moved: pixels once a tile of columns, columns once a tile of rows."""
        down, across = min(self.lines, self.images.down.extent), min(self.width, self.images.across.extent)
        pixels = down * across * self.images.channels * self.blocks[1]
        return WORD * self.blocks[0] * (pixels + self.images.terms * self.images.columns)

    @property
    def possible(self) -> bool:
        """Whether it has room and fills the GPU, and its tile is not half empty."""
        full = self.tile.rows < 2 * self.images.rows and self.tile.columns <= max(32, self.images.columns)
        return full and self.buffers >= 2 and prod(self.blocks) >= ENOUGH


def resident_for(images: Images, tile: Tile, parts: int) -> Resident | None:
    """The way that moves the fewest bytes, if these are fewer than tensor_product moves with this tile and sums in `parts`.

    At batch 64, T3's second layer gets 128x32 (7 MB moved, in steps it was 29), its data gradient 64x32. At batch 128, T4's
    fourth layer and its data gradient get 64x32.
    """
    meets_again = images.terms > images.channels and (images.down.stride, images.across.stride) == (1, 1)
    if not meets_again or images.rows > SMALL:
        return None
    ways = [way for way in (Resident(images, t) for t in TILES) if way.possible]
    best = min(ways, key=lambda way: way.bytes, default=None)
    return best if best and best.bytes < images.bytes_in_steps(tile, parts) else None


# ------ the kernel


@cache
def resident_kernel(variant: Variant, buffers: int) -> CudaKernel:
    """The kernel for a variant, of two axes and one group, with so many steps of weights in shared memory."""
    tile, transposed, pooled = variant.tile, variant.transposed, variant.pooled
    depth, outputs, grid_columns, ahead = tile.depth, tile.outputs, tile.columns // (4 * tile.thread_columns), buffers - 1
    a, b = Rows(tile.thread_rows), Panel(tile.columns, depth, along=transposed)
    _, b_lanes, b_stride, b_lines = copies(tile, tile.columns, True, transposed)
    a_reads, b_reads, b_place, b_read, b_bytes, b_apart = a.reads, b.reads, b.place, b.read, b.nbytes, b_stride * b.pitch
    tile_rows, tile_columns, warp_rows, warp_columns = tile.rows, tile.columns, 8 * tile.thread_rows, 4 * tile.thread_columns
    weights, line_of, copy_pixels = buffers * b_bytes, line_in(pooled), pixels_of(tile.threads)
    multiply, wait, store = multiply_step(tile, variant.precision, a, b), wait_copies(buffers - 2), by_slabs(variant)
    signature, name = SIGNATURE.replace(", u64*", ", u32, u64*"), f"{variant},{buffers} steps"

    @kernel(signature, threads=tile.threads, registers=tile.registers[0], variant=name, oldest="sm_80", blocks=1)
    def resident_tensor_product(
        x, w, b, y, argmax, alpha, lines, width, apart, rows, columns, groups, channels, terms, D, H, W, C, OD, OH, OW,
        stride_d, stride_h, stride_w, first_d, first_h, first_w, taps_h, taps_w, step_d, step_h, step_w,
        filters, tap_0, tap_d, tap_h, tap_w, y_channels, y_0, y_n, y_d, y_h, y_w, extra,
    ):  # fmt: skip
        """y[m, c] = act(b[c] + sum over taps t and channels k of x[place of m and t, k] * w[t, k, c]).

        Arguments are those of cuda_product.product, of one group and strides of 1, and Resident's lines, width and apart.
        Blocks: x tiles of the rows of each sample, y tiles of columns. x and w are rounded to the precision, products summed
        in float32.

        A block copies `lines` of `width` pixels, 16 bytes a copy, and with them the first of its steps: 16 terms of all
        columns. `buffers` steps are in shared memory; each iteration waits for the oldest, starts to copy one `ahead`, over
        what was multiplied last, and multiplies. A lane reads four terms of a row at once, those under a tap of its own, as a
        step may be of several. Rows beyond the sample's last repeat it; terms beyond the last are zeros.
        Read: of a tile lines*width*channels + terms*tile.columns floats for 2*tile.rows*tile.columns*terms FLOPs.
        """
        shared = cuda.shared.array(0, float32, alignment=16)
        total = cuda.local.array(outputs, float32)
        a_from, b_from = cuda.local.array(a_reads, uint32), cuda.local.array(b_reads, uint32)
        thread = uint32(cuda.threadIdx.x)
        lane, warp = uint32(thread % 32), uint32(thread // 32)
        of_sample = uint32(OH * OW * 4) if pooled else uint32(OH * OW)
        tiles = uint32((of_sample + (tile_rows - 1)) // tile_rows)
        sample = uint32(uint32(cuda.blockIdx.x) // tiles)
        row_0, column_0 = uint32((cuda.blockIdx.x - sample * tiles) * tile_rows), uint32(cuda.blockIdx.y * tile_columns)
        warp_row, warp_column = uint32(warp // grid_columns * warp_rows), uint32(warp % grid_columns * warp_columns)

        # Where steps are negative, as in data gradients, the last tap is the first place that a row sees.
        back_h = uint32((taps_h - 1) * (0 - step_h)) if step_h > OUTSIDE else uint32(0)
        back_w = uint32((taps_w - 1) * (0 - step_w)) if step_w > OUTSIDE else uint32(0)
        chunks = uint32(channels // 4)
        pitch, base = uint32((chunks + 1) | 1), shared_address(shared)
        top, _ = line_of(row_0, OW)
        for i in range(a_reads):
            h, v = line_of(min(uint32(row_0 + warp_row + 8 * i + lane % 8), uint32(of_sample - 1)), OW)
            a_from[i] = uint32(base + weights + ((h - top + back_h) * apart + (v + back_w) * pitch) * 16)
        for i in range(b_reads):
            b_from[i] = b_read(lane, uint32(warp_column + 8 * i))
        for i in range(outputs):
            total[i] = float32(0)

        low_h, low_w = uint32(top + first_h - back_h), uint32(first_w - back_w)
        copy_pixels(
            uint32(base + weights), x, uint32(sample * H), low_h, low_w, H, W, C, lines, width, apart, pitch, chunks,
            terms % depth != 0,
        )  # fmt: skip

        b_line, b_lane = uint32(thread // b_lanes), uint32(thread % b_lanes)
        if transposed:
            b_line, b_lane = uint32(warp * 8 + lane % 8), uint32(lane // 8)
        b_put = uint32(base + b_place(b_line, b_lane))
        term = uint32(4 * (lane // 8))
        _, t_h, t_w, channel = tap_of(term, channels, taps_h, taps_w)
        b_term, b_h, b_w, b_channel = term, t_h, t_w, channel
        steps = uint32((terms + (depth - 1)) // depth)
        for step in range(steps + ahead):
            wait()
            cuda.syncthreads()
            into = uint32(b_put + step % buffers * b_bytes)
            if step < steps:
                for i in range(b_lines):
                    if transposed:
                        column, inside = uint32(column_0 + b_line + i * b_stride), b_term < terms
                        number = uint32(tap_0 + b_h * tap_h + b_w * tap_w)
                        place = uint32((number * columns + column) * filters + b_channel)
                    else:
                        line, column = uint32(step * depth + b_line + i * b_stride), uint32(column_0 + 4 * b_lane)
                        place, inside = uint32(line * filters + column), line < terms
                    copy16(uint32(into + i * b_apart), w, place, inside and column < columns)
                if transposed:
                    b_term, b_channel = uint32(b_term + depth), uint32(b_channel + depth)
                    _, b_h, b_w, b_channel = next_tap(uint32(0), b_h, b_w, b_channel, channels, taps_h, taps_w)
            commit_copies()
            if step >= ahead:
                beyond = uint32((t_h * step_h * apart + t_w * step_w * pitch) * 16 + channel * 4)
                if term >= terms:
                    beyond = uint32(channels * 4)
                multiply(total, beyond, a_from, uint32(base + (step + 1) % buffers * b_bytes), b_from)
                term, channel = uint32(term + depth), uint32(channel + depth)
                _, t_h, t_w, channel = next_tap(uint32(0), t_h, t_w, channel, channels, taps_h, taps_w)

        first = uint32(sample * of_sample)
        store(
            total, shared, warp, lane, uint32(first + row_0 + warp_row), uint32(column_0 + warp_column),
            uint32(first + of_sample), columns, uint32(0), b, y, argmax, alpha, OD, OH, OW, y_channels, y_0, y_n, y_d, y_h, y_w,
            extra,
        )  # fmt: skip

    return resident_tensor_product


@cache
def line_in(pooled: bool) -> Any:
    """line_of(m, OW) -> (h, w), the pixel of a sample's row m; pooled, OW is the windows of a line."""

    def line_of(m, OW):
        if pooled:
            line = uint32(m // 4 // OW)
            return uint32(2 * line + m % 4 // 2), uint32(2 * (m // 4 - line * OW) + m % 2)
        line = uint32(m // OW)
        return line, uint32(m - line * OW)

    return inlined(line_of)


@cache
def pixels_of(threads: int) -> Callable[..., None]:
    """copy(target, x, line_0, low_h, low_w, ...): begin to copy `lines` of `width` pixels from place (low_h, low_w) on.

    Eight threads copy one chunk of eight neighbours, which lie in different banks in shared memory; the four eights of a warp
    neighbouring chunks, which are whole sectors of global memory where channels are multiples of 8. `beyond`: the chunk of
    zeros after each pixel is wanted, too.
    """
    eights = threads // 8

    def copy(target, x, line_0, low_h, low_w, H, W, C, lines, width, apart, pitch, chunks, beyond):
        thread = uint32(cuda.threadIdx.x)
        line, column, chunk = uint32(0), uint32(thread % 8), uint32(thread // 8)
        line, column, chunk = carried(line, column, chunk, width, chunks)
        while line < lines:
            h, v = uint32(low_h + line), uint32(low_w + column)
            place = uint32(((line_0 + h) * W + v) * C + 4 * chunk)
            copy16(uint32(target + (line * apart + column * pitch + chunk) * 16), x, place, h < H and v < W)
            line, column, chunk = carried(line, column, uint32(chunk + eights), width, chunks)
        if beyond:
            line, column = uint32(thread // width), uint32(thread % width)
            while line < lines:
                copy16(uint32(target + (line * apart + column * pitch + chunks) * 16), x, uint32(0), False)
                line, column, _ = carried(line, uint32(column + threads), uint32(0), width, chunks)

    return inlined(copy)


@inlined
def carried(line, column, chunk, width, chunks):
    """Carry chunks that ran over into eights of pixels, and pixels into lines."""
    while chunk >= chunks:
        chunk, column = uint32(chunk - chunks), uint32(column + 8)
    while column >= width:
        column, line = uint32(column - width), uint32(line + 1)
    return line, column, chunk

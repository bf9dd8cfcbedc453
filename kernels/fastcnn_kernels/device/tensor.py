"""The GEMM tile on tensor cores: how warps multiply two matrices that lie in shared memory as float32.

    PRECISIONS              what a product may be computed in
    check_precision         whether a device can
    TILES                   a block's tile by the columns of a product
    stages                  how many steps of the sum are in shared memory at once
    Panel                   one operand's part of a step in shared memory: where numbers lie, and who reads them
    Rows                    rows that lie anywhere in shared memory
    multiply_step           total += a b of one step, by mma.sync

A tile is that of gemm.py: a block walks the sum in steps of 16 terms. A warp is 8 x 4 threads. Its tensor core takes
operands of which lane 4g + m holds, of a row g, the terms m, m + 4, m + 8 and m + 12 of a step. tf32 multiplies 8 terms at
once: the first two of these, then the others. bfloat16 multiplies 16, and packs them in twos; a core then calls them terms
2m, 2m + 1, 2m + 8 and 2m + 9, but a sum is the same in any order as long as both operands agree. So everything up to the
rounding is the same for both formats.

Operands stay float32 up to the registers, where they are rounded to the nearest number of the format: weights, activations and
gradients in memory are those of every other kernel, and accumulators are float32.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic
from numba.cuda.types import uint32

from ..ptx import after, element, inlined, load_matrices, load_word, multiply_matrices, rounded
from .gemm import Tile, Tiles
from .interface import Properties
from .tiles import SHARED_BYTES, WORD

PRECISIONS = ("float32", "tf32", "bfloat16")
OLDEST = (8, 0)
"""Compute capability from which on there are tf32, bfloat16 and asynchronous copies."""


def check_precision(precision: str, device: Properties) -> None:
    """ValueError where there is no such precision; RuntimeError where the device's tensor cores do not know it."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}, got {precision!r}")
    if precision != "float32" and device.compute_capability < OLDEST:
        needed, found = (".".join(map(str, version)) for version in (OLDEST, device.compute_capability))
        raise RuntimeError(
            f"precision={precision!r} needs a GPU of compute capability {needed} or later (Ampere, 2020), but {device.name} "
            f"has {found}: use precision='float32'"
        )


def _tile(rows: int, columns: int, warp_rows: int, warp_columns: int, registers: int) -> Tile:
    return Tile(rows, columns, DEPTH, warp_rows // 8, warp_columns // 4, (registers, registers))


DEPTH = 16
# block, warp, registers of a thread
LARGE, HIGH = _tile(128, 128, 64, 64, 255), _tile(128, 64, 64, 32, 168)
MIDDLE, SMALL = _tile(64, 64, 32, 32, 112), _tile(32, 32, 16, 32, 96)
TILES: Tiles = {
    32: (_tile(128, 32, 32, 32, 120), _tile(64, 32, 16, 32, 96), SMALL),
    64: (HIGH, MIDDLE, SMALL),
    1 << 32: (LARGE, HIGH, MIDDLE, SMALL),
}
"""For products of up to so many columns: tiles from the largest, which reads least, to the smallest.

At batch 128, T4's second layer (64 columns of 131072 rows) gets HIGH, its third (128 of 32768) LARGE, its fourth (128 of 8192)
MIDDLE, its dense layer (1500 of 128, in parts) HIGH.
"""

MOST_STAGES, CHUNK = 4, 16
"""Steps in shared memory at most; bytes that one copy moves."""


def stages(tile: Tile) -> int:
    """Steps in shared memory at once: all but one are on their way while that one is multiplied."""
    return min(MOST_STAGES, SHARED_BYTES // (WORD * tile.depth * (tile.rows + tile.columns)))


@dataclass(frozen=True)
class Panel:
    """`extent` rows (or columns) times `depth` terms in shared memory, in chunks of four numbers.

    along: a line is a row, its terms lie along it; otherwise a line is a term, and rows lie along it, as in global memory.

    Chunk c of line l lies at place c ^ swizzle(l) of its line. What is read or written together then lies in different
    banks: eight chunks at one place of eight lines (a matrix of ldmatrix), or eight neighbouring words of four lines; and the
    neighbouring chunks that eight threads copy.
    """

    extent: int
    depth: int
    along: bool

    @property
    def chunks(self) -> int:
        """Chunks of a line."""
        return (self.depth if self.along else self.extent) * WORD // CHUNK

    @property
    def pitch(self) -> int:
        """Bytes of a line."""
        return self.chunks * CHUNK

    @property
    def nbytes(self) -> int:
        """Bytes of it all."""
        return self.extent * self.depth * WORD

    @property
    def reads(self) -> int:
        """Places in a step from which a lane reads, that are not a constant apart."""
        return 1 if self.along else 4

    @property
    def place(self) -> Any:
        """place(line, chunk): the byte where a chunk begins."""
        pitch, chunks, unit = self.pitch, self.chunks, 1 if self.along else 2
        lines, turns = max(1, 8 // chunks), min(8, chunks) // unit

        def place(line, chunk):
            return uint32(line * pitch + (chunk ^ line // lines % turns * unit) * CHUNK)

        return inlined(place)

    @property
    def read(self) -> Any:
        """read(lane, row): what a lane of a warp reads first of the eight rows from `row` on."""
        along, place = self.along, self.place

        def read(lane, row):
            if along:
                return place(uint32(row + lane % 8), uint32(lane // 8))
            group = uint32(lane // 4)
            return uint32(place(uint32(lane % 4), uint32((row + group) // 4)) + group % 4 * WORD)

        return inlined(read)

    def eight(self, builder: ir.IRBuilder, starts: list[ir.Value], block: int) -> list[ir.Value]:
        """Of the block-th eight rows: the numbers of row lane // 4, terms lane % 4 + 0, 4, 8 and 12."""

        def at(offset: int) -> ir.Value:
            return builder.add(starts[block % self.reads], ir.Constant(starts[0].type, offset))

        if self.along:
            return load_matrices(builder, at(8 * block * self.pitch))
        beyond = block // self.reads * self.reads * 8 * WORD
        return [load_word(builder, at(beyond + term * self.pitch)) for term in range(0, self.depth, 4)]


@dataclass(frozen=True)
class Rows:
    """Rows of an operand that lie anywhere in shared memory, in so many eights: a place to read from for each.

    Lane 8i + r reads the i-th four terms of row r; what a lane is given for a step is where these begin, counted from the row.
    """

    reads: int

    def eight(self, builder: ir.IRBuilder, starts: list[ir.Value], block: int) -> list[ir.Value]:
        """As Panel's."""
        return load_matrices(builder, starts[block])


@cache
def multiply_step(tile: Tile, precision: str, a: Panel | Rows, b: Panel) -> Any:
    """The intrinsic multiply(total, a_step, a_reads, b_step, b_reads) for a tile.

    total[r, c] += the sum over the step's terms of a[8r + g] * b[8(c // 2) + 2m + c % 2], rows and columns counted from the
    first ones of the warp, for lane 4g + m. a_step and b_step are shared addresses of the step's panels, a_reads and b_reads
    local arrays of what Panel.read gives for the warp's first eights.
    """
    rows, columns = tile.thread_rows, tile.thread_columns

    @intrinsic
    def multiply(typingctx: Any, total: Any, a_step: Any, a_reads: Any, b_step: Any, b_reads: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            def operand(panel: Panel | Rows, count: int, step: ir.Value, kind: Any, array: Any) -> list[list[ir.Value]]:
                first = element(context, builder, kind, array)
                starts = [builder.add(step, builder.load(after(builder, first, i))) for i in range(panel.reads)]
                return [rounded(builder, precision, panel.eight(builder, starts, block)) for block in range(count)]

            mine = context.make_array(total)(context, builder, args[0]).data
            sums = [builder.load(after(builder, mine, n)) for n in range(rows * columns)]
            left = operand(a, rows, args[1], a_reads, args[2])
            right = operand(b, columns // 2, args[3], b_reads, args[4])
            for pair, numbers in enumerate(right):
                for upper in range(0, rows, 2):
                    places = [(upper + half) * columns + 2 * pair + e for half in range(2) for e in range(2)]
                    out = [sums[n] for n in places]
                    for k in range(0, len(numbers), 2):
                        sixteen = [left[upper + half][k + second] for second in range(2) for half in range(2)]
                        out = multiply_matrices(builder, precision, sixteen, numbers[k : k + 2], out)
                    for n, value in zip(places, out, strict=True):
                        sums[n] = value
            for n, value in enumerate(sums):
                builder.store(value, after(builder, mine, n))
            return context.get_dummy_value()

        return types.void(total, types.uint32, a_reads, types.uint32, b_reads), codegen

    return multiply

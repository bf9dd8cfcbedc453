"""The GEMM tile: how a block of threads multiplies two matrices, whatever their rows and columns stand for.

    Tile, tile_for            a block's part of the product and each thread's share of it; which tile a shape gets
    spans                     into how many parts a long sum is cut
    Copies, copies            who copies what to shared memory
    fetch, get_*, put_*       a thread's copies on their way from global to shared memory
    multiply_step(tile)       total += a^T b for the rows of a and b that are in shared memory

A block computes `rows` x `columns` of the product and walks the sum in steps of `depth`. In a step its threads copy depth x
rows of a and depth x columns of b to shared memory, and each thread multiplies what its own outputs need. Thread (i, j)
of the block's grid has the rows 4i .. 4i+3 of every group of 4*thread_grid[0] rows, and columns alike: neighbouring threads
read neighbouring 16 bytes, so no bank is asked twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic
from numba.cuda.types import float32, uint32

from ..ptx import after, element, inlined, load4, read4, store4
from .tiles import ceil_div


@dataclass(frozen=True)
class Tile:
    """A block's tile: extents, steps of the sum, and the rows and columns of one thread (multiples of 4).

    registers is the budget of the kernels that are made with it: with 128-bit accesses to x, and without, where a thread has
    to remember the places of more rows.
    """

    rows: int
    columns: int
    depth: int
    thread_rows: int
    thread_columns: int
    registers: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}x{self.depth}"

    @property
    def thread_grid(self) -> tuple[int, int]:
        """Threads along rows and columns."""
        return self.rows // self.thread_rows, self.columns // self.thread_columns

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.thread_grid[0] * self.thread_grid[1]

    @property
    def outputs(self) -> int:
        """Accumulators of a thread."""
        return self.thread_rows * self.thread_columns

    @property
    def pitches(self) -> tuple[int, int]:
        """Floats from one step of the sum to the next in shared memory: 4 more than used, so that transposed stores of
        neighbouring threads meet different banks."""
        return self.rows + 4, self.columns + 4

    def blocks(self, rows: int, columns: int) -> int:
        """Blocks of a product of this size."""
        return ceil_div(rows, self.rows) * ceil_div(columns, self.columns)


class Copies(NamedTuple):
    """Who copies what in a step: thread t, `vector` floats at lane t % lanes of the `lines` lines t // lanes + i * stride.

    A line is one term of the sum, and a lane `vector` rows (columns); or, copied across, a line is one row (column) and a lane
    `vector` terms.
    """

    vector: int
    lanes: int
    stride: int
    lines: int

    @property
    def values(self) -> int:
        """Floats that a thread copies."""
        return self.vector * self.lines


def copies(tile: Tile, extent: int, wide: bool, across: bool) -> Copies:
    """For an operand of `extent` rows or columns; `wide` copies 4 floats at once."""
    vector = 4 if wide else 1
    lanes = (tile.depth if across else extent) // vector
    stride = tile.threads // lanes
    return Copies(vector, lanes, stride, (extent if across else tile.depth) // stride)


FULL_GPU = 256
"""Blocks that fill a large GPU: about two for each of its multiprocessors."""

Tiles = Mapping[int, tuple[Tile, ...]]

TILES: Tiles = {
    16: (Tile(64, 16, 16, 4, 4, (112, 160)),),
    32: (Tile(128, 32, 16, 8, 4, (128, 168)), Tile(32, 32, 16, 4, 4, (96, 128))),
    1 << 32: (Tile(128, 64, 16, 8, 8, (168, 216)), Tile(64, 64, 16, 8, 4, (120, 144)), Tile(32, 32, 16, 4, 4, (96, 128))),
}
"""For products of up to so many columns: tiles from the largest, which reads least, to the smallest."""


def tile_for(rows: int, columns: int, products: int = 1, parts: int = 1, table: Tiles | None = None) -> Tile:
    """The largest tile that is not half empty and still fills the GPU, else the smallest; of TILES or another table.

    `products` such products run at once; their sums may be cut into `parts`.
    """
    tiles = next(tiles for limit, tiles in (table or TILES).items() if columns <= limit)
    fitting = (t for t in tiles if t.rows < 2 * rows and products * parts * t.blocks(rows, columns) >= FULL_GPU)
    return next(fitting, tiles[-1])


def spans(blocks: int, terms: int, parts: int, depth: int) -> tuple[int, int]:
    """How a sum is cut where `blocks` alone would not fill the GPU: (number of parts, terms of each), from shapes alone.

    There are at most `parts`, and a part is a multiple of `depth` terms.
    """
    wanted = max(1, min(FULL_GPU // blocks, parts))
    span = max(1, ceil_div(terms, wanted * depth)) * depth
    return max(1, ceil_div(terms, span)), span


# ------ code that is emitted whole: loops over register arrays would not all be unrolled


@cache
def multiply_step(tile: Tile) -> Any:
    """The intrinsic multiply_step(total, a, i, b, j) for a tile.

    total[r, c] += sum over k < depth of a[i + k*pitch + row r] * b[j + k*pitch + column c], by fused multiply-adds in the
    order of k. i and j are the thread's first row and column in the step's part of the shared arrays.
    """
    grid, pitches = tile.thread_grid, tile.pitches

    def fragment(builder: ir.IRBuilder, first: ir.Value, k: int, side: int, extent: int) -> list[ir.Value]:
        groups = range(extent // 4)
        return [v for g in groups for v in read4(builder, after(builder, first, k * pitches[side] + g * 4 * grid[side]))]

    @intrinsic
    def multiply(typingctx: Any, total: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            mine = context.make_array(total)(context, builder, args[0]).data
            a_first = element(context, builder, a, args[1], args[2], i)
            b_first = element(context, builder, b, args[3], args[4], j)
            sums = [builder.load(after(builder, mine, n)) for n in range(tile.outputs)]
            for k in range(tile.depth):
                rows = fragment(builder, a_first, k, 0, tile.thread_rows)
                columns = fragment(builder, b_first, k, 1, tile.thread_columns)
                pairs = [(row, column) for row in rows for column in columns]
                sums = [builder.fma(*pair, value) for pair, value in zip(pairs, sums, strict=True)]
            for n, value in enumerate(sums):
                builder.store(value, after(builder, mine, n))
            return context.get_dummy_value()

        return types.void(total, a, i, b, j), codegen

    return multiply


# ------ a thread's copies from global to shared memory


def fetch(vector: int) -> Any:
    """get(mine, i, memory, place, inside): mine[i : i + vector] = memory[place : place + vector], or 0 where not `inside`."""

    def get(mine, i, memory, place, inside):
        for e in range(vector):
            mine[i + e] = float32(0)
        if inside:
            if vector == 4:
                load4(mine, i, memory, place)
            else:
                mine[i] = memory[place]

    return inlined(get)


def get_lines(copied: Copies) -> Any:
    """get(mine, matrix, line, end, column, columns, first, pitch): lines of a matrix, 0 beyond its lines and columns.

    The matrix has `end` lines of `pitch` floats, `columns` of them wanted, and begins at matrix[first]. `line` and `column` are
    the thread's first.
    """
    vector, _, stride, lines = copied
    fetch_one = fetch(vector)

    def get(mine, matrix, line, end, column, columns, first, pitch):
        for i in range(lines):
            here = uint32(line + i * stride)
            fetch_one(mine, i * vector, matrix, uint32(first + here * pitch + column), here < end and column < columns)

    return inlined(get)


def put_lines(copied: Copies, pitch: int) -> Any:
    """put(shared, place, mine): copies of lines go to shared memory as they are; `place` is that of the first."""
    vector, _, stride, lines = copied
    step = stride * pitch

    def put(shared, place, mine):
        for i in range(lines):
            if vector == 4:
                store4(shared, place + i * step, mine, 4 * i)
            else:
                shared[place + i * step] = mine[i]

    return inlined(put)


def put_across(copied: Copies, pitch: int) -> Any:
    """put(shared, place, mine): copies of rows, or columns, are turned into lines."""
    vector, _, stride, lines = copied

    def put(shared, place, mine):
        for i in range(lines):
            for e in range(vector):
                shared[place + e * pitch + i * stride] = mine[i * vector + e]

    return inlined(put)

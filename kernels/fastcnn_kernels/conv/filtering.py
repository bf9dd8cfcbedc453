"""Minimal filtering F(m, r): its matrices, and vector code that applies them to tiles.

    Filtering    along one axis: m outputs of a filter of r taps from m + r - 1 inputs by as many products (Winograd 1980)
    Tile         rows and columns: an m x m' tile of outputs
    transform    target = L source R^T, for tiles of vectors in memory
    transform_add, transform_bias    the same, added to what is there; with a bias and a floor

With tiles of inputs d, weights g and outputs y, and * element by element (Lavin and Gray 2016):

    y = A^T ((G g G^T) * (B^T d B)) A

It is linear in d and in g, so its gradients are its adjoint: dg = G^T ((A dy A^T) * (B^T d B)) G,
dd = B ((G g G^T) * (A dy A^T)) B^T. An axis with one tap has m = alpha = 1 and unit matrices.

The matrices are those of Toom and Cook for the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity. Terms of F(m, r) cancel: in
float32, with alpha = m + r - 1, the largest error over the largest output is about 1e-6 for alpha <= 4, and below 1e-5 for
alpha <= 8 as long as m <= 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from ..simd import address, broadcast, call_llvm, f32x16, literal_intrinsic

Matrix = NDArray[np.float64]
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
MOST = len(POINTS) + 1
"""The largest alpha: more points lose more digits than the products they save are worth."""


@dataclass(frozen=True)
class Filtering:
    """F(m, r)."""

    m: int
    r: int

    @property
    def alpha(self) -> int:
        """Inputs of a tile, and products."""
        return self.m + self.r - 1

    @property
    def a(self) -> Matrix:
        """(alpha, m): a polynomial's values at the points from its coefficients."""
        return _values(self.alpha, self.m)

    @property
    def g(self) -> Matrix:
        """(alpha, r): the same for the filter, each row divided by the product of its point's distances to the others."""
        points = POINTS[: self.alpha - 1]
        distances = [np.prod([p - q for q in points if q != p]) for p in points]
        return _values(self.alpha, self.r) / np.array([*distances, 1.0])[:, None]

    @property
    def b(self) -> Matrix:
        """(alpha, alpha): column j holds the coefficients of the product of (x - q) over all points q but the j-th."""
        points = POINTS[: self.alpha - 1]
        roots = [*([q for q in points if q != p] for p in points), points]
        columns = [np.atleast_1d(np.poly(r))[::-1] for r in roots]
        return np.stack([np.pad(c, (0, self.alpha - len(c))) for c in columns], 1)


def _values(alpha: int, coefficients: int) -> Matrix:
    finite = np.vander(POINTS[: alpha - 1], coefficients, increasing=True)
    return np.vstack([finite, np.eye(coefficients)[-1:]])


@dataclass(frozen=True)
class Tile:
    """Filtering along rows (the axis H) and along columns (the axis W)."""

    rows: Filtering
    columns: Filtering

    @property
    def frequencies(self) -> int:
        """Products of a tile and channel."""
        return self.rows.alpha * self.columns.alpha

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """What `transform` takes: m and r of the rows, m and r of the columns."""
        return self.rows.m, self.rows.r, self.columns.m, self.columns.r

    @property
    def outputs(self) -> tuple[int, int]:
        """Rows and columns of outputs of a tile."""
        return self.rows.m, self.columns.m

    def __str__(self) -> str:
        return f"f{self.rows.m}x{self.columns.m}_{self.rows.r}x{self.columns.r}"


# ------ matrices times vectors of lanes


def _sum(builder: ir.IRBuilder, weights: Sequence[float], vectors: Sequence[ir.Value]) -> ir.Value:
    """Sum of weights * vectors; those of weight 1 first, so that the sum starts with a plain vector if it can."""
    terms = sorted(((w, v) for w, v in zip(weights, vectors, strict=True) if w), key=lambda term: (term[0] != 1, term[0] != -1))
    if not terms:
        return ir.Constant(f32x16.ir, [0.0] * f32x16.ir.count)
    (weight, total), *rest = terms
    total = total if weight == 1 else builder.fmul(total, _constant(builder, weight))
    for weight, vector in rest:
        if abs(weight) == 1:
            total = builder.fadd(total, vector) if weight == 1 else builder.fsub(total, vector)
        else:
            total = call_llvm(builder, "fmuladd", vector, _constant(builder, weight), total)
    return total


def _constant(builder: ir.IRBuilder, weight: float) -> ir.Value:
    return broadcast(builder, ir.Constant(ir.FloatType(), float(np.float32(weight))))


def _pairs(rows: Matrix) -> list[tuple[int, int]]:
    """Pairs of rows that differ in the sign of some entries: those of the points p and -p."""
    found: list[tuple[int, int]] = []
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            free = not any(k in pair for pair in found for k in (i, j))
            opposite = rows[i] != rows[j]
            if free and np.array_equal(np.abs(rows[i]), np.abs(rows[j])) and opposite.any() and (rows[i][~opposite] != 0).any():
                found.append((i, j))
    return found


def _product(builder: ir.IRBuilder, matrix: Matrix, vectors: Sequence[ir.Value]) -> list[ir.Value]:
    """matrix @ vectors. Points p and -p make pairs of rows, or of columns in a transposed matrix, that share their sums."""
    pairs = _pairs(matrix)
    if not pairs and (columns := _pairs(matrix.T)):
        return _by_columns(builder, matrix, vectors, columns)
    result: list[Any] = [None] * len(matrix)
    for i, j in pairs:
        same = matrix[i] == matrix[j]
        even, odd = _sum(builder, matrix[i] * same, vectors), _sum(builder, matrix[i] * ~same, vectors)
        result[i], result[j] = builder.fadd(even, odd), builder.fsub(even, odd)
    return [_sum(builder, row, vectors) if value is None else value for row, value in zip(matrix, result, strict=True)]


def _by_columns(
    builder: ir.IRBuilder, matrix: Matrix, vectors: Sequence[ir.Value], pairs: list[tuple[int, int]]
) -> list[ir.Value]:
    weights, values, paired = [], [], {k for pair in pairs for k in pair}
    for i, j in pairs:
        same = matrix[:, i] == matrix[:, j]
        weights += [matrix[:, i] * same, matrix[:, i] * ~same]
        values += [builder.fadd(vectors[i], vectors[j]), builder.fsub(vectors[i], vectors[j])]
    for k in set(range(matrix.shape[1])) - paired:
        weights.append(matrix[:, k])
        values.append(vectors[k])
    return [_sum(builder, row, values) for row in np.stack(weights, 1)]


def _places(builder: ir.IRBuilder, where: Sequence[ir.Value], extents: tuple[int, int]) -> list[list[ir.Value]]:
    """Pointers to extents[0] x extents[1] vectors: where = (address, bytes to the next row, to the next column)."""
    start, row, column = where
    i64 = start.type

    def at(r: int, c: int) -> ir.Value:
        across, down = builder.mul(column, i64(c)), builder.mul(row, i64(r))
        return address(builder, builder.add(builder.add(start, down), across), f32x16.ir)

    return [[at(r, c) for c in range(extents[1])] for r in range(extents[0])]


def _literals(*types_: Any) -> tuple[list[Any], tuple[Any, ...]]:
    values = [literal.literal_value for literal in types_]
    return values, tuple(types.literal(value) for value in values)


def _load(
    builder: ir.IRBuilder, literals: Sequence[Any], where: Sequence[ir.Value]
) -> list[list[ir.Value]]:
    """L source R^T as rows of vectors, for the literals (name, m, r, m', r')."""
    name, *numbers = literals
    left, right = (_matrix(Filtering(*pair), name) for pair in (numbers[:2], numbers[2:]))
    read = [[builder.load(p, align=4) for p in row] for row in _places(builder, where, (left.shape[1], right.shape[1]))]
    by_column = [_product(builder, left, column) for column in zip(*read, strict=True)]
    return [_product(builder, right, row) for row in zip(*by_column, strict=True)]


def _matrix(filtering: Filtering, name: str) -> Matrix:
    matrix: Matrix = getattr(filtering, name[0])
    return matrix.T if name.endswith("t") else matrix


def _store(builder: ir.IRBuilder, where: Sequence[ir.Value], result: list[list[ir.Value]], finish: Any) -> None:
    for values, places in zip(result, _places(builder, where, (len(result), len(result[0]))), strict=True):
        for value, place in zip(values, places, strict=True):
            builder.store(finish(value, place), place, align=4)


@literal_intrinsic
def transform(
    typingctx: Any, name: Any, m: Any, r: Any, m_: Any, r_: Any,
    source: Any, source_row: Any, source_column: Any, target: Any, target_row: Any, target_column: Any,
) -> Any:  # fmt: skip
    """target = L source R^T: tiles of vectors at (address, bytes to the next row, bytes to the next column).

    `name` is "a", "b", "g", or transposed "at", "bt", "gt": the matrix of F(m, r) for L, of F(m_, r_) for R.
    """
    values, kinds = _literals(name, m, r, m_, r_)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        result = _load(builder, values, args[5:8])
        _store(builder, args[8:11], result, lambda value, place: value)
        return context.get_dummy_value()

    return types.void(*kinds, *(types.int64,) * 6), codegen


@literal_intrinsic
def transform_add(
    typingctx: Any, name: Any, m: Any, r: Any, m_: Any, r_: Any,
    source: Any, source_row: Any, source_column: Any, target: Any, target_row: Any, target_column: Any,
) -> Any:  # fmt: skip
    """target += L source R^T: see transform."""
    values, kinds = _literals(name, m, r, m_, r_)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        result = _load(builder, values, args[5:8])
        _store(builder, args[8:11], result, lambda value, place: builder.fadd(builder.load(place, align=4), value))
        return context.get_dummy_value()

    return types.void(*kinds, *(types.int64,) * 6), codegen


@literal_intrinsic
def transform_bias(
    typingctx: Any, name: Any, m: Any, r: Any, m_: Any, r_: Any,
    source: Any, source_row: Any, source_column: Any, target: Any, target_row: Any, target_column: Any, bias: Any, floor: Any,
) -> Any:  # fmt: skip
    """target = maximum(L source R^T + bias, floor), a NaN as it is: see transform. bias, floor: a vector each."""
    values, kinds = _literals(name, m, r, m_, r_)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        shift, lowest = args[11:13]

        def finish(value: ir.Value, place: ir.Value) -> ir.Value:
            value = builder.fadd(value, shift)
            return builder.select(builder.fcmp_unordered(">", value, lowest), value, lowest)

        result = _load(builder, values, args[5:8])
        _store(builder, args[8:11], result, finish)
        return context.get_dummy_value()

    return types.void(*kinds, *(types.int64,) * 6, f32x16, f32x16), codegen

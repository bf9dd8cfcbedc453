"""Instructions that the 32 lanes of a warp execute together, on arrays of shape (W, 32): shuffles, votes, matrix
fragments.

    shuffle_source, ballot      shfl.sync, vote.sync
    matrix_multiply             mma.sync: m16n8k8 (tf32), m16n8k16 (bf16, f16), float32 accumulators
    matrix_rows                 ldmatrix: 8x8 matrices of 16-bit elements, already fetched as rows

Fragment layouts are written as the PTX ISA writes them (9.7.14.5, "Matrix fragments"): groupID = lane / 4,
threadID_in_group = lane % 4, and row and column of element i of each lane's registers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arithmetic import from_bfloat16
from .lanes import WARP
from .ptx_types import Array

_LANE = np.arange(WARP)
_GROUP = (_LANE // 4)[:, None]
_MEMBER = (_LANE % 4)[:, None]


def shuffle_source(mode: str, source: Array, control: Array) -> tuple[Array, Array]:
    """(the lane that each lane reads from, whether it is in range), (W, 32); out of range a lane reads from itself.

    `mode` is up, down, bfly or idx; `control` holds the clamp value in bits 0-4 and the segment mask in bits 8-12.
    Source: the pseudo-code of shfl.sync in the PTX ISA.
    """
    source, control = source.astype(np.int64) & 31, control.astype(np.int64)
    clamp, segment = control & 31, (control >> 8) & 31
    low = _LANE & segment
    high = low | (clamp & ~segment)
    lane = {
        "up": lambda: _LANE - source,
        "down": lambda: _LANE + source,
        "bfly": lambda: _LANE ^ source,
        "idx": lambda: low | (source & ~segment),
    }[mode]()
    in_range = lane >= high if mode == "up" else lane <= high
    return np.where(in_range, lane, _LANE), in_range


def ballot(holds: Array) -> Array:
    """A predicate (W, 32) as a mask of 32 bits, uint32 (W, 1)."""
    return np.packbits(holds, axis=1, bitorder="little").view(np.uint32)


@dataclass(frozen=True)
class Fragment:
    """Row and column of each lane's elements, (32, elements), in a matrix of this shape."""

    shape: tuple[int, int]
    rows: Array
    columns: Array

    def gather(self, elements: Array) -> Array:
        """(W, 32, elements) -> matrices (W, *shape)."""
        matrix = np.empty((len(elements), *self.shape), elements.dtype)
        matrix[:, self.rows, self.columns] = elements
        return matrix

    def scatter(self, matrix: Array) -> Array:
        """Matrices (W, *shape) -> (W, 32, elements)."""
        return matrix[:, self.rows, self.columns]


def _columns_of(elements: int) -> Array:
    return np.arange(elements)[None]


def _accumulator() -> Fragment:
    i = _columns_of(4)
    return Fragment((16, 8), _GROUP + 8 * (i // 2), 2 * _MEMBER + i % 2)


def _tf32() -> tuple[Fragment, Fragment]:
    i, j = _columns_of(4), _columns_of(2)
    a = Fragment((16, 8), _GROUP + 8 * (i % 2), _MEMBER + 4 * (i // 2))
    return a, Fragment((8, 8), _MEMBER + 4 * j, np.broadcast_to(_GROUP, (WARP, 2)))


def _half() -> tuple[Fragment, Fragment]:
    i, j = _columns_of(8), _columns_of(4)
    a = Fragment((16, 16), _GROUP + 8 * (i // 2 % 2), 2 * _MEMBER + i % 2 + 8 * (i // 4))
    return a, Fragment((16, 8), 2 * _MEMBER + j % 2 + 8 * (j // 2), np.broadcast_to(_GROUP, (WARP, 4)))


_ACCUMULATOR = _accumulator()
_OPERANDS = {("m16n8k8", "tf32"): _tf32(), ("m16n8k16", "bf16"): _half(), ("m16n8k16", "f16"): _half()}


def has_matrix_multiply(shape: str, kind: str) -> bool:
    """Whether matrix_multiply knows this shape and element type."""
    return (shape, kind) in _OPERANDS


def matrix_multiply(shape: str, kind: str, a: Array, b: Array, c: Array) -> Array:
    """a @ b + c for each warp; a and b are registers (W, 32, n) of uint32, c and the result (W, 32, 4) of float32."""
    fragment_a, fragment_b = _OPERANDS[shape, kind]
    left, right = fragment_a.gather(_elements(kind, a)), fragment_b.gather(_elements(kind, b))
    return _ACCUMULATOR.scatter(_ACCUMULATOR.gather(c) + np.matmul(left, right))


def _elements(kind: str, registers: Array) -> Array:
    """What 32-bit registers hold, as float32: a tf32, whose lowest 13 bits do not count, or two 16-bit elements."""
    registers = np.ascontiguousarray(registers)
    if kind == "tf32":
        return (registers & np.uint32(0xFFFFE000)).view(np.float32)
    halves = registers.view(np.uint16)
    return from_bfloat16(halves) if kind == "bf16" else halves.view(np.float16).astype(np.float32)


def matrix_rows(rows: Array, transposed: bool) -> Array:
    """Matrices (W, n, 8, 8) of 16-bit elements -> the n registers of each lane, uint32 (W, 32, n).

    Register i of lane l holds row l / 4, columns 2 * (l % 4) and the next one, of matrix i (of its transpose with
    `.trans`).
    """
    if transposed:
        rows = rows.swapaxes(2, 3)
    registers = np.ascontiguousarray(rows).view(np.uint32).reshape(len(rows), -1, WARP)
    return registers.swapaxes(1, 2)

"""Atomic read-modify-write for many lanes at once, as if the lanes came one after the other.

    apply(memory, index, operation, operands)      -> what each lane found

Lanes with the same address are brought together by a stable sort; within such a group the lane order decides.
Associative operations are a segmented scan (Hillis and Steele, "Data parallel algorithms", 1986); the others go
lane by lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .ptx_types import Array

_ASSOCIATIVE: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda _, new: new,
}

_SEQUENTIAL: dict[str, Callable[..., Any]] = {
    "cas": lambda old, expected, new: np.where(old == expected, new, old),
    "inc": lambda old, limit: np.where(old >= limit, old.dtype.type(0), old + old.dtype.type(1)),
    "dec": lambda old, limit: np.where((old == 0) | (old > limit), limit, old - old.dtype.type(1)),
}

OPERATIONS = tuple(_ASSOCIATIVE) + tuple(_SEQUENTIAL)


def apply(memory: Array, index: Array, operation: str, operands: Sequence[Array]) -> Array:
    """Update memory[index] with one operand a lane (cas: expected and new); what the lanes found, (lanes,)."""
    order = np.argsort(index, kind="stable")
    index, operands = index[order], [operand[order] for operand in operands]
    first = np.diff(index, prepend=index[0] - 1) != 0
    found = (_scan if operation in _ASSOCIATIVE else _in_turn)(memory, index, first, operation, operands)
    result = np.empty_like(found)
    result[order] = found
    return result


def _scan(memory: Array, index: Array, first: Array, operation: str, operands: Sequence[Array]) -> Array:
    """Lane k of a group finds memory combined with the operands of the lanes before it."""
    combine = _ASSOCIATIVE[operation]
    after = np.where(first, combine(memory[index], operands[0]), operands[0])
    group_start = np.maximum.accumulate(np.where(first, np.arange(len(index)), 0))
    rank = np.arange(len(index)) - group_start
    step = 1
    while step <= rank.max():
        reached = np.flatnonzero(rank >= step)
        after[reached] = combine(after[reached - step], after[reached])
        step *= 2
    found = np.where(first, memory[index], np.roll(after, 1))
    memory[index] = after  # of equal indices the last stays, which is the last of its group
    return found


def _in_turn(memory: Array, index: Array, first: Array, operation: str, operands: Sequence[Array]) -> Array:
    """The lanes of a group one after the other, all groups together."""
    group_start = np.maximum.accumulate(np.where(first, np.arange(len(index)), 0))
    rank = np.arange(len(index)) - group_start
    found = np.empty(len(index), memory.dtype)
    for turn in range(int(rank.max()) + 1):
        now = np.flatnonzero(rank == turn)
        found[now] = memory[index[now]]
        memory[index[now]] = _SEQUENTIAL[operation](found[now], *(operand[now] for operand in operands))
    return found

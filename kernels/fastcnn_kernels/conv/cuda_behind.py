"""What comes behind a product and is done on its way to memory, so that it takes no launch and no pass over memory of its own.

    Drop       dropout of a layer's output
    Through    of a data gradient: the derivative of the activation below, and the way back through its 2x2 pool and dropout
    Behind     which of them a kernel is compiled for
    drop_run, pass_through, scatter_run, store_run   the pieces for a run of neighbouring elements

The rules that put works behind products are in cuda_rules.py.

Numbers and addresses lie in a small table, `extra`, which the epilogue alone reads.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint8, uint32

from ..api import Tensor
from ..device.functions import derivative
from ..device.plan import float_bits
from ..device.tickets import COUNTERS, PARTS
from ..ptx import as_float, inlined, pointer_to, store2, store4
from ..random.cuda import SEED, STEP, philox
from ..random.reference import uniform_limit

SCALARS, LIMIT, OP_ID, KEPT, MASK, ARGMAX, CHANNELS, WIDTH, SCALE, ALPHA = range(2, 12)
"""Words of `extra` after PARTS and COUNTERS."""
assert (PARTS, COUNTERS) == (0, 1)


@dataclass(frozen=True)
class Drop:
    """y becomes y / (1 - rate) where a random number is not below the rate, else 0: dropout_forward."""

    scalars: Tensor
    rate: float
    op_id: int

    def words(self) -> list[Any]:
        """Its part of `extra`."""
        return [self.scalars, uniform_limit(self.rate), self.op_id % (1 << 32), float_bits(1 / (1 - self.rate))]


@dataclass(frozen=True)
class Through:
    """dx becomes dz = scale * dx * act'(y) of the layer below, at the pixel that won its window where there is a pool.

    y is the output of the layer below, after its dropout; `width` that of its rows of windows.
    """

    y: Tensor
    argmax: Tensor | None
    activation: str
    alpha: float
    scale: float
    channels: int
    width: int

    def words(self) -> list[Any]:
        """Its part of `extra`."""
        return [self.y, self.argmax, self.channels, self.width, float_bits(self.scale), float_bits(self.alpha)]


@dataclass(frozen=True)
class Behind:
    """Which pieces a kernel has: split, a sum in parts that the last block adds; dropped; the activation below; unpooled."""

    split: bool = False
    dropped: bool = False
    through: str = ""
    unpooled: bool = False

    @property
    def long(self) -> bool:
        """Whether it takes many instructions an element."""
        return self.dropped or self.unpooled

    def __str__(self) -> str:
        words = [name for name in ("split", "dropped", "unpooled") if getattr(self, name)]
        return ",".join([*words, *([f"through {self.through}"] if self.through else [])])


NOTHING = Behind()


def extra(parts: Tensor | None, counters: Tensor | None, drop: Drop | None, through: Through | None) -> list[Any]:
    """The words of the table."""
    return [parts, counters, *(drop.words() if drop else [0] * 4), *(through.words() if through else [0] * 6)]


@cache
def store_run(run: int) -> Any:
    """store(memory, place, mine, i): `run` neighbours in one access."""

    def store(memory, place, mine, i):
        memory[place] = mine[i]

    return {1: inlined(store), 2: store2, 4: store4}[run]


@cache
def drop_run(run: int) -> Any:
    """drop(total, first, at, extra): dropout of the elements at .. at + run, `run` 2 or 4, which one counter serves."""
    words_at = pointer_to(uint32)

    def drop(total, first, at, extra):
        scalars, limit, op_id = words_at(extra[SCALARS]), uint32(extra[LIMIT]), uint32(extra[OP_ID])
        scale = as_float(uint32(extra[KEPT]))
        words = philox(uint32(at // 4), uint32(0), scalars[STEP], op_id, scalars[SEED], scalars[SEED + 1])
        a, b = words[0], words[1]
        if run == 2 and at % 4 != 0:
            a, b = words[2], words[3]
        total[first] = scale * total[first] if a >> uint32(8) >= limit else float32(0)
        total[first + 1] = scale * total[first + 1] if b >> uint32(8) >= limit else float32(0)
        if run == 4:
            total[first + 2] = scale * total[first + 2] if words[2] >> uint32(8) >= limit else float32(0)
            total[first + 3] = scale * total[first + 3] if words[3] >> uint32(8) >= limit else float32(0)

    return inlined(drop)


@cache
def pass_through(run: int, activation: str) -> Any:
    """through(total, first, at, extra): times scale * act'(y) at the elements at .. at + run."""
    slope, floats_at = derivative(activation), pointer_to(float32)

    def through(total, first, at, extra):
        y, scale, alpha = floats_at(extra[MASK]), as_float(uint32(extra[SCALE])), as_float(uint32(extra[ALPHA]))
        for e in range(run):
            total[first + e] *= scale * slope(y[uint32(at + e)], alpha)

    return inlined(through)


@cache
def scatter_run(run: int) -> Any:
    """scatter(dz, total, first, at, extra): each element to the pixel of its window that won, 0 to the other three."""
    bytes_at, store = pointer_to(uint8), store_run(run)

    def scatter(dz, total, first, at, extra):
        argmax, value = bytes_at(extra[ARGMAX]), cuda.local.array(4, float32)
        channels, width = uint32(extra[CHANNELS]), uint32(extra[WIDTH])
        window = uint32(at // channels)
        line = uint32(window // width)
        place = uint32((4 * line * width + 2 * (window - line * width)) * channels + (at - window * channels))
        for k in range(4):
            for e in range(run):
                value[e] = total[first + e] if uint32(argmax[uint32(at + e)]) == uint32(k) else float32(0)
            store(dz, uint32(place + (k // 2 * 2 * width + k % 2) * channels), value, uint32(0))

    return inlined(scatter)

"""Optimizers on the GPU: elementwise over parameters, four weights a thread, at the speed of memory.

    Update           what one launch does to all weights of a network; gradients may come as parts, added in order
    optimizer_step   one weight's; one kernel a rule: 12 bytes a weight, and 8 a slot
    add_parts        rule: gradients that come in parts are added by the step
    step_together    rule: the steps of a plan are one launch
    clip_factor      sums of squares a block, then one block that adds them in order

Nothing is computed in float64: what a rule needs of the number of steps done comes from the host as RATE, GRADIENT_RATE and
EPSILON, narrowed by integer arithmetic.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32, uint64

from ..api import RULES, Scalars, Tensor
from ..device.kernel import CudaKernel, kernel
from ..device.plan import Table, float_bits
from ..device.reduction import total_of
from ..device.tiles import ceil_div, quad_grid
from ..device.works import Works
from ..ptx import as_float, inlined, load4, load_quad, narrowed, pointer_to, store4, store_quad

THREADS = 256
PARTS = 256
"""Blocks that add up the squares of one tensor at most."""
LEARNING_RATE, RATE, GRADIENT_RATE, EPSILON, NONFINITE = (
    Scalars.LEARNING_RATE, Scalars.RATE, Scalars.GRADIENT_RATE, Scalars.EPSILON, Scalars.NONFINITE,
)  # fmt: skip


@dataclass(eq=False)
class Segment:
    """One weight of an Update. Its gradient is `dw`, or the sum of `parts` parts of it, each rounded up to fours."""

    w: Tensor
    dw: Tensor
    slots: tuple[Tensor, ...]
    factor: Tensor | None
    weight_decay: float
    parts: int = 1

    @property
    def lines(self) -> int:
        """Threads that share a sum of parts."""
        return 1 if self.parts == 1 else 8 if self.parts <= 64 else 32

    def words(self) -> list[Any]:
        """The segment's row of the table: see ROW."""
        padded = ceil_div(self.w.size, 4) * 4
        places = (*self.slots, *[None] * (3 - len(self.slots)))
        numbers = (self.w.size, self.parts, padded, self.lines, float_bits(self.weight_decay))
        return [self.w, self.dw, *places, self.factor, *numbers]


@dataclass(eq=False)
class Update:
    """w = (1 - weight_decay * LEARNING_RATE) * w - step of the rule for the clipped gradient, segment by segment."""

    rule: str
    numbers: tuple[float, ...]
    segments: Sequence[Segment]
    scalars: Tensor

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """Gradients, factors, scalars."""
        gradients = [t for one in self.segments for t in (one.dw, one.factor) if t is not None]
        return (*dict.fromkeys(gradients), self.scalars)

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """Weights and slots."""
        return tuple(t for one in self.segments for t in (one.w, *one.slots))

    def launch(self, plan: Any) -> None:
        """One launch: a table of segments, and one that tells each block its segment and its first element."""
        owners = [
            number << 32 | first
            for number, one in enumerate(self.segments)
            for first in range(0, one.w.size, 4 * THREADS // one.lines)
        ]
        table = Table([word for one in self.segments for word in one.words()])
        summed = any(one.parts > 1 for one in self.segments)
        arguments = (table, Table(owners), self.scalars, *self.numbers)
        plan.launch(step_kernel(self.rule, summed), len(owners), arguments, writes=self.writes)


def optimizer_step(
    plan: Any, w: Any, dw: Any, slots: Sequence[Any], factor: Any, scalars: Any, *,
    rule: str, beta_1: float = 0.0, beta_2: float = 0.0, weight_decay: float = 0.0, clipvalue: float | None = None,
) -> None:
    """w = (1 - weight_decay * LEARNING_RATE) * w - step of the rule for the clipped gradient."""
    limit = math.inf if clipvalue is None else clipvalue
    segment = Segment(w, dw, tuple(slots), factor, weight_decay)
    plan.add(Update(rule, (limit, beta_1, beta_2, 1 - beta_1, 1 - beta_2), [segment], scalars))


def add_parts(works: Works) -> None:
    """Rule: the step adds the parts of a gradient that nobody else reads, so that no launch has to."""
    for update in works.of(Update):
        (segment,) = update.segments
        producer = works.users(segment.dw)[0]
        if hasattr(producer, "leaving_parts") and works.between(segment.dw, producer, update):
            found = producer.leaving_parts(segment.dw)
            if found:
                works.replace((), found[0], producer)
                works.replace((), replace(update, segments=[replace(segment, dw=found[1], parts=found[1].shape[0])]), update)


def step_together(works: Works) -> None:
    """Rule: steps of one rule with the same numbers are one launch, where the last of them was: gradients are ready by then,
    and nobody reads the weights between them."""
    groups: dict[Any, list[Update]] = {}
    for one in works.of(Update):
        groups.setdefault((one.rule, one.numbers), []).append(one)
    for group in groups.values():
        *others, last = group
        segments = [segment for one in group for segment in one.segments]
        if others and len({works.root(t) for one in segments for t in (one.w, *one.slots)}) == sum(map(_touched, segments)):
            works.replace(others, replace(last, segments=segments), last)


def _touched(segment: Segment) -> int:
    return 1 + len(segment.slots)


def clip_factor(plan: Any, xs: Sequence[Any], factor: Any, *, limit: float) -> None:
    """factor = limit / max(norm, limit)."""
    grids = [min(PARTS, quad_grid(x.size, THREADS)) for x in xs]
    sums = plan.scratch("sums of squares", (sum(grids),))
    for k, (x, blocks) in enumerate(zip(xs, grids, strict=True)):
        plan.launch(square_sums_kernel(), blocks, (x, sums, sum(grids[:k]), x.size), writes=(sums,))
    plan.launch(clip_factor_kernel(), 1, (sums, factor, limit, sums.size), writes=(factor,))


# ------ the step of each rule for one weight, and its slots x, y, z afterwards
# r, q, e: RATE, GRADIENT_RATE, EPSILON; b1, b2: the betas; c1, c2: 1 - beta


def _sgd(g, x, y, z, r, q, e, b1, b2, c1, c2):
    return r * g, x, y, z


def _momentum(g, x, y, z, r, q, e, b1, b2, c1, c2):
    velocity = b1 * x - r * g
    return -velocity, velocity, y, z


def _nesterov(g, x, y, z, r, q, e, b1, b2, c1, c2):
    velocity = b1 * x - r * g
    return r * g - b1 * velocity, velocity, y, z


def _lion(g, x, y, z, r, q, e, b1, b2, c1, c2):
    direction = g + (x - g) * b1
    sign = float32(1) if direction > float32(0) else (float32(-1) if direction < float32(0) else direction)
    return r * sign, x + (g - x) * c2, y, z


def _adam(g, x, y, z, r, q, e, b1, b2, c1, c2):
    m, v = x + (g - x) * c1, y + (g * g - y) * c2
    return (r * m + q * g) / (math.sqrt(v) + e), m, v, z


def _amsgrad(g, x, y, z, r, q, e, b1, b2, c1, c2):
    m, v = x + (g - x) * c1, y + (g * g - y) * c2
    largest = z if z > v else v
    return (r * m + q * g) / (math.sqrt(largest) + e), m, v, largest


def _adamax(g, x, y, z, r, q, e, b1, b2, c1, c2):
    m, past = x + (g - x) * c1, b2 * y
    u = past if past > abs(g) else abs(g)
    return r * m / (u + e), m, u, z


def _adagrad(g, x, y, z, r, q, e, b1, b2, c1, c2):
    squares = x + g * g
    return r * g / math.sqrt(squares + e), squares, y, z


def _adadelta(g, x, y, z, r, q, e, b1, b2, c1, c2):
    squares = x + (g * g - x) * c2
    step = g * math.sqrt(y + e) / math.sqrt(squares + e)
    return r * step, squares, y + (step * step - y) * c2, z


def _rmsprop(g, x, y, z, r, q, e, b1, b2, c1, c2):
    v = x + (g * g - x) * c2
    return r * g / math.sqrt(v + e), v, y, z


def _rmsprop_momentum(g, x, y, z, r, q, e, b1, b2, c1, c2):
    v = x + (g * g - x) * c2
    step = b1 * y + r * g / math.sqrt(v + e)
    return step, v, step, z


def _rmsprop_centered(g, x, y, z, r, q, e, b1, b2, c1, c2):
    v, mean = x + (g * g - x) * c2, y + (g - y) * c2
    return r * g / math.sqrt(v - mean * mean + e), v, mean, z


def _rmsprop_centered_momentum(g, x, y, z, r, q, e, b1, b2, c1, c2):
    v, mean = x + (g * g - x) * c2, y + (g - y) * c2
    step = b1 * z + r * g / math.sqrt(v - mean * mean + e)
    return step, v, mean, step


STEPS = {
    "sgd": _sgd, "momentum": _momentum, "nesterov": _nesterov, "lion": _lion, "adam": _adam, "amsgrad": _amsgrad,
    "adamax": _adamax, "adagrad": _adagrad, "adadelta": _adadelta, "rmsprop": _rmsprop, "rmsprop_momentum": _rmsprop_momentum,
    "rmsprop_centered": _rmsprop_centered, "rmsprop_centered_momentum": _rmsprop_centered_momentum,
}  # fmt: skip


# ------ kernels

ROW = 11
"""Words of a segment: w, gradient, three slots, factor, elements, parts, elements from part to part, lines, weight decay."""


@cache
def step_kernel(rule: str, summed: bool) -> CudaKernel:
    """The kernel of a rule; `summed` where some gradients come as parts."""
    stepped, slots = inlined(STEPS[rule]), len(RULES[rule])
    floats_at, room, variant = pointer_to(float32), 4 * THREADS, f"{rule},summed" if summed else rule

    @kernel("u64*, u64*, u64*, f32, f32, f32, f32, f32", threads=THREADS, registers=64, variant=variant)
    def step(table, owners, scalars, limit, b1, b2, c1, c2):
        """w[i] = (1 - decay * learning rate) * w[i] - step, and the rule's slots, for the gradient dw[i] * factor[0], limited
        to [-limit, limit]; nothing while NONFINITE is set. A block has the weights from owners[block] % 2^32 on of segment
        owners[block] // 2^32 of the table: see ROW.

        Where a gradient comes as parts, line l of the block's threads adds the parts l, l + lines, ..., then the lines are
        added in order. A thread takes four weights. Reads 8 and writes 4 bytes a weight, 4 and 4 a slot, 4 more a part.
        """
        if summed:
            partial = cuda.shared.array(room, float32, alignment=16)
        weight, gradient = cuda.local.array(4, float32), cuda.local.array(4, float32)
        x, y, z = cuda.local.array(4, float32), cuda.local.array(4, float32), cuda.local.array(4, float32)
        if scalars[NONFINITE] != 0:
            return
        owner, thread = owners[uint32(cuda.blockIdx.x)], uint32(cuda.threadIdx.x)
        row = uint32(uint32(owner >> uint64(32)) * uint32(ROW))
        n, lane, line = uint32(table[row + 6]), thread, uint32(0)
        w, dw = floats_at(table[row]), floats_at(table[row + 1])
        if summed:
            parts, pitch, lines = uint32(table[row + 7]), uint32(table[row + 8]), uint32(table[row + 9])
            lanes = uint32(uint32(THREADS) // lines)
            line = uint32(thread // lanes)
            lane = uint32(thread - line * lanes)
        i = uint32(uint32(owner) + 4 * lane)
        if i < n:
            if summed:
                for k in range(4):
                    gradient[k] = float32(0)
                part = line
                while part < parts:
                    load_quad(x, dw, uint32(part * pitch + i), uint32(part * pitch + n))
                    for k in range(4):
                        gradient[k] += x[k]
                    part = uint32(part + lines)
            else:
                load_quad(gradient, dw, i, n)
        if summed and lines > 1:
            store4(partial, uint32(4 * thread), gradient, uint32(0))
            cuda.syncthreads()
            if line == 0:
                for other in range(1, lines):
                    load4(x, uint32(0), partial, uint32(4 * (other * lanes + lane)))
                    for k in range(4):
                        gradient[k] += x[k]
        if i < n and line == 0:
            r, q, e = narrowed(scalars[RATE]), narrowed(scalars[GRADIENT_RATE]), narrowed(scalars[EPSILON])
            keep = float32(1) - as_float(uint32(table[row + 10])) * narrowed(scalars[LEARNING_RATE])
            scale = float32(1)
            if table[row + 5] != 0:
                scale = floats_at(table[row + 5])[0]
            load_quad(weight, w, i, n)
            if slots > 0:
                load_quad(x, floats_at(table[row + 2]), i, n)
            if slots > 1:
                load_quad(y, floats_at(table[row + 3]), i, n)
            if slots > 2:
                load_quad(z, floats_at(table[row + 4]), i, n)
            for k in range(4):
                g = scale * gradient[k]
                # min.f32 and max.f32 would turn NaN into a number and hide where it began.
                g = limit if g > limit else (-limit if g < -limit else g)
                change, x[k], y[k], z[k] = stepped(g, x[k], y[k], z[k], r, q, e, b1, b2, c1, c2)
                weight[k] = keep * weight[k] - change
            if slots > 0:
                store_quad(floats_at(table[row + 2]), i, n, x)
            if slots > 1:
                store_quad(floats_at(table[row + 3]), i, n, y)
            if slots > 2:
                store_quad(floats_at(table[row + 4]), i, n, z)
            store_quad(w, i, n, weight)

    return step


@cache
def square_sums_kernel() -> CudaKernel:
    """The kernel."""
    total_across = total_of(THREADS)

    @kernel("f32*, f32*, u32, u32", threads=THREADS, registers=40)
    def square_sums(x, sums, first, n):
        """sums[first + block] = sum of the squares of the elements of x that the block strides over; reads 4 bytes each."""
        value, total = cuda.local.array(4, float32), float32(0)
        i = uint32(4 * (cuda.blockIdx.x * THREADS + cuda.threadIdx.x))
        while i < n:
            load_quad(value, x, i, n)
            for k in range(4):
                total += value[k] * value[k]
            i = uint32(i + 4 * THREADS * cuda.gridDim.x)
        total = total_across(total)
        if cuda.threadIdx.x == 0:
            sums[first + uint32(cuda.blockIdx.x)] = total

    return square_sums


@cache
def clip_factor_kernel() -> CudaKernel:
    """The kernel."""
    total_across = total_of(THREADS)

    @kernel("f32*, f32*, f32, u32", threads=THREADS, registers=40)
    def clip_factor(sums, factor, limit, n):
        """factor[0] = limit / max(norm, limit), norm = sqrt of the sum of sums[:n]; one block."""
        total, i = float32(0), uint32(cuda.threadIdx.x)
        while i < n:
            total += sums[i]
            i = uint32(i + THREADS)
        norm = math.sqrt(total_across(total))
        if cuda.threadIdx.x == 0:
            # A norm that is not a number is passed on.
            factor[0] = float32(1) if norm <= limit else limit / norm

    return clip_factor

"""The end of a training step's forward pass in one launch: softmax, losses, their mean, accuracy, and the gradient of logits.

    share_head     rule: softmax_crossentropy_forward, weighted_loss, softmax_crossentropy_backward and accuracy become a Head
    Head           their work
    head_kernel    one block, since a batch has few logits
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda import libdevice
from numba.cuda.types import float32, float64, uint32

from ..api import Scalars, Tensor
from ..device.kernel import CudaKernel, kernel
from ..device.reduction import THREADS, WARP, lanes_for, total_of
from ..device.works import Op, Works
from ..softmax_crossentropy.cuda import exponentials_of, is_sparse, label_of, labelled
from .cuda import REASON, sum_block, two_sum, widened, winner_of

STEP, NONFINITE = Scalars.STEP, Scalars.NONFINITE
MOST = 1 << 14
"""Logits that one block takes at most: beyond, several launches on the whole GPU are faster."""


@dataclass(eq=False)
class Head:
    """What the four ops do; `hits` is the accuracy's accumulator, or None."""

    x: Tensor
    labels: Tensor
    weight: Tensor
    y: Tensor
    loss: Tensor
    dx: Tensor
    accumulator: Tensor
    hits: Tensor | None
    scalars: Tensor
    scale: float

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """Logits, labels, weights."""
        return self.x, self.labels, self.weight

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """Probabilities, losses, the gradient, accumulators, and NONFINITE."""
        return tuple(t for t in (self.y, self.loss, self.dx, self.accumulator, self.hits, self.scalars) if t is not None)

    def launch(self, plan: Any) -> None:
        """One launch of one block."""
        rows, classes = self.loss.size, self.x.shape[-1]
        operands = (self.x, self.labels, self.weight, self.y, self.loss, self.dx, self.accumulator, self.hits, self.scalars)
        chosen = head_kernel(lanes_for(classes), is_sparse(self.labels), self.hits is not None)
        plan.launch(chosen, 1, (*operands, self.scale / rows, rows, classes), writes=self.writes)


def share_head(works: Works) -> None:
    """Rule: see the module's docstring."""
    for forward in works.of("softmax_crossentropy_forward"):
        weighted = works.user("weighted_loss", loss=forward["loss"])
        backward = works.user("softmax_crossentropy_backward", y=forward["y"], labels=forward["labels"])
        if weighted and backward and _belong(works, forward, weighted, backward):
            counted = works.user("accuracy", y=forward["y"], labels=forward["labels"])
            units = counted and _units(works, counted)
            read = {"x": forward["x"], "labels": forward["labels"], "weight": weighted["weight"]}
            written = {name: forward[name] for name in ("y", "loss")}
            sums = {name: weighted[name] for name in ("accumulator", "scalars")}
            hits = counted["accumulator"] if units else None
            head = Head(**read, **written, dx=backward["dx"], **sums, hits=hits, scale=weighted.attributes["scale"])
            gone = [forward, backward, *([counted, units] if units else [])]
            works.replace(gone, head, weighted)


def _belong(works: Works, forward: Op, weighted: Op, backward: Op) -> bool:
    """Whether the losses and their gradients go nowhere else, nobody needs them earlier, and there are few enough."""
    dloss, x = weighted["dloss"], forward["x"]
    alone = works.between(forward["loss"], forward, weighted)
    alone = alone and dloss is not None and works.between(dloss, weighted, backward)
    order = list(works)
    later = order[order.index(weighted) :]
    others = [work for work in works.users(forward["y"]) if work is not forward]
    few = x.size <= MOST and x.shape[-1] <= MOST // THREADS and forward["loss"].size == x.size // x.shape[-1]
    return alone and few and all(work in later for work in others) and works.only_writer(forward)


def _units(works: Works, counted: Op) -> Op | None:
    """The op that made the accuracy's weights, where they are ones for it alone."""
    made = works.user("affine", y=counted["weight"])
    ones = made is not None and (made.attributes["scale"], made.attributes["offset"]) == (0.0, 1.0)
    form = "sparse" if is_sparse(counted["labels"]) else "categorical"
    return made if ones and counted.attributes["form"] == form and works.between(counted["weight"], made, counted) else None


@cache
def head_kernel(lanes: int, sparse: bool, counts: bool) -> CudaKernel:
    """The kernel for rows that `lanes` threads (at most a warp) share, for one kind of labels, with or without accuracy."""
    exponentials, loss_across, labels_across = exponentials_of(lanes), total_of(lanes), total_of(lanes)
    label, guess_of, truth_of = label_of(sparse), winner_of(lanes), winner_of(lanes)
    variant = ",".join([str(lanes), *["sparse"] * sparse, *["accuracy"] * counts])
    signature = labelled("f32*, labels, f32*, f32*, f32*, f32*, f64*, f64*, i64*, f32, u32, u32", sparse)
    together = THREADS // lanes
    assert lanes <= WARP

    @kernel(signature, threads=THREADS, registers=64, variant=variant, allow_f64=REASON)
    def head(x, labels, weight, y, losses, dx, accumulator, hits, scalars, share, rows, C):
        """y = softmax of x; losses[r] = sum over c of t[r, c] * (log sum of exp(x[r] - largest) - (x[r, c] - largest));
        dx[r, c] = share * weight[r] * (y[r, c] * sum of t[r] - t[r, c]); accumulator += (sum of weight * losses, rows);
        hits += (rows whose largest y is at the label, rows); r < rows.

        Where the sum is not finite, NONFINITE = STEP + 1 unless it is set already. One block; `lanes` threads share a row,
        THREADS / lanes rows at a time. x is read from memory once, y and dx are written once.
        """
        thread = uint32(cuda.threadIdx.x)
        lane, row = uint32(thread % uint32(lanes)), uint32(thread // uint32(lanes))
        high, low, right = float32(0), float32(0), float32(0)
        # All threads go round together, since they exchange numbers with their neighbours.
        for _ in range(uint32((rows + uint32(together - 1)) // uint32(together))):
            first = uint32(row * C)
            begin, end = uint32(first + lane), uint32(first + C) if row < rows else uint32(0)
            largest, total = exponentials(x, y, begin, end)
            log_total, loss, labelled_as = math.log(total), float32(0), float32(0)
            i = begin
            while i < end:
                t = label(labels, row, i, first)
                # Where t is 0 an infinite distance from the largest costs nothing.
                if t != float32(0):
                    loss += t * (log_total - (x[i] - largest))
                labelled_as += t
                y[i] /= total
                i = uint32(i + lanes)
            loss, labelled_as = loss_across(loss), labels_across(labelled_as)
            if counts:
                guess = guess_of(y, begin, end, first)
                if not sparse:
                    truth = truth_of(labels, begin, end, first)
            if row < rows:
                gain = share * weight[row]
                i = begin
                while i < end:
                    dx[i] = gain * (y[i] * labelled_as - label(labels, row, i, first))
                    i = uint32(i + lanes)
                if lane == 0:
                    losses[row] = loss
                    high, low = two_sum(high, low, libdevice.fmul_rn(weight[row], loss))
                    if counts:
                        if sparse:
                            truth = uint32(labels[row])
                        right += float32(1) if guess == truth else float32(0)
            row = uint32(row + together)
        high, low = sum_block(high, low)
        if counts:
            right, _ = sum_block(right, float32(0))
        if thread == 0:
            accumulator[0] += widened(high, low)
            accumulator[1] += float64(rows)
            if counts:
                hits[0] += float64(right)
                hits[1] += float64(rows)
            # inf - inf and nan - nan are nan, which equals nothing.
            if high - high != float32(0) and scalars[NONFINITE] == 0:
                scalars[NONFINITE] = scalars[STEP] + 1

    return head

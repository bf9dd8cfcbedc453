"""Softmax, sigmoid and their crossentropies on the GPU.

    softmax_*, softmax_crossentropy_*, crossentropy_*       classes: from logits, fused; from probabilities
    sigmoid_crossentropy_*, binary_crossentropy_*           yes or no: from logits, fused; from probabilities

A row, the classes of one position, belongs to a group of lanes (device/reduction.py): as many as there are classes, up to a
warp. Losses of positions are added by a second launch where a sample has several. Labels are class numbers ("sparse") or
distributions; a number that is no class is a row of zeros.
"""

import math
from functools import cache
from typing import Any

from numba import cuda
from numba.cuda.types import float32, uint32

from ..device.kernel import CudaKernel, kernel
from ..device.reduction import THREADS, lanes_for, largest_of, row_of, rows_grid, sum_rows, total_of
from ..device.tiles import elementwise_grid
from ..device.works import op
from ..ptx import inlined

LEAST, MOST = 1e-7, 1 - 1e-7
"""Probabilities are kept between these before a logarithm is taken."""


def softmax_forward(plan: Any, x: Any, y: Any) -> None:
    """y = softmax(x) over the last axis."""
    rows, lanes = _rows(x)
    plan.launch(softmax_forward_kernel(lanes), rows_grid(rows, lanes), (x, y, rows, x.shape[-1]), writes=(y,))


def softmax_backward(plan: Any, y: Any, dy: Any, dx: Any) -> None:
    """dx = y * (dy - sum y*dy)."""
    rows, lanes = _rows(y)
    plan.launch(softmax_backward_kernel(lanes), rows_grid(rows, lanes), (y, dy, dx, rows, y.shape[-1]), writes=(dx,))


@op("softmax_crossentropy_forward", "y", "loss")
def softmax_crossentropy_forward(plan: Any, x: Any, labels: Any, y: Any, loss: Any) -> None:
    """y = softmax(x); loss[n] = mean over positions of -sum t log y."""
    rows, lanes = _rows(x)
    losses = _losses(plan, loss, rows)
    chosen = softmax_crossentropy_forward_kernel(lanes, is_sparse(labels))
    plan.launch(chosen, rows_grid(rows, lanes), (x, labels, y, losses, rows, x.shape[-1]), writes=(y, losses))
    _mean(plan, losses, loss)


@op("softmax_crossentropy_backward", "dx")
def softmax_crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dx: Any) -> None:
    """dx = dloss / positions * (y * sum t - t)."""
    _, lanes = _rows(y)
    _backward(plan, softmax_crossentropy_backward_kernel(lanes, is_sparse(labels)), y, labels, dloss, dx)


def crossentropy_forward(plan: Any, y: Any, labels: Any, loss: Any, *, focus: float = 0.0) -> None:
    """loss[n] = mean over positions of -sum t (1 - p)^focus log p, p = clip(y / sum y)."""
    rows, lanes = _rows(y)
    losses = _losses(plan, loss, rows)
    chosen = crossentropy_forward_kernel(lanes, is_sparse(labels), focus != 0)
    plan.launch(chosen, rows_grid(rows, lanes), (y, labels, losses, rows, y.shape[-1], focus), writes=(losses,))
    _mean(plan, losses, loss)


def crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dy: Any, *, focus: float = 0.0) -> None:
    """Gradient of crossentropy_forward."""
    _, lanes = _rows(y)
    chosen = crossentropy_backward_kernel(lanes, is_sparse(labels), focus != 0)
    _backward(plan, chosen, y, labels, dloss, dy, focus)


def sigmoid_crossentropy_forward(plan: Any, x: Any, labels: Any, y: Any, loss: Any) -> None:
    """y = sigmoid(x); loss[n] = mean of -(t log y + (1-t) log(1-y)), from x."""
    samples, size = loss.size, x.size // loss.size
    lanes = lanes_for(size)
    chosen, arguments = sigmoid_crossentropy_forward_kernel(lanes), (x, labels, y, loss, samples, size, 1 / size)
    plan.launch(chosen, rows_grid(samples, lanes), arguments, writes=(y, loss))


def sigmoid_crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dx: Any) -> None:
    """dx = dloss / elements * (y - t)."""
    _elementwise(plan, sigmoid_crossentropy_backward_kernel(), y, labels, dloss, dx)


def binary_crossentropy_forward(plan: Any, y: Any, labels: Any, loss: Any) -> None:
    """loss[n] = mean of -(t log p + (1-t) log(1-p)), p = clip(y)."""
    samples, size = loss.size, y.size // loss.size
    lanes = lanes_for(size)
    chosen, arguments = binary_crossentropy_forward_kernel(lanes), (y, labels, loss, samples, size, 1 / size)
    plan.launch(chosen, rows_grid(samples, lanes), arguments, writes=(loss,))


def binary_crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dy: Any) -> None:
    """Gradient of binary_crossentropy_forward."""
    _elementwise(plan, binary_crossentropy_backward_kernel(), y, labels, dloss, dy)


def _rows(x: Any) -> tuple[int, int]:
    """Rows of the last axis, and how many lanes share one."""
    return x.size // x.shape[-1], lanes_for(x.shape[-1])


def is_sparse(labels: Any) -> bool:
    """Whether labels are class numbers."""
    return labels.dtype.kind == "i"


def _losses(plan: Any, loss: Any, rows: int) -> Any:
    """Where the losses of positions go: to `loss` if a sample has one position."""
    return loss if rows == loss.size else plan.scratch("losses", (loss.size, rows // loss.size))


def _mean(plan: Any, losses: Any, loss: Any) -> None:
    if losses is not loss:
        sum_rows(plan, losses, loss, scale=loss.size / losses.size)


def _backward(plan: Any, chosen: CudaKernel, y: Any, labels: Any, dloss: Any, dx: Any, *numbers: float) -> None:
    rows, lanes = _rows(y)
    positions = rows // dloss.size
    arguments = (y, labels, dloss, dx, rows, y.shape[-1], positions, 1 / positions, *numbers)
    plan.launch(chosen, rows_grid(rows, lanes), arguments, writes=(dx,))


def _elementwise(plan: Any, chosen: CudaKernel, y: Any, labels: Any, dloss: Any, dx: Any) -> None:
    size = y.size // dloss.size
    arguments = (y, labels, dloss, dx, size, 1 / size, y.size)
    plan.launch(chosen, elementwise_grid(y.size, THREADS), arguments, writes=(dx,))


# ------ pieces


@cache
def exponentials_of(lanes: int) -> Any:
    """exponentials(x, y, i, end) -> (largest, total): y[j] = exp(x[j] - largest) in the thread's row, and their sum."""
    largest_across, total_across = largest_of(lanes), total_of(lanes)

    def exponentials(x, y, i, end):
        largest, total, j = float32(-math.inf), float32(0), i
        while j < end:
            largest = x[j] if x[j] > largest else largest
            j = uint32(j + lanes)
        largest, j = largest_across(largest), i
        while j < end:
            e = math.exp(x[j] - largest)
            y[j] = e
            total += e
            j = uint32(j + lanes)
        return largest, total_across(total)

    return inlined(exponentials)


@cache
def label_of(sparse: bool) -> Any:
    """label(labels, row, i, first): t at element i of the row, whose first is `first`."""

    def number(labels, row, i, first):
        return float32(1) if uint32(labels[row]) == uint32(i - first) else float32(0)

    def distribution(labels, row, i, first):
        return labels[i]

    return inlined(number if sparse else distribution)


@inlined
def _clip(p):
    # As written, NaN stays NaN: min.f32 and max.f32 would hide it.
    return float32(LEAST) if p < float32(LEAST) else float32(MOST) if p > float32(MOST) else p


@inlined
def _passes(p):
    """Whether the clip lets a probability, and so its derivative, through."""
    return p >= float32(LEAST) and p <= float32(MOST)


def _variant(lanes: int, sparse: bool, focal: bool = False) -> str:
    return ",".join([str(lanes), *["sparse"] * sparse, *["focal"] * focal])


def labelled(signature: str, sparse: bool) -> str:
    """A kernel's signature with the type of labels."""
    return signature.replace("labels", "i32*" if sparse else "f32*")


# ------ classes


@cache
def softmax_forward_kernel(lanes: int) -> CudaKernel:
    """The kernel for rows that `lanes` threads share."""
    place, exponentials = row_of(lanes), exponentials_of(lanes)

    @kernel("f32*, f32*, u32, u32", threads=THREADS, registers=48, variant=str(lanes))
    def softmax_forward(x, y, rows, C):
        """y[r, c] = exp(x[r, c] - largest of the row) / their sum, r < rows. A row is read three times, the first from
        memory."""
        row, i, end = place(rows, C)
        _, total = exponentials(x, y, i, end)
        while i < end:
            y[i] /= total
            i = uint32(i + lanes)

    return softmax_forward


@cache
def softmax_backward_kernel(lanes: int) -> CudaKernel:
    """The kernel for rows that `lanes` threads share."""
    place, total_across = row_of(lanes), total_of(lanes)

    @kernel("f32*, f32*, f32*, u32, u32", threads=THREADS, registers=48, variant=str(lanes))
    def softmax_backward(y, dy, dx, rows, C):
        """dx[r, c] = y[r, c] * (dy[r, c] - sum over k of y[r, k] dy[r, k]), r < rows. Rows are read twice, once from memory."""
        row, i, end = place(rows, C)
        total, j = float32(0), i
        while j < end:
            total += y[j] * dy[j]
            j = uint32(j + lanes)
        total = total_across(total)
        while i < end:
            dx[i] = y[i] * (dy[i] - total)
            i = uint32(i + lanes)

    return softmax_backward


@cache
def softmax_crossentropy_forward_kernel(lanes: int, sparse: bool) -> CudaKernel:
    """The kernel for rows that `lanes` threads share, and one kind of labels."""
    place, exponentials, total_across, mask = row_of(lanes), exponentials_of(lanes), total_of(lanes), lanes - 1
    label = label_of(sparse)
    signature = labelled("f32*, labels, f32*, f32*, u32, u32", sparse)

    @kernel(signature, threads=THREADS, registers=56, variant=_variant(lanes, sparse))
    def softmax_crossentropy_forward(x, labels, y, losses, rows, C):
        """y = softmax of x; losses[r] = sum over c of t[r, c] * (log sum of exp(x[r] - largest) - (x[r, c] - largest)), r <
        rows.

        A row is read three times, the first from memory.
        """
        row, i, end = place(rows, C)
        first = uint32(row * C)
        largest, total = exponentials(x, y, i, end)
        log_total, loss = math.log(total), float32(0)
        while i < end:
            t = label(labels, row, i, first)
            # Where t is 0 an infinite distance from the largest costs nothing.
            if t != float32(0):
                loss += t * (log_total - (x[i] - largest))
            y[i] /= total
            i = uint32(i + lanes)
        loss = total_across(loss)
        if row < rows and cuda.threadIdx.x & mask == 0:
            losses[row] = loss

    return softmax_crossentropy_forward


@cache
def softmax_crossentropy_backward_kernel(lanes: int, sparse: bool) -> CudaKernel:
    """The kernel for rows that `lanes` threads share, and one kind of labels."""
    place, total_across, label = row_of(lanes), total_of(lanes), label_of(sparse)
    signature = labelled("f32*, labels, f32*, f32*, u32, u32, u32, f32", sparse)

    @kernel(signature, threads=THREADS, registers=48, variant=_variant(lanes, sparse))
    def softmax_crossentropy_backward(y, labels, dloss, dx, rows, C, positions, share):
        """dx[r, c] = share * dloss[r // positions] * (y[r, c] * sum of t[r] - t[r, c]), r < rows. 8 or 12 bytes an element."""
        row, i, end = place(rows, C)
        first, total, j = uint32(row * C), float32(0), i
        while j < end:
            total += label(labels, row, j, first)
            j = uint32(j + lanes)
        total = total_across(total)
        if i < end:
            gain = share * dloss[uint32(row // positions)]
            while i < end:
                dx[i] = gain * (y[i] * total - label(labels, row, i, first))
                i = uint32(i + lanes)

    return softmax_crossentropy_backward


@cache
def crossentropy_forward_kernel(lanes: int, sparse: bool, focal: bool) -> CudaKernel:
    """The kernel for rows that `lanes` threads share, one kind of labels, and with or without a focus."""
    place, total_across, loss_across, mask = row_of(lanes), total_of(lanes), total_of(lanes), lanes - 1
    label = label_of(sparse)
    signature = labelled("f32*, labels, f32*, u32, u32, f32", sparse)

    @kernel(signature, threads=THREADS, registers=48, variant=_variant(lanes, sparse, focal))
    def crossentropy_forward(y, labels, losses, rows, C, focus):
        """losses[r] = -sum over c of t[r, c] * (1 - p)^focus * log p, p = clip(y[r, c] / sum of y[r]), r < rows. Rows are read
        twice, once from memory."""
        row, i, end = place(rows, C)
        first, total, loss, j = uint32(row * C), float32(0), float32(0), i
        while j < end:
            total += y[j]
            j = uint32(j + lanes)
        total = total_across(total)
        while i < end:
            p = _clip(y[i] / total)
            part = label(labels, row, i, first) * math.log(p)
            if focal:
                part *= math.exp(focus * math.log1p(-p))
            loss -= part
            i = uint32(i + lanes)
        loss = loss_across(loss)
        if row < rows and cuda.threadIdx.x & mask == 0:
            losses[row] = loss

    return crossentropy_forward


@cache
def crossentropy_backward_kernel(lanes: int, sparse: bool, focal: bool) -> CudaKernel:
    """The kernel for rows that `lanes` threads share, one kind of labels, and with or without a focus."""
    place, total_across, product_across, label = row_of(lanes), total_of(lanes), total_of(lanes), label_of(sparse)
    signature = labelled("f32*, labels, f32*, f32*, u32, u32, u32, f32, f32", sparse)

    @inlined
    def slope(p, t, focus):
        found = float32(0)
        if _passes(p):
            found = -t / p
            if focal:
                wrong = float32(1) - p
                found = math.exp(focus * math.log(wrong)) * (found + focus * t * math.log(p) / wrong)
        return found

    @kernel(signature, threads=THREADS, registers=56, variant=_variant(lanes, sparse, focal))
    def crossentropy_backward(y, labels, dloss, dy, rows, C, positions, share, focus):
        """dy[r, c] = share * dloss[r // positions] / S * (dp[r, c] - sum over k of dp[r, k] p[r, k]), r < rows, where S = sum
        of y[r], p = y / S and dp the slope of -t (1 - p)^focus log p, or 0 where p is clipped. Rows are read three times, the
        first from memory."""
        row, i, end = place(rows, C)
        first, total, product, j = uint32(row * C), float32(0), float32(0), i
        while j < end:
            total += y[j]
            j = uint32(j + lanes)
        total, j = total_across(total), i
        while j < end:
            p = y[j] / total
            product += p * slope(p, label(labels, row, j, first), focus)
            j = uint32(j + lanes)
        product = product_across(product)
        if i < end:
            gain = share * dloss[uint32(row // positions)] / total
            while i < end:
                dy[i] = gain * (slope(y[i] / total, label(labels, row, i, first), focus) - product)
                i = uint32(i + lanes)

    return crossentropy_backward


# ------ yes or no


@cache
def sigmoid_crossentropy_forward_kernel(lanes: int) -> CudaKernel:
    """The kernel for samples that `lanes` threads share."""
    place, total_across, mask = row_of(lanes), total_of(lanes), lanes - 1

    @kernel("f32*, f32*, f32*, f32*, u32, u32, f32", threads=THREADS, registers=48, variant=str(lanes))
    def sigmoid_crossentropy_forward(x, labels, y, loss, samples, size, share):
        """y = sigmoid(x); loss[n] = share * sum over n's `size` elements of max(x, 0) - x t + log(1 + exp(-|x|)). Reads 8 and
        writes 4 bytes an element."""
        sample, i, end = place(samples, size)
        total = float32(0)
        while i < end:
            logit = x[i]
            e = math.exp(-abs(logit))
            total += max(logit, float32(0)) - logit * labels[i] + math.log1p(e)
            y[i] = (float32(1) if logit >= float32(0) else e) / (float32(1) + e)
            i = uint32(i + lanes)
        total = total_across(total)
        if sample < samples and cuda.threadIdx.x & mask == 0:
            loss[sample] = share * total

    return sigmoid_crossentropy_forward


@cache
def sigmoid_crossentropy_backward_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, f32*, f32*, u32, f32, u32", threads=THREADS, registers=32)
    def sigmoid_crossentropy_backward(y, labels, dloss, dx, size, share, n):
        """dx[i] = share * dloss[i // size] * (y[i] - t[i]), i < n. Reads 8 and writes 4 bytes an element."""
        i = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        while i < n:
            dx[i] = share * dloss[uint32(i // size)] * (y[i] - labels[i])
            i = uint32(i + THREADS * cuda.gridDim.x)

    return sigmoid_crossentropy_backward


@cache
def binary_crossentropy_forward_kernel(lanes: int) -> CudaKernel:
    """The kernel for samples that `lanes` threads share."""
    place, total_across, mask = row_of(lanes), total_of(lanes), lanes - 1

    @kernel("f32*, f32*, f32*, u32, u32, f32", threads=THREADS, registers=48, variant=str(lanes))
    def binary_crossentropy_forward(y, labels, loss, samples, size, share):
        """loss[n] = -share * sum over n's `size` elements of t log p + (1-t) log(1-p), p = clip(y). Reads 8 bytes an
        element."""
        sample, i, end = place(samples, size)
        total = float32(0)
        while i < end:
            t, p = labels[i], _clip(y[i])
            total -= t * math.log(p) + (float32(1) - t) * math.log1p(-p)
            i = uint32(i + lanes)
        total = total_across(total)
        if sample < samples and cuda.threadIdx.x & mask == 0:
            loss[sample] = share * total

    return binary_crossentropy_forward


@cache
def binary_crossentropy_backward_kernel() -> CudaKernel:
    """The kernel."""

    @kernel("f32*, f32*, f32*, f32*, u32, f32, u32", threads=THREADS, registers=32)
    def binary_crossentropy_backward(y, labels, dloss, dy, size, share, n):
        """dy[i] = share * dloss[i // size] * ((1-t) / (1-y) - t / y), 0 where y is clipped, i < n. Reads 8, writes 4 bytes an
        element."""
        i = uint32(cuda.blockIdx.x * THREADS + cuda.threadIdx.x)
        while i < n:
            t, p, slope = labels[i], y[i], float32(0)
            if _passes(p):
                slope = (float32(1) - t) / (float32(1) - p) - t / p
            dy[i] = share * dloss[uint32(i // size)] * slope
            i = uint32(i + THREADS * cuda.gridDim.x)

    return binary_crossentropy_backward

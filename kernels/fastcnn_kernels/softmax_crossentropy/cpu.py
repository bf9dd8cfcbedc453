"""Softmax, sigmoid and their crossentropies on the CPU.

    softmax_*, softmax_crossentropy_*, crossentropy_*       pixel by pixel: the blocks of a pixel hold its classes
    sigmoid_crossentropy_*, binary_crossentropy_*           element by element

Lanes beyond the last class are masked out of every maximum and sum. Losses of samples are summed in float64.
"""

from typing import Any

import numpy as np

from ..host.functions import exp, inlined, log, log1p, sigmoid
from ..host.runner import kernel
from ..host.walk import (
    BLOCK,
    CHANNELS,
    ROWS,
    WIDTH,
    element,
    number,
    present,
    real,
    row,
    sample_address,
    stride,
    walk,
)
from ..simd import (
    absolute,
    f32_to_f64,
    first_lanes,
    fma,
    horizontal_maximum,
    horizontal_sum,
    horizontal_sum_f64,
    lane_numbers,
    load_f32,
    load_f32x16,
    load_i32,
    maximum,
    minimum,
    select,
    splat,
    splat_f64,
    splat_u32,
    store_f32,
    store_f32x16,
)

CLIP, UPPER = np.float32(1e-7), np.float32(1 - 1e-7)
"""Probabilities stay this far from 0 and 1 before a logarithm is taken, as in Keras."""

SHARE, BLOCKS, SPARSE, FOCUS = range(4)
"""Numbers of every kernel: 1 / positions or elements of a sample; blocks of a pixel; whether labels are class numbers; by which
power of 1 - p a logarithm of p is weighted."""


def softmax_forward(plan: Any, x: Any, y: Any) -> None:
    """y = softmax(x) over the last axis."""
    plan.launch(softmax_forward_kernel, lambda at: _arguments(at, (x, y), None, None), reads=[x], writes=[y])


def softmax_backward(plan: Any, y: Any, dy: Any, dx: Any) -> None:
    """dx = y * (dy - sum y*dy)."""
    plan.launch(softmax_backward_kernel, lambda at: _arguments(at, (y, dy, dx), None, None), reads=[y, dy], writes=[dx])


def softmax_crossentropy_forward(plan: Any, x: Any, labels: Any, y: Any, loss: Any) -> None:
    """y = softmax(x); loss[n] = mean over positions of -sum t log y."""
    plan.launch(
        softmax_forward_kernel, lambda at: _arguments(at, (x, y), labels, loss), reads=[x, labels], writes=[y, loss]
    )


def softmax_crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dx: Any) -> None:
    """dx = dloss / positions * (y * sum t - t)."""
    plan.launch(
        softmax_crossentropy_backward_kernel,
        lambda at: _arguments(at, (y, dx), labels, dloss),
        reads=[y, labels, dloss],
        writes=[dx],
    )


def crossentropy_forward(plan: Any, y: Any, labels: Any, loss: Any, *, focus: float = 0.0) -> None:
    """loss[n] = mean over positions of -sum t (1 - p)^focus log p, p = clip(y / sum y)."""
    plan.launch(
        crossentropy_forward_kernel, lambda at: _arguments(at, (y,), labels, loss, focus), reads=[y, labels], writes=[loss]
    )


def crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dy: Any, *, focus: float = 0.0) -> None:
    """Gradient of crossentropy_forward."""
    plan.launch(
        crossentropy_backward_kernel,
        lambda at: _arguments(at, (y, dy), labels, dloss, focus),
        reads=[y, labels, dloss],
        writes=[dy],
    )


def sigmoid_crossentropy_forward(plan: Any, x: Any, labels: Any, y: Any, loss: Any) -> None:
    """y = sigmoid(x); loss[n] = mean of max(x,0) - x*t + log(1 + exp(-|x|))."""
    plan.launch(
        sigmoid_crossentropy_forward_kernel,
        lambda at: _elementwise(at, (x, labels, y), loss, 1),
        reads=[x, labels],
        writes=[y, loss],
    )


def sigmoid_crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dx: Any) -> None:
    """dx = dloss / elements * (y - t)."""
    plan.launch(
        sigmoid_crossentropy_backward_kernel,
        lambda at: _elementwise(at, (y, labels, dx), dloss, None),
        reads=[y, labels, dloss],
        writes=[dx],
    )


def binary_crossentropy_forward(plan: Any, y: Any, labels: Any, loss: Any) -> None:
    """loss[n] = mean of -(t log p + (1-t) log(1-p)), p = clip(y)."""
    plan.launch(
        binary_crossentropy_forward_kernel,
        lambda at: _elementwise(at, (y, labels), loss, 1),
        reads=[y, labels],
        writes=[loss],
    )


def binary_crossentropy_backward(plan: Any, y: Any, labels: Any, dloss: Any, dy: Any) -> None:
    """Gradient of binary_crossentropy_forward."""
    plan.launch(
        binary_crossentropy_backward_kernel,
        lambda at: _elementwise(at, (y, labels, dy), dloss, None),
        reads=[y, labels, dloss],
        writes=[dy],
    )


def _arguments(at: Any, operands: tuple[Any, ...], labels: Any, loss: Any, focus: float = 0.0) -> list[int]:
    """A walk over pixels, with the labels and the loss of samples after the operands."""
    x, layout = operands[0], at.layout(operands[0])
    sparse = labels is not None and len(labels.shape) < len(x.shape)
    numbers = (1 / layout.pixels, layout.blocks, sparse, float(focus))
    return walk(at, operands, numbers, others=(labels, loss), blocks=1, join=False)


def _elementwise(at: Any, operands: tuple[Any, ...], loss: Any, blocks: int | None) -> list[int]:
    """A walk over the pixels of one or of all blocks, with the loss of samples after the operands."""
    layout = at.layout(operands[0])
    numbers = (1 / (layout.pixels * layout.channels), layout.blocks)
    return walk(at, operands, numbers, others=(loss,), blocks=blocks)


@inlined
def _labels(a, operand, n, i, p):
    """Address of the labels of pixel p of row i: a class number, or the distribution over the first block."""
    if number(a, SPARSE) == 1:
        return element(a, operand, n, i * a[WIDTH] + p)
    return row(a, operand, n, i) + 64 * p


@inlined
def _target(a, operand, where, b):
    """t of the classes of block b, zero beyond the last class; `where` is from _labels."""
    zero = splat(np.float32(0))
    if number(a, SPARSE) == 1:
        label = splat_u32(np.uint32(load_i32(where)))
        return select(lane_numbers(np.uint32(16 * b)) == label, splat(np.float32(1)), zero)
    return _masked(a, where, operand, b, np.float32(0))


@inlined
def _masked(a, where, operand, b, beyond):
    """The classes of block b of the pixel at address `where`, and `beyond` in the lanes after the last class."""
    lanes = first_lanes(stride(a, 0, CHANNELS) - 16 * b)
    return select(lanes, load_f32x16(where + b * stride(a, operand, BLOCK)), splat(beyond))


@inlined
def _sum(a, where, operand):
    """Sum over the classes of the pixel at address `where`."""
    total = splat(np.float32(0))
    for b in range(number(a, BLOCKS)):
        total = total + _masked(a, where, operand, b, np.float32(0))
    return horizontal_sum(total)


@inlined
def _target_sum(a, operand, where):
    """Sum of t over the classes."""
    if number(a, SPARSE) == 1:
        return np.float32(1)
    return _sum(a, where, operand)


@inlined
def _softmax(a, x, y):
    """y = softmax(x) for one pixel; returns log sum exp x."""
    top = splat(np.float32(-np.inf))
    for b in range(number(a, BLOCKS)):
        top = maximum(_masked(a, x, 0, b, np.float32(-np.inf)), top)
    highest = horizontal_maximum(top)
    total = splat(np.float32(0))
    for b in range(number(a, BLOCKS)):
        e = exp(_masked(a, x, 0, b, np.float32(-np.inf)) - splat(highest))
        store_f32x16(y + b * stride(a, 1, BLOCK), e)
        total = total + e
    total = splat(horizontal_sum(total))
    for b in range(number(a, BLOCKS)):
        where = y + b * stride(a, 1, BLOCK)
        store_f32x16(where, load_f32x16(where) / total)
    return splat(highest) + log(total)


@kernel
def softmax_forward_kernel(a, first, last):
    """y = softmax(x), and where there are labels loss[n] = share * sum of t * (log sum exp x - x).

    Operands x, y, labels or None, loss or None.
    """
    for n in range(first, last):
        loss = splat_f64(0.0)
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                x = row(a, 0, n, i) + 64 * p
                log_total = _softmax(a, x, row(a, 1, n, i) + 64 * p)
                if present(a, 2):
                    labels = _labels(a, 2, n, i, p)
                    for b in range(number(a, BLOCKS)):
                        # A class of probability zero and no weight adds nothing, not 0 * inf.
                        t = _target(a, 2, labels, b)
                        part = t * (log_total - _masked(a, x, 0, b, np.float32(0)))
                        loss = loss + f32_to_f64(select(t == splat(np.float32(0)), t, part))
        if present(a, 3):
            store_f32(sample_address(a, 3, n), np.float32(horizontal_sum_f64(loss) * real(a, SHARE)))


@kernel
def softmax_backward_kernel(a, first, last):
    """dx = y * (dy - sum of y * dy over the classes). Operands y, dy, dx."""
    for n in range(first, last):
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                y, dy, dx = row(a, 0, n, i) + 64 * p, row(a, 1, n, i) + 64 * p, row(a, 2, n, i) + 64 * p
                total = splat(np.float32(0))
                for b in range(number(a, BLOCKS)):
                    total = fma(_masked(a, y, 0, b, np.float32(0)), _masked(a, dy, 1, b, np.float32(0)), total)
                mean = splat(horizontal_sum(total))
                for b in range(number(a, BLOCKS)):
                    gradient = load_f32x16(dy + b * stride(a, 1, BLOCK)) - mean
                    store_f32x16(dx + b * stride(a, 2, BLOCK), load_f32x16(y + b * stride(a, 0, BLOCK)) * gradient)


@kernel
def softmax_crossentropy_backward_kernel(a, first, last):
    """dx = share * dloss[n] * (y * sum of t - t). Operands y, dx, labels, dloss."""
    for n in range(first, last):
        scale = splat(np.float32(load_f32(sample_address(a, 3, n)) * real(a, SHARE)))
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                y, dx, labels = row(a, 0, n, i) + 64 * p, row(a, 1, n, i) + 64 * p, _labels(a, 2, n, i, p)
                weight = splat(_target_sum(a, 2, labels))
                for b in range(number(a, BLOCKS)):
                    gradient = load_f32x16(y + b * stride(a, 0, BLOCK)) * weight - _target(a, 2, labels, b)
                    store_f32x16(dx + b * stride(a, 1, BLOCK), scale * gradient)


@kernel
def crossentropy_forward_kernel(a, first, last):
    """loss[n] = share * -sum of t * (1 - p)^focus * log p, p = clip(y / sum of y). Operands y, labels, loss."""
    focus = splat(np.float32(real(a, FOCUS)))
    for n in range(first, last):
        loss = splat_f64(0.0)
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                y, labels = row(a, 0, n, i) + 64 * p, _labels(a, 1, n, i, p)
                total = splat(_sum(a, y, 0))
                for b in range(number(a, BLOCKS)):
                    share = minimum(maximum(_masked(a, y, 0, b, np.float32(0)) / total, splat(CLIP)), splat(UPPER))
                    part = _target(a, 1, labels, b) * log(share)
                    if real(a, FOCUS) != 0.0:
                        part = part * exp(focus * log(splat(np.float32(1)) - share))
                    loss = loss - f32_to_f64(part)
        store_f32(sample_address(a, 2, n), np.float32(horizontal_sum_f64(loss) * real(a, SHARE)))


@inlined
def _crossentropy_slope(p, t, focus):
    """The derivative of -t (1 - p)^focus log p inside the clip."""
    inside = (p >= splat(CLIP)) & (p <= splat(UPPER))
    zero = splat(np.float32(0))
    slope = t / p
    if focus != 0.0:
        power, wrong = splat(np.float32(focus)), splat(np.float32(1)) - p
        slope = exp(power * log(wrong)) * (slope - power * t * log(p) / wrong)
    return select(inside, zero - slope, zero)


@kernel
def crossentropy_backward_kernel(a, first, last):
    """dy = share * dloss[n] * (dp - sum of dp * p) / sum of y, dp = -t / p inside the clip, or the slope of the focused loss.
    Operands y, dy, labels, dloss."""
    for n in range(first, last):
        scale = splat(np.float32(load_f32(sample_address(a, 3, n)) * real(a, SHARE)))
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                y, dy, labels = row(a, 0, n, i) + 64 * p, row(a, 1, n, i) + 64 * p, _labels(a, 2, n, i, p)
                total, projected = splat(_sum(a, y, 0)), splat(np.float32(0))
                for b in range(number(a, BLOCKS)):
                    share = _masked(a, y, 0, b, np.float32(0)) / total
                    slope = _crossentropy_slope(share, _target(a, 2, labels, b), real(a, FOCUS))
                    store_f32x16(dy + b * stride(a, 1, BLOCK), slope)
                    projected = fma(slope, share, projected)
                mean = splat(horizontal_sum(projected))
                for b in range(number(a, BLOCKS)):
                    where = dy + b * stride(a, 1, BLOCK)
                    store_f32x16(where, scale * (load_f32x16(where) - mean) / total)


@kernel
def sigmoid_crossentropy_forward_kernel(a, first, last):
    """y = sigmoid(x); loss[n] = share * sum of max(x,0) - x*t + log(1 + exp(-|x|)). Operands x, labels, y, loss."""
    zero = splat(np.float32(0))
    for n in range(first, last):
        loss = splat_f64(0.0)
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                x, labels, y = row(a, 0, n, i) + 64 * p, row(a, 1, n, i) + 64 * p, row(a, 2, n, i) + 64 * p
                for b in range(number(a, BLOCKS)):
                    logit = load_f32x16(x + b * stride(a, 0, BLOCK))
                    t = load_f32x16(labels + b * stride(a, 1, BLOCK))
                    store_f32x16(y + b * stride(a, 2, BLOCK), sigmoid(logit))
                    part = maximum(logit, zero) - logit * t + log1p(exp(zero - absolute(logit)))
                    lanes = first_lanes(stride(a, 0, CHANNELS) - 16 * b)
                    loss = loss + f32_to_f64(select(lanes, part, zero))
        store_f32(sample_address(a, 3, n), np.float32(horizontal_sum_f64(loss) * real(a, SHARE)))


@kernel
def sigmoid_crossentropy_backward_kernel(a, first, last):
    """dx = share * dloss[n] * (y - t). Operands y, labels, dx, dloss."""
    for n in range(first, last):
        scale = splat(np.float32(load_f32(sample_address(a, 3, n)) * real(a, SHARE)))
        for i in range(a[ROWS]):
            y, labels, dx = row(a, 0, n, i), row(a, 1, n, i), row(a, 2, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                store_f32x16(dx + p, scale * (load_f32x16(y + p) - load_f32x16(labels + p)))


@kernel
def binary_crossentropy_forward_kernel(a, first, last):
    """loss[n] = share * -sum of t log p + (1-t) log(1-p), p = clip(y). Operands y, labels, loss."""
    one, low, high = splat(np.float32(1)), splat(CLIP), splat(UPPER)
    for n in range(first, last):
        loss = splat_f64(0.0)
        for i in range(a[ROWS]):
            for p in range(a[WIDTH]):
                y, labels = row(a, 0, n, i) + 64 * p, row(a, 1, n, i) + 64 * p
                for b in range(number(a, BLOCKS)):
                    t = load_f32x16(labels + b * stride(a, 1, BLOCK))
                    probability = load_f32x16(y + b * stride(a, 0, BLOCK))
                    # 1 - p is clipped as such: float32 holds 1e-7, but not 1 - 1e-7.
                    by_yes = t * log(minimum(maximum(probability, low), high))
                    by_no = (one - t) * log(minimum(maximum(one - probability, low), high))
                    lanes = first_lanes(stride(a, 0, CHANNELS) - 16 * b)
                    loss = loss - f32_to_f64(select(lanes, by_yes + by_no, splat(np.float32(0))))
        store_f32(sample_address(a, 2, n), np.float32(horizontal_sum_f64(loss) * real(a, SHARE)))


@kernel
def binary_crossentropy_backward_kernel(a, first, last):
    """dy = share * dloss[n] * ((1-t) / (1-y) - t / y), 0 where y is clipped. Operands y, labels, dy, dloss."""
    one = splat(np.float32(1))
    for n in range(first, last):
        scale = splat(np.float32(load_f32(sample_address(a, 3, n)) * real(a, SHARE)))
        for i in range(a[ROWS]):
            y, labels, dy = row(a, 0, n, i), row(a, 1, n, i), row(a, 2, n, i)
            for p in range(0, 64 * a[WIDTH], 64):
                probability, t = load_f32x16(y + p), load_f32x16(labels + p)
                slope = (one - t) / (one - probability) - t / probability
                inside = (probability >= splat(CLIP)) & (probability <= splat(UPPER))
                store_f32x16(dy + p, scale * select(inside, slope, splat(np.float32(0))))

"""One pixel of a convolution, worked by hand as the tutorials do: patch, filter, products, sum, bias, activation, pool.

work_convolution   the numbers of one position, from a network and a picture
WorkedConvolution  what it returns: rich prints it, `figures.worked_convolution` draws it
convolution        both at once
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import activations, ops
from ..layers import Conv2D, Layer, MaxPooling2D
from ..models import Model
from ..program import Place
from .inside import Array, convolution_layer, following, look, paths

MAX_SHOWN = 3
"""Input channels that are shown in full: those whose sums are the largest."""


@dataclass(frozen=True)
class Pool:
    """The window of a max pooling that a pixel falls into.

    layer     its path
    position  (row, column) of the window in the pooled picture
    origin    (row, column) of the window's first pixel in the picture that is pooled
    values    the pixels of the window, those outside of the picture left out
    winner    (row, column) of the largest, in the picture that is pooled: the first, where several are equal
    result    what the network computed
    """

    layer: str
    position: tuple[int, int]
    origin: tuple[int, int]
    values: Array
    winner: tuple[int, int]
    result: float


@dataclass(frozen=True)
class WorkedConvolution:
    """One pixel that a convolution computes, and what becomes of it.

    layer      its path
    position   (row, column) of the pixel
    filter     the output channel
    channels   the input channels that the filter reads: all, but for a convolution in groups
    operand    the picture that the convolution reads, those channels of it, (rows, columns, C)
    corner     (row, column) of the patch's first pixel in it; negative in the padding
    dilation   distance between the pixels of the patch
    patch      the pixels under the filter, (rows, columns, C); 0 in the padding
    kernel     the filter, (rows, columns, C)
    bias       0.0 where there is none
    result     what the network computed for sum + bias
    stages     (what was applied, the pixel after it), in order: activation, normalisation, ...
    pool       the max pooling that follows, None where none does, or its windows leave the pixel out
    """

    layer: str
    position: tuple[int, int]
    filter: int
    channels: range
    operand: Array
    corner: tuple[int, int]
    dilation: tuple[int, int]
    patch: Array
    kernel: Array
    bias: float
    result: float
    stages: list[tuple[str, float]]
    pool: Pool | None

    @property
    def products(self) -> Array:
        """patch * kernel, in float64."""
        return self.patch.astype(np.float64) * self.kernel

    @property
    def channel_sums(self) -> Array:
        """The sum of each channel's products."""
        return self.products.sum(axis=(0, 1))

    @property
    def total(self) -> float:
        """The sum of all products."""
        return float(self.channel_sums.sum())

    @property
    def in_picture(self) -> Array:
        """Where the patch lies in the picture rather than in the padding, (rows, columns)."""
        inside = []
        for first, step, count, size in zip(self.corner, self.dilation, self.kernel.shape, self.operand.shape, strict=False):
            at = first + step * np.arange(count)
            inside.append((at >= 0) & (at < size))
        return np.logical_and.outer(*inside)

    def strongest(self) -> list[int]:
        """The places in `channels` of those with the largest sums, at most MAX_SHOWN, in order."""
        order = np.argsort(-np.abs(self.channel_sums), kind="stable")[:MAX_SHOWN]
        return sorted(int(k) for k in order)

    def lines(self) -> list[str]:
        """From the sums to the pooled pixel, in words."""
        told = [f"sum of the {self.products.size} products: {self.total:.4f}"]
        told.append(f"plus bias {self.bias:.4f}: {self.total + self.bias:.4f}")
        told += [f"{name}: {value:.4f}" for name, value in self.stages]
        if self.pool is not None:
            won = "this pixel" if self.pool.winner == self.position else f"the pixel at {self.pool.winner}"
            told.append(f"{self.pool.layer}: of {self.pool.values.size} pixels, {won} wins: {self.pool.result:.4f}")
        return told

    def __rich__(self) -> Any:
        from .printing import printed

        return printed(self)


def convolution(
    model: Model,
    x: Any,
    layer: str | Layer | None = None,
    position: tuple[int, int] | None = None,
    filter: int | None = None,
) -> Any:
    """Print one pixel of a convolution, worked by hand, and return the same as a matplotlib Figure.

    Arguments: see `work_convolution`. ImportError, after printing, without matplotlib.
    """
    from rich.console import Console

    from .figures import worked_convolution

    worked = work_convolution(model, x, layer, position, filter)
    Console().print(worked)
    return worked_convolution(worked)


def work_convolution(
    model: Model,
    x: Any,
    layer: str | Layer | None = None,
    position: tuple[int, int] | None = None,
    filter: int | None = None,
) -> WorkedConvolution:
    """One pixel that a Conv2D of the network computes for the picture x (height, width, C).

    layer     the convolution, its name or path; None is the first one
    position  (row, column) of the pixel in the layer's result; None is the strongest, after activation
    filter    the output channel; None is the strongest there

    ValueError for a layer that is no convolution over pictures, or a position or filter that it does not have.
    """
    path, conv = convolution_layer(model, layer)
    followers = following(model, path)
    pool = _pool_after(model, ([path, *followers])[-1])
    places = [Place("operand", path), Place("product", path), *(Place("result", p) for p in (path, *followers))]
    operand, product, *results = (v[0] for v in look(model, _batch(model, x), [*places, *([pool[0]] if pool else [])]))
    pooled = results.pop() if pool else None
    row, column, k = _chosen(results[-1], path, position, filter)
    worked = _products(path, conv, operand, (row, column), k, float(product[row, column, k]))
    stages = _stages(model, path, conv, followers, [float(result[row, column, k]) for result in results])
    won = _won(pool, results[-1][..., k], pooled[..., k], (row, column)) if pool and pooled is not None else None
    return replace(worked, stages=stages, pool=won)


def _batch(model: Model, x: Any) -> Array:
    array, shape = np.asarray(x), model.inputs[0].shape[1:]
    if len(model.inputs) != 1 or array.shape != shape:
        raise ValueError(f"expected one picture of shape {shape}, as {model.name!r} takes it, got {array.shape}")
    return array[None]


def _chosen(result: Array, path: str, position: Any, filter: int | None) -> tuple[int, int, int]:
    rows, columns, filters = result.shape
    if filter is not None and not 0 <= filter < filters:
        raise ValueError(f"layer {path!r} has filters 0 to {filters - 1}, got {filter}")
    if position is not None and not (0 <= position[0] < rows and 0 <= position[1] < columns):
        raise ValueError(f"layer {path!r} computes rows 0 to {rows - 1} and columns 0 to {columns - 1}, got {tuple(position)}")
    allowed = np.full(result.shape, -np.inf)
    where = (*((slice(None),) * 2 if position is None else position), slice(None) if filter is None else filter)
    allowed[where] = result[where]
    row, column, k = np.unravel_index(int(allowed.argmax()), allowed.shape)
    return int(row), int(column), int(k)


def _products(path: str, conv: Conv2D, operand: Array, position: tuple[int, int], k: int, result: float) -> WorkedConvolution:
    kernel = conv.kernel.value
    each = kernel.shape[2]
    group = k // (conv.filters // conv.groups)
    channels = range(group * each, (group + 1) * each)
    dilation = (conv.dilation_rate[0], conv.dilation_rate[1])
    window = tuple((n - 1) * d + 1 for n, d in zip(kernel.shape[:2], dilation, strict=True))
    padding = ops.resolve_padding(conv.padding, operand.shape[:2], window, conv.strides)
    first = [p * s - before for p, s, (before, _) in zip(position, conv.strides, padding, strict=True)]
    read = operand[..., channels.start : channels.stop]
    # The padding once more around everything, so that every patch lies inside.
    padded = np.pad(read, ((window[0],) * 2, (window[1],) * 2, (0, 0)))
    rows, columns = (slice(f + w, f + 2 * w, d) for f, w, d in zip(first, window, dilation, strict=True))
    bias = float(conv.bias.value[k]) if conv.bias is not None else 0.0
    return WorkedConvolution(
        path,
        position,
        k,
        channels,
        read,
        (first[0], first[1]),
        dilation,
        padded[rows, columns],
        kernel[..., k],
        bias,
        result,
        [],
        None,
    )


def _stages(model: Model, path: str, conv: Conv2D, followers: list[str], values: list[float]) -> list[tuple[str, float]]:
    known = paths(model)
    names = [activations.serialize(conv.activation), *(f"{p} ({_function(known[p])})" for p in followers)]
    stages = list(zip(names, values, strict=True))
    return stages[1:] if names[0] == "linear" else stages


def _function(layer: Any) -> str:
    return activations.serialize(layer.activation) if hasattr(layer, "activation") else type(layer).__name__


def _pool_after(model: Model, path: str) -> tuple[Place, MaxPooling2D] | None:
    after = following(model, path, (MaxPooling2D,))
    layer = paths(model)[after[0]] if after else None
    return (Place("result", after[0]), layer) if isinstance(layer, MaxPooling2D) else None


def _won(pool: tuple[Place, MaxPooling2D], plane: Array, pooled: Array, position: tuple[int, int]) -> Pool | None:
    place, layer = pool
    padding = ops.resolve_padding(layer.padding, plane.shape, layer.pool_size, layer.strides)
    spans = []
    for at, size, window, stride, (before, _), count in zip(
        position, plane.shape, layer.pool_size, layer.strides, padding, pooled.shape, strict=True
    ):
        number = next((n for n in range(count) if 0 <= at + before - n * stride < window), None)
        if number is None:
            return None
        first = number * stride - before
        spans.append((number, max(first, 0), min(first + window, size)))
    (row, top, bottom), (column, left, right) = spans
    values = plane[top:bottom, left:right]
    down, across = np.unravel_index(int(values.argmax()), values.shape)
    winner = (top + int(down), left + int(across))
    return Pool(place.path, (row, column), (top, left), values, winner, float(pooled[row, column]))


def number(value: float) -> str:
    """Four digits, or all before the point where these are more; no minus before a zero."""
    digits = next((d for d, limit in ((3, 9.9995), (2, 99.995), (1, 999.95)) if abs(value) < limit), 0)
    return f"{round(float(value), digits) + 0.0:.{digits}f}"


def numbers(values: Array) -> Any:
    """All values as text, an array of their shape: whole numbers where all are whole."""
    write = (lambda value: f"{int(value)}") if (values == np.round(values)).all() else number
    return np.vectorize(write, otypes=[object])(values)

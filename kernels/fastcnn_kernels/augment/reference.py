"""Augmentation in NumPy: random maps, numbers and rectangles by sample, and what they do to pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import TRANSFORMS, Scalars
from ..random.reference import WORD, philox, words
from .geometry import box_ranges, fixed_range, functions

Array = NDArray[Any]
GEOMETRY = functions(lambda function: function)
SPREAD = np.sqrt(16 * (2**16 - 1) / 12)
"""The standard deviation of the sum of sixteen random bytes."""
MIDDLE = 16 * 255 // 2


def random_affine(
    plan: Any, scalars: Any, before: Any, y: Any, *, transform: str, low: tuple[float, ...], high: tuple[float, ...],
    op_id: int, seed: int | None,
) -> None:
    """y[n] = before[n], then a random map."""
    attributes = dict(kind=TRANSFORMS.index(transform), numbers=fixed_range(transform, low, high), tied=len(low) == 1)
    plan.launch(_random_affine, scalars, before, y, op_id=op_id, seed=seed, **attributes)


def random_uniform(plan: Any, scalars: Any, y: Any, *, low: float, high: float, op_id: int, seed: int | None) -> None:
    """y[n] in [low, high)."""
    plan.launch(_random_uniform, scalars, y, low=low, high=high, op_id=op_id, seed=seed)


def random_box(
    plan: Any, scalars: Any, y: Any, *, size: tuple[int, int], scale: tuple[float, float], probability: tuple[float, float],
    op_id: int, seed: int | None,
) -> None:
    """y[n] = a random rectangle."""
    plan.launch(_random_box, scalars, y, size=size, ranges=box_ranges(scale, probability), op_id=op_id, seed=seed)


def affine_sample(
    plan: Any, x: Any, maps: Any, y: Any, *, interpolation: str, fill_mode: str, fill_value: float
) -> None:
    """y[n] = x[n] seen through maps[n]."""
    plan.launch(_affine_sample, x, maps, y, interpolation=interpolation, fill_mode=fill_mode, fill_value=fill_value)


def adjust(plan: Any, x: Any, centre: Any, amounts: Any, y: Any, *, low: float, high: float) -> None:
    """y = x brighter, or with more contrast."""
    plan.launch(_adjust, x, centre, amounts, y, low=low, high=high)


def erase(
    plan: Any, x: Any, boxes: Any, scalars: Any, y: Any, *, fill: tuple[float, ...] | None, low: float, high: float,
    op_id: int, seed: int | None,
) -> None:
    """y = x with a rectangle filled."""
    plan.launch(_erase, x, boxes, scalars, y, fill=fill, low=low, high=high, op_id=op_id, seed=seed)


def draws(scalars: Array, samples: int, op_id: int, seed: int | None) -> Array:
    """(8, samples): random whole numbers in [0, 2^24), the words 8 n ... 8 n + 7 of the stream for sample n."""
    key = int(scalars[Scalars.SEED]) if seed is None else seed
    return (words(key, int(scalars[Scalars.STEP]), op_id, 8 * samples).reshape(samples, 8).T >> np.uint32(8)).astype(np.int64)


def _random_affine(
    scalars: Array, before: Array | None, y: Array, *, kind: int, numbers: tuple[int, ...], tied: bool, op_id: int,
    seed: int | None,
) -> None:
    u = draws(scalars, len(y), op_id, seed)
    first = GEOMETRY.number(kind, *numbers[:2], u[0])
    second = GEOMETRY.number(kind, *numbers[2:], u[0 if tied else 1])
    own = GEOMETRY.drawn(kind, first, second)
    whole = own if before is None else GEOMETRY.composed(tuple(before.T.astype(np.int64)), own)
    for k, entry in enumerate(whole):
        y[:, k] = entry


def _random_uniform(scalars: Array, y: Array, *, low: float, high: float, op_id: int, seed: int | None) -> None:
    y[...] = low + (high - low) * (draws(scalars, len(y), op_id, seed)[0] * 2.0**-24)


def _random_box(
    scalars: Array, y: Array, *, size: tuple[int, int], ranges: tuple[int, int, int, int], op_id: int, seed: int | None
) -> None:
    y[...] = np.stack(GEOMETRY.box(*size, *ranges, *draws(scalars, len(y), op_id, seed)[:6]), axis=1)


def _affine_sample(x: Array, maps: Array, y: Array, *, interpolation: str, fill_mode: str, fill_value: float) -> None:
    for n, (a, b, s, c, d, t) in enumerate(maps.astype(np.int64)):
        v, h = (2 * np.arange(extent) + 1 - extent for extent in y.shape[1:3])
        rows = (a * v)[:, None] + b * h + (s << 8) + (x.shape[1] - 1 << 24)
        columns = (c * v)[:, None] + d * h + (t << 8) + (x.shape[2] - 1 << 24)
        taps = [_taps(position, interpolation) for position in (rows, columns)]
        y[n] = sum(
            (weight_r * weight_c)[..., None] * _pixels(x[n], r, c, fill_mode, fill_value)
            for r, weight_r in taps[0] for c, weight_c in taps[1]
        )  # fmt: skip


def _taps(position: Array, interpolation: str) -> list[tuple[Array, Array]]:
    """Pixels of an axis and their weights at positions in units of 2^-25 pixels."""
    if interpolation == "nearest":
        return [(position + (1 << 24) >> 25, np.ones(position.shape))]
    first, share = position >> 25, (position >> 1 & (1 << 24) - 1) * 2.0**-24
    return [(first, 1 - share), (first + 1, share)]


def _pixels(x: Array, rows: Array, columns: Array, fill_mode: str, fill_value: float) -> Array:
    """x at rows and columns that may lie outside of it."""
    found = x[_within(rows, x.shape[0], fill_mode), _within(columns, x.shape[1], fill_mode)]
    inside = (rows >= 0) & (rows < x.shape[0]) & (columns >= 0) & (columns < x.shape[1])
    return found if fill_mode != "constant" else np.where(inside[..., None], found, fill_value)


def _within(i: Array, extent: int, fill_mode: str) -> Array:
    """The pixel of an axis that stands for pixel i."""
    if fill_mode == "wrap":
        return i % extent
    if fill_mode == "reflect":
        return np.minimum(i % (2 * extent), 2 * extent - 1 - i % (2 * extent))
    return np.clip(i, 0, extent - 1)


def _adjust(x: Array, centre: Array | None, amounts: Array, y: Array, *, low: float, high: float) -> None:
    amount = amounts[:, None, None, None]
    y[...] = np.clip(x + amount if centre is None else (x - centre) * amount + centre, low, high)


def _erase(
    x: Array, boxes: Array, scalars: Array, y: Array, *, fill: tuple[float, ...] | None, low: float, high: float, op_id: int,
    seed: int | None,
) -> None:
    row, column = np.arange(x.shape[1])[:, None], np.arange(x.shape[2])
    top, bottom, left, right = boxes.T[:, :, None, None]
    erased = (top <= row) & (row < bottom) & (left <= column) & (column < right)
    filling = np.asarray(_noise(scalars, x.shape, op_id, seed) * high if fill is None else fill)
    y[...] = np.where(erased[..., None], np.clip(filling, low, high), x)


def _noise(scalars: Array, shape: tuple[int, ...], op_id: int, seed: int | None) -> Array:
    """Sums of sixteen random bytes with mean 0 and standard deviation 1: element e has those of the counter e + 2^32."""
    key = int(scalars[Scalars.SEED]) if seed is None else seed
    elements, step = np.arange(np.prod(shape)), int(scalars[Scalars.STEP]) & WORD
    four = philox((elements, 1, step, op_id), (key & WORD, key >> 32 & WORD))
    total = sum((word >> np.uint32(8 * k) & np.uint32(255)).astype(np.int64) for word in four for k in range(4))
    return ((total - MIDDLE) / SPREAD).reshape(shape)

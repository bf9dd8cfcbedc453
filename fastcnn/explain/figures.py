"""Pictures of what `fastcnn.explain` computes: every function takes arrays and returns a matplotlib Figure.

samples              pictures with true and predicted labels, wrong ones marked
confusion_matrix     how often each class is taken for each
curves               loss and accuracy against epochs
feature_maps         every channel of a layer for one picture
filters              every kernel of a convolution
heat_map             a picture, a map of it, and both
dream                what a gradient ascent began and ended with, and its recipe
worked_convolution   one pixel of a convolution: picture, patch, filter, products, pool
neighbours           a query and the pictures that are nearest to it
save, png            a figure as a file, whole or not at all, and as bytes

Maps of one sign are drawn in viridis, signed ones in red and blue around a white zero: both can be read without red or green.
Needs matplotlib: pip install 'fastcnn[plot]'.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..utils.files import write_atomically
from .dreams import Dream
from .inside import Array
from .worked import WorkedConvolution, numbers

UNSIGNED, SIGNED, GREY = "viridis", "RdBu_r", "gray"
BETWEEN = "0.82"
"""Grey between tiles that are white where they are zero."""
RIGHT, WRONG = "#0072b2", "#d55e00"
"""Blue and vermilion of Okabe and Ito: told apart by all eyes."""
DPI = 120
MAX_NUMBERS = 49
"""Cells of a patch, above which numbers in them would not be legible."""
MAX_LABELLED = 256
"""Tiles of a mosaic, above which they are not numbered."""


# Figures and files.


def _figure(width: float, height: float, title: str = "") -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install 'fastcnn[plot]'") from error
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def png(figure: Any) -> bytes:
    """A figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure to a PNG file, whole or not at all. The folder must exist."""
    write_atomically(path, png(figure))


# Pictures and labels.


def visible(picture: Array) -> Array:
    """A picture (height, width, 1 or 3) as matplotlib shows it: (height, width) or (height, width, 3), from 0 to 1.

    uint8 is divided by 255; floats that leave 0 to 1 are stretched to it.
    """
    if picture.ndim != 3 or picture.shape[-1] not in (1, 3):
        raise ValueError(f"expected a picture of (height, width, 1 or 3 channels), got {picture.shape}")
    values = picture / np.float32(255) if picture.dtype == np.uint8 else picture.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        values = (values - low) / max(high - low, 1e-12)
    return values[..., 0] if picture.shape[-1] == 1 else values


def _show(axes: Any, picture: Array) -> None:
    axes.imshow(visible(picture), cmap=GREY, vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _named(k: int, names: Sequence[str] | None) -> str:
    return names[k] if names is not None else str(k)


def samples(
    pictures: Any,
    true: Any = None,
    predicted: Any = None,
    class_names: Sequence[str] | None = None,
    title: str = "",
    columns: int | None = None,
) -> Any:
    """Pictures (n, height, width, 1 or 3) in a grid, with what is known of them underneath.

    true       class numbers (n,)
    predicted  class numbers (n,), or probabilities (n, classes), which are shown too. What differs from `true` is framed and
               says so
    """
    pictures = np.asarray(pictures)
    across = columns or min(len(pictures), 6 if len(pictures) <= 12 else 8)
    down = math.ceil(len(pictures) / across)
    figure = _figure(1.5 * across, 1.85 * down + 0.4 * bool(title), title)
    grid = np.asarray(figure.subplots(down, across, squeeze=False)).ravel()
    for axes in grid[len(pictures) :]:
        axes.axis("off")
    for n, (axes, picture) in enumerate(zip(grid, pictures, strict=False)):
        _show(axes, picture)
        _caption(axes, *_caption_of(n, true, predicted, class_names))
    return figure


def _caption_of(n: int, true: Any, predicted: Any, names: Sequence[str] | None) -> tuple[str, bool | None]:
    """What is told of a picture, and whether the prediction is right: None where nobody knows."""
    if predicted is None:
        return ("" if true is None else _named(int(true[n]), names)), None
    row = np.asarray(predicted[n])
    k = int(row.argmax()) if row.ndim else int(row)
    told = _named(k, names) + (f"  {100 * row[k]:.0f} %" if row.ndim else "")
    if true is None:
        return told, None
    right = k == int(true[n])
    return (told if right else f"{told}\nbut is {_named(int(true[n]), names)}"), right


def _caption(axes: Any, text: str, right: bool | None = None, size: int = 9) -> None:
    axes.set_xlabel(text, fontsize=size, color=WRONG if right is False else "black")
    for spine in axes.spines.values():
        spine.set(visible=right is False, edgecolor=WRONG, linewidth=2.5)


def confusion_matrix(matrix: Any, class_names: Sequence[str] | None = None, title: str = "") -> Any:
    """Counts (classes, classes), rows true, columns predicted. The colour is the share of the true class."""
    matrix = np.asarray(matrix)
    classes = len(matrix)
    names = [_named(k, class_names) for k in range(classes)]
    side = min(2.5 + 0.42 * classes, 14)
    figure = _figure(side + 0.9, side, title or f"{np.trace(matrix):,} of {matrix.sum():,} right")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    rotated = max(map(len, names)) > 3
    axes.set_xticks(range(classes), names, rotation=45 if rotated else 0, ha="right" if rotated else "center")
    axes.set_yticks(range(classes), names)
    axes.set(xlabel="predicted", ylabel="true")
    if classes <= 25:
        for row, column in np.argwhere(matrix):
            colour = "white" if share[row, column] > 0.6 else "black"
            axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    return figure


def curves(history: Sequence[Mapping[str, float]] | Mapping[str, Sequence[float]], title: str = "") -> Any:
    """Loss on the left and accuracy, where it is known, on the right, against epochs.

    history   `History.history`, lists by name; or records, one an epoch
    """
    records = _records(history)
    quantities = [q for q in ("loss", "accuracy") if any(q in record for record in records)]
    figure = _figure(4.5 * len(quantities), 3.5, title)
    for axes, quantity in zip(np.ravel(figure.subplots(1, len(quantities))), quantities, strict=True):
        _curve(axes, records, quantity)
    return figure


def _records(history: Any) -> list[Mapping[str, float]]:
    if not isinstance(history, Mapping):
        return list(history)
    return [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]


def _curve(axes: Any, records: Sequence[Mapping[str, float]], quantity: str) -> None:
    labels = {quantity: "training", f"val_{quantity}": "validation", f"test_{quantity}": "test"}
    for key, label in labels.items():
        points = [(epoch, record[key]) for epoch, record in enumerate(records, start=1) if key in record]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="o", markersize=3)
    axes.set(xlabel="epoch", ylabel=quantity)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()


# Layers.


def feature_maps(maps: Any, title: str = "") -> Any:
    """Every channel of one picture's maps (rows, columns, C), numbered, in one scale of colours."""
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ValueError(f"expected the maps of one picture, (rows, columns, channels), got {maps.shape}")
    return _mosaic(list(np.moveaxis(maps, -1, 0)), title or f"{maps.shape[-1]} channels", "activation")


def filters(kernel: Any, title: str = "") -> Any:
    """Every kernel of (rows, columns, C_in, filters).

    One input channel: a tile a filter. Three: a tile a filter in colour, zero being grey. Else: a row a filter, a column an
    input channel.
    """
    kernel = np.asarray(kernel)
    if kernel.ndim != 4:
        raise ValueError(f"expected a kernel of (rows, columns, input channels, filters), got {kernel.shape}")
    channels, count = kernel.shape[2:]
    title = title or f"{count} filters of {kernel.shape[0]}×{kernel.shape[1]}×{channels}"
    if channels == 1:
        return _mosaic(list(np.moveaxis(kernel[:, :, 0], -1, 0)), title, "weight")
    if channels == 3:
        largest = max(float(np.abs(kernel).max()), 1e-12)
        return _mosaic(list(np.moveaxis(0.5 + kernel / (2 * largest), -1, 0)), title, "")
    tiles = [kernel[:, :, c, f] for f in range(count) for c in range(channels)]
    figure = _mosaic(tiles, title, "weight", columns=channels, numbered=False)
    figure.axes[0].set(xlabel="input channel →", ylabel="← filter")
    return figure


def _mosaic(tiles: list[Array], title: str, quantity: str, columns: int | None = None, numbered: bool = True) -> Any:
    """Tiles of one shape in one picture, with a bar of colours unless they have colours of their own."""
    across = columns or math.ceil(math.sqrt(len(tiles) * 1.4))
    down = math.ceil(len(tiles) / across)
    numbered = numbered and len(tiles) <= MAX_LABELLED
    gap = math.ceil(max(tiles[0].shape[:2]) / 4) if numbered else 1
    height, width = (n + gap for n in tiles[0].shape[:2])
    canvas = np.full((down * height, across * width - gap, *tiles[0].shape[2:]), np.nan if quantity else 1.0)
    corners = [(n // across * height + gap, n % across * width) for n in range(len(tiles))]
    for (top, left), tile in zip(corners, tiles, strict=True):
        canvas[top : top + height - gap, left : left + width - gap] = tile
    inches = min(0.7, 10 / across, 11 / down)
    figure = _figure(max(inches * across + 1.2, 4), max(inches * down + 0.5, 1.5), title)
    axes = figure.subplots()
    image = axes.imshow(canvas, **_scale(canvas), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if quantity:
        axes.set_facecolor(BETWEEN if image.get_cmap().name == SIGNED else "white")
        figure.colorbar(image, ax=axes, label=quantity, shrink=0.8)
    if numbered:
        for n, (top, left) in enumerate(corners):
            axes.text(left - 0.5, top - 0.5, str(n), fontsize=6, va="bottom", ha="left")
    return figure


def _scale(values: Array) -> dict[str, Any]:
    """Colours for a map: around zero where it has both signs."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low < 0 < high or high <= 0 > low:
        limit = max(-low, high)
        return dict(cmap=SIGNED, vmin=-limit, vmax=limit)
    return dict(cmap=UNSIGNED, vmin=min(low, 0.0), vmax=high if high > 0 else 1.0)


# Maps of a picture.


def heat_map(picture: Any, values: Any, title: str = "", quantity: str = "") -> Any:
    """A picture (height, width, 1 or 3), a map of it (height, width) with a bar of colours, and the map over the picture."""
    picture, values = np.asarray(picture), np.asarray(values)
    if values.shape != picture.shape[:2]:
        raise ValueError(f"expected a map of the picture's {picture.shape[:2]} pixels, got {values.shape}")
    figure = _figure(9, 3.2, title)
    shown, mapped, over = figure.subplots(1, 3)
    _show(shown, picture)
    scale = _scale(values)
    image = mapped.imshow(values, **scale, interpolation="nearest")
    figure.colorbar(image, ax=mapped, label=quantity, shrink=0.85)
    _show(over, picture.mean(axis=-1, keepdims=True) / (255 if picture.dtype == np.uint8 else 1))
    largest = float(np.abs(values).max())
    # Where the map is near zero the picture shows through.
    over.imshow(values, **scale, alpha=0.8 * np.abs(values) / (largest or 1.0), interpolation="nearest")
    mapped.set(xticks=[], yticks=[])
    for axes, name in ((shown, "picture"), (mapped, "map" if largest else "map: 0 everywhere"), (over, "map over picture")):
        axes.set_title(name, fontsize=9)
    return figure


def dream(dreamt: Dream, title: str = "") -> Any:
    """Start and end of a gradient ascent, the score on the way, and the recipe."""
    figure = _figure(9, 3.4, f"{title or dreamt.title}\n{dreamt.recipe}")
    start, end, way = figure.subplots(1, 3)
    for axes, picture, name in ((start, dreamt.start, "start"), (end, dreamt.picture, "end")):
        _show(axes, picture)
        axes.set_title(name, fontsize=9)
    way.plot(dreamt.scores, color=RIGHT)
    way.set(xlabel="step", ylabel="score")
    way.grid(alpha=0.3)
    return figure


# A worked convolution.


def worked_convolution(worked: WorkedConvolution) -> Any:
    """One pixel of a convolution, a row an input channel: where the patch lies, patch, filter, products; below, the sums."""
    shown = worked.strongest()
    at = f"row {worked.position[0]}, column {worked.position[1]}"
    lines = worked.lines()
    heights = [2.6 * len(shown), max(0.24 * len(lines) + 0.1, 2.2 if worked.pool else 0)]
    figure = _figure(10.5, sum(heights) + 0.4, f"{worked.layer}, filter {worked.filter}, {at}")
    upper, lower = figure.subfigures(2, 1, height_ratios=heights)
    limit = {name: _limit(values, shown) for name, values in _worked_values(worked).items()}
    for row, k in zip(upper.subplots(len(shown), 4, squeeze=False), shown, strict=True):
        _where(row[0], worked, k)
        for axes, (name, values) in zip(row[1:], _worked_values(worked).items(), strict=True):
            _cells(axes, values[..., k], limit[name], ~worked.in_picture if name != "filter" else None)
            axes.set_title(name if name != "products" else f"products, sum {worked.channel_sums[k]:.4f}", fontsize=9)
    _conclusion(lower, worked, lines)
    return figure


def _worked_values(worked: WorkedConvolution) -> dict[str, Array]:
    return {"patch": worked.patch, "filter": worked.kernel, "products": worked.products}


def _limit(values: Array, shown: list[int]) -> float:
    return max(float(np.abs(values[..., shown]).max()), 1e-12)


def _where(axes: Any, worked: WorkedConvolution, k: int) -> None:
    from matplotlib.patches import Rectangle

    plane = worked.operand[..., k]
    axes.imshow(plane, **_scale(plane) if plane.min() < 0 else dict(cmap=GREY, vmin=0), interpolation="nearest")
    (top, left), (rows, columns) = worked.corner, worked.kernel.shape[:2]
    height, width = ((n - 1) * d + 1 for n, d in zip((rows, columns), worked.dilation, strict=True))
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=WRONG, linewidth=2))
    # A patch that begins in the padding is shown whole.
    axes.set_xlim(min(left, 0) - 0.7, max(left + width, plane.shape[1]) - 0.3)
    axes.set_ylim(max(top + height, plane.shape[0]) - 0.3, min(top, 0) - 0.7)
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"what it reads, channel {worked.channels[k]}", fontsize=9)


def _cells(axes: Any, values: Array, limit: float, padding: Array | None = None) -> None:
    """Numbers in coloured cells; those of the padding are grey."""
    axes.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit)
    axes.set(xticks=[], yticks=[])
    if values.size > MAX_NUMBERS:
        return
    texts = numbers(values)
    for (row, column), value in np.ndenumerate(values):
        colour = "0.6" if padding is not None and padding[row, column] else _legible(value / limit)
        size = 9 if values.size <= 25 else 6
        axes.text(column, row, texts[row, column], ha="center", va="center", color=colour, fontsize=size)


def _legible(share: float) -> str:
    return "white" if abs(share) > 0.65 else "black"


def _conclusion(figure: Any, worked: WorkedConvolution, lines: Sequence[str]) -> None:
    words, window = figure.subplots(1, 2, width_ratios=[3, 1])
    words.axis("off")
    words.text(0.02, 1, "\n".join(lines), va="top", fontsize=9, transform=words.transAxes, linespacing=1.5)
    if worked.pool is None:
        window.axis("off")
        return
    from matplotlib.patches import Rectangle

    values, (top, left) = worked.pool.values, worked.pool.origin
    _cells(window, values, max(float(np.abs(values).max()), 1e-12))
    row, column = worked.pool.winner
    window.add_patch(Rectangle((column - left - 0.46, row - top - 0.46), 0.92, 0.92, fill=False, edgecolor=WRONG, linewidth=3))
    window.set_title(f"window of {worked.pool.layer}", fontsize=9)


# Search.


def neighbours(
    query: Any, pictures: Any, distances: Sequence[float], names: Sequence[str] | None = None, title: str = ""
) -> Any:
    """A query (height, width, 1 or 3) and the pictures nearest to it, nearest first, with name and distance."""
    across, down = min(len(pictures) + 1, 6), math.ceil((len(pictures) + 1) / 6)
    figure = _figure(1.6 * across, 2.0 * down + 0.4 * bool(title), title)
    grid = np.asarray(figure.subplots(down, across, squeeze=False)).ravel()
    for axes in grid[len(pictures) + 1 :]:
        axes.axis("off")
    _show(grid[0], np.asarray(query))
    _caption(grid[0], "query")
    for spine in grid[0].spines.values():
        spine.set(visible=True, edgecolor=RIGHT, linewidth=2.5)
    for n, (axes, picture) in enumerate(zip(grid[1:], pictures, strict=False)):
        _show(axes, np.asarray(picture))
        _caption(axes, f"{_short(names[n]) if names else n}\n{distances[n]:.4f}", size=8)
    return figure


def _short(name: str, length: int = 22) -> str:
    return name if len(name) <= length else f"…{name[1 - length :]}"

"""A worked convolution on the terminal: one row of tables a channel, then the sums, then what becomes of the pixel."""

from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from .inside import Array
from .worked import WorkedConvolution, numbers

MAX_SUMS = 8
"""Input channels whose sums are told one by one."""
MAX_BESIDE = 3
"""Columns of a filter that fit three times into a line."""


def printed(worked: WorkedConvolution) -> Group:
    """What rich prints of it. Pixels in the padding are dim, the winner of the pool is bold."""
    rows, columns, channels = worked.kernel.shape
    title = (
        f"{worked.layer}: filter {worked.filter} at row {worked.position[0]}, column {worked.position[1]} "
        f"({rows}×{columns}×{channels} numbers)"
    )
    shown = worked.strongest()
    parts: list[Any] = [Text(title, style="bold")]
    if len(shown) < channels:
        parts.append(Text(f"of {channels} channels, the {len(shown)} with the largest sums:"))
    for k in shown:
        told = f"\nchannel {worked.channels[k]}: patch × filter = products, sum {worked.channel_sums[k]:.4f}"
        parts += [Text(told), _row(worked, k)]
    if channels > 1:
        parts.append(Text(_sums(worked)))
    parts += [Text(line) for line in worked.lines()]
    if worked.pool is not None:
        parts.append(_grid(worked.pool.values, bold=worked.pool.values == worked.pool.result))
    return Group(*parts)


def _row(worked: WorkedConvolution, k: int) -> Any:
    """Side by side where a terminal of 80 columns holds them, else one below the other."""
    padding = ~worked.in_picture
    patch, kernel = _grid(worked.patch[..., k], dim=padding), _grid(worked.kernel[..., k])
    products = _grid(worked.products[..., k], dim=padding)
    if worked.kernel.shape[1] > MAX_BESIDE:
        return Group(patch, Text("×"), kernel, Text("="), products)
    row = Table.grid(padding=(0, 1))
    row.add_row(patch, Text("\n×"), kernel, Text("\n="), products)
    return row


def _sums(worked: WorkedConvolution) -> str:
    sums = worked.channel_sums
    largest = sorted(np.argsort(-np.abs(sums), kind="stable")[:MAX_SUMS])
    told = [f"{worked.channels[k]}: {sums[k]:.4f}" for k in largest]
    rest = sums.sum() - sums[largest].sum()
    more = f", the other {len(sums) - len(largest)} together: {rest:.4f}" if len(sums) > len(largest) else ""
    return f"\nsums by channel: {', '.join(told)}{more}"


def _grid(values: Array, dim: Array | None = None, bold: Array | None = None) -> Table:
    table = Table(show_header=False, padding=0)
    for _ in range(values.shape[1]):
        table.add_column(justify="right")
    styles = np.full(values.shape, "", dtype=object)
    for where, style in ((dim, "dim"), (bold, "bold")):
        if where is not None:
            styles[where] = style
    for row, row_styles in zip(numbers(values), styles, strict=True):
        table.add_row(*(Text(text, style=style) for text, style in zip(row, row_styles, strict=True)))
    return table

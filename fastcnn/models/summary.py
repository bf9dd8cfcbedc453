"""The table that `model.summary()` prints."""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..graph import flatten
from ..layers import Layer
from ..trace import Trace, Value
from ..variables import Variable

if TYPE_CHECKING:
    from .model import Model

HEADER = ("Layer (type)", "Output shape", "Param #", "FLOPs", "Bytes", "Connected to")


def summary_lines(model: "Model", line_length: int | None = None) -> list[str]:
    """The lines of the summary: a table of layers, totals of parameters, and the cost of one sample going forward.

    FLOPs and bytes are those of the layer's steps for a batch of 1, in inference: two FLOPs a multiply-add, every operand
    read or written once. A model without input shape has neither these nor shapes yet.
    """
    costs = _costs(model) if model.built else {}
    rows = [_row(model, layer, costs) for layer in model.layers]
    columns = len(HEADER) if _branches(model) else len(HEADER) - 1
    table = _table([row[:columns] for row in (HEADER, *rows)], line_length)
    return [f'Model: "{model.name}"', *table, *_totals(model), *_total_cost(costs)]


def _costs(model: "Model") -> dict[str, tuple[int, int]]:
    from ..program.costs import step_cost

    with Trace() as trace:
        model.trace([Value(t.shape, t.dtype, t.name) for t in model.inputs], training=False)
    totals: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for step in trace.steps:
        layer = step.source.partition("/")[0]
        flops, nbytes = step_cost(step, 1)
        totals[layer] = (totals[layer][0] + flops, totals[layer][1] + nbytes)
    return totals


def _row(model: "Model", layer: Layer, costs: dict[str, tuple[int, int]]) -> tuple[str, ...]:
    flops, nbytes = costs.get(layer.name, (0, 0))
    shape = ", ".join(str(tensor.shape) for tensor in flatten(_calls(model, layer)[0].outputs)) if model.built else "?"
    parameters = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
    return (f"{layer.name} ({type(layer).__name__})", shape, parameters, scaled(flops), scaled(nbytes), _sources(model, layer))


def _calls(model: "Model", layer: Layer) -> list[Any]:
    return [node for node in model.graph.nodes if node.layer is layer] or [layer._first_node()]


def _sources(model: "Model", layer: Layer) -> str:
    if not model.built:
        return ""
    return ", ".join(tensor.name for node in _calls(model, layer) for tensor in flatten(node.inputs)) or "-"


def _branches(model: "Model") -> bool:
    """Whether the layers are anything but a stack, so that it must be said what is connected to what."""
    if not model.built:
        return False
    nodes = model.graph.nodes
    chained = all(flatten(node.inputs) == flatten(before.outputs) for before, node in pairwise(nodes))
    return not chained or len(model.inputs) > 1 or len({node.layer for node in nodes}) < len(nodes)


def scaled(number: float) -> str:
    """A count in at most four digits and a unit: 0, 512, 14.4 k, 3.25 M, 1.2 G."""
    for unit in ("", " k", " M", " G"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} T"


def memory_size(nbytes: float) -> str:
    """Bytes in a unit of 1024: 64.00 B, 364.54 KB, 12.38 MB."""
    for unit in ("B", "KB", "MB"):
        if nbytes < 1024:
            return f"{nbytes:.2f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.2f} GB"


def _table(rows: Sequence[Sequence[str]], line_length: int | None) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    spare = (line_length or min(100, shutil.get_terminal_size().columns)) - sum(widths) - 2 * len(widths)
    widths[0] += max(spare, 0)
    rule = "─" * (sum(widths) + 2 * len(widths))
    lines = [_line(row, widths) for row in rows]
    return [rule, lines[0], rule, *lines[1:], rule]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = (0, 1, 5)
    aligned = [f"{c:<{w}}" if k in left else f"{c:>{w}}" for k, (c, w) in enumerate(zip(cells, widths, strict=True))]
    return " " + "  ".join(aligned).rstrip()


def _totals(model: "Model") -> list[str]:
    trained, frozen = _size(model.trainable_weights), _size(model.non_trainable_weights)
    counts = {"Total params": trained + frozen, "Trainable params": trained, "Non-trainable params": frozen}
    return [f" {name}: {count:,} ({memory_size(4 * count)})" for name, count in counts.items()]


def _size(variables: Iterable[Variable]) -> int:
    return sum(variable.size for variable in variables)


def _total_cost(costs: dict[str, tuple[int, int]]) -> list[str]:
    flops, nbytes = (sum(cost[k] for cost in costs.values()) for k in (0, 1))
    return [f" Forward, one sample: {scaled(flops)}FLOP, {scaled(nbytes)}B moved"] if costs else []

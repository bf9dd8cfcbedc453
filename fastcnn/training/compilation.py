"""What the arguments of compile mean, output by output, and the names of the numbers in logs.

Compilation   losses, their weights and metrics of every output
Scores        their running means, from the device and from metrics on the host
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import losses as losses_module
from .. import metrics as metrics_module
from ..losses import Loss
from ..metrics import DeviceMetric, Metric
from ..program import Objective
from ..utils.suggest import unknown

Logs = dict[str, float]


@dataclass
class Compilation:
    """One entry an output: its name, loss, the weight of that loss, and metrics in the order given."""

    names: list[str]
    losses: list[Loss | None]
    weights: list[float]
    metrics: list[list[Metric | DeviceMetric]]

    def objective(self, optimizer: Any = None) -> Objective:
        """What programs are built from: metrics on the host are left out."""
        device = [[m for m in metrics if isinstance(m, DeviceMetric)] for metrics in self.metrics]
        return Objective(self.losses, self.weights, device, optimizer)

    def labelled(self) -> list[int]:
        """The outputs that need labels."""
        return [k for k in range(len(self.names)) if self.losses[k] is not None or self.metrics[k]]

    def host_metrics(self) -> list[tuple[int, Metric]]:
        """(position among the labelled outputs, metric)."""
        return [(n, m) for n, k in enumerate(self.labelled()) for m in self.metrics[k] if isinstance(m, Metric)]

    def loss_names(self) -> list[str]:
        """The names of the losses of single outputs; none where there is only one."""
        names = [f"{name}_loss" for name, loss in zip(self.names, self.losses, strict=True) if loss is not None]
        return names if len(names) > 1 else []

    def metric_names(self) -> list[tuple[str, Metric | DeviceMetric]]:
        """Each metric with its name in logs: the output's before it where there are several, a number after equal ones."""
        several = len(self.names) > 1
        found: dict[str, Metric | DeviceMetric] = {}
        for output, metrics in zip(self.names, self.metrics, strict=True):
            for metric in metrics:
                name = f"{output}_{metric.name}" if several else metric.name
                found[_unused(name, found)] = metric
        return list(found.items())

    def log_names(self) -> list[str]:
        """All names, in the order in which `evaluate` returns the values."""
        metrics = [name for name, _ in self.metric_names()]
        return ["loss", *self.loss_names(), *(sorted(metrics) if len(self.names) > 1 else metrics)]

    def directions(self) -> dict[str, str | None]:
        """Whether more ("up") or less ("down") is better, by the name in logs."""
        return {name: metric.direction for name, metric in self.metric_names()}


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    count = 1
    result = name
    while result in taken:
        result, count = f"{name}_{count}", count + 1
    return result


def compilation(names: Sequence[str], loss: Any = None, loss_weights: Any = None, metrics: Any = None) -> Compilation:
    """The arguments of compile as lists, one entry an output of `names`. ValueError where they do not fit the outputs."""
    losses = [None if item is None else losses_module.get(item) for item in _each_loss(loss, names)]
    return Compilation(list(names), losses, _weights(loss_weights, names), _metrics(metrics, names))


def _each_loss(loss: Any, names: Sequence[str]) -> list[Any]:
    if isinstance(loss, Mapping) and "class_name" not in loss and "function" not in loss:
        return _by_name("loss", loss, names, None)
    if isinstance(loss, list | tuple):
        return _by_position("loss", loss, names)
    return [loss] * len(names)


def _weights(weights: Any, names: Sequence[str]) -> list[float]:
    if weights is None:
        return [1.0] * len(names)
    if isinstance(weights, Mapping):
        found = _by_name("loss_weights", weights, names, 1.0)
    else:
        found = _by_position("loss_weights", weights if isinstance(weights, list | tuple) else [weights], names)
    for weight in found:
        if not (isinstance(weight, int | float) and math.isfinite(weight)):
            raise ValueError(f"loss_weights must be finite numbers, got {weight!r}")
    return [float(weight) for weight in found]


def _metrics(metrics: Any, names: Sequence[str]) -> list[list[Metric | DeviceMetric]]:
    if metrics is None:
        return [[] for _ in names]
    if not isinstance(metrics, list | tuple | Mapping):
        raise ValueError(f"metrics must be a list, such as ['accuracy'], or a dict by output, got {metrics!r}")
    if len(names) == 1:
        return [[metrics_module.get(m) for m in _leaves(metrics)]]
    entries = (
        _by_name("metrics", metrics, names, None) if isinstance(metrics, Mapping) else _by_position("metrics", metrics, names)
    )
    return [[metrics_module.get(m) for m in _leaves(entry)] for entry in entries]


def _leaves(entry: Any) -> list[Any]:
    if isinstance(entry, Mapping) and ("class_name" in entry or "function" in entry):
        return [entry]
    if isinstance(entry, list | tuple | Mapping):
        items = entry.values() if isinstance(entry, Mapping) else entry
        return [leaf for item in items for leaf in _leaves(item)]
    return [] if entry is None else [entry]


def _by_name(argument: str, value: Mapping[str, Any], names: Sequence[str], default: Any) -> list[Any]:
    for name in value:
        if name not in names:
            raise unknown(f"output in {argument}", name, names)
    return [value.get(name, default) for name in names]


def _by_position(argument: str, value: Sequence[Any], names: Sequence[str]) -> list[Any]:
    if len(value) != len(names):
        raise ValueError(
            f"{argument} must have one entry for each of the {len(names)} outputs ({', '.join(names)}), got {len(value)}: "
            f"{value!r}. Use a list of {len(names)}, or a dict by output"
        )
    return list(value)


class Scores:
    """The running means of losses and metrics since `reset`."""

    def __init__(self, compilation: Compilation, executor: Any):
        self.compilation, self.executor = compilation, executor
        self.host = compilation.host_metrics()
        self._names = compilation.log_names()

    def reset(self) -> None:
        """Start again."""
        self.executor.reset_metrics()
        for _, metric in self.host:
            metric.reset_state()

    def take(self, batch: Any) -> None:
        """Show a batch that has run to the metrics on the host."""
        if self.host:
            labels, predictions = batch.labels(), batch.predictions()
            outputs = self.compilation.labelled()
            for position, metric in self.host:
                metric.update_state(labels[position], predictions[outputs[position]])

    def logs(self) -> Logs:
        """All numbers by name, in the order in which `evaluate` returns them."""
        means = [total / weight if weight else 0.0 for total, weight in self.executor.totals()]
        compiled = self.compilation
        weights = [w for w, loss in zip(compiled.weights, compiled.losses, strict=True) if loss is not None]
        logs = {"loss": sum((w * mean for w, mean in zip(weights, means, strict=False)), 0.0)}
        logs.update(zip(compiled.loss_names(), means, strict=False))
        device = iter(means[len(weights) :])
        for name, metric in compiled.metric_names():
            logs[name] = next(device) if isinstance(metric, DeviceMetric) else float(metric.result())
        return {name: logs[name] for name in self._names}

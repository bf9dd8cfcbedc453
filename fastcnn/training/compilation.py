"""What the arguments of compile mean, output by output, and the names of the numbers in logs.

Compilation   losses, their weights and metrics of every output
Scores        their running means, from the device and from metrics on the host
"""

import math
from collections.abc import Callable, Mapping, Sequence
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
    """One entry an output: its name, loss, the weight of that loss, and metrics in the order given, last the weighted ones."""

    names: list[str]
    losses: list[Loss | None]
    weights: list[float]
    metrics: list[list[Metric | DeviceMetric]]
    weighted_metrics: list[list[Metric | DeviceMetric]]

    def objective(self, optimizer: Any = None) -> Objective:
        """What programs are built from: metrics on the host are left out."""
        device = [[(m, w) for m, w in metrics if isinstance(m, DeviceMetric)] for metrics in self.measured()]
        return Objective(self.losses, self.weights, device, optimizer)

    def measured(self) -> list[list[tuple[Metric | DeviceMetric, bool]]]:
        """Of every output its metrics, each with whether it sees sample weights."""
        both = zip(self.metrics, self.weighted_metrics, strict=True)
        return [[*((m, False) for m in plain), *((m, True) for m in weighted)] for plain, weighted in both]

    def labelled(self) -> list[int]:
        """The outputs that need labels."""
        measured = self.measured()
        return [k for k in range(len(self.names)) if self.losses[k] is not None or measured[k]]

    def host_metrics(self) -> list[tuple[int, Metric, bool]]:
        """(position among the labelled outputs, metric, whether it sees sample weights)."""
        measured = self.measured()
        return [(n, m, w) for n, k in enumerate(self.labelled()) for m, w in measured[k] if isinstance(m, Metric)]

    def loss_names(self) -> list[str]:
        """The names of the losses of single outputs; none where there is only one."""
        names = [f"{name}_loss" for name, loss in zip(self.names, self.losses, strict=True) if loss is not None]
        return names if len(names) > 1 else []

    def metric_names(self) -> list[tuple[str, Metric | DeviceMetric]]:
        """Each metric with its name in logs: the output's before it where there are several, a number after equal ones, of
        which those that see sample weights are called weighted."""
        found: dict[str, Metric | DeviceMetric] = {}
        for output, metrics in zip(self.names, self.measured(), strict=True):
            before = f"{output}_" if len(self.names) > 1 else ""
            for metric, weighted in metrics:
                name = before + metric.name
                found[_unused(f"{before}weighted_{metric.name}" if weighted and name in found else name, found)] = metric
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


def resolved(loss: Any = None, loss_weights: Any = None, metrics: Any = None, weighted_metrics: Any = None) -> dict[str, Any]:
    """The arguments of compile with an object in place of every name, so that they mean the same wherever they are used."""
    measured = dict(metrics=metrics, weighted_metrics=weighted_metrics)
    for argument, value in measured.items():
        if value is not None and not isinstance(value, list | tuple | Mapping):
            raise ValueError(f"{argument} must be a list, such as ['accuracy'], or a dict by output, got {value!r}")
    found = {argument: _each(metrics_module.get, value) for argument, value in measured.items()}
    return dict(loss=_each(losses_module.get, loss), loss_weights=loss_weights, **found)


def _each(get: Callable[[Any], Any], argument: Any) -> Any:
    if argument is None:
        return None
    if isinstance(argument, list | tuple):
        return [_each(get, entry) for entry in argument]
    if isinstance(argument, Mapping) and not ("class_name" in argument or "function" in argument):
        return {name: _each(get, entry) for name, entry in argument.items()}
    return get(argument)


def compilation(
    names: Sequence[str], loss: Any = None, loss_weights: Any = None, metrics: Any = None, weighted_metrics: Any = None
) -> Compilation:
    """What `resolved` returned as lists, one entry an output of `names`. ValueError where they do not fit the outputs."""
    losses = _by_output("loss", loss, names) if isinstance(loss, list | Mapping) else [loss] * len(names)
    measured = _metrics("metrics", metrics, names), _metrics("weighted_metrics", weighted_metrics, names)
    return Compilation(list(names), losses, _weights(loss_weights, names), *measured)


def _weights(weights: Any, names: Sequence[str]) -> list[float]:
    if weights is None:
        return [1.0] * len(names)
    given = weights if isinstance(weights, list | tuple | Mapping) else [weights]
    found = _by_output("loss_weights", given, names, 1.0)
    for weight in found:
        if not (isinstance(weight, int | float) and math.isfinite(weight)):
            raise ValueError(f"loss_weights must be finite numbers, got {weight!r}")
    return [float(weight) for weight in found]


def _metrics(argument: str, metrics: Any, names: Sequence[str]) -> list[list[Metric | DeviceMetric]]:
    if metrics is None:
        return [[] for _ in names]
    if len(names) == 1:
        return [_leaves(metrics)]
    return [_leaves(entry) for entry in _by_output(argument, metrics, names)]


def _leaves(entry: Any) -> list[Any]:
    if isinstance(entry, list | Mapping):
        items = entry.values() if isinstance(entry, Mapping) else entry
        return [leaf for item in items for leaf in _leaves(item)]
    return [] if entry is None else [entry]


def _by_output(argument: str, value: Any, names: Sequence[str], default: Any = None) -> list[Any]:
    """The entries of a dict by output, `default` where it has none, or of a list with one an output."""
    if isinstance(value, Mapping):
        for name in value:
            if name not in names:
                raise unknown(f"output in {argument}", name, names)
        return [value.get(name, default) for name in names]
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
        self._names, self._losses, self._metrics = compilation.log_names(), compilation.loss_names(), compilation.metric_names()
        self._weights = [w for w, loss in zip(compilation.weights, compilation.losses, strict=True) if loss is not None]

    def reset(self) -> None:
        """Start again."""
        self.executor.reset_metrics()
        for _, metric, _ in self.host:
            metric.reset_state()

    def take(self, batch: Any) -> None:
        """Show a batch that has run to the metrics on the host."""
        if self.host:
            labels, predictions, weights = batch.labels(), batch.predictions(), batch.weights()
            outputs = self.compilation.labelled()
            for position, metric, weighted in self.host:
                shares = [weights[position]] if weighted else []
                metric.update_state(labels[position], predictions[outputs[position]], *shares)

    def logs(self) -> Logs:
        """All numbers by name, in the order in which `evaluate` returns them."""
        means = [total / weight if weight else 0.0 for total, weight in self.executor.totals()]
        logs = {"loss": sum((w * mean for w, mean in zip(self._weights, means, strict=False)), 0.0)}
        logs.update(zip(self._losses, means, strict=False))
        rest = iter(means[len(self._weights) :])
        for name, metric in self._metrics:
            logs[name] = next(rest) if isinstance(metric, DeviceMetric) else float(metric.result())
        logs["loss"] += sum(rest)  # penalties
        return {name: logs[name] for name in self._names}

"""What compile() decided: the losses and metrics of every output, and the optimizer."""

from dataclasses import dataclass, field
from typing import Any

Target = tuple[tuple[int, ...], str]
"""Shape of one sample's label and its dtype inside the program, "float32" or "int32"."""


@dataclass
class Objective:
    """One entry an output in `losses`, `loss_weights` and `metrics`; an output without a loss has None.

    A loss has call(y_true, y_pred) -> Value (N,); a metric has emit(y_true, y_pred, weight, accumulator), which appends steps,
    and comes with whether it sees sample weights; an optimizer has apply(pairs of variable and gradient, scalars), which
    appends its steps.
    """

    losses: list[Any] = field(default_factory=list)
    loss_weights: list[float] = field(default_factory=list)
    metrics: list[list[tuple[Any, bool]]] = field(default_factory=list)
    optimizer: Any = None

    def accumulators(self) -> int:
        """Number of (sum, weight) pairs: one a loss, then one a metric."""
        return sum(loss is not None for loss in self.losses) + sum(len(metrics) for metrics in self.metrics)

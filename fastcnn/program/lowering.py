"""Lowering: a model and an objective become a flat trace of steps for one mode.

    train    gather, forward in training mode, losses, metrics, backward, optimizer
    test     gather, forward in inference mode, losses, metrics
    predict  gather, forward in inference mode, export

The trace holds for every batch size; a Program makes it concrete for one.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from .. import ops
from ..trace import Trace, Value
from .fusion import fuse
from .gradients import Differentiator
from .objective import Objective, Target

Mode = Literal["train", "test", "predict"]


@dataclass
class Lowered:
    """A trace with the values that are bound from outside: host arrays, accumulators."""

    trace: Trace
    mode: Mode
    index: Value
    inputs: list[Value] = field(default_factory=list)
    labels: list[Value] = field(default_factory=list)
    weights: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    accumulators: list[Value] = field(default_factory=list)


def lower(
    model: Any,
    mode: Mode,
    objective: Objective,
    fusions: frozenset[str],
    dtypes: tuple[str, ...] = (),
    targets: tuple[Target | None, ...] = (),
    export: bool = False,
) -> Lowered:
    """Write down all steps of `mode`. `dtypes` are those of the arrays bound to the inputs, then to the labels."""
    trace = Trace(training=mode == "train")
    with trace, trace.scope(model.name):
        lowered = Lowered(trace, mode, Value((None,), "int64", "index", "external"))
        inputs = gather_inputs(lowered, model, dtypes)
        outputs = model.trace(inputs, trace.training)
        variables = [v for v in model.variables if v.trainable]
        if mode != "predict":
            losses = _objective(lowered, objective, outputs, dtypes[len(inputs) :], targets)
            _penalties(lowered, variables)
        if export or mode == "predict":
            export_values(lowered, outputs)
        fuse(trace, fusions)
        if mode == "train":
            _train(trace, objective, variables, losses)
    return lowered


def gather(lowered: Lowered, source: Value, shape: tuple[int | None, ...], dtype: str, name: str) -> Value:
    """The samples of a host array that the index chooses, as a value of this dtype."""
    result = lowered.trace.new(shape, dtype, name)
    lowered.trace.append("gather", {"source": source, "index": lowered.index, "y": result})
    return result


def gather_inputs(lowered: Lowered, model: Any, dtypes: tuple[str, ...]) -> list[Value]:
    """The inputs of a model, gathered from host arrays of these dtypes (default: float32)."""
    values = []
    for k, tensor in enumerate(model.inputs):
        dtype = dtypes[k] if dtypes else "float32"
        source = Value(tensor.shape, dtype, f"x{k}", "external")
        lowered.inputs.append(source)
        values.append(gather(lowered, source, tensor.shape, "float32", tensor.name))
    return values


def _objective(
    lowered: Lowered,
    objective: Objective,
    outputs: list[Value],
    dtypes: tuple[str, ...],
    targets: tuple[Target | None, ...],
) -> list[tuple[Value, Value]]:
    """Losses first, then metrics: the order of the accumulators. Returns (loss, its gradient) pairs."""
    trained, labelled = [], []
    sources = iter(dtypes)
    for k, (loss, target) in enumerate(zip(objective.losses, targets, strict=True)):
        if target is None:
            continue
        shape = (None, *target[0])
        labels, weight = _labels(lowered, k, shape, next(sources, "float32"), target[1])
        labelled.append((k, labels, weight))
        if loss is not None:
            with lowered.trace.scope("loss"):
                trained.append(_loss(lowered, ops.mean(loss.call(labels, outputs[k])), weight, objective.loss_weights[k]))
    for k, labels, weight in labelled:
        if not objective.metrics[k]:
            continue
        with lowered.trace.scope("metrics"):
            # As in Keras, metrics do not see the sample weights that losses and weighted metrics do.
            units = ops.affine(weight, 0.0, 1.0)
            for metric, weighted in objective.metrics[k]:
                metric.emit(labels, outputs[k], weight if weighted else units, _accumulator(lowered))
    return trained


def _labels(lowered: Lowered, k: int, shape: tuple[int | None, ...], source: str, dtype: str) -> tuple[Value, Value]:
    y, w = Value(shape, source, f"y{k}", "external"), Value((None,), "float32", f"weight{k}", "external")
    lowered.labels.append(y)
    lowered.weights.append(w)
    return gather(lowered, y, shape, dtype, f"labels{k}"), gather(lowered, w, (None,), "float32", f"weights{k}")


def _accumulator(lowered: Lowered) -> Value:
    value = Value((2,), "float64", f"total{len(lowered.accumulators)}", "plain")
    lowered.accumulators.append(value)
    return value


def _loss(lowered: Lowered, loss: Value, weight: Value, scale: float) -> tuple[Value, Value]:
    trace = lowered.trace
    dloss = trace.new((None,), name="dloss") if trace.training else None
    operands = dict(loss=loss, weight=weight, dloss=dloss, accumulator=_accumulator(lowered), scalars=trace.scalars)
    trace.append("weighted_loss", operands, dict(scale=float(scale)))
    return loss, dloss  # type: ignore[return-value]


def export_values(lowered: Lowered, outputs: list[Value]) -> None:
    """Write values to host arrays, which are bound as the program's outputs."""
    for k, value in enumerate(outputs):
        destination = Value(value.shape, value.dtype, f"output{k}", "external")
        lowered.trace.append("export", {"x": value, "destination": destination})
        lowered.outputs.append(destination)


def _train(trace: Trace, objective: Objective, variables: list[Any], losses: list[tuple[Value, Value]]) -> None:
    gradients = Differentiator(trace, variables).run(losses)
    trained = [v for v in variables if v in gradients]
    with trace.scope("optimizer"):
        objective.optimizer.apply([(v, _penalised(trace, v, gradients[v])) for v in trained], trace.scalars)
        for variable in trained:
            if variable.constraint is not None:
                operands = dict(w=variable, scalars=trace.scalars)
                trace.append("constrain", operands, variable.constraint.attributes(variable.shape))


def _penalties(lowered: Lowered, variables: list[Any]) -> None:
    """The accumulators after those of losses and metrics: a regularized variable each."""
    with lowered.trace.scope("loss"):
        for variable in variables:
            if variable.regularizer is not None:
                operands = dict(w=variable, accumulator=_accumulator(lowered))
                lowered.trace.append("penalty", operands, _rates(variable))


def _penalised(trace: Trace, variable: Any, gradient: Value) -> Value:
    """The gradient of the loss and of the variable's penalty."""
    if variable.regularizer is None:
        return gradient
    y = trace.new(variable.shape, kind="parameter")
    trace.append("penalty_gradient", dict(w=variable, dw=gradient, y=y), _rates(variable))
    return y


def _rates(variable: Any) -> dict[str, float]:
    return dict(l1=variable.regularizer.l1, l2=variable.regularizer.l2)

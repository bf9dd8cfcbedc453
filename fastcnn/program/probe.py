"""Probes: programs in inference mode that show what lies inside of a model: results of layers, and gradients between them.

Place        names a value inside of a model
Probe        says which values are exported, and which gradients
lower_probe  writes down the steps: gather, forward, export, backward, export
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from .. import ops
from ..graph import flatten
from ..trace import Trace, Value
from ..utils.suggest import unknown
from .fusion import fuse
from .gradients import Differentiator
from .lowering import Lowered, export_values, gather, gather_inputs

PRODUCTS = ("conv_forward", "dense_forward")
SQUASHED = frozenset({"softmax", "sigmoid"})


class Place(NamedTuple):
    """A value inside of a model.

    input             what the model reads
    result            what the layer at `path` returns; "block/conv" is the layer "conv" inside of the layer "block"
    operand, product  what the convolution or matrix product of the layer at `path` reads, and writes: bias included,
                      activation not
    scores            what the model returns, before the softmax or sigmoid that it may end in
    output            what the model returns
    """

    kind: Literal["input", "result", "operand", "product", "scores", "output"]
    path: str = ""


@dataclass(frozen=True)
class Probe:
    """What a program exports: the values at `places`, then the gradients of a score with respect to the values at `wrt`.

    The score of a sample is the sum of weights * value at `of`, or of weights * value**2 / 2 where it is `squared`. The weights
    have the value's shape and are bound where labels are. `of` and `wrt` are among the places.
    """

    places: tuple[Place, ...]
    of: Place | None = None
    wrt: tuple[Place, ...] = ()
    squared: bool = False


def lower_probe(model: Any, probe: Probe, fusions: frozenset[str], dtypes: tuple[str, ...]) -> Lowered:
    """Write down the steps of a probe for inputs of these dtypes.

    ValueError where a layer is not found, or `of` does not depend on one of `wrt`.
    """
    trace = Trace()
    with trace, trace.scope(model.name):
        lowered = Lowered(trace, "predict", Value((None,), "int64", "index", "external"))
        inputs = gather_inputs(lowered, model, dtypes)
        outputs = model.trace(inputs, training=False)
        values = {place: _find(place, trace, model.name, inputs, outputs) for place in probe.places}
        export_values(lowered, list(values.values()))
        fuse(trace, fusions)
        if probe.of is not None:
            export_values(lowered, _gradients(lowered, probe, values))
    return lowered


def _find(place: Place, trace: Trace, model: str, inputs: list[Value], outputs: list[Value]) -> Value:
    path = f"{model}/{place.path}"
    if place.kind == "result":
        if path not in trace.results:
            raise unknown("layer", place.path, [known.removeprefix(f"{model}/") for known in trace.results])
        return _only(flatten(trace.results[path]), f"layer {place.path!r} returns")
    if place.kind == "input":
        return _only(inputs, f"model {model!r} takes")
    if place.kind in ("scores", "output"):
        output = _only(outputs, f"model {model!r} returns")
        return _before_squashing(output) if place.kind == "scores" else output
    product = next((step for step in trace.steps if step.source == path and step.op in PRODUCTS), None)
    if product is None:
        raise ValueError(f"layer {place.path!r} computes no convolution and no matrix product")
    return product["x" if place.kind == "operand" else "y"]


def _only(values: list[Value], what: str) -> Value:
    if len(values) != 1:
        raise ValueError(f"{what} {len(values)} tensors, and only one can be looked into: make a model of the part with one")
    return values[0]


def _before_squashing(output: Value) -> Value:
    step = output.step
    if step is not None and SQUASHED.intersection((step.op.removesuffix("_forward"), step.attributes.get("activation"))):
        before: Value = step["x"]
        return before
    return output


def _gradients(lowered: Lowered, probe: Probe, values: dict[Place, Value]) -> list[Value]:
    trace, of = lowered.trace, values[probe.of]  # type: ignore[index]
    back = Differentiator(trace, [values[place] for place in probe.wrt])
    source = Value(of.shape, "float32", "score_weights", "external")
    lowered.labels.append(source)
    seed = gather(lowered, source, of.shape, "float32", "score_weights")
    found = back.run([(of, ops.multiply(of, seed) if probe.squared else seed)])
    for place in probe.wrt:
        if values[place] not in found:
            raise ValueError(f"nothing in {_told(probe.of)} depends on {_told(place)}: choose a layer between input and output")
    return [found[values[place]] for place in probe.wrt]


def _told(place: Place | None) -> str:
    return "nothing" if place is None else f"layer {place.path!r}" if place.path else f"the model's {place.kind}"

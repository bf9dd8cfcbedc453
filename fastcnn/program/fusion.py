"""Fusion: neighbouring forward steps become one where the backend says that it can.

Runs before the backward steps are appended, so the gradient of a fused step is one fused step too.

    softmax+crossentropy, sigmoid+crossentropy   the loss takes logits: exact where probabilities round to 0 or 1
    conv+activation, dense+activation            bias and activation in the epilogue of the product
    conv+activation+pool                         and the maximum of each window too, so the image is never stored

One pattern is no matter of speed alone, so every backend has it (EVERYWHERE):

    map+map   augmentation: a picture is sampled once, through one map, where layers that move its pixels follow each other
              and agree about what lies between pixels and beyond the edge; flips and crops agree with all (how that differs
              from one layer after the other: layers/augmentation.py)
"""

from typing import Any

from ..trace import Step, Trace, Value

EVERYWHERE = frozenset({"map+map"})
OBSERVERS = frozenset({"accuracy", "mean_metric", "export"})


def fuse(trace: Trace, fusions: frozenset[str]) -> None:
    """Rewrite trace.steps in place, pattern by pattern."""
    for pattern, rewrite in PATTERNS:
        if pattern in fusions | EVERYWHERE:
            for step in list(trace.steps):
                if step in trace.steps:
                    rewrite(trace, step)


def _users(trace: Trace, value: Value) -> list[Step]:
    return [step for step in trace.steps if value in step.reads()]


def _only_user(trace: Trace, value: Value, step: Step) -> bool:
    return _users(trace, value) == [step]


def _producer(trace: Trace, value: Any) -> Step | None:
    return value.step if isinstance(value, Value) and value.step in trace.steps else None


def _replace(trace: Trace, first: Step, second: Step, fused: Step) -> None:
    """`fused` stands where `second` stood; `first` is gone."""
    for value in fused.writes():
        if isinstance(value, Value):
            value.step = fused
    trace.steps[trace.steps.index(second)] = fused
    trace.steps.remove(first)


def _crossentropy(trace: Trace, loss: Step, forward: str, is_producer: str, fused_op: str) -> None:
    # Where the crossentropy is focused its attributes say so: logits know no such thing.
    producer = _producer(trace, loss.operands.get("y")) if loss.op == forward and not loss.attributes else None
    if producer is None or producer.op != is_producer or producer.attributes.get("activation", "sigmoid") != "sigmoid":
        return
    y = producer["y"]
    others = [step for step in _users(trace, y) if step is not loss and step.op not in OBSERVERS]
    if others or y.step is not producer:
        return
    operands = dict(x=producer["x"], labels=loss["labels"], y=y, loss=loss["loss"])
    fused = Step(fused_op, operands, {}, loss.source)
    position = trace.steps.index(producer)
    _replace(trace, producer, loss, fused)
    _before_its_observers(trace, fused, position)


def _before_its_observers(trace: Trace, fused: Step, position: int) -> None:
    """Metrics and exports read what the fused step writes: let it run before them, after the labels are there."""
    ready = [trace.steps.index(x.step) + 1 for x in fused.reads() if isinstance(x, Value) and x.step in trace.steps]
    trace.steps.remove(fused)
    trace.steps.insert(max([position, *ready]), fused)


def _softmax_crossentropy(trace: Trace, step: Step) -> None:
    _crossentropy(trace, step, "crossentropy_forward", "softmax_forward", "softmax_crossentropy_forward")


def _sigmoid_crossentropy(trace: Trace, step: Step) -> None:
    _crossentropy(trace, step, "binary_crossentropy_forward", "activation_forward", "sigmoid_crossentropy_forward")


def _activation(trace: Trace, step: Step, op: str) -> None:
    producer = _producer(trace, step.operands.get("x")) if step.op == "activation_forward" else None
    if producer is None or producer.op != op or producer.attributes["activation"] != "linear":
        return
    if _only_user(trace, producer["y"], step):
        attributes = {**producer.attributes, **step.attributes}
        _replace(trace, producer, step, Step(op, {**producer.operands, "y": step["y"]}, attributes, producer.source))


def _conv_activation(trace: Trace, step: Step) -> None:
    _activation(trace, step, "conv_forward")


def _dense_activation(trace: Trace, step: Step) -> None:
    _activation(trace, step, "dense_forward")


def _conv_pool(trace: Trace, step: Step) -> None:
    producer = _producer(trace, step.operands.get("x")) if step.op == "max_pool_forward" else None
    if producer is None or producer.op != "conv_forward" or not _only_user(trace, producer["y"], step):
        return
    disjoint = step.attributes["strides"] == step.attributes["window"]
    if disjoint and not any(n for pair in step.attributes["padding"] for n in pair):
        attributes = {**producer.attributes, "window": step.attributes["window"]}
        operands = {**producer.operands, "y": step["y"], "argmax": step["argmax"]}
        _replace(trace, producer, step, Step("conv_pool_forward", operands, attributes, producer.source))


def _exact(maps: Value) -> bool:
    """Whether whole pixels go to whole pixels, so that nothing is interpolated and nothing lies beyond the edge."""
    step = maps.step
    assert step is not None
    before = step.operands.get("before")
    return step.attributes["transform"] in ("flip", "crop") and (before is None or _exact(before))


def _maps(trace: Trace, step: Step) -> None:
    producer = _producer(trace, step.operands.get("x")) if step.op == "affine_sample" else None
    if producer is None or producer.op != "affine_sample" or not _only_user(trace, producer["y"], step):
        return
    deciding = producer if _exact(step["maps"]) else step
    if step.attributes != producer.attributes and not _exact(step["maps"]) and not _exact(producer["maps"]):
        return
    step["maps"].step.operands["before"] = producer["maps"]
    operands = dict(x=producer["x"], maps=step["maps"], y=step["y"])
    _replace(trace, producer, step, Step("affine_sample", operands, deciding.attributes, step.source))


PATTERNS = (
    ("map+map", _maps),
    ("softmax+crossentropy", _softmax_crossentropy),
    ("sigmoid+crossentropy", _sigmoid_crossentropy),
    ("conv+activation", _conv_activation),
    ("dense+activation", _dense_activation),
    ("conv+activation+pool", _conv_pool),
)

"""Backward steps by rule: every forward op names the steps that compute its gradients.

A rule gets the Differentiator, the forward step and the gradients of its outputs by name. `back.gradient(x)` makes the value
that a backward step writes for x, or None where nothing that is trained depends on x; the ops skip what is None.
Where a value feeds several steps its gradients are added by an explicit step.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ..trace import Step, Trace, Value
from ..variables import Variable

Rule = Callable[["Differentiator", Step, dict[str, Value]], None]
RULES: dict[str, Rule] = {}
WITHOUT_GRADIENT = frozenset({"gather", "export", "weighted_loss", "accuracy", "mean_metric"}) | {
    "random_affine", "random_uniform", "random_box",
}


class Differentiator:
    """Appends the backward steps of a trace's forward steps. `wanted` are weights, or values of the trace."""

    def __init__(self, trace: Trace, wanted: Iterable[Value | Variable]):
        self.trace = trace
        self.wanted: set[Value | Variable] = set(wanted)
        self.active = set(self.wanted)
        self.contributions: dict[Value | Variable, list[Value]] = {}
        self.forward = list(trace.steps)
        for step in self.forward:
            if step.op not in WITHOUT_GRADIENT and self.active.intersection(step.reads()):
                self.active.update(step.writes())

    def run(self, losses: Iterable[tuple[Value, Value]]) -> dict[Any, Value]:
        """Propagate from (loss, its gradient) pairs; returns the gradient of everything wanted that has one."""
        for loss, gradient in losses:
            self.contributions.setdefault(loss, []).append(gradient)
        for step in reversed(self.forward):
            self._backward(step)
        found = [x for x in self.contributions if x in self.wanted]
        return {x: self._total(x) for x in found}

    def _backward(self, step: Step) -> None:
        if step.op in WITHOUT_GRADIENT or not self.active.intersection(step.reads()):
            return
        names = {id(x): name for name, x in step.operands.items() if isinstance(x, Value)}
        outputs = [x for x in step.writes() if isinstance(x, Value) and x in self.contributions and x in self.active]
        if outputs:
            with self.trace.at(step.source):
                RULES[step.op](self, step, {names[id(x)]: self._total(x) for x in outputs})

    def _total(self, value: Value | Variable) -> Value:
        terms = self.contributions[value]
        if len(terms) == 1:
            return terms[0]
        total = self._like(value)
        self.trace.append("add_parameters" if value.kind == "parameter" else "add", {"xs": list(terms), "y": total})
        self.contributions[value] = [total]
        return total

    def _like(self, value: Value | Variable) -> Value:
        return self.trace.new(value.shape, name=f"d{value.name}", kind=value.kind)

    def gradient(self, operand: Value | Variable | None) -> Value | None:
        """The value in which a backward step leaves the gradient of `operand`, None if nobody needs it."""
        if operand is None or operand not in self.active:
            return None
        result = self._like(operand)
        self.contributions.setdefault(operand, []).append(result)
        return result

    def pass_on(self, operand: Value, gradient: Value) -> None:
        """The gradient of `operand` is `gradient` itself: no step is needed."""
        if operand in self.active:
            self.contributions.setdefault(operand, []).append(gradient)

    def emit(self, op: str, attributes: dict[str, Any] | None = None, **operands: Any) -> None:
        """Append a backward step."""
        self.trace.append(op, operands, attributes)


def _rule(*ops: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, rule))
        return rule

    return register


@_rule("conv_forward", "conv_pool_forward", "dense_forward")
def _product(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    reads = {name: step[name] for name in ("x", "w", "y")}
    if "argmax" in step.operands:
        reads["argmax"] = step["argmax"]
    gradients = dict(dx=back.gradient(step["x"]), dw=back.gradient(step["w"]), db=back.gradient(step["b"]))
    back.emit(step.op.replace("_forward", "_backward"), step.attributes, **reads, dy=grads["y"], **gradients)


@_rule("conv_transpose_forward")
def _conv_transpose(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    gradients = dict(dx=back.gradient(step["x"]), dw=back.gradient(step["w"]), db=back.gradient(step["b"]))
    back.emit("conv_transpose_backward", step.attributes, x=step["x"], w=step["w"], dy=grads["y"], **gradients)


@_rule("max_pool_forward")
def _max_pool(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    dx = back.gradient(step["x"])
    back.emit("max_pool_backward", step.attributes, argmax=step["argmax"], dy=grads["y"], dx=dx)


@_rule("average_pool_forward")
def _average_pool(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    back.emit("average_pool_backward", step.attributes, dy=grads["y"], dx=back.gradient(step["x"]))


@_rule("batch_norm_forward")
def _batch_norm(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    gradients = dict(
        dx=back.gradient(step["x"]), dgamma=back.gradient(step["gamma"]), dbeta=back.gradient(step["beta"])
    )
    reads = {name: step[name] for name in ("x", "gamma", "mean", "rstd")}
    back.emit("batch_norm_backward", None, **reads, dy=grads["y"], **gradients)


@_rule("batch_norm_inference")
def _batch_norm_inference(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    if back.active.intersection(x for x in (step["gamma"], step["beta"]) if x is not None):
        raise NotImplementedError(
            f"{step.source}: batch normalisation in inference mode cannot train gamma and beta; set trainable = False"
        )
    dx = back.gradient(step["x"])
    reads = dict(gamma=step["gamma"], moving_variance=step["moving_variance"])
    back.emit("batch_norm_inference_backward", step.attributes, **reads, dy=grads["y"], dx=dx)


@_rule("group_norm_forward")
def _group_norm(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    back.emit("group_norm_backward", step.attributes, x=step["x"], dy=grads["y"], dx=back.gradient(step["x"]))


@_rule("activation_forward")
def _activation(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    back.emit("activation_backward", step.attributes, y=step["y"], dy=grads["y"], dx=back.gradient(step["x"]))


@_rule("unary_forward")
def _unary(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    dx = back.gradient(step["x"])
    back.emit("unary_backward", step.attributes, x=step["x"], y=step["y"], dy=grads["y"], dx=dx)


@_rule("binary_forward")
def _binary(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    a, b, dy = step["a"], step["b"], grads["y"]
    if step.attributes["function"] == "add":
        back.pass_on(a, dy)
        back.pass_on(b, dy)
    else:
        gradients = dict(da=back.gradient(a), db=back.gradient(b))
        back.emit("binary_backward", step.attributes, a=a, b=b, dy=dy, **gradients)


@_rule("affine")
def _affine(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    back.emit("affine", {**step.attributes, "offset": 0.0}, x=grads["y"], y=back.gradient(step["x"]))


@_rule("add")
def _add(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    for x in step["xs"]:
        back.pass_on(x, grads["y"])


@_rule("dropout_forward")
def _dropout(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    dx = back.gradient(step["x"])
    back.emit("dropout_backward", step.attributes, dy=grads["y"], scalars=step["scalars"], dx=dx)


@_rule("gaussian_noise")
def _gaussian_noise(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    if step.attributes["multiplicative"]:
        back.emit("gaussian_noise", step.attributes, x=grads["y"], scalars=step["scalars"], y=back.gradient(step["x"]))
    else:
        back.pass_on(step["x"], grads["y"])


@_rule("embedding_forward")
def _embedding(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    dw = back.gradient(step["w"])
    if dw is not None:
        back.emit("embedding_backward", x=step["x"], dy=grads["y"], dw=dw)


@_rule("reshape", "reshape_parameters")
def _reshape(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    back.emit(step.op, x=grads["y"], y=back.gradient(step["x"]))


@_rule("transpose")
def _transpose(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    axes = step.attributes["axes"]
    inverse = tuple(axes.index(axis) for axis in range(len(axes)))
    back.emit("transpose", dict(axes=inverse), x=grads["y"], y=back.gradient(step["x"]))


@_rule("pad")
def _pad(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    padding = tuple((-before, -after) for before, after in step.attributes["padding"])
    back.emit("pad", dict(padding=padding), x=grads["y"], y=back.gradient(step["x"]))


@_rule("upsample_forward")
def _upsample(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    back.emit("upsample_backward", step.attributes, dy=grads["y"], dx=back.gradient(step["x"]))


@_rule("affine_sample", "adjust", "erase")
def _augmentation(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    raise NotImplementedError(
        f"{step.source}: augmentation has no gradient, and layers before it want to be trained. Put it before the first layer "
        "with weights, or freeze those before it (trainable = False)"
    )


@_rule("concatenate_forward")
def _concatenate(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    axis, start = step.attributes["axis"], 0
    for x in step["xs"]:
        dx = back.gradient(x)
        if dx is not None:
            back.emit("concatenate_backward", dict(axis=axis, start=start), dy=grads["y"], dx=dx)
        start += x.shape[axis]


@_rule("mean_forward")
def _mean(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    back.emit("mean_backward", dy=grads["y"], dx=back.gradient(step["x"]))


@_rule("softmax_forward")
def _softmax(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    back.emit("softmax_backward", y=step["y"], dy=grads["y"], dx=back.gradient(step["x"]))


@_rule("softmax_crossentropy_forward", "sigmoid_crossentropy_forward")
def _crossentropy_of_logits(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    reads = dict(y=step["y"], labels=step["labels"], dloss=grads["loss"])
    back.emit(step.op.replace("_forward", "_backward"), **reads, dx=back.gradient(step["x"]))


@_rule("crossentropy_forward", "binary_crossentropy_forward", "pointwise_loss_forward")
def _crossentropy(back: Differentiator, step: Step, grads: dict[str, Value]) -> None:
    reads = dict(y=step["y"], labels=step["labels"], dloss=grads["loss"])
    back.emit(step.op.replace("_forward", "_backward"), step.attributes, **reads, dy=back.gradient(step["y"]))

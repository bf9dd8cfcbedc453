"""`Setup`: a model and data as they are about to be trained, and what the checks ask about them, each worked out once.

Head     one output of the model, with its loss and labels
Rehearsal (in `rehearsal`)   a copy of the model that may be trained
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..losses import Loss
from ..trace import Step, Trace, Value
from ..training.data import is_stream, unpacked
from .rehearsal import Rehearsal

Array = NDArray[Any]
LOOKED_AT = 8192
"""Samples that statistics are made of, evenly spaced."""
REHEARSED = 64
"""Samples in a batch of the rehearsal, at most."""
PRODUCTS = frozenset({"conv_forward", "conv_transpose_forward", "dense_forward"})
LINEAR = PRODUCTS | {"batch_norm_forward", "batch_norm_inference"}
"""What gives any number at all, positive or negative."""
TRANSPARENT = frozenset({"reshape", "transpose", "average_pool_forward", "global_average_pool_forward"})
"""What keeps values inside of the range that they are in."""


@dataclass(frozen=True)
class Head:
    """An output: its name, symbolic value, loss (None where it has none), labels (None where unknown).

    activation   what it passed last: "softmax", "sigmoid", "relu", ..., "linear"; "" for anything else
    """

    name: str
    value: Value
    loss: Loss | None
    labels: Array | None

    @property
    def units(self) -> int:
        """Length of the last axis."""
        return int(self.value.shape[-1] or 1) if len(self.value.shape) > 1 else 1

    @cached_property
    def activation(self) -> str:
        """See above."""
        return activation(behind(self.value, TRANSPARENT))

    @property
    def from_logits(self) -> bool:
        """Whether the loss has softmax or sigmoid in it."""
        return bool(getattr(self.loss, "from_logits", False))


@dataclass(eq=False)
class Setup:
    """The arguments of `compile` and `fit`, as `examine` takes them."""

    model: Any = None
    x: Any = None
    y: Any = None
    batch_size: int = 32
    shuffle: bool = True
    validation_split: float = 0.0
    validation_data: Any = None
    test_data: Any = None
    callbacks: Sequence[Any] = ()

    @cached_property
    def offers(self) -> frozenset[str]:
        """What checks can be made of.

        model    a built model             loss    ... that was compiled with a loss
        data     inputs                    labels  ... with labels
        stream   inputs that come batch by batch
        fit      all of these, and `fit` would take them: a copy of the model can be trained for a few steps
        """
        found = {"model"} if self.model is not None and self.model.built else set()
        if found and self.model.compiled and any(head.loss for head in self.heads):
            found.add("loss")
        found |= {name for name, there in (("data", self.inputs), ("labels", self.labels)) if there}
        found |= {"stream"} if is_stream(self.x) else set()
        if {"loss", "labels"} <= found and not self.refusal and self._all_finite():
            found.add("fit")
        return frozenset(found)

    # Data.

    @cached_property
    def _arrays(self) -> tuple[Any, Any]:
        if not is_stream(self.x):
            return self.x, self.y
        if hasattr(self.x, "__next__"):
            raise ValueError("a generator gives its batches once only: examine a utils.PyDataset, or arrays of one batch")
        x, y, _ = unpacked(self.x[0] if hasattr(self.x, "__getitem__") else next(iter(self.x)))
        return x, y

    @cached_property
    def inputs(self) -> dict[str, Array]:
        """The inputs by name; of a stream, its first batch."""
        return named("x", self._arrays[0])

    @cached_property
    def labels(self) -> dict[str, Array]:
        """The labels by name; of a stream, those of its first batch."""
        return named("y", self._arrays[1])

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(next(iter(self.inputs.values())))

    @cached_property
    def held_out(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """Inputs and labels of the validation, empty where there is none: those given, or the share that is split off."""
        if self.validation_data is not None and not is_stream(self.validation_data):
            x, y, _ = unpacked(self.validation_data)
            return named("x", x), named("y", y)
        if self.validation_split and not is_stream(self.x):
            at = int(self.count * (1 - self.validation_split))
            return ({n: a[at:] for n, a in self.inputs.items()}, {n: a[at:] for n, a in self.labels.items()})
        return {}, {}

    @cached_property
    def trained_on(self) -> dict[str, Array]:
        """The inputs without the share that is split off."""
        split = self.validation_split if self.validation_data is None and not is_stream(self.x) else 0
        return {name: array[: int(len(array) * (1 - split))] for name, array in self.inputs.items()} if split else self.inputs

    @cached_property
    def test(self) -> dict[str, Array]:
        """The inputs of the test."""
        return {} if self.test_data is None else named("x", unpacked(self.test_data)[0])

    def _all_finite(self) -> bool:
        arrays = [*self.inputs.values(), *self.labels.values()]
        return all(bool(np.isfinite(a).all()) for a in arrays if a.dtype.kind == "f")

    @cached_property
    def refusal(self) -> str:
        """Why `fit` would refuse the data; "" if it would take them."""
        x, y = self._arrays
        try:
            self.model._interface().samples(x, y)
        except ValueError as error:
            return str(error)
        return ""

    # The network.

    def traced(self, training: bool = False) -> tuple[Trace, list[Value], list[Value]]:
        """The steps of all layers, the values of the inputs, and those of the outputs."""
        with Trace(training=training) as trace, trace.scope(self.model.name):
            inputs = [Value(t.shape, t.dtype, t.name) for t in self.model.inputs]
            return trace, inputs, self.model.trace(inputs, training)

    @cached_property
    def forward(self) -> tuple[Trace, list[Value], list[Value]]:
        """`traced` in inference mode."""
        return self.traced()

    @cached_property
    def heads(self) -> list[Head]:
        """The outputs."""
        names, losses = self.model.output_names, [None] * len(self.model.outputs)
        if self.model.compiled:
            losses = self.model.objective.losses
        labelled = [name for name, loss in zip(names, losses, strict=True) if loss is not None]
        by_name = self.labels if set(self.labels) == set(labelled) else dict(zip(labelled, self.labels.values(), strict=False))
        values = self.forward[2]
        return [Head(n, v, loss, by_name.get(n)) for n, v, loss in zip(names, values, losses, strict=True)]

    def trained_heads(self, kind: Any) -> Iterator[Head]:
        """The outputs whose loss is one of these."""
        return (head for head in self.heads if isinstance(head.loss, kind))

    # What can only be measured.

    @cached_property
    def rehearsal(self) -> Rehearsal:
        """A copy of the model, and a batch of samples that are spread over the data."""
        rows = spread(self.count, min(self.batch_size, REHEARSED))
        x, y = ({name: array[rows] for name, array in arrays.items()} for arrays in (self.inputs, self.labels))
        return Rehearsal(self.model, _as_given(x), _as_given(y))


def named(argument: str, value: Any) -> dict[str, Array]:
    """An array, a list or a dict of arrays by name; {} for None."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(name): np.asarray(array) for name, array in value.items()}
    if isinstance(value, list | tuple) and value and all(isinstance(array, np.ndarray) and array.ndim for array in value):
        return {f"{argument}[{k}]" if len(value) > 1 else argument: array for k, array in enumerate(value)}
    with contextlib.suppress(ValueError):
        return {argument: np.asarray(value)}
    return {}


def _as_given(arrays: Mapping[str, Array]) -> Any:
    """What `fit` takes for these: the array, a list, or a dict."""
    if any("[" not in name for name in arrays) and len(arrays) > 1:
        return dict(arrays)
    return next(iter(arrays.values())) if len(arrays) == 1 else list(arrays.values())


def spread(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` rows of `count`, evenly spaced: the first ones of a sorted data set would be of one class."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))


def some(array: Array) -> Array:
    """Some samples of an array that statistics can be made of."""
    return array if len(array) <= LOOKED_AT else array[spread(len(array), LOOKED_AT)]


def classes(head: Head) -> NDArray[np.int64] | None:
    """The class of each sample, where the labels are one class a sample."""
    return None if head.labels is None else class_numbers(head.labels)


def class_numbers(labels: Array) -> NDArray[np.int64] | None:
    """Class numbers of integer or one-hot labels; None for labels of any other kind."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        return labels.argmax(axis=1)
    if labels.ndim == 1 and labels.dtype.kind in "iub" and labels.size:
        return labels.astype(np.int64)
    return None


# Values of a trace.


def operation(step: Step | None) -> str:
    """The name of a step's op, of an activation its own: "relu"; "" for no step."""
    if step is None:
        return ""
    if step.op == "activation_forward":
        return str(step.attributes["activation"])
    return "softmax" if step.op == "softmax_forward" else step.op


def behind(value: Value, kinds: frozenset[str]) -> Value:
    """The value that this one was made of by steps of these kinds, which have one operand x."""
    while value.step is not None and operation(value.step) in kinds:
        value = value.step["x"]
    return value


def activation(value: Value) -> str:
    """How a value was activated: "softmax", "relu", ...; "linear" where it was not; "" where that cannot be said."""
    name = operation(value.step)
    if name in LINEAR:
        return "linear"
    return name if name in ("softmax", "sigmoid", "relu", "leaky_relu", "tanh") else ""


def ancestors(values: Sequence[Value]) -> Iterator[Step]:
    """Every step that these values depend on, the nearest first."""
    waiting, seen = list(values), set()
    while waiting:
        step = waiting.pop(0).step
        if step is not None and step not in seen:
            seen.add(step)
            yield step
            waiting += [x for x in step.reads() if isinstance(x, Value)]


"""`Setup`: a model and data as they are about to be trained, and what the checks ask about them, each worked out once.

Head   one output of the model, with its loss and labels
some, class_numbers             of arrays
behind, activation, ancestors   of values in a trace
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..losses import Loss
from ..trace import Step, Trace, Value
from ..training.data import is_stream, unpacked

Array = NDArray[Any]
LOOKED_AT = 8192
"""Samples that statistics are made of, evenly spaced."""
LINEAR = frozenset({
    "conv_forward", "conv_transpose_forward", "dense_forward", "batch_norm_forward", "batch_norm_inference",
})  # fmt: skip
"""What gives any number at all, positive or negative."""
TRANSPARENT = frozenset({"reshape", "transpose", "average_pool_forward", "global_average_pool_forward"})
"""What keeps values inside of the range that they are in."""


@dataclass(frozen=True)
class Head:
    """An output: its name, symbolic value, loss (None where it has none), labels (None where unknown)."""

    name: str
    value: Value
    loss: Loss | None
    labels: Array | None

    @property
    def units(self) -> int:
        """Length of the last axis."""
        return int(self.value.shape[-1] or 1) if len(self.value.shape) > 1 else 1

    @property
    def activation(self) -> str:
        """What it passed last: "softmax", "sigmoid", "relu", ..., "linear"; or the name of any other op."""
        return activation(behind(self.value, TRANSPARENT))

    @property
    def from_logits(self) -> bool:
        """Whether the loss has softmax or sigmoid in it."""
        return bool(getattr(self.loss, "from_logits", False))


@dataclass(eq=False)
class Setup:
    """The arguments of `examine`."""

    model: Any
    x: Any
    y: Any
    batch_size: int
    shuffle: bool
    validation_split: float
    validation_data: Any
    test_data: Any

    @cached_property
    def interface(self) -> Any:
        """What the model takes; None without a model."""
        return None if self.model is None else self.model._interface()

    # Data.

    @property
    def streams(self) -> bool:
        """Whether the inputs come batch by batch."""
        return is_stream(self.x)

    @cached_property
    def arrays(self) -> tuple[Any, Any]:
        """x and y; of a stream, those of its first batch."""
        if not self.streams:
            return self.x, self.y
        if not hasattr(self.x, "__getitem__"):
            raise ValueError("a generator gives its batches once only: examine a utils.PyDataset, or arrays of one batch")
        x, y, _ = unpacked(self.x[0])
        return x, y

    @cached_property
    def inputs(self) -> dict[str, Array]:
        """The inputs by name."""
        return {} if self.arrays[0] is None else self._inputs(self.arrays[0])

    def _inputs(self, x: Any) -> dict[str, Array]:
        if self.interface is None:
            return {"x": np.asarray(x)}
        return dict(zip(self.interface.input_names, self.interface.inputs(x).x, strict=True))

    @cached_property
    def labels(self) -> dict[str, Array]:
        """The labels by the name of their output."""
        y = self.arrays[1]
        if y is None:
            return {}
        return self.interface.labels(y) if self.interface and self.interface.labelled else {"y": np.asarray(y)}

    @cached_property
    def parts(self) -> dict[str, dict[str, Array]]:
        """The inputs that are held out: "validation" and "test", where they are given as arrays or split off."""
        given = {"validation": self.validation_data, "test": self.test_data}
        found = {
            part: self._inputs(unpacked(data)[0]) for part, data in given.items() if data is not None and not is_stream(data)
        }
        return {**self._split[1], **found}

    @property
    def trained_on(self) -> dict[str, Array]:
        """The inputs without the share that is split off."""
        return self._split[0]

    @cached_property
    def _split(self) -> tuple[dict[str, Array], dict[str, dict[str, Array]]]:
        if not self.validation_split or self.validation_data is not None or self.streams or not self.inputs:
            return self.inputs, {}
        at = int(len(next(iter(self.inputs.values()))) * (1 - self.validation_split))
        return {n: a[:at] for n, a in self.inputs.items()}, {"validation": {n: a[at:] for n, a in self.inputs.items()}}

    # The network.

    def traced(self, training: bool = False) -> tuple[Trace, list[Value]]:
        """The steps of all layers, and the values of the outputs."""
        with Trace(training=training) as trace, trace.scope(self.model.name):
            inputs = [Value(t.shape, t.dtype, t.name) for t in self.model.inputs]
            return trace, self.model.trace(inputs, training)

    @cached_property
    def heads(self) -> list[Head]:
        """The outputs; [] without a model."""
        if self.model is None:
            return []
        outputs = zip(self.interface.output_names, self.traced()[1], self.interface.losses, strict=True)
        return [Head(name, value, loss, self.labels.get(name) if loss else None) for name, value, loss in outputs]

    def trained_heads(self, kinds: Any) -> Iterator[Head]:
        """The outputs whose loss is one of these."""
        return (head for head in self.heads if isinstance(head.loss, kinds))

    def begins_with(self, kind: Any) -> bool:
        """Whether the inputs meet a layer of this kind first."""
        layers = [] if self.model is None else [layer for layer in self.model.layers if layer.weights]
        return bool(layers) and isinstance(layers[0], kind)


def some(array: Array) -> Array:
    """Some samples of an array that statistics can be made of."""
    return array if len(array) <= LOOKED_AT else array[spread(len(array), LOOKED_AT)]


def spread(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` rows of `count`, evenly spaced: the first ones of a sorted data set would be of one class."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))


def class_numbers(labels: Array) -> Array | None:
    """Class numbers of integer or one-hot labels; None for labels of any other kind."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        return labels.argmax(axis=1) if one_hot else None
    return labels.reshape(-1) if labels.ndim <= 2 and labels.dtype.kind in "iub" else None


def behind(value: Value, kinds: frozenset[str]) -> Value:
    """The value that this one was made of by steps of these kinds, which have one operand x."""
    while value.step is not None and value.step.op in kinds:
        value = value.step["x"]
    return value


def activation(value: Value) -> str:
    """How a value was activated: "softmax", "relu", ...; "linear" where it was not; else the op that made it."""
    step = value.step
    if step is None or step.op in LINEAR:
        return "linear"
    if step.op == "activation_forward":
        return str(step.attributes["activation"])
    return "softmax" if step.op == "softmax_forward" else step.op


def ancestors(value: Value) -> Iterator[Step]:
    """Every step that a value depends on, the nearest first."""
    waiting, seen = [value], set()
    while waiting:
        step = waiting.pop(0).step
        if step is not None and step not in seen:
            seen.add(step)
            yield step
            waiting += [x for x in step.reads() if isinstance(x, Value)]

"""Traces: what a model computes, written down as a flat list of steps while its layers are called.

    Value    a result inside a trace: shape with None for the batch axis, dtype, the step that makes it
    Step     one op of the backend protocol, with its operands by name and its attributes
    Trace    the list of steps; `with Trace(training=True) as trace:` makes it the one that ops append to
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from fastcnn_kernels.api import Kind, operations

from .variables import Variable

Shape = tuple[int | None, ...]
Operand = Any
"""A Value, a Variable, None, or a list of these."""


@dataclass(eq=False)
class Value:
    """A tensor inside a trace. Arithmetic between values appends elementwise steps."""

    shape: Shape
    dtype: str = "float32"
    name: str = "value"
    kind: Kind = "batch"
    step: "Step | None" = None

    def __repr__(self) -> str:
        return f"{self.name}{list(self.shape)}"

    def __add__(self, other: Any) -> "Value":
        from . import ops

        return ops.add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Value":
        from . import ops

        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> "Value":
        return -self + other

    def __mul__(self, other: Any) -> "Value":
        from . import ops

        return ops.multiply(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: float) -> "Value":
        return self * (1.0 / other)

    def __neg__(self) -> "Value":
        return self * -1.0


@dataclass(eq=False)
class Step:
    """One op call. `source` is the path of the layer (or loss, optimizer) that asked for it."""

    op: str
    operands: dict[str, Operand]
    attributes: dict[str, Any]
    source: str

    def __getitem__(self, name: str) -> Operand:
        return self.operands[name]

    def reads(self) -> list[Value | Variable]:
        """Every operand that the op reads, lists unpacked, None left out."""
        return [x for name in operations()[self.op].reads for x in _flat(self.operands.get(name))]

    def writes(self) -> list[Value | Variable]:
        """Every operand that the op writes, lists unpacked, None left out."""
        return [x for name in operations()[self.op].writes for x in _flat(self.operands.get(name))]

    def replace(self, old: Value, new: Value) -> None:
        """Use `new` wherever the step used `old`."""
        for name, operand in self.operands.items():
            if isinstance(operand, list):
                self.operands[name] = [new if x is old else x for x in operand]
            elif operand is old:
                self.operands[name] = new


def _flat(operand: Operand) -> list[Any]:
    if operand is None:
        return []
    return [x for x in operand if x is not None] if isinstance(operand, list) else [operand]


_current: ContextVar["Trace | None"] = ContextVar("trace", default=None)


@dataclass(eq=False)
class Trace:
    """The steps of one mode of a model, for any batch size.

    `training` switches dropout on and batch normalisation to batch statistics. `random_ids` counts the steps that draw random
    numbers: the count is the stable id that keys them. `results` has what each layer returned (the first time that it was
    called), by the path of scopes that leads to it.
    """

    training: bool = False
    steps: list[Step] = field(default_factory=list)
    random_ids: int = 0
    results: dict[str, Any] = field(default_factory=dict)
    scalars: Value = field(default_factory=lambda: Value((8,), "int64", "scalars", "plain"))
    _scopes: list[str] = field(default_factory=list)
    _token: Any = None

    def __enter__(self) -> "Trace":
        self._token = _current.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        _current.reset(self._token)

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Steps appended inside belong to `name`, a layer's for example."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    @contextlib.contextmanager
    def at(self, source: str) -> Iterator[None]:
        """Steps appended inside belong to `source`, whatever scopes are open: a backward step to its forward step's layer."""
        before, self._scopes = self._scopes, [source]
        try:
            yield
        finally:
            self._scopes = before

    @property
    def source(self) -> str:
        """The path of the open scopes."""
        return "/".join(self._scopes)

    def append(self, op: str, operands: dict[str, Operand], attributes: dict[str, Any] | None = None) -> Step:
        """Add a step; the values that it writes become its own."""
        step = Step(op, operands, attributes or {}, self.source)
        for value in step.writes():
            if isinstance(value, Value):
                value.step = step
        self.steps.append(step)
        return step

    def new(self, shape: Shape, dtype: str = "float32", name: str = "", kind: Kind = "batch") -> Value:
        """A value for a step to write, named after the open scopes."""
        return Value(tuple(shape), dtype, name or self.source.rpartition("/")[2] or "value", kind)

    def next_random_id(self) -> int:
        """A number that no other random step of this trace has."""
        self.random_ids += 1
        return self.random_ids


def current_trace() -> Trace:
    """The open trace; RuntimeError outside of one."""
    trace = _current.get()
    if trace is None:
        raise RuntimeError(
            "fastcnn.ops work on the values of a layer's call() or of a loss while a model is being built; "
            "put this computation into a Layer and call the layer"
        )
    return trace

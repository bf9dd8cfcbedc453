"""What ops ask of a CUDA plan, as descriptions that may still change: rules fuse neighbours before anything is launched.

    Work      a description that becomes launches: what it reads and writes
    Works     those of a plan in order, with the step that asked for each, and who uses which tensor
    Op        an op as it was asked for, for rules that know several ops
    View      y is x in another shape: no launch at all, where both are the plan's own memory
    Rule      a function that rewrites Works; ../cuda.py lists them
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, Protocol

from ..api import Tensor


class Work(Protocol):
    """One thing to do."""

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """Tensors that it reads."""

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """Tensors that it writes."""

    def launch(self, plan: Any) -> None:
        """Append its launches to the plan."""


class Works:
    """The works of a plan."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, Work]] = []
        self.aliases: dict[Tensor, Tensor] = {}
        self._users: dict[Tensor, list[Work]] | None = None

    def add(self, step: int, work: Work) -> None:
        """Append a work of a program step."""
        self.entries.append((step, work))
        self._users = None

    def __iter__(self) -> Iterator[Work]:
        return iter([work for _, work in self.entries])

    def of(self, kind: type | str) -> list[Any]:
        """The works of a class, or the Ops of a name, in order."""
        if isinstance(kind, str):
            return [work for work in self if isinstance(work, Op) and work.name == kind]
        return [work for work in self if isinstance(work, kind)]

    def user(self, kind: type | str, **operands: Tensor) -> Any:
        """The first work of a class, or Op of a name, with these operands; None if there is none."""
        wanted = {name: self.root(tensor) for name, tensor in operands.items()}
        return next((w for w in self.of(kind) if all(self.root(w[name]) is t for name, t in wanted.items())), None)

    def root(self, tensor: Tensor) -> Tensor:
        """The tensor whose memory this one has."""
        while tensor in self.aliases:
            tensor = self.aliases[tensor]
        return tensor

    def alias(self, view: Tensor, tensor: Tensor) -> None:
        """Let `view` have the memory of `tensor`."""
        self.aliases[view] = tensor
        self._users = None

    def users(self, tensor: Tensor) -> list[Any]:
        """The works that read or write a tensor, or a view of it, in order."""
        if self._users is None:
            self._users = {}
            for work in self:
                for used in dict.fromkeys(map(self.root, (*work.reads, *work.writes))):
                    self._users.setdefault(used, []).append(work)
        return self._users.get(self.root(tensor), [])

    def only_writer(self, work: Work) -> bool:
        """Whether nobody else writes what a work writes."""
        return all(sum(self._writes(user, tensor) for user in self.users(tensor)) == 1 for tensor in work.writes)

    def _writes(self, work: Work, tensor: Tensor) -> bool:
        return self.root(tensor) in map(self.root, work.writes)

    def between(self, tensor: Tensor, first: Work, last: Work) -> bool:
        """Whether a tensor of the plan's own only goes from one work to another."""
        return self.root(tensor).storage is None and self.users(tensor) == [first, last]

    def replace(self, old: Iterable[Work], new: Work | None, at: Work) -> None:
        """`new` takes the place of `at` and belongs to its step; `old` and `at` are gone."""
        gone = {id(work) for work in old}
        kept = []
        for step, work in self.entries:
            if work is at and new is not None:
                kept.append((step, new))
            elif work is not at and id(work) not in gone:
                kept.append((step, work))
        self.entries, self._users = kept, None


Rule = Callable[[Works], None]


@dataclass(eq=False)
class Op:
    """An op with its operands and attributes; `emit(plan, **operands, **attributes)` launches it."""

    name: str
    operands: dict[str, Tensor | None]
    written: tuple[str, ...]
    attributes: dict[str, Any]
    emit: Callable[..., None]

    def __getitem__(self, name: str) -> Any:
        return self.operands[name]

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """Operands that are not written."""
        return tuple(t for name, t in self.operands.items() if name not in self.written and t is not None)

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """Operands that are written."""
        return tuple(t for name in self.written if (t := self.operands[name]) is not None)

    def launch(self, plan: Any) -> None:
        """Emit it."""
        self.emit(plan, **self.operands, **self.attributes)


def op(name: str, *written: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: the launcher of an op becomes one that adds an Op. Attributes are the keyword-only parameters."""

    def deferred(emit: Callable[..., None]) -> Callable[..., None]:
        @wraps(emit)
        def added(plan: Any, *values: Any, **named: Any) -> None:
            bound = signature(emit).bind(plan, *values, **named)
            bound.apply_defaults()
            attributes = dict(bound.kwargs)
            operands = {k: v for k, v in bound.arguments.items() if k != "plan" and k not in attributes}
            plan.add(Op(name, operands, written, attributes, emit))

        return added

    return deferred


@dataclass(eq=False)
class View:
    """y = x in y's shape; `copy` launches it where memory is not the plan's own."""

    x: Tensor
    y: Tensor
    copy: Callable[[Any, Tensor, Tensor], None]

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """x."""
        return (self.x,)

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """y."""
        return (self.y,)

    def launch(self, plan: Any) -> None:
        """Copy."""
        self.copy(plan, self.x, self.y)


def share_views(works: Works) -> None:
    """Rule: a view takes no launch where x and y are both the plan's own."""
    for view in works.of(View):
        if view.x.storage is None and view.y.storage is None and works.only_writer(view):
            works.replace((), None, view)
            works.alias(view.y, view.x)

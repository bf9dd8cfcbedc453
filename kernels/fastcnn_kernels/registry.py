"""Kernels replaced at run time: your own in place of ours, for the shapes that it claims.

    register            put a kernel in place
    Registration        what `register` returns; `remove` takes it out again, and so does the end of a `with`
    registrations       those that are in place, for a backend
    only                within it a backend uses one registration, or none
    load                import modules that register kernels, by name or by file
    replaceable         what api.with_ops_of makes of every op

Programs that are built afterwards use the kernel; those that were built before stay as they are.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

BACKENDS = ("cpu", "cuda", "reference")
Claims = Callable[..., bool]


@dataclass(frozen=True, eq=False)
class Registration:
    """A kernel that takes an op's place where `when(**operands, **attributes)` says so."""

    op: str
    backend: str
    kernel: Callable[..., None]
    when: Claims
    name: str
    cases: tuple[Any, ...] = ()

    def remove(self) -> None:
        """Let ours be used again."""
        if self in _registered:
            _registered.remove(self)

    def __enter__(self) -> "Registration":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


_registered: list[Registration] = []
_only: ContextVar[tuple[Registration, ...] | None] = ContextVar("only", default=None)


def _always(**operands: Any) -> bool:
    return True


def register(
    op: str, backend: str, kernel: Callable[..., None], when: Claims = _always, *, name: str = "", cases: Sequence[Any] = ()
) -> Registration:
    """Use `kernel` for an op of a backend. Of several that claim a shape, the one that was registered last is used.

    op       a method of api.Backend
    backend  "cpu", "cuda" (the emulated device is one too) or "reference"
    kernel   the op's launcher, (plan, **operands, **attributes) as in api.Backend: it calls plan.launch with your Numba kernel
    when     a function of the op's operands (Tensors) and attributes, by name: whether the kernel can be used for them
    name     what reports call it; by default the function's name
    cases    more shapes to verify it on, besides those of cases.py that it claims

    ValueError for an unknown op or backend, and for a kernel that does not take the op's operands.
    """
    from .api import Backend, operations

    if op not in operations():
        raise ValueError(f"unknown op {op!r}; the ops are {', '.join(sorted(operations()))}")
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; a kernel is registered for one of {', '.join(BACKENDS)}")
    wanted = list(inspect.signature(getattr(Backend, op)).parameters)[1:]
    _require_parameters(kernel, wanted, op)
    registration = Registration(op, backend, kernel, when, name or kernel.__name__, tuple(cases))
    _registered.append(registration)
    return registration


def _require_parameters(kernel: Callable[..., None], wanted: Sequence[str], op: str) -> None:
    parameters = inspect.signature(kernel).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    missing = [name for name in wanted if name not in parameters]
    if missing:
        raise ValueError(
            f"{getattr(kernel, '__name__', kernel)!r} must take what {op} takes, ({', '.join(wanted)}), or **others: "
            f"{', '.join(missing)} is missing"
        )


def registrations(backend: str) -> list[Registration]:
    """Those for a backend, in the order in which they were registered."""
    return [one for one in _registered if one.backend == backend]


@contextmanager
def only(*chosen: Registration) -> Iterator[None]:
    """Use these registrations and no others; none of them: ours alone."""
    token = _only.set(chosen)
    try:
        yield
    finally:
        _only.reset(token)


def replaceable(ours: Callable[..., None], op: str, backend: str) -> Callable[..., None]:
    """The launcher of an op, which gives way to a registered kernel that claims the operands."""
    parameters = inspect.signature(ours)

    @wraps(ours)
    def launcher(plan: Any, *values: Any, **named: Any) -> None:
        allowed = _registered if _only.get() is None else _only.get() or ()
        candidates = [one for one in allowed if one.op == op and one.backend == backend]
        if not candidates:
            ours(plan, *values, **named)
            return
        bound = parameters.bind(plan, *values, **named)
        bound.apply_defaults()
        operands = {name: value for name, value in bound.arguments.items() if name != "plan"}
        claiming = [one.kernel for one in candidates if one.when(**operands)]
        (claiming[-1] if claiming else ours)(plan, **operands)

    return launcher


def load(modules: Sequence[str]) -> None:
    """Import modules that register kernels: names, or files that end in .py."""
    for module in modules:
        if not module.endswith(".py"):
            importlib.import_module(module)
            continue
        file = Path(module).resolve()
        spec = importlib.util.spec_from_file_location(file.stem, file)
        if not file.exists() or spec is None or spec.loader is None:
            raise ValueError(f"there is no file {module}")
        sys.modules[file.stem] = loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)


def kind_of(backend: Any) -> str:
    """What kernels for a backend are registered under."""
    return "cuda" if hasattr(backend, "device") else str(backend.name)

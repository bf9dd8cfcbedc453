"""What the plans of all backends have in common: a list of launches, each of which knows what it reads and writes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .api import Kind, Tensor


@dataclass(eq=False)
class Launch:
    """One kernel of a plan. `step` is the index of the program step that it belongs to."""

    kernel: str
    step: int
    reads: tuple[Tensor, ...]
    writes: tuple[Tensor, ...]
    payload: Any
    parallel: str = "serial"
    extent: int = 0
    flops: int | None = None
    """Floating-point operations, where the op that asked for it knows them."""

    @property
    def nbytes(self) -> int:
        """Bytes of what it reads and writes, each tensor once."""
        return sum(tensor.nbytes for tensor in dict.fromkeys((*self.reads, *self.writes)))


@dataclass
class LaunchList:
    """The part of a plan that is filled while a program is built."""

    batch_size: int
    launches: list[Launch] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def begin(self, label: str) -> None:
        """Name the launches that follow, for printing and profiling."""
        self.labels.append(label)

    @property
    def step(self) -> int:
        """The program step whose launches are being appended."""
        return len(self.labels) - 1

    def scratch(self, name: str, shape: tuple[int, ...], dtype: Any = "float32", kind: Kind = "batch") -> Tensor:
        """A tensor that only the current op's launches use."""
        label = f"{self.labels[self.step]}.{name}" if self.labels else name
        return Tensor(label, shape, np.dtype(dtype), kind)

    def append(self, launch: Launch) -> None:
        """Add a launch to the current step."""
        launch.step = self.step
        self.launches.append(launch)

    def launches_of(self, step: int) -> list[int]:
        """The launches of one program step."""
        return [i for i, launch in enumerate(self.launches) if launch.step == step]

    def run_step(self, step: int) -> None:
        """Execute the launches of one program step only."""
        raise NotImplementedError

    def prepared_step(self, step: int, times: int) -> Callable[[], None]:
        """A function that does what `run_step` does, `times` over, and ends when all has run: for timing."""

        def run() -> None:
            for _ in range(times):
                self.run_step(step)

        return run

    def lifetimes(self) -> dict[Tensor, tuple[int, int]]:
        """First and last launch that touches each tensor without storage of its own."""
        lives: dict[Tensor, tuple[int, int]] = {}
        for i, launch in enumerate(self.launches):
            for tensor in (*launch.reads, *launch.writes):
                if tensor.storage is None:
                    first, _ = lives.get(tensor, (i, i))
                    lives[tensor] = (first, i)
        return lives


def rows(whole: NDArray[Any], part: NDArray[Any], first: int) -> NDArray[Any]:
    """The rows of `whole` that `part` overwrites, from `first` on."""
    return whole[first : first + len(part)] if whole.ndim else whole

"""`fastcnn warmup`: compile the CPU kernels ahead of time, so that the first training starts at once.

Numba keeps them on the disk; they are compiled again after a change of their code, of Numba or of the processor.
"""

import time
from typing import Any

from fastcnn import applications
from fastcnn.cli.arguments import Parser
from fastcnn.cli.kernels import SIZES
from fastcnn.cli.machine import duration


def describe(parser: Parser) -> None:
    """This command takes no arguments."""


def run(arguments: Any) -> int:
    """Compile every kernel, and train a step of the tutorials' networks, which compiles what is made for their shapes."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    began = time.perf_counter()
    kernels = _kernels()
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=len(kernels) + len(SIZES))
        for kernel in kernels:
            progress.update(task, description=kernel.name)
            assert kernel.address  # asking for it compiles the kernel
            progress.advance(task)
        for name, batch_size in SIZES.items():
            progress.update(task, description=f"{name}: one training step")
            _train_one_step(applications.get(name)(), batch_size)
            progress.advance(task)
    print(f"{len(_kernels())} kernels are ready ({duration(time.perf_counter() - began)})")
    return 0


def _kernels() -> list[Any]:
    import fastcnn_kernels.cpu
    from fastcnn_kernels.host.runner import kernel

    assert fastcnn_kernels.cpu  # importing it registers them all
    return list(kernel.registry)


def _train_one_step(model: Any, batch_size: int) -> None:
    import numpy as np

    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], device="cpu")
    model.train_on_batch(np.zeros((batch_size, *model.input_shape[1:]), np.float32), np.zeros(batch_size, np.int64))

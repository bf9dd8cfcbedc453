"""A training step, operation by operation: time, work, and what the machine's peaks would allow.

operations   every step of a model's training program by itself, run over and over
layer_times  the same, summed by layer
"""

from functools import partial
from typing import Any

from fastcnn.program.costs import step_cost
from fastcnn.program.roofline import time_each

from .schema import LayerTime, Operation, Peaks


def training_batch(model: Any, x: Any, y: Any) -> Any:
    """The program of a training step, bound to one batch and run once; scalars are those of a training step before it."""
    model.train_on_batch(x, y)
    batch = model._ready().programs["train"].batch(model._interface().samples(x, y))
    batch.run()
    return batch


def operations(program: Any, peaks: Peaks | None) -> list[Operation]:
    """The operations in the order in which they run."""
    each = [time_each(partial(program.plan.prepared_step, number)) for number in range(len(program.steps))]
    return [_operation(program, number, taken, sum(each), peaks) for number, taken in enumerate(each)]


def _operation(program: Any, number: int, seconds: float, whole: float, peaks: Peaks | None) -> Operation:
    step = program.steps[number]
    flops, nbytes = step_cost(step, program.batch_size)
    compute, memory = (flops / peaks.flops, nbytes / peaks.bytes) if peaks else (0.0, 0.0)
    bound = ("compute" if compute > memory else "memory", max(compute, memory) / seconds) if peaks else ("", None)
    layer = step.source.removeprefix(f"{program.name}/")
    return Operation(
        number, step.op, layer, seconds, seconds / whole, flops, nbytes, flops / seconds, nbytes / seconds,
        flops / max(nbytes, 1), *bound,
    )  # fmt: skip


def layer_times(found: list[Operation]) -> list[LayerTime]:
    """Layers in the order in which they first run."""
    sums: dict[str, float] = {}
    for operation in found:
        sums[operation.layer] = sums.get(operation.layer, 0.0) + operation.seconds
    whole = sum(sums.values())
    return [LayerTime(layer, seconds, seconds / whole) for layer, seconds in sums.items()]

"""What a step costs: floating-point operations and bytes moved, counted from shapes.

A product counts two operations a multiply-add, a backward one once for each gradient that it computes. Other ops count a fixed
number of operations an element of their largest operand. Bytes are those of every operand read and written once.
"""

import math
from typing import Any

import numpy as np

from ..trace import Step, Value

PER_ELEMENT = {
    "batch_norm_forward": 8, "batch_norm_backward": 8, "softmax_forward": 5, "softmax_crossentropy_forward": 6,
    "optimizer_step": 12, "clip_factor": 2, "penalty": 4, "penalty_gradient": 4, "constrain": 4,
    "dropout_forward": 2, "dropout_backward": 2, "gather": 0, "export": 0, "reshape": 0,
    "reshape_parameters": 0, "transpose": 0, "pad": 0,
    "concatenate_forward": 0, "concatenate_backward": 0,
}  # fmt: skip


def elements(operand: Any, batch_size: int) -> int:
    """Number of elements of a value or variable, None counting as the batch size."""
    return math.prod(batch_size if n is None else n for n in operand.shape)


def step_cost(step: Step, batch_size: int) -> tuple[int, int]:
    """(floating-point operations, bytes) of one step."""
    operands = [*step.reads(), *(x for x in step.writes() if x not in step.reads())]
    nbytes = sum(elements(x, batch_size) * _itemsize(x) for x in operands)
    return _flops(step, batch_size, operands), nbytes


def _itemsize(operand: Any) -> int:
    return np.dtype(operand.dtype).itemsize if isinstance(operand, Value) else 4


def _flops(step: Step, batch_size: int, operands: list[Any]) -> int:
    if step.op.startswith(("conv", "dense")):
        return _product_flops(step, batch_size)
    largest = max((elements(x, batch_size) for x in operands), default=0)
    return PER_ELEMENT.get(step.op, 1) * largest


def _product_flops(step: Step, batch_size: int) -> int:
    w = step["w"]
    # Each weight meets each pixel of the output once; of the input, where the convolution is transposed.
    image = step["x" if step.op.startswith("conv_transpose") else "y"]
    pixels = elements(image, batch_size) // image.shape[-1] * math.prod(step.attributes.get("window", ()))
    once = 2 * pixels * math.prod(w.shape)
    if step.op.endswith("_forward"):
        return once
    return once * sum(step.operands.get(name) is not None for name in ("dx", "dw"))

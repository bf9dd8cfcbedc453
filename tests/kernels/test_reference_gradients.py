"""The reference's backward ops against central differences of its forward ops, in float64.

For each forward case: the outputs are projected on random numbers, which are then the gradients that come in; every gradient
that goes out must predict how the projection changes when its operand moves in a random direction.
"""

import inspect

import numpy as np
import pytest
from fastcnn_kernels.api import operations
from fastcnn_kernels.cases import Case, arrays, cases
from fastcnn_kernels.trial import REFERENCE, run, run_case

STEP, TOLERANCE, DIRECTIONS = 1e-6, 1e-6, 3


def backward_of(op: str) -> str | None:
    """The gradient op of an op, if it has one."""
    name = "batch_norm_inference_backward" if op == "batch_norm_inference" else op.replace("_forward", "_backward")
    return name if name != op and name in operations() else None


DIFFERENTIABLE = [case for case in cases() if backward_of(case.op) and case.smooth]


def as_list(value):
    return value if isinstance(value, list) else [value]


def gradients(case: Case, operands: dict, upstream: dict, outputs: dict) -> dict:
    """What the backward op writes, by the operand that it is the gradient of."""
    op = backward_of(case.op)
    if op == "concatenate_backward":
        return {"xs": parts(case, upstream["dy"])}
    values = {**operands, **outputs, **upstream}
    shapes = {**case.shapes, **{f"d{name}": shape for name, shape in case.shapes.items()}}
    accepted = inspect.signature(getattr(REFERENCE, op)).parameters
    attributes = {name: value for name, value in case.attributes.items() if name in accepted}
    written = run(
        REFERENCE, op, values, shapes, attributes, dtypes=case.dtypes, batch_size=case.batch_size
    )
    return {name[1:]: gradient for name, gradient in written.items()}


def parts(case: Case, dy: np.ndarray) -> list[np.ndarray]:
    """One call of concatenate_backward a part."""
    axis, start, found = case.attributes["axis"], 0, []
    for shape in case.shapes["xs"]:
        shapes, attributes = dict(dy=dy.shape, dx=shape), dict(axis=axis, start=start)
        call = run(REFERENCE, "concatenate_backward", dict(dy=dy), shapes, attributes, batch_size=case.batch_size)
        found.append(call["dx"])
        start += shape[axis]
    return found


def project(case: Case, operands: dict, upstream: dict) -> float:
    outputs = run_case(case, REFERENCE, operands)
    return sum(float(np.sum(outputs[name[1:]] * gradient)) for name, gradient in upstream.items())


def slope(case: Case, operands: dict, upstream: dict, name: str, directions: list) -> float:
    """Central difference of the projection when operand `name` moves along `directions`."""

    def at(step: float) -> float:
        moved = [x + step * d for x, d in zip(as_list(operands[name]), directions, strict=True)]
        return project(case, {**operands, name: moved if isinstance(operands[name], list) else moved[0]}, upstream)

    return (at(STEP) - at(-STEP)) / (2 * STEP)


def test_every_backward_op_is_checked():
    checked = {backward_of(case.op) for case in DIFFERENTIABLE}
    assert checked == {op for op in operations() if op.endswith("_backward")}


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_backward_predicts_the_change_of_forward(case: Case):
    rng = np.random.default_rng(1)
    operands = arrays(case)
    outputs = run_case(case, REFERENCE, operands)
    incoming = [name for name in outputs if f"d{name}" in operations()[backward_of(case.op)].reads]
    upstream = {f"d{name}": rng.standard_normal(outputs[name].shape) for name in incoming}
    found = gradients(case, operands, upstream, outputs)
    assert found
    for name, gradient in found.items():
        for _ in range(DIRECTIONS):
            directions = [rng.standard_normal(g.shape) for g in as_list(gradient)]
            predicted = sum(float(np.sum(g * d)) for g, d in zip(as_list(gradient), directions, strict=True))
            scale = np.sqrt(sum(float(np.sum((g * d) ** 2)) for g, d in zip(as_list(gradient), directions, strict=True)))
            error = abs(slope(case, operands, upstream, name, directions) - predicted)
            assert error <= TOLERANCE * max(scale, 1e-3), f"gradient of {name}: off by {error:.2e} in {predicted:.6g}"


def test_weighted_loss_gives_the_gradient_of_its_scaled_mean():
    case = next(case for case in cases() if case.op == "weighted_loss" and case.batch_size == 17)
    operands = arrays(case)
    dloss = run_case(case, REFERENCE, operands)["dloss"]

    def total(loss: np.ndarray) -> float:
        accumulator = run_case(case, REFERENCE, {**operands, "loss": loss, "accumulator": np.zeros(2)})["accumulator"]
        return float(case.attributes["scale"] * accumulator[0] / accumulator[1])

    for n in range(17):
        step = STEP * np.eye(17)[n]
        difference = (total(operands["loss"] + step) - total(operands["loss"] - step)) / (2 * STEP)
        assert difference == pytest.approx(dloss[n], abs=1e-9)

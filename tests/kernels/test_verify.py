"""The checks of `fastcnn verify`: they pass on backends that are right, and fail, in words, on those that are not."""

import math

import numpy as np
import pytest
from fastcnn_kernels.api import operations
from fastcnn_kernels.cases import cases, heavy_cases
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.host.guarded import GuardedBackend
from fastcnn_kernels.paths import representatives
from fastcnn_kernels.reference import ReferenceBackend
from fastcnn_kernels.verify import Check, adjoint_checks, chosen, guarded, op_checks, perform


def case_of(op, reason):
    return next(case for case in cases() if (case.op, case.reason) == (op, reason))


class Wrong(ReferenceBackend):
    """The reference in float32 with one op replaced by something that is not it."""

    def __init__(self, **ops):
        super().__init__(np.float32)
        for name, op in ops.items():
            setattr(self, name, op)


def test_a_right_backend_passes_every_op_and_the_adjoint_identity():
    backend = ReferenceBackend(np.float32)
    some = representatives(cases(), backend)
    outcomes = [perform(check) for check in (*op_checks(backend, some), *adjoint_checks(backend, some))]
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    assert {outcome.subject for outcome in outcomes if outcome.kind == "op"} == set(operations())
    assert {outcome.subject for outcome in outcomes if outcome.kind == "adjoint"} == {"conv", "dense"}
    assert all(0 <= outcome.error <= 1 for outcome in outcomes)
    assert max(outcome.error for outcome in outcomes) > 0.01


def test_the_cpu_passes_under_guard():
    backend, look = guarded(CpuBackend())
    look()
    assert isinstance(backend, GuardedBackend)
    outcome = perform(op_checks(CpuBackend(), [case_of("dense_forward", "ten classes")])[0])
    assert outcome.passed, outcome.message


def test_a_wrong_value_fails_its_op_and_only_that():
    def affine(plan, x, y, *, scale, offset=0.0):
        ReferenceBackend.affine(plan, x, y, scale=scale * 1.001, offset=offset)

    backend = Wrong(affine=affine)
    some = [next(case for case in cases() if case.op == op) for op in ("affine", "add")]
    wrong, right = (perform(check) for check in op_checks(backend, some)[:2])
    assert not wrong.passed
    assert "Not equal to tolerance" in wrong.message
    assert math.isnan(wrong.error)
    assert right.passed


def test_an_op_that_raises_is_an_outcome_too():
    def affine(plan, x, y, *, scale, offset=0.0):
        error = NotImplementedError("not yet")
        error.add_note("on this device")
        raise error

    outcome = perform(op_checks(Wrong(affine=affine), [next(case for case in cases() if case.op == "affine")])[0])
    assert outcome.message == "NotImplementedError: not yet\non this device"


def test_an_op_without_a_case_fails():
    checks = op_checks(ReferenceBackend(np.float32), [case for case in cases() if case.op != "optimizer_step"])
    assert [(o.subject, o.passed) for o in map(perform, checks[-1:])] == [("optimizer_step", False)]


def test_a_gradient_that_is_no_adjoint_is_found_without_a_reference():
    def forward(plan, x, w, b, y, *, activation="linear", alpha=0.0):
        ReferenceBackend.dense_forward(plan, x, w, b, y, activation=activation, alpha=alpha)
        ReferenceBackend.affine(plan, y, y, scale=1.01)

    check = adjoint_checks(Wrong(dense_forward=forward), [case_of("dense_backward", "ten classes")])[0]
    outcome = perform(check)
    assert not outcome.passed
    assert "<y, dy>, <x, dx>, <w, dw> are" in outcome.message


def test_a_check_that_is_not_an_assertion_s_is_still_performed():
    outcome = perform(Check("op", "x", "y", lambda: 1 / 0))
    assert (outcome.passed, outcome.message) == (False, "ZeroDivisionError: division by zero")


@pytest.mark.parametrize("exhaustive", [False, True])
def test_fast_backends_take_all_cases(exhaustive):
    assert len(chosen(CpuBackend(), exhaustive)) == len(cases()) + exhaustive * len(heavy_cases())


# ------ the CUDA backend


@pytest.fixture
def cuda():
    """The module; its backends are made on a device."""
    pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    from fastcnn_kernels import cuda

    return cuda


def test_the_emulated_device_takes_one_case_a_path(cuda):
    from fastcnn_kernels.device.emulated import EmulatedDevice

    backend = cuda.CudaBackend(EmulatedDevice())
    some = chosen(backend, exhaustive=False)
    assert {case.op for case in some} == set(operations())
    assert len(some) < len(cases()) < len(chosen(backend, exhaustive=True))


def test_an_op_removed_from_the_cuda_backend_fails_the_verification(cuda):
    from fastcnn_kernels.device.emulated import EmulatedDevice

    class Lacking(cuda.CudaBackend):
        @property
        def optimizer_step(self):
            raise AttributeError("optimizer_step")

    case = next(case for case in cases() if case.op == "optimizer_step")
    outcome = perform(op_checks(Lacking(EmulatedDevice()), [case])[0])
    assert not outcome.passed
    assert "optimizer_step" in outcome.message


def test_hardware_is_verified_under_guard(cuda):
    from fastcnn_kernels.device.emulated import EmulatedDevice
    from fastcnn_kernels.device.guarded import GuardedDevice, GuardError

    class Hardware(EmulatedDevice):
        name = "cuda"

    backend, look = guarded(cuda.CudaBackend(Hardware()))
    assert isinstance(backend.device, GuardedDevice)
    case = next(case for case in cases() if case.op == "affine")
    outcome = perform(op_checks(cuda.CudaBackend(Hardware()), [case])[0])
    assert outcome.passed, outcome.message
    place = backend.allocate((3,), np.float32, "plain")
    backend.device.upload(place.address + 12, np.zeros(1, np.uint8))
    with pytest.raises(GuardError, match="1 bytes behind storage"):
        look()

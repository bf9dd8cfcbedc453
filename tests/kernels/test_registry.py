"""Kernels in place of ours: the README's examples as they stand, verified, ranked and used by networks; and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from fastcnn_kernels import register
from fastcnn_kernels.cases import cases
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.ranking import OURS, rank
from fastcnn_kernels.reference import ReferenceBackend
from fastcnn_kernels.registry import _registered, load, only
from fastcnn_kernels.trial import run_case
from fastcnn_kernels.verify import perform, registered_checks

from fastcnn import cli, layers, models

README = Path(__file__).resolve().parents[2] / "kernels" / "README.md"
EXAMPLES = {
    ("cuda" if "numba.cuda" in block else "cpu"): block
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if "register(" in block
}  # fmt: skip
CASE = next(case for case in cases() if case.op == "activation_forward" and case.attributes["activation"] == "relu")


@pytest.fixture(autouse=True)
def nothing_stays():
    yield
    _registered.clear()


def backend_of(device):
    if device == "cpu":
        return CpuBackend()
    pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    from fastcnn_kernels.cuda import CudaBackend
    from fastcnn_kernels.device.emulated import EmulatedDevice

    return CudaBackend(EmulatedDevice(1 << 26))


@pytest.fixture(params=EXAMPLES)
def example(request, tmp_path):
    """A backend, with the README's kernel for it registered."""
    backend = backend_of(request.param)
    file = tmp_path / f"my_{request.param}_kernels.py"
    file.write_text(EXAMPLES[request.param])
    load([str(file)])
    return backend, file


def network(backend):
    model = models.Sequential([layers.Input((6,)), layers.Activation("relu"), layers.Dense(3), layers.Activation("tanh")])
    model.compile("sgd", "mse", device=backend)
    return model


def test_the_readme_s_kernels_are_right_and_ranked(example):
    backend, _ = example
    outcomes = [perform(check) for check in registered_checks(backend, [CASE])]
    assert [outcome.message for outcome in outcomes] == [""]
    entries = rank(CASE, backend)
    assert {entry.name for entry in entries} == {OURS, "relu_forward"}
    assert entries[0].cost <= entries[1].cost


def test_a_network_uses_them_where_they_claim_the_shapes(example):
    backend, file = example
    used = f"{file.stem}.relu"
    program = str(network(backend).program("predict", 4))
    assert program.count(used) == 1
    with only():
        assert used not in str(network(backend).program("predict", 4))


def test_verify_takes_a_file_of_kernels(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fastcnn_kernels.verify.chosen", lambda backend, exhaustive: [])
    monkeypatch.setattr("fastcnn_kernels.verify.op_checks", lambda backend, some: [])
    monkeypatch.setattr("fastcnn.trajectories.checks", lambda backend, exhaustive: [])
    file = tmp_path / "my_verified_kernels.py"
    file.write_text(EXAMPLES["cpu"])
    words = ["verify", "--device", "cpu", "--kernels", str(file), "--out", str(tmp_path / "report.json")]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert "registered activation_forward" in shown
    assert "relu_forward" in shown
    assert "ours" in shown


def doubled(plan, x, y, *, activation, alpha=0.0):
    plan.launch(lambda x, y: np.multiply(x, 2, out=y), x, y)


def test_the_last_registered_kernel_is_used_until_it_is_removed():
    backend, inputs = ReferenceBackend(), run_case(CASE, ReferenceBackend())["y"]
    with register("activation_forward", "reference", doubled):
        assert not np.array_equal(run_case(CASE, backend)["y"], inputs)
        with register("activation_forward", "reference", doubled, when=lambda activation, **_: activation == "tanh"):
            assert not np.array_equal(run_case(CASE, backend)["y"], inputs)
    np.testing.assert_array_equal(run_case(CASE, backend)["y"], inputs)


def test_a_wrong_kernel_and_one_that_claims_nothing_fail():
    register("activation_forward", "reference", doubled)
    register("activation_forward", "reference", doubled, when=lambda **_: False, name="shy")
    wrong, shy = (perform(check) for check in registered_checks(ReferenceBackend(), [CASE]))
    assert "differs" in wrong.message or "AssertionError" in wrong.message
    assert "claims none of the cases" in shy.message


@pytest.mark.parametrize(
    ("op", "backend", "kernel", "message"),
    [
        ("activation", "cpu", doubled, "unknown op 'activation'"),
        ("activation_forward", "emulated", doubled, "one of cpu, cuda, reference"),
        ("affine", "cpu", doubled, "scale, offset is missing"),
    ],
)
def test_what_cannot_be_registered(op, backend, kernel, message):
    with pytest.raises(ValueError, match=message):
        register(op, backend, kernel)

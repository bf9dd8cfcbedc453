"""`fastcnn kernels`: the table, one kernel's source, PTX and machine code, and what is said where it cannot be shown."""

from typing import Any

import pytest
from fastcnn_kernels.device import available

from fastcnn import cli
from fastcnn.cli import kernels

needs_packages = pytest.mark.skipif(
    not available.installed("numba_cuda"), reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]"
)


def test_missing_packages_are_named_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(available, "PACKAGES", ("no_such_package",))
    assert cli.main(["kernels"]) == 1
    assert "no_such_package is not installed; run: pip install 'fastcnn[cuda13]'" in capsys.readouterr().err


def test_the_cpu_s_kernels_with_what_they_compute(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kernels", "--device", "cpu"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "y = act(x)" in lines["activation.activation_forward_kernel"]


MISTAKES = {
    "target": (["kernels", "--target", "sm_8"], "unknown target 'sm_8'; did you mean 'sm_80'?"),
    "kernel": (["kernels", "optimizer.stp[adam]"], "unknown kernel 'optimizer.stp[adam]'; did you mean 'optimizer.step[adam]'"),
    "several": (["kernels", "activation_forward"], "kernels are called so:\n  activation.activation_forward[leaky_relu]\n"),
    "no name": (["kernels", "--ptx"], "--ptx shows one kernel: give its name"),
    "two views": (["kernels", "optimizer.step[adam]", "--ptx", "--sass"], "not allowed with argument"),
}


@needs_packages
@pytest.mark.parametrize(("words", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 1
    assert expected in capsys.readouterr().err


VIEWS = {
    "--source": ("def step(", '"""'),
    "--ptx": (".target sm_80", ".entry optimizer_step_adam("),
    "--sass": ("sm_80", "MUFU"),
}


@needs_packages
@pytest.mark.parametrize("view", VIEWS)
def test_one_kernel(view: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kernels", "optimizer.step[adam]", view]) == 0
    output = capsys.readouterr().out
    assert all(part in output for part in VIEWS[view])


@needs_packages
def test_one_kernel_for_another_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kernels", "optimizer.step[adam]", "--ptx", "--target", "sm_90a"]) == 0
    assert ".target sm_90a\n" in capsys.readouterr().out


def some() -> list[Any]:
    from fastcnn_kernels.activation.cuda import activation_forward_kernel

    return [activation_forward_kernel("relu"), activation_forward_kernel("tanh")]


@needs_packages
def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(kernels, "used", some)
    assert cli.main(["kernels"]) == 0
    output = capsys.readouterr().out
    (row,) = (line for line in output.splitlines() if "activation_forward[relu]" in line)
    assert "100%" in row
    assert "global" in row
    assert "2 kernels; all pass the compile gates" in output


@needs_packages
def test_a_kernel_that_does_not_pass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = some()[1]
    monkeypatch.setattr(kernel, "registers", 2)
    monkeypatch.setattr(kernels, "used", lambda: [kernel])
    assert cli.main(["kernels"]) == 1
    output = capsys.readouterr().out
    assert "1 kernels; 3 faults:" in output
    assert "activation.activation_forward[tanh] uses" in output
    assert "its budget is 2 on sm_90a" in output


@needs_packages
def test_the_networks_use_kernels_of_most_folders() -> None:
    folders = {kernel.name.split(".")[0] for kernel in kernels.used()}
    assert folders >= {"conv", "data", "dropout", "loss", "norm", "optimizer", "pool", "softmax_crossentropy"}

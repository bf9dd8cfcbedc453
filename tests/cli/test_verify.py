"""`fastcnn verify`: its report, its table, and its exit code."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastcnn_kernels import verify as kernels
from fastcnn_kernels.cases import cases

from fastcnn import backends, cli, trajectories
from fastcnn.cli import verify


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimizers and one network."""
    some = [case for case in cases() if case.op in ("optimizer_step", "clip_factor")]
    monkeypatch.setattr(kernels, "chosen", lambda backend, exhaustive: some)
    monkeypatch.setattr(kernels, "operations", lambda: {"optimizer_step": None, "clip_factor": None})
    monkeypatch.setattr(trajectories, "NETWORKS", {"Small": trajectories.NETWORKS["Small"]})


@pytest.mark.usefixtures("short")
def test_a_device_that_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.json"
    assert cli.main(["verify", "--device", "cpu", "--out", str(file)]) == 0
    report = json.loads(file.read_text())
    assert report["passed"]
    assert report["device"] == "cpu"
    assert "numba" in report["versions"]
    assert {(check["kind"], check["subject"]) for check in report["checks"]} == {
        ("op", "optimizer_step"), ("op", "clip_factor"), ("network", "Small"),
    }  # fmt: skip
    output = capsys.readouterr().out
    assert "ten steps of Small" in output
    assert f"all {len(report['checks'])} checks passed" in output


@pytest.mark.usefixtures("short")
def test_a_device_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def failing(backend: Any, exhaustive: bool) -> list[Any]:
        return [kernels.Check("network", "Small", "10 steps", partial(_raise, "the losses differ"))]

    monkeypatch.setattr(trajectories, "checks", failing)
    file = tmp_path / "report.json"
    assert cli.main(["verify", "--device", "cpu", "--out", str(file)]) == 1
    report = json.loads(file.read_text())
    assert not report["passed"]
    assert report["checks"][-1] | {"seconds": 0} == {
        "kind": "network", "subject": "Small", "case": "10 steps", "passed": False, "error": None, "seconds": 0,
        "message": "AssertionError: the losses differ",
    }  # fmt: skip
    output = capsys.readouterr().out
    assert "1 failed" in output
    assert "FAILED network Small, 10 steps:\nAssertionError: the losses differ" in output


def _raise(message: str) -> float:
    raise AssertionError(message)


def test_a_report_that_could_not_be_written_is_known_before_anything_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "checks", lambda *_: pytest.fail("checked"))
    assert cli.main(["verify", "--device", "cpu", "--out", str(tmp_path / "no" / "report.json")]) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_the_report_is_named_after_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "checks", lambda *_: [])
    assert cli.main(["verify", "--device", "reference"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["verify-reference.json"]


def test_a_network_that_leaves_the_reference_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectories, "TOLERANCE", 1e-12)
    with pytest.raises(AssertionError, match="Small: the losses differ by .* after 10 steps, allowed is"):
        trajectories.follow("Small", "cpu")


def test_what_is_checked_by_default() -> None:
    checks = verify.checks(backends.resolve("cpu"), exhaustive=False)
    assert [check.subject for check in checks if check.kind == "network"] == list(trajectories.NETWORKS)
    assert len([check for check in checks if check.kind == "op"]) == len(cases())

"""benchmarks.device_report: what was measured is written, whatever happens to the rest."""

import argparse
import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import device_report


@pytest.fixture
def options() -> argparse.Namespace:
    return argparse.Namespace(device="cpu", precision=None, quick=True)


def test_a_quick_report_of_two_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.json"
    words = ["device_report", "--device", "cpu", "--quick", "--out", str(file), "--sections", "hardware", "steps"]
    monkeypatch.setattr("sys.argv", words)
    assert device_report.main() == 0
    report = json.loads(file.read_text())
    assert list(report["sections"]) == ["hardware", "steps"]
    assert report["sections"]["hardware"]["results"]["versions"]["numpy"]
    assert report["sections"]["steps"]["results"]["T3"]["train_on_batch_ms"] > 0


def test_a_precision_is_that_of_every_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    file = tmp_path / "report.json"
    words = ["--device", "emulated", "--precision", "tf32", "--quick", "--out", str(file), "--sections", "hardware", "networks"]
    monkeypatch.setattr("sys.argv", ["device_report", *words])
    assert device_report.main() == 0
    report = json.loads(file.read_text())
    assert report["precision"] == "tf32"
    assert report["sections"]["hardware"]["results"]["properties"]["multiprocessors"]
    assert list(report["sections"]["networks"]["results"]) == ["skipped"]


def test_a_section_that_takes_too_long_is_stopped_and_keeps_what_it_had(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(words: list[str], timeout: float, **_: object) -> None:
        Path(words[-1]).write_text('{"first": 1}')
        raise subprocess.TimeoutExpired(words, timeout)

    monkeypatch.setattr(device_report.subprocess, "run", too_long)
    assert device_report._in_child("verify", options, seconds=7) == ({"first": 1}, "stopped after 7 seconds")


def test_a_section_that_fails_says_why_and_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.json"
    words = ["device_report", "--device", "cuda", "--quick", "--out", str(file), "--sections", "ops", "torch"]
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device_report.main() == 1
    sections = json.loads(file.read_text())["sections"]
    assert "device 'cuda' is not usable" in sections["ops"]["error"]
    assert "torch" in sections


def test_results_are_written_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(device: str, quick: bool) -> device_report.Results:
        yield "first", 1
        raise RuntimeError("then it broke")

    file = tmp_path / "section.json"
    monkeypatch.setitem(device_report.SECTIONS, "ops", (broken, 10))
    with pytest.raises(RuntimeError, match="then it broke"):
        device_report._run_section("ops", "cpu", True, file)
    assert json.loads(file.read_text()) == {"first": 1}


def test_the_sections_fit_into_eight_minutes() -> None:
    assert device_report.SECONDS <= 480
    assert sum(seconds for _, seconds in device_report.SECTIONS.values()) <= device_report.SECONDS

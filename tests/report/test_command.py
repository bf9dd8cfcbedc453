"""`fastcnn report`, from its words to its files."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fastcnn.cli import main
from fastcnn.cli.report import chosen
from fastcnn.report import gathering
from fastcnn.report.schema import Report, document, parse


def test_devices():
    assert chosen("reference, cpu,reference") == ["reference", "cpu"]
    assert chosen("auto")[-2:] == ["cpu", "reference"]
    with pytest.raises(ValueError, match="did you mean 'cpu'"):
        chosen("cpy")


def test_it_writes_three_files_and_prints_the_answer(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(gathering, "gather", lambda *arguments: replace(report, command=arguments[2]))
    assert main(["report", "--quick", "--devices", "cpu,reference", "--out", str(tmp_path / "new" / "folder")]) == 0
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "report.md"]
    assert parse((folder / "report.json").read_bytes()).command == "fastcnn report --devices cpu,reference --quick"
    printed = capsys.readouterr().out
    assert "GTX 1070" in printed
    assert "learns what the reference learns." in printed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--epochs", "3", "--quick"], "not allowed with"),
        (["--network", "tutorial"], "unknown network"),
        (["--devices", "gpu"], "unknown device"),
        (["--compare", "absent.json", "absent.json"], "absent.json: No such file"),
    ],
)
def test_errors_are_one_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["report", "--out", str(tmp_path / "out"), *words]) == 1
    assert told in capsys.readouterr().err


def test_two_reports_side_by_side(report: Report, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = tmp_path / "other.json"
    other.write_bytes(
        document(replace(report, machine=replace(report.machine, processor="Another CPU"), devices=report.devices[:1]))
    )
    assert main(["report", "--compare", str(saved), str(other), "--out", str(tmp_path / "both")]) == 0
    written = (tmp_path / "both" / "report.md").read_text()
    for text in (capsys.readouterr().out, written):
        assert "Another CPU" in text
        assert "Not the same" not in text
    assert "| cpu, report | reference, report | cpu, other |" in written
    assert "Another CPU" in (tmp_path / "both" / "report.html").read_text()


def test_reports_of_different_trainings_say_so(report: Report, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = tmp_path / "other.json"
    other.write_bytes(document(replace(report, setup=replace(report.setup, network="Else", epochs=7))))
    assert main(["report", "--compare", str(saved), str(other)]) == 0
    assert "Not the same training: network, epochs differ." in capsys.readouterr().out


def test_a_file_that_is_no_report_is_named(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "odd.json").write_text("{}")
    assert main(["report", "--compare", str(saved), str(tmp_path / "odd.json")]) == 1
    assert "odd.json: not a report" in capsys.readouterr().err


@pytest.mark.exhaustive
def test_the_quick_report_takes_less_than_three_minutes(tmp_path: Path):
    began = time.perf_counter()
    assert main(["report", "--quick", "--devices", "cpu,reference", "--out", str(tmp_path)]) == 0
    assert time.perf_counter() - began < 180
    found = json.loads((tmp_path / "report.json").read_text())
    assert [device["name"] for device in found["devices"]] == ["cpu", "reference"]
    assert all(device["first_step"]["warm"] > 0 for device in found["devices"])
    assert len(found["table"]) == 6

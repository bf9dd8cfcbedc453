"""report.json: what it must hold, and how faults are named."""

import json
from typing import Any

import pytest

from fastcnn.report.schema import Report, document, parse


def changed(report: Report, *path: Any, value: Any) -> str:
    """The report's document with another value at a path."""
    whole = json.loads(document(report))
    place = whole
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(whole)


def test_a_report_survives_its_document(report: Report):
    assert parse(document(report)) == report
    assert json.loads(document(report))["version"] == 1


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (
            ("devices", 0, "training", "whole_seconds"),
            "fast",
            r"devices\[0\].training.whole_seconds: expected float, got 'fast'",
        ),
        (("devices", 1, "steps", "seconds", "count"), 2.5, r"devices\[1\].steps.seconds.count: expected int, got 2.5"),
        (("devices", 0, "latency"), {}, r"devices\[0\].latency: expected the fields median, low, high, count, got \[\]"),
        (("machine", "gpus"), [3], r"machine.gpus\[0\]: expected str, got 3"),
        (("setup", "quick"), 1, "setup.quick: expected bool, got 1"),
        (("versions",), [], r"versions: expected dict, got \[\]"),
        (("setup", "target"), float("nan"), "setup.target: expected float, got nan"),
        (("version",), 2, "expected format 'fastcnn-report', version 1"),
    ],
)
def test_faults_are_named(report: Report, path: Any, value: Any, told: str):
    with pytest.raises(ValueError, match=told):
        parse(changed(report, *path, value=value))


def test_every_fault_is_named_at_once(report: Report):
    twice = json.loads(changed(report, "seconds", value=None))
    twice["machine"]["threads"] = "two"
    with pytest.raises(ValueError, match=r"seconds: expected float, got None; machine.threads: expected int, got 'two'"):
        parse(json.dumps(twice))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_what_is_no_report(text: str):
    with pytest.raises(ValueError, match="not a"):
        parse(text)


def test_what_may_be_absent_may_be_null(report: Report):
    assert parse(changed(report, "devices", 0, "agreement", value=None)).devices[0].agreement is None

"""A report of a network on two devices, measured in this process on few pictures and for a moment only."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastcnn.report import gathering, setup, worker
from fastcnn.report.schema import Device, FirstStep, Report, Row, document, parse
from fastcnn.report.setup import Job

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def job() -> Job:
    """Digits, two epochs of a training of four, on 80 pictures."""
    found = setup.job_for("digits", None, None, quick=True)
    return replace(found, options=replace(found.options, limit=80, epochs=4, device="cpu"), epochs=2)


@pytest.fixture(scope="session")
def report(job: Job) -> Report:
    """As `fastcnn report` makes it, but for the processes; read from its document."""
    patch = pytest.MonkeyPatch()
    patch.setattr(Job, "seconds", property(lambda self: 0.05))
    patch.setattr(gathering, "measured", _measured)
    try:
        made = gathering.gather(job, ["cpu", "reference"], "fastcnn report", None, lambda told: None)
    finally:
        patch.undo()
    return parse(document(made))


def _measured(job: Job, told: Any) -> tuple[Device, list[Row]]:
    device = replace(parse(document(worker.measure(job)), Device), first_step=FirstStep(12.5, 0.25))
    return device, [gathering._projected_row(device, device.steps.seconds)]


@pytest.fixture(scope="session")
def browser() -> str:
    """The path of a Chromium."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"there is no browser here: none of {', '.join(BROWSERS)}")
    return found


@pytest.fixture
def saved(report: Report, tmp_path: Path) -> Path:
    """report.json in a folder."""
    path = tmp_path / "report.json"
    path.write_bytes(document(report))
    return path

"""A report: every measurement in a process of its own, one after the other.

gather    the report of this machine
measured  one device: measurement, first steps with an empty and with a filled cache of compiled kernels
target    a validation accuracy that every device reached
"""

import json
import math
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from fastcnn import backends
from fastcnn.cli import machine
from fastcnn.cli.devices import device_name

from . import setup, torch_side
from .execution import execute, import_path
from .schema import FORMAT, VERSION, Device, FirstStep, Machine, Report, Row, Setup, Spread, parse
from .setup import Job
from .worker import TUTORIAL_BATCH

TUTORIAL = "TutorialCIFAR10"
TUTORIAL_PICTURES, TUTORIAL_EPOCHS = 50_000, 60
TUTORIAL_ROWS = [
    Row("GTX 1070", TUTORIAL, TUTORIAL_BATCH, TUTORIAL_EPOCHS, 484.0, 0.7912, False, ""),
    Row("i7 7700HQ", TUTORIAL, TUTORIAL_BATCH, TUTORIAL_EPOCHS, 12600.0, 0.7891, False, ""),
]
"""As the tutorials print them."""

Told = Callable[[str], None]


def gather(job: Job, devices: Sequence[str], command: str, torch_python: str | None, told: Told) -> Report:
    """Measure the devices, and PyTorch where a Python that has it is given; `told` hears what is done next.

    RuntimeError where not even one device could be measured; of others the report says why not.
    """
    began = time.perf_counter()
    found, rows, missing = _all(job, devices, told)
    if torch_python:
        found += _torch(job, found, torch_python, missing, told)
    goal = target(found)
    found = [_compared(device, found, goal) for device in found]
    table = [*TUTORIAL_ROWS, *rows, *(_row(job, device) for device in found)]
    created = datetime.now().astimezone().isoformat(timespec="seconds")
    about = _machine(), _versions(), _setup(job, goal)
    return Report(FORMAT, VERSION, created, command, time.perf_counter() - began, *about, table, found, missing)


def _all(job: Job, devices: Sequence[str], told: Told) -> tuple[list[Device], list[Row], list[str]]:
    found, rows, missing = [], [], []
    for name in devices:
        try:
            device, row = measured(job.on(name), told)
        except RuntimeError as error:
            missing.append(str(error))
        else:
            found.append(device)
            rows += row
    if not found:
        raise RuntimeError("; ".join(missing))
    return found, rows, missing


def _torch(job: Job, devices: Sequence[Device], python: str, missing: list[str], told: Told) -> list[Device]:
    found = []
    for device in devices:
        if device.name in ("cpu", "cuda"):
            told(f"PyTorch on {device.name}")
            try:
                found.append(torch_side.measured(job.on(device.name), device, python))
            except RuntimeError as error:
                missing.append(str(error))
    return found


def measured(job: Job, told: Told) -> tuple[Device, list[Row]]:
    """One device, and its row for the tutorials' network where the job is about another one."""
    name, rows = job.options.device, []
    told(f"{name}: first step, nothing compiled before")
    with tempfile.TemporaryDirectory() as cache:
        cold = run("first", job, FASTCNN_CACHE=cache)["seconds"]
        warm = run("first", job, FASTCNN_CACHE=cache)["seconds"]
        told(f"{name}: steps, predictions, operations, training")
        device = replace(run("measure", job, FASTCNN_CACHE=cache), first_step=FirstStep(cold, warm))
        if job.network != TUTORIAL:
            told(f"{name}: steps of {TUTORIAL}")
            rows.append(_projected_row(device, Spread(**run("steps", job, FASTCNN_CACHE=cache))))
    return device, rows


def run(task: str, job: Job, **environment: str) -> Any:
    """What a worker writes. RuntimeError with its last words where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        command = [sys.executable, "-m", "fastcnn.report.worker", task, str(out)]
        execute(command, setup.write(job), f"measuring {job.options.device}", {**environment, "PYTHONPATH": import_path()})
        return parse(out.read_bytes(), Device) if task == "measure" else json.loads(out.read_text())


def target(devices: Sequence[Device]) -> float | None:
    """The best validation accuracy of the worst device, in whole percent; None where nothing was trained."""
    best = [max(e.val_accuracy for e in device.training.epochs) for device in devices if device.training.epochs]
    return math.floor(100 * min(best)) / 100 if best else None


def _compared(device: Device, devices: Sequence[Device], goal: float | None) -> Device:
    training, fastest = device.training, min(other.training.whole_seconds for other in devices)
    reached = next((e.seconds for e in training.epochs if goal is not None and e.val_accuracy >= goal), None)
    times = training.whole_seconds / fastest
    return replace(device, training=replace(training, target_seconds=reached, times_fastest=times))


def _row(job: Job, device: Device) -> Row:
    training = device.training
    accuracy = training.test_accuracy
    name = _called(device)
    size, seconds = job.options.batch_size, training.whole_seconds
    return Row(name, Path(job.options.model).stem, size, training.whole_epochs, seconds, accuracy, True, training.projected)


def _projected_row(device: Device, step: Spread) -> Row:
    seconds = step.median * -(-TUTORIAL_PICTURES // TUTORIAL_BATCH) * TUTORIAL_EPOCHS
    told = f"{step.count} steps, without validation"
    return Row(_called(device), TUTORIAL, TUTORIAL_BATCH, TUTORIAL_EPOCHS, seconds, None, True, told)


def _called(device: Device) -> str:
    return f"{device.hardware}, {device.library.partition(',')[0]}" if device.name.startswith("torch") else device.hardware


def _setup(job: Job, goal: float | None) -> Setup:
    options, parts = job.options, job.parts()
    train, validation, test = (0 if part is None else len(part[1]) for part in parts)
    return Setup(
        network=Path(options.model).stem,
        parameters=int(job.uncompiled(parts).count_params()),
        data=Path(options.data).stem,
        train=train,
        validation=validation,
        test=test,
        batch_size=options.batch_size,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        seed=options.seed,
        quick=job.quick,
        target=goal,
    )


def _machine() -> Machine:
    gpus = [] if backends.why_not("cuda") else [device_name("cuda")]
    return Machine(machine.processor(), backends.get_num_threads(), machine.memory(), platform.platform(terse=True), gpus)


def _versions() -> dict[str, str]:
    return {name: version for name, version in machine.versions().items() if name != "machine"}

"""A report: every measurement in a process of its own, one after the other.

gather    the report of this machine
measured  one device: measurement, first steps with an empty and with a filled cache of compiled kernels
target    a validation accuracy that every device reached
"""

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import fastcnn
from fastcnn import backends
from fastcnn.cli import machine
from fastcnn.cli.devices import device_name

from . import setup
from .schema import FORMAT, VERSION, Device, FirstStep, Machine, Report, Row, Setup, Spread, parse
from .setup import Job
from .worker import TUTORIAL_BATCH

PLACES = Path(fastcnn.__file__).parents[1]
TUTORIAL = "TutorialCIFAR10"
TUTORIAL_PICTURES, TUTORIAL_EPOCHS = 50_000, 60
TUTORIAL_ROWS = [
    Row("GTX 1070", TUTORIAL, TUTORIAL_BATCH, TUTORIAL_EPOCHS, 484.0, 0.7912, False, ""),
    Row("i7 7700HQ", TUTORIAL, TUTORIAL_BATCH, TUTORIAL_EPOCHS, 12600.0, 0.7891, False, ""),
]
"""As the tutorials print them."""

Told = Callable[[str], None]


def gather(job: Job, devices: Sequence[str], command: str, others: Sequence[Callable[[Job], Device]], told: Told) -> Report:
    """Measure `devices`, then what `others` measure; `told` hears what is done next."""
    began = time.perf_counter()
    found, rows = [], []
    for name in devices:
        device, row = measured(job.on(name), told)
        found.append(device)
        rows += row
    for other in others:
        told("torch")
        found.append(other(job))
    goal = target(found)
    found = [_compared(device, found, goal) for device in found]
    table = [*TUTORIAL_ROWS, *rows, *(_row(job, device) for device in found)]
    created = datetime.now().astimezone().isoformat(timespec="seconds")
    return Report(
        FORMAT, VERSION, created, command, time.perf_counter() - began, _machine(), _versions(), _setup(job, goal), table, found
    )  # fmt: skip


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
        execute(command, setup.write(job), f"measuring {job.options.device}", environment | _paths())
        return parse(out.read_bytes(), Device) if task == "measure" else json.loads(out.read_text())


def execute(command: Sequence[str], standard_input: str, doing: str, environment: dict[str, str]) -> None:
    """Run a worker on as many threads as this process has. RuntimeError with its last words where it fails."""
    threads = str(backends.get_num_threads())
    counts = {name: threads for name in ("FASTCNN_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    options = {"input": standard_input, "text": True, "capture_output": True, "check": False}
    done = subprocess.run(command, env=os.environ | counts | environment, **options)  # type: ignore[call-overload]
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise RuntimeError(f"{doing} failed: {words[0]}")


def _paths() -> dict[str, str]:
    """Where a worker finds this very package."""
    import fastcnn_kernels

    kernels = Path(fastcnn_kernels.__file__).parents[1]
    return {"PYTHONPATH": os.pathsep.join([str(PLACES), str(kernels), os.environ.get("PYTHONPATH", "")])}


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
    return Row(name, job.options.model, size, training.whole_epochs, seconds, accuracy, True, training.projected)


def _projected_row(device: Device, step: Spread) -> Row:
    seconds = step.median * -(-TUTORIAL_PICTURES // TUTORIAL_BATCH) * TUTORIAL_EPOCHS
    told = f"{step.count} steps, without validation"
    return Row(_called(device), TUTORIAL, TUTORIAL_BATCH, TUTORIAL_EPOCHS, seconds, None, True, told)


def _called(device: Device) -> str:
    return f"{device.hardware}, {device.library}" if device.name.startswith("torch") else device.hardware


def _setup(job: Job, goal: float | None) -> Setup:
    options, parts = job.options, job.parts()
    counts = [0 if part is None else len(part[1]) for part in parts]
    model = job.uncompiled(parts)
    return Setup(
        Path(options.model).stem, int(model.count_params()), Path(options.data).stem, *counts, options.batch_size, options.epochs,
        options.learning_rate, options.seed, job.quick, goal,
    )  # fmt: skip


def _machine() -> Machine:
    gpus = [] if backends.why_not("cuda") else [device_name("cuda")]
    return Machine(machine.processor(), backends.get_num_threads(), machine.memory(), platform.platform(terse=True), gpus)


def _versions() -> dict[str, str]:
    return {name: version for name, version in machine.versions().items() if name != "machine"}

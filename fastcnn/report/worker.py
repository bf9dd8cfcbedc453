"""One device, measured in a process of its own: `python -m fastcnn.report.worker TASK OUT`, the job on standard input.

    first     the first training step, as JSON: {"seconds"}
    measure   everything else: a Device, but for what only the comparison of devices tells
    steps     training steps of the tutorials' CIFAR-10 network on random pictures, as JSON: a Spread

Standard output stays free for what libraries print. OUT is written whole, or not at all.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fastcnn_kernels.peaks import measure as measured

from fastcnn import __version__, backends
from fastcnn.applications import TutorialCIFAR10
from fastcnn.callbacks import Callback
from fastcnn.cli.devices import device_name
from fastcnn.cli.pictures import Parts
from fastcnn.utils.files import write_atomically

from . import setup, timing
from .agreement import agreement
from .operations import layer_times, operations, training_batch
from .schema import Agreement, Device, Epoch, Memory, Peaks, Rate, Spread, Steps, Training, document, trained
from .setup import Job

TUTORIAL_BATCH = 128


def first(job: Job) -> dict[str, float]:
    """Seconds from `compile` to the end of the first step."""
    parts = job.parts()
    x, y = (array[: job.options.batch_size] for array in parts.train)
    began = time.perf_counter()
    job.model(parts).train_on_batch(x, y)
    return {"seconds": time.perf_counter() - began}


def steps(job: Job) -> dict[str, Any]:
    """A training step as in the tutorials' table."""
    model = TutorialCIFAR10()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device=job.options.device)
    rng = np.random.default_rng(0)
    x, y = rng.random((TUTORIAL_BATCH, 32, 32, 3), np.float32), rng.integers(0, 10, TUTORIAL_BATCH)
    return timing.spread(timing.times(lambda: model.train_on_batch(x, y), job.seconds))


def measure(job: Job) -> Device:
    """The device. Memory is looked at after training, before all that training does not need."""
    parts, name = job.parts(), job.options.device
    missing: list[str] = []
    model = job.model(parts)
    spread, batch = _steps(job, model, parts)
    learned = _training(job, parts, spread.median)
    memory = Memory(timing.peak_memory(), int(batch.program.plan.memory()))
    found = _peaks(name, missing)
    flops, nbytes = batch.program.cost()
    rate = flops / spread.median
    step = Steps(batch.size, spread, flops, nbytes, rate, rate / found.flops if found else None)
    ops = operations(batch.program, found)
    latency, throughput = _predictions(job, model, parts)
    return Device(
        name, device_name(name), f"fastcnn {__version__}", learned, step, None, memory, latency, throughput, found, ops,
        layer_times(ops), _agreement(job, missing), missing,
    )  # fmt: skip


def _agreement(job: Job, missing: list[str]) -> Agreement | None:
    if job.options.device != "emulated":
        return agreement(job, job.options.device)
    missing.append("agreement: fastcnn verify --device emulated checks every kernel")
    return None


def _peaks(device: str, missing: list[str]) -> Peaks | None:
    """Those of the device; the reference runs on the processor."""
    found = measured(backends.resolve("cpu" if device == "reference" else device))
    if found is None:
        missing.append("peaks and shares of them: times mean nothing here")
        return None
    return Peaks(found.flops["float32"], found.bandwidth, "kernels that only multiply and add, or only copy")


def _steps(job: Job, model: Any, parts: Parts) -> tuple[Spread, Any]:
    """How long a step takes, and the batch that it was made on."""
    x, y = (array[: job.options.batch_size] for array in parts.train)
    spread = Spread(**timing.spread(timing.times(lambda: model.train_on_batch(x, y), job.seconds)))
    return spread, training_batch(model, x, y)


def _predictions(job: Job, model: Any, parts: Parts) -> tuple[Spread, list[Rate]]:
    pictures = parts.train[0]

    def predict(size: int) -> Callable[[], Any]:
        x = np.resize(pictures[:size], (size, *pictures.shape[1:]))
        return lambda: model.predict_on_batch(x)

    latency = timing.spread(timing.times(predict(1), job.seconds / 2))
    return Spread(**latency), [Rate(**rate) for rate in timing.rates(predict, job.seconds)]


def _training(job: Job, parts: Parts, step: float) -> Training:
    """The epochs that the job asks for, or as many as its patience allows."""
    options, pictures = job.options, len(parts.train[1])
    epoch = step * -(-pictures // options.batch_size)
    if epoch > job.patience:
        told = "single steps, without validation"
        return Training([], options.epochs, epoch * options.epochs, 1.0, pictures / epoch, None, None, told)
    clock, model = _Clock(job.patience), job.model(parts)
    model.fit(*parts.train, options.batch_size, job.epochs, 0, [clock], validation_data=parts.validation)
    (_, accuracy) = model.evaluate(*parts.test, options.batch_size, verbose=0)
    return trained(clock.epochs, options.epochs, len(clock.epochs) * pictures / clock.training, float(accuracy))


class _Clock(Callback):
    """The epochs; `training`: seconds in them without validation. No epoch begins that would take longer than `patience`."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.epochs: list[Epoch] = []
        self.training = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch_began = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        self.training += time.perf_counter() - self.epoch_began

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        seconds = time.perf_counter() - self.began
        self.epochs.append(Epoch(seconds, *(float(logs[name]) for name in names)))
        self.model.stop_training = seconds * (1 + 1 / len(self.epochs)) > self.patience


def main(task: str, out: str) -> None:
    """Do a task."""
    job = setup.read(sys.stdin.read())
    if task == "measure":
        content = document(measure(job))
    else:
        content = json.dumps({"first": first, "steps": steps}[task](job)).encode()
    write_atomically(Path(out), content)


if __name__ == "__main__":
    main(*sys.argv[1:])

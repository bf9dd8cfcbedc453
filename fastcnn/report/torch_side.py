"""PyTorch beside fastcnn: the same network, first weights, pictures and seed, in a Python that has torch.

python_with_torch  the one that was named, or this one
measured           a device, measured by torch_worker
"""

import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fastcnn import backends
from fastcnn.cli.devices import device_name
from fastcnn.models import Sequential

from .execution import execute
from .schema import Device, Epoch, FirstStep, Memory, Rate, Spread, Steps, trained
from .setup import Job

KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "67108864",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""Memory that is not given back to the system between steps: fresh pages are dear, and PyTorch asks for them in every step."""


def python_with_torch(named: str | None) -> str:
    """A Python. ValueError where none was named and this one has no torch."""
    if named is None and importlib.util.find_spec("torch") is None:
        raise ValueError(
            "torch is not installed here: pip install torch, or name a Python that has it with --torch-python PATH"
        )
    if named is not None and shutil.which(named) is None:
        raise FileNotFoundError(f"--torch-python {named}: there is no such program")
    return named or sys.executable


def measured(job: Job, beside: Device, python: str) -> Device:
    """PyTorch on the device that fastcnn was measured on: work and peaks are counted as there."""
    found = _run(job, python)
    training = found["training"]
    epochs = [Epoch(**epoch) for epoch in training["epochs"]]
    spread = Spread(**found["steps"])
    steps = beside.steps
    rate = steps.flops / spread.median
    share = rate / beside.peaks.flops if beside.peaks else None
    return Device(
        name=f"torch {beside.name}",
        hardware=device_name(beside.name),
        library=found["library"],
        training=trained(epochs, job.options.epochs, training["samples_per_second"], training["test_accuracy"]),
        steps=Steps(steps.batch_size, spread, steps.flops, steps.bytes, rate, share),
        first_step=FirstStep(found["first_step"], found["first_step"]),
        memory=Memory(found["memory"], None),
        latency=Spread(**found["latency"]),
        throughput=[Rate(**one) for one in found["throughput"]],
        peaks=beside.peaks,
        operations=[],
        layers=[],
        agreement=None,
        missing=["no operations, no comparison with the reference; a first step once, for eager PyTorch compiles nothing"],
    )


def _run(job: Job, python: str) -> Any:
    model = job.model(job.parts())
    with tempfile.TemporaryDirectory() as folder:
        task, arrays, out = (Path(folder, name) for name in ("task.json", "arrays.npz", "out.json"))
        # Beside their copies nothing of this package hides a module that torch imports.
        scripts = [shutil.copy(Path(__file__).with_name(name), folder) for name in ("torch_worker.py", "timing.py")]
        task.write_text(json.dumps(_task(job, model)))
        np.savez(arrays, **_arrays(job, model))
        words = [python, str(scripts[0]), str(task), str(arrays), str(out)]
        execute(words, "", f"measuring PyTorch on {job.options.device}", KEEP_MEMORY)
        return json.loads(out.read_text())


def _arrays(job: Job, model: Any) -> dict[str, Any]:
    """Pictures and labels by part, and the weights in their order."""
    named = zip(("train", "validation", "test"), job.parts(), strict=True)
    data = {f"{axis}_{name}": array for name, part in named if part for axis, array in zip("xy", part, strict=True)}
    return data | {f"weight{k}": array for k, array in enumerate(model.get_weights())}


def layers_of(model: Any) -> list[tuple[str, dict[str, Any]]]:
    """The kind and configuration of every layer, as torch_worker builds from them."""
    return [(type(layer).__name__, layer.get_config()) for layer in model.layers]


def _task(job: Job, model: Any) -> dict[str, Any]:
    if not isinstance(model, Sequential):
        raise ValueError(f"--against torch builds Sequential models only, and {model.name!r} is none")
    options = job.options
    return {
        "device": options.device, "layers": layers_of(model),
        "shape": model.input_shape[1:], "weights": len(model.get_weights()), "threads": backends.get_num_threads(),
        "batch_size": options.batch_size, "learning_rate": options.learning_rate, "epsilon": model.optimizer.epsilon,
        "seed": options.seed, "epochs": job.epochs, "seconds": job.seconds,
        "patience": None if job.patience == float("inf") else job.patience,
    }  # fmt: skip

"""Everything that a GPU is wanted for, in one call of under 8 minutes; one JSON with hardware and versions.

    python -m benchmarks.device_report [--out FILE] [--quick] [--device cuda] [--precision tf32]

Sections, each in a process of its own, so that a fault or a hang in one costs nothing but itself:

    hardware   what is here, and in which versions
    networks   whole networks follow the float64 reference for ten steps
    steps      training steps of T3 and T4: kernels launched one by one, and replayed as a CUDA graph
    kernels    every launch of these steps by itself: microseconds and floating-point operations
    epochs     T3 and T4 over data sets that stay on the device
    verify     the checks of `fastcnn verify`, as many as time allows
    ops        the heavy cases of fastcnn_kernels.cases
    torch      the same training steps in PyTorch at the same precision, where it is installed

A section's results are written as they come: what was cut off leaves what it had. --quick is for trying the report itself.
A section's `device` is a name, or with --precision the backend.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from fastcnn import applications, backends, callbacks, trajectories
from fastcnn.utils.files import write_atomically

Results = Iterator[tuple[str, Any]]
ROUNDS = 7
NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, ...], int, int]] = {
    "T3": (applications.TutorialMNIST, (28, 28, 1), 64, 48_000),
    "T4": (applications.TutorialCIFAR10, (32, 32, 3), 128, 50_000),
}
"""How it is built, the shape of a picture, batch size, and pictures in an epoch."""
PRECISIONS = ("float32", "tf32", "bfloat16")
PACKAGES = ("fastcnn", "numpy", "numba", "numba-cuda", "cuda-core", "cuda-bindings", "nvidia-nvvm", "torch")


def hardware(device: Any, quick: bool) -> Results:
    """Names and versions."""
    yield "python", platform.python_version()
    yield "versions", {name: _version(name) for name in PACKAGES}
    query = "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit,temperature.gpu"
    try:
        told = subprocess.run(["nvidia-smi", query, "--format=csv"], capture_output=True, text=True, check=True)
        yield "nvidia-smi", told.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        yield "nvidia-smi", str(error)
    if device == "cuda" or hasattr(device, "device"):
        yield "properties", asdict(backends.resolve(device).device.properties())


def _precision(device: Any) -> str:
    return getattr(device, "precision", "float32")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def networks(device: Any, quick: bool) -> Results:
    """The largest error as a share of what is allowed. AssertionError, at the end, if one exceeded it."""
    if _precision(device) != "float32":
        yield "skipped", "rounding to a precision crosses kinks, and weights part there: see `verify`"
        return
    failures = []
    for name in ("Small", "TutorialMNIST") if quick else trajectories.NETWORKS:
        try:
            yield name, trajectories.follow(name, device)
        except AssertionError as error:
            failures.append(name)
            yield name, str(error)
    assert not failures, f"{', '.join(failures)} left the reference"


# ------ time


def median_ms(call: Callable[[], Any], wait: Callable[[], Any], quick: bool, seconds: float = 0.3) -> float:
    """Milliseconds of a call when many follow each other: the median of rounds of so many calls as take about `seconds`."""
    call()
    wait()
    count = max(1, 1 if quick else int(seconds / ROUNDS / max(1e-6, _round(call, wait, 1))))
    return 1e3 * statistics.median(_round(call, wait, count) for _ in range(1 if quick else ROUNDS))


def _round(call: Callable[[], Any], wait: Callable[[], Any], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    wait()
    return (time.perf_counter() - began) / count


def _waiting(backend: Any) -> Callable[[], Any]:
    return backend.device.synchronize if hasattr(backend, "device") else lambda: None


@cache
def _compiled(network: str, device: Any, quick: bool) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """A model that has made three training steps, their program, and the batch."""
    build, shape, size, _ = NETWORKS[network]
    size = 2 if quick else size
    model = build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
    rng = np.random.default_rng(0)
    x, y = rng.random((size, *shape), dtype=np.float32), rng.integers(0, 10, size).astype(np.int64)
    for _ in range(3):
        model.train_on_batch(x, y)
    program = model.executor.program("train", size, ("float32", "int64"), (((), "int32"),))
    program.bind([x], [y], [np.ones(size, np.float32)])
    program.run()
    return model, program, x, y


def steps(device: Any, quick: bool) -> Results:
    """Milliseconds, FLOPs and bytes of a training step."""
    wait = _waiting(backends.resolve(device))
    for network in NETWORKS:
        model, program, x, y = _compiled(network, device, quick)
        flops, nbytes = program.cost()
        found: dict[str, Any] = {"batch": len(x), "GFLOP": flops / 1e9, "MB": nbytes / 1e6}
        found["arena_MB"] = program.plan.memory() / 1e6
        if hasattr(program.plan, "calls"):
            found["launches"] = len(program.plan.calls)
            found["eager_ms"] = median_ms(lambda: _eagerly(program.plan), wait, quick)  # noqa: B023
            found["captured_ms"] = median_ms(program.plan.device.capture(program.plan.calls), wait, quick)
        found["run_ms"] = median_ms(program.run, wait, quick)
        found["train_on_batch_ms"] = median_ms(lambda: model.train_on_batch(x, y), wait, quick)  # noqa: B023
        yield network, found


def _eagerly(plan: Any) -> None:
    plan.device.careful = False
    for call in plan.calls:
        plan.device.launch(call)


def kernels(device: Any, quick: bool) -> Results:
    """Every launch by itself, many times in one graph, so that launching costs next to nothing."""
    backend, count = backends.resolve(device), 1 if quick else 50
    if not hasattr(backend, "device"):
        yield "skipped", f"{backend.name} launches no kernels one by one"
        return
    for network in NETWORKS:
        rows = []
        for call in _compiled(network, device, quick)[1].plan.calls:
            ms = median_ms(backend.device.capture([call] * count), backend.device.synchronize, quick, 0.02) / count
            rows.append({"step": call.label, "kernel": call.kernel.name, "grid": call.grid, "us": 1e3 * ms})
            yield network, rows


def epochs(device: Any, quick: bool) -> Results:
    """Seconds of epochs over random pictures; the first one includes compiling and the way of the data to the device."""
    for network, (build, shape, size, count) in NETWORKS.items():
        rng = np.random.default_rng(0)
        count = 3 if quick else count
        x, y = rng.random((count, *shape), dtype=np.float32), rng.integers(0, 10, count)
        model, clock = build(), _Clock()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
        model.fit(x, y, size, epochs=2 if quick else 5, verbose=0, callbacks=[clock])
        yield network, {"pictures": count, "batch": size, "seconds": clock.seconds}


class _Clock(callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def verify(device: Any, quick: bool) -> Results:
    """Every op x the cases, one case a code path first. AssertionError, at the end, if a check failed."""
    from fastcnn_kernels.cases import cases
    from fastcnn_kernels.paths import representatives
    from fastcnn_kernels.verify import adjoint_checks, dry, op_checks, perform

    backend = backends.resolve(device)
    some = {case.op: case for case in cases()}.values() if quick else representatives(cases(), dry(backend))
    rest = [] if quick else [case for case in cases() if case not in some]
    checks = [*op_checks(backend, [*some, *rest]), *adjoint_checks(backend, some)]
    failures = []
    for number, check in enumerate(checks, start=1):
        outcome = perform(check)
        if not outcome.passed:
            failures.append(asdict(outcome) | {"error": None})
        if number % 10 == 0 or number == len(checks) or not outcome.passed:
            yield "done", {"checks": number, "of": len(checks), "failures": failures}
    assert not failures, f"{len(failures)} checks failed"


def ops(device: Any, quick: bool) -> Results:
    """Milliseconds, GFLOP/s and GB/s of the heavy cases."""
    from fastcnn_kernels.cases import heavy_cases
    from fastcnn_kernels.trial import trial

    from .costs import cost

    backend = backends.resolve(device)
    for case in heavy_cases()[-1:] if quick else heavy_cases():
        prepared, (flops, nbytes) = trial(case, backend), cost(case)
        prepared.plan.run()
        ms = median_ms(prepared.run_op, _waiting(backend), quick)
        yield str(case), {"ms": ms, "GFLOP/s": flops / ms / 1e6, "GB/s": nbytes / ms / 1e6}


def torch(device: Any, quick: bool) -> Results:
    """Milliseconds of a training step in every setting."""
    if _version("torch") is None:
        yield "skipped", "torch is not installed"
        return
    from . import torch_gpu

    precision = _precision(device)
    yield "about", torch_gpu.about(precision)
    for network, (_, _, size, _) in NETWORKS.items():
        found: dict[str, Any] = {}
        for setting, step in torch_gpu.steps(network, size, precision, torch_gpu.SETTINGS[: 1 if quick else None]):
            found[setting] = median_ms(step, torch_gpu.synchronize, quick)
            yield network, found


SECTIONS: dict[str, tuple[Callable[[Any, bool], Results], int]] = {
    "hardware": (hardware, 15), "networks": (networks, 50), "steps": (steps, 50), "kernels": (kernels, 50),
    "epochs": (epochs, 50), "verify": (verify, 110), "ops": (ops, 35), "torch": (torch, 100),
}  # fmt: skip
"""Each with the seconds that it may take at most."""
SECONDS = 460
"""That all of them may take."""


# ------ the report


def main() -> int:
    """Run every section; 1 if one of them ended badly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=backends.DEVICES, default="cuda")
    parser.add_argument("--precision", choices=PRECISIONS, help="of device cuda or emulated (default: float32)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "device-report.json")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        chosen = options.device
        if options.precision:
            chosen = backends.resolve(options.device, precision=options.precision)
        _run_section(options.sections[0], chosen, options.quick, options.child)
        return 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    return _run_all(options)


def _run_section(name: str, device: Any, quick: bool, file: Path) -> None:
    results: dict[str, Any] = {}
    for key, value in SECTIONS[name][0](device, quick):
        results[key] = value
        _write(file, results)


def _run_all(options: argparse.Namespace) -> int:
    report: dict[str, Any] = {"device": options.device, "precision": options.precision, "quick": options.quick, "sections": {}}
    deadline = time.monotonic() + SECONDS
    for name in options.sections:
        began = time.monotonic()
        results, error = _in_child(name, options, min(SECTIONS[name][1], deadline - began))
        seconds = round(time.monotonic() - began, 1)
        report["sections"][name] = {"seconds": seconds, "error": error, "results": results}
        _write(options.out, report)
        print(f"{name:10} {seconds:6.1f} s  {error.splitlines()[-1] if error else 'ok'}", flush=True)
    return 1 if any(section["error"] for section in report["sections"].values()) else 0


def _in_child(name: str, options: argparse.Namespace, seconds: float) -> tuple[Any, str]:
    """A section's results as far as it came, and what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "section.json")
        words = ["--device", options.device, *(["--quick"] if options.quick else []), "--sections", name, "--child", str(file)]
        words += ["--precision", options.precision] if options.precision else []
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.device_report", *words],
                timeout=max(1, seconds), stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            error = done.stderr[-4000:].strip() or f"exit status {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            error = f"stopped after {seconds:.0f} seconds"
        return json.loads(file.read_text()) if file.exists() else {}, error


def _write(file: Path, contents: Any) -> None:
    write_atomically(file, (json.dumps(contents, indent=1) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())

"""`--device` chooses what the benchmarks run on: pytest benchmarks --device cpu --device reference.

Of one device, names do not tell which: --benchmark-compare, which goes by name, then sets runs on different devices side by
side. Of several, they do. `--kernels my_kernels.py` imports a module that registers kernels, which bench_ops.py races against
ours.
"""

from functools import cache
from typing import Any

import pytest
from fastcnn_kernels.peaks import Peaks, measure
from fastcnn_kernels.registry import BACKENDS, load, registrations

from fastcnn.backends import DEVICES, resolve


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "device to measure; may be repeated (default: cpu and reference)"
    parser.addoption("--device", action="append", choices=DEVICES, help=told)
    parser.addoption("--kernels", action="append", default=[], help="module or file that registers kernels; may be repeated")


def pytest_configure(config: pytest.Config) -> None:
    load(config.getoption("--kernels"))


def _devices(config: pytest.Config) -> list[str]:
    return list(dict.fromkeys(config.getoption("--device") or ["cpu", "reference"]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    devices = _devices(metafunc.config)
    if "device" in metafunc.fixturenames and len(devices) > 1:
        metafunc.parametrize("device", devices)
    if "contender" in metafunc.fixturenames:
        registered = [one for backend in BACKENDS for one in registrations(backend)]
        if registered:
            metafunc.parametrize("contender", [None, *registered], ids=lambda one: one.name if one else "ours")


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """The device's name."""
    (name,) = _devices(request.config)
    return name


@pytest.fixture
def contender() -> None:
    """No kernel in place of ours, where none is registered."""


@pytest.fixture
def backend(device: str) -> Any:
    """The device's backend."""
    return resolve(device)


@pytest.fixture
def note(benchmark: Any, device: str) -> Any:
    """A function that puts into extra_info what a benchmark that has run attained, of so many operations and bytes a call.

    "% of peak" is that of whichever peak is nearer: the time that the machine needs at least, to compute or to move the bytes,
    as a share of the median. Winograd's convolutions, which compute less than is counted, and operands that stay in a cache
    can exceed it.
    """
    peaks = _peaks("cpu" if device == "reference" else device)

    def note(flops: float, nbytes: float, **per_call: float) -> None:
        if benchmark.stats is None:  # --benchmark-disable
            return
        seconds = benchmark.stats.stats.median
        rates = {"GFLOP/s": flops / 1e9, "GB/s": nbytes / 1e9, **{f"{name}/s": count for name, count in per_call.items()}}
        benchmark.extra_info.update({"device": device, **{name: amount / seconds for name, amount in rates.items()}})
        if peaks:
            benchmark.extra_info.update({
                "% of peak": 100 * peaks.bound(flops, nbytes) / seconds,
                "peak GFLOP/s": peaks.flops["float32"] / 1e9, "peak GB/s": peaks.bandwidth / 1e9,
            })  # fmt: skip

    return note


@cache
def _peaks(device: str) -> Peaks | None:
    """Measured once a run; None on the emulated device."""
    return measure(resolve(device))

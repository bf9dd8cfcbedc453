"""`--device` chooses what the benchmarks run on: pytest benchmarks --device cpu --device reference.

Of one device, names do not tell which: --benchmark-compare, which goes by name, then sets runs on different devices side by
side. Of several, they do.
"""

from functools import cache
from typing import Any

import pytest
from fastcnn_kernels.device.available import gpu_peaks

from fastcnn.backends import DEVICES, get_num_threads, resolve
from fastcnn.report.peaks import measured
from fastcnn.report.schema import Peaks


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "device to measure; may be repeated (default: cpu and reference)"
    parser.addoption("--device", action="append", choices=DEVICES, help=told)


def _devices(config: pytest.Config) -> list[str]:
    return list(dict.fromkeys(config.getoption("--device") or ["cpu", "reference"]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    devices = _devices(metafunc.config)
    if "device" in metafunc.fixturenames and len(devices) > 1:
        metafunc.parametrize("device", devices)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """The device's name."""
    (name,) = _devices(request.config)
    return name


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
    peaks = _peaks("cuda" if device == "cuda" else "processor")

    def note(flops: float, nbytes: float, **per_call: float) -> None:
        if benchmark.stats is None:  # --benchmark-disable
            return
        seconds = benchmark.stats.stats.median
        rates = {"GFLOP/s": flops / 1e9, "GB/s": nbytes / 1e9, **{f"{name}/s": count for name, count in per_call.items()}}
        least = max(flops / peaks.flops, nbytes / peaks.bytes)
        benchmark.extra_info.update({name: amount / seconds for name, amount in rates.items()})
        benchmark.extra_info.update({
            "device": device, "% of peak": 100 * least / seconds, "peak GFLOP/s": peaks.flops / 1e9,
            "peak GB/s": peaks.bytes / 1e9, "peaks": peaks.how,
        })  # fmt: skip

    return note


@cache
def _peaks(where: str) -> Peaks:
    """Found once a run."""
    if where == "cuda":
        return Peaks(*gpu_peaks(), "clocks and widths that the driver tells")
    return measured(get_num_threads())

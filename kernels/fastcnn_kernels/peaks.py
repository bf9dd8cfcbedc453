"""What a device can do at most, measured here and now, in seconds: what a kernel's time is held against.

    Peaks      FLOPs a second by precision, bytes a second, seconds of a launch
    measure    the peaks of a backend; None where time means nothing: on the emulated device and the reference
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .ranking import seconds


@dataclass(frozen=True)
class Peaks:
    """flops by precision ("float32", on tensor cores "tf32", "bfloat16"), bytes a second, seconds of a launch at least."""

    flops: dict[str, float] = field(default_factory=dict)
    bandwidth: float = 0.0
    launch: float = 0.0

    def bound(self, flops: int, nbytes: int, precision: str = "float32") -> float:
        """Seconds that so much work takes at least."""
        return max(flops / self.flops[precision], nbytes / self.bandwidth)


def measure(backend: Any, large: int | None = None) -> Peaks | None:
    """The peaks of a backend. `large` is how many bytes are copied."""
    if backend.name == "cpu":
        return _of_cpu(large or 1 << 28)
    if backend.name == "cuda":
        return _of_gpu(backend.device, large)
    return None


def _of_gpu(device: Any, large: int | None) -> Peaks:
    from .device.peaks import COPIED, calls, memory

    x, y = memory(device, large or COPIED)
    rates = {}
    for name, (call, amount) in calls(device, x.address, y.address, large or COPIED).items():
        device.launch(call)
        many = 100 if name == "launch" else 1
        rates[name] = many * amount / seconds(device.capture([call] * many), device)
    bandwidth, launches = rates.pop("bandwidth"), rates.pop("launch")
    return Peaks(rates, bandwidth, 1 / launches)


def _of_cpu(large: int) -> Peaks:
    from .host import threads
    from .host.peaks import CHAINS, FLOPS, ROW, copy_kernel, fma_kernel

    outputs, rows = 4 * threads.get_num_threads(), large // ROW
    sums = np.zeros(outputs * 16 * CHAINS + 16, np.float32)
    x, y = (np.zeros(rows * ROW // 4, np.float32) for _ in range(2))
    arithmetic = seconds(_run_on_cpu(fma_kernel, outputs, sums))
    copying = seconds(_run_on_cpu(copy_kernel, rows, x, y))
    launch = seconds(_run_on_cpu(copy_kernel, threads.get_num_threads(), x, y))
    return Peaks({"float32": FLOPS * outputs / arithmetic}, 2 * x.nbytes / copying, launch)


def _run_on_cpu(kernel: Any, outputs: int, *arrays: Any) -> Callable[[], None]:
    """A function that runs a kernel, whose arguments are the arrays' addresses, over its outputs on all threads."""
    from .host.plan import CpuPlan

    plan = CpuPlan(1)
    plan.begin("measuring peaks")
    addresses = [array.ctypes.data for array in arrays]
    plan.launch(kernel, lambda at: addresses, reads=[], writes=[], outputs=outputs)
    plan.finalize()
    return partial(_run, plan, arrays)


def _run(plan: Any, arrays: Any) -> None:
    """Run a plan over arrays, which live as long as this function's arguments are kept."""
    plan.run()

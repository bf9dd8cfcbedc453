"""How long calls take. The standard library only: the worker for PyTorch uses it too, wherever that runs."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEAST, MOST = 3, 200
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def times(call: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of each of so many calls, LEAST to MOST, as fill the time; after one that is not counted."""
    call()
    found: list[float] = []
    while len(found) < LEAST or (sum(found) < seconds and len(found) < MOST):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return found


def spread(found: list[float]) -> dict[str, Any]:
    """The fields of schema.Spread."""
    ordered = sorted(found)
    low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
    return {"median": statistics.median(ordered), "low": low, "high": high, "count": len(ordered)}


def rates(predict: Callable[[int], Callable[[], Any]], seconds: float) -> list[dict[str, Any]]:
    """The fields of schema.Rate for batch sizes SIZES, as far as a call is expected to fit into `seconds`."""
    found: list[dict[str, Any]] = []
    for size in SIZES:
        if found and found[-1]["seconds"] * size / found[-1]["batch_size"] > seconds:
            break
        median = statistics.median(times(predict(size), seconds / len(SIZES)))
        found.append({"batch_size": size, "seconds": median, "samples_per_second": size / median})
    return found


def peak_memory() -> int:
    """The most bytes of memory that this process has had."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024

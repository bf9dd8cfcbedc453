"""What the workers of versus_torch have in common.

    serve            answer requests, a line of JSON each, until standard input ends
    median_ms        how long a call takes
    peak_memory      the most memory that this process has had
    numbers, picks   the same numbers on both sides, and where to look at the results

The standard library only, so that it runs beside any other.
"""

import contextlib
import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

WARM_UP = 3
LEAST_CALLS = 5
LEARNING_RATE = 1e-7
"""So small that a network does not learn the batch that it is timed on by heart: its gradients would become denormal numbers,
which slow down whoever does not flush them."""


def serve(handlers: Mapping[str, Callable[..., Any]]) -> None:
    """Answer {"do": NAME, ...} with {"result": ...} or {"error": message}. What a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": handlers[request.pop("do")](**request)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(answer), file=answers, flush=True)


def median_ms(call: Callable[[], Any], milliseconds: float) -> float:
    """The median of as many calls as fill the time, at least LEAST_CALLS, after a warm-up."""
    for _ in range(WARM_UP):
        call()
    times: list[float] = []
    while len(times) < LEAST_CALLS or sum(times) < milliseconds / 1e3:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def peak_memory() -> float:
    """The most resident memory that this process has had, in MB (10^6 bytes)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


def numbers(index: Any, salt: int) -> Any:
    """A hash of every entry of `index` (int64, of NumPy or PyTorch) as a multiple of 2^-23 in [-1, 1): exact in float32."""
    h = (index + salt * 0x3C6EF372) & 0xFFFFFFFF
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        h = ((h ^ (h >> 15)) * factor) & 0xFFFFFFFF
    return (h >> 8) / 2**23 - 1


def picks(size: int, count: int = 64) -> list[int]:
    """`count` places in an array of `size` elements."""
    return [k * 2654435761 % size for k in range(count)]

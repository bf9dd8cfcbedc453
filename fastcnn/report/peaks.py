"""What this machine can do at most, measured in a second: the two lines of the roofline.

    fma_peak      floating-point operations a second: the vendor's matrix product
    memory_peak   bytes a second: copying an array that no cache holds

Both by NumPy on as many threads as it has: its product of matrices comes within a tenth of what the vector units can do.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .schema import Peaks

SIDE = 1536
COPIED = 1 << 26
ROUNDS = 7


def measured(threads: int) -> Peaks:
    """The processor's peaks on `threads` threads."""
    how = f"NumPy, {threads} threads: matrix product, copy of {COPIED >> 20} MiB a thread"
    return Peaks(fma_peak(), memory_peak(threads), how)


def fma_peak() -> float:
    """Operations a second of the fastest of some products of float32 matrices."""
    a, b = np.ones((2, SIDE, SIDE), np.float32)
    out = np.empty_like(a)
    return 2 * SIDE**3 / _fastest(lambda: np.matmul(a, b, out=out))


def memory_peak(threads: int) -> float:
    """Bytes read and written a second when every thread copies an array of its own."""
    pairs = [(np.ones(COPIED // 4, np.float32), np.zeros(COPIED // 4, np.float32)) for _ in range(threads)]

    def copy_all() -> None:
        workers = [threading.Thread(target=np.copyto, args=(to, source)) for source, to in pairs]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return 2 * COPIED * threads / _fastest(copy_all)


def _fastest(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)

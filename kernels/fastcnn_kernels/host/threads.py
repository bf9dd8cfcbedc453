"""How many threads the CPU backend runs on.

Numba sizes its pool once, when the first parallel kernel starts, from NUMBA_NUM_THREADS; afterwards only smaller numbers can be
asked for. So the number is remembered here and applied when it can be.
"""

import os
import sys
from importlib import import_module
from typing import Any

SPINS = "1000"
"""How often an idle thread looks for work before it sleeps: some 40 us, longer than the gap between two segments.

GNU OpenMP's own number is 300 times that. On a machine with other work the thread then spins its time slice away and is not
scheduled when its work comes: steps took 4 times as long. Read when the pool starts; OMP_WAIT_POLICY overrides it.
"""

_wanted: int | None = None


def available() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_num_threads(count: int) -> None:
    """Run kernels on `count` threads from now on. RuntimeError if the pool is already running with fewer."""
    global _wanted
    if count < 1:
        raise ValueError(f"the number of threads must be at least 1, got {count}")
    if "numba" in sys.modules:
        _grow_pool(count)
    _wanted = count


def get_num_threads() -> int:
    """The number of threads that kernels run on: the number set, FASTCNN_NUM_THREADS, or every available processor."""
    if _wanted is not None:
        return _wanted
    variable = os.environ.get("FASTCNN_NUM_THREADS")
    if variable is None:
        return available()
    if not variable.isdigit() or int(variable) < 1:
        raise ValueError(f"FASTCNN_NUM_THREADS must be a positive whole number, got {variable!r}")
    return int(variable)


def _grow_pool(count: int) -> None:
    config: Any = import_module("numba").config
    if count <= config.NUMBA_NUM_THREADS:
        return
    os.environ["NUMBA_NUM_THREADS"] = str(count)
    try:
        config.reload_config()
    except RuntimeError as error:
        os.environ["NUMBA_NUM_THREADS"] = str(config.NUMBA_NUM_THREADS)
        raise RuntimeError(
            f"the thread pool already runs with {config.NUMBA_NUM_THREADS} threads; set {count} before the first model is "
            f"compiled, or start Python with FASTCNN_NUM_THREADS={count}"
        ) from error


def apply() -> None:
    """Make Numba use the number of threads asked for; called before a plan runs."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    import numba

    count = get_num_threads()
    _grow_pool(count)
    numba.set_num_threads(count)

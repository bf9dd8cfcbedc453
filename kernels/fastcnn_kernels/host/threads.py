"""How many threads the CPU backend runs on.

Numba fixes the size of its pool when it is imported, from NUMBA_NUM_THREADS; afterwards only smaller numbers can be asked for.
So `reserve` runs before that, when this package is imported, and the number of threads is applied before each run.
"""

import os
import sys
import threading
from importlib import import_module

SPINS = "5000"
"""How often an idle thread looks for work before it sleeps: some 200 us, longer than the gap between two segments or two steps.

GNU OpenMP's own number is 60 times that. On a machine with other work the thread then spins its time slice away and is not
scheduled when its work comes: steps took 4 times as long. Read when the pool starts; OMP_WAIT_POLICY overrides it.
"""

_wanted: int | None = None
_here = threading.local()
"""What was last applied: Numba keeps the number of threads for each thread of Python."""


def available() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_num_threads(count: int) -> None:
    """Run kernels on `count` threads from now on. RuntimeError if Numba is already imported with a smaller pool."""
    global _wanted
    if count < 1:
        raise ValueError(f"the number of threads must be at least 1, got {count}")
    reserve(count)
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


def reserve(count: int) -> None:
    """Make sure that Numba's pool has room for `count` threads."""
    if "numba" not in sys.modules:
        if count > available():
            os.environ["NUMBA_NUM_THREADS"] = str(count)
        return
    size = import_module("numba").config.NUMBA_NUM_THREADS
    if count > size:
        raise RuntimeError(
            f"Numba was imported with a pool of {size} threads, too few for {count}: call set_num_threads before the first "
            f"model is compiled, or start Python with FASTCNN_NUM_THREADS={count}"
        )


def apply() -> int:
    """Make Numba use the number of threads asked for, and return it; called before a plan runs."""
    asked = (_wanted, os.environ.get("FASTCNN_NUM_THREADS"))
    if getattr(_here, "asked", None) != asked:
        _here.count, _here.asked = _apply(), asked
    return int(_here.count)


def _apply() -> int:
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    import numba

    count = get_num_threads()
    reserve(count)
    numba.set_num_threads(count)
    return count

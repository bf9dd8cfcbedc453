"""Workers: processes in which one thing is measured, one at a time."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import fastcnn
from fastcnn import backends

THREAD_COUNTS = ("FASTCNN_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def execute(command: Sequence[str], standard_input: str, doing: str, environment: Mapping[str, str]) -> None:
    """Run a worker on as many threads as this process has. RuntimeError with its last words where it fails."""
    counts = dict.fromkeys(THREAD_COUNTS, str(backends.get_num_threads()))
    done = subprocess.run(
        command, input=standard_input, text=True, capture_output=True, check=False, env={**os.environ, **counts, **environment}
    )
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise RuntimeError(f"{doing} failed: {words[0]}")


def import_path() -> str:
    """PYTHONPATH with which a worker finds this very package, installed or not."""
    import fastcnn_kernels

    places = [Path(str(module.__file__)).parents[1] for module in (fastcnn, fastcnn_kernels)]
    return os.pathsep.join([*map(str, places), os.environ.get("PYTHONPATH", "")])

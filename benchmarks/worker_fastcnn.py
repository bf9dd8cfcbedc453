"""Measures fastcnn for versus_torch: reads requests on standard input, answers with milliseconds."""

import json
import platform
import statistics
import sys
import time
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

NETWORKS = {"T3": ("TutorialMNIST", (28, 28, 1)), "T4": ("TutorialCIFAR10", (32, 32, 3))}


@cache
def prepared(network: str, batch: int) -> tuple[Any, Any, Any]:
    """A compiled model and a batch."""
    from fastcnn import applications

    name, shape = NETWORKS[network]
    model = getattr(applications, name)()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", device="cpu")
    rng = np.random.default_rng(0)
    return model, rng.random((batch, *shape), dtype=np.float32), rng.integers(0, 10, batch).astype(np.int32)


def answer(request: dict[str, Any]) -> Any:
    if "versions" in request:
        return f"fastcnn {version('fastcnn')}, numba {version('numba')}, Python {platform.python_version()}"
    model, x, y = prepared(request["network"], request["batch"])
    call = (lambda: model.train_on_batch(x, y)) if request["mode"] == "step" else (lambda: model.predict_on_batch(x))
    for _ in range(3):
        call()
    times = []
    for _ in range(request["repeats"]):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)

"""Training steps and predictions of the tutorials' networks, device beside device.

    pytest benchmarks/bench_networks.py --device cpu --device reference --benchmark-group-by=group
"""

import numpy as np
import pytest

from fastcnn import applications

NETWORKS = {
    "T3, batch 64": (applications.TutorialMNIST, (28, 28, 1), 64),
    "T4, batch 128": (applications.TutorialCIFAR10, (32, 32, 3), 128),
}


def prepared(network: str, device: str):
    """A compiled model and a batch."""
    build, shape, size = NETWORKS[network]
    model = build()
    model.compile("adam", "sparse_categorical_crossentropy", device=device)
    rng = np.random.default_rng(0)
    return model, rng.random((size, *shape), dtype=np.float32), rng.integers(0, 10, size).astype(np.int32)


def report(benchmark, program, size: int) -> None:
    """Rates of one batch."""
    flops, nbytes = program.cost()
    if benchmark.stats is not None:
        median = np.median(benchmark.stats.stats.data)
        rates = {"GFLOP/s": flops / median / 1e9, "GB/s": nbytes / median / 1e9, "samples/s": size / median}
        benchmark.extra_info.update(rates)


@pytest.mark.parametrize("network", NETWORKS)
def bench_training_step(benchmark, device: str, network: str):
    benchmark.group = f"training step of {network}"
    model, x, y = prepared(network, device)
    benchmark.pedantic(model.train_on_batch, (x, y), rounds=20 if device == "cpu" else 2, warmup_rounds=2)
    report(benchmark, model.program("train", len(x)), len(x))


@pytest.mark.parametrize("network", NETWORKS)
def bench_prediction(benchmark, device: str, network: str):
    benchmark.group = f"prediction of {network}"
    model, x, _ = prepared(network, device)
    benchmark.pedantic(model.predict_on_batch, (x,), rounds=20 if device == "cpu" else 2, warmup_rounds=2)
    report(benchmark, model.program("predict", len(x)), len(x))

"""Training steps and predictions of the tutorials' networks, device beside device.

pytest benchmarks/bench_networks.py --device cpu --device reference
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


def rounds(device: str) -> int:
    """The reference takes seconds."""
    return 2 if device == "reference" else 20


@pytest.mark.parametrize("network", NETWORKS)
def bench_training_step(benchmark, note, device: str, network: str):
    benchmark.group = f"training step of {network}"
    model, x, y = prepared(network, device)
    benchmark.pedantic(model.train_on_batch, (x, y), rounds=rounds(device), warmup_rounds=2)
    note(*model.program("train", len(x)).cost(), samples=len(x))


@pytest.mark.parametrize("network", NETWORKS)
def bench_prediction(benchmark, note, device: str, network: str):
    benchmark.group = f"prediction of {network}"
    model, x, _ = prepared(network, device)
    benchmark.pedantic(model.predict_on_batch, (x,), rounds=rounds(device), warmup_rounds=2)
    note(*model.program("predict", len(x)).cost(), samples=len(x))

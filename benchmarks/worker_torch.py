"""Measures PyTorch for versus_torch: reads requests on standard input, answers with milliseconds. Needs only torch."""

import json
import os
import statistics
import sys
import time
from functools import cache

import torch
from torch import nn

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def t3() -> nn.Module:
    """The tutorial's MNIST network."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def t4() -> nn.Module:
    """The tutorial's CIFAR-10 network."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(128, 128, 2, padding="same"), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(2048, 1500), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1500, 10),
    )  # fmt: skip


NETWORKS = {"T3": (t3, (1, 28, 28)), "T4": (t4, (3, 32, 32))}


@cache
def prepared(network: str, batch: int, channels_last: bool, fused: bool, compiled: bool, training: bool):
    """A function that runs one training step or one prediction."""
    make, shape = NETWORKS[network]
    model, x = make().train(training), torch.rand(batch, *shape)
    y = torch.randint(0, 10, (batch,))
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.Adam(model.parameters(), fused=fused)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(run(x), y).backward()
        optimizer.step()

    def infer() -> None:
        with torch.inference_mode():
            run(x)

    return step if training else infer


def answer(request: dict) -> object:
    if "versions" in request:
        return f"torch {torch.__version__}"
    options = (request["channels_last"], request["fused"], request["compiled"], request["mode"] == "step")
    call = prepared(request["network"], request["batch"], *options)
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

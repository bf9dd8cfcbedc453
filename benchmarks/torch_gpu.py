"""PyTorch's training steps on a GPU, for device_report: eager, compiled, and captured in a CUDA graph.

Precisions: float32 throughout; tf32 in cuDNN and cuBLAS; bfloat16 by autocast.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "4")  # worker_torch asks for it

import torch
from torch import nn

from .worker_torch import NETWORKS

WARM_UP = 5
SETTINGS = ("eager", "compiled", "graphed", "compiled, graphed")


def about(precision: str) -> dict[str, Any]:
    """Versions, and what float32 means here."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    return {"torch": torch.__version__, "cudnn": torch.backends.cudnn.version(), "precision": precision}


def steps(network: str, batch: int, precision: str, settings: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], None]]]:
    """A function that runs one training step, for each setting; channels_last and fused Adam in all of them."""
    for setting in settings:
        torch.compiler.reset()
        yield setting, _step(network, batch, precision, "compiled" in setting, "graphed" in setting)


def _step(network: str, batch: int, precision: str, compiled: bool, graphed: bool) -> Callable[[], None]:
    make, shape = NETWORKS[network]
    model = make().cuda().train().to(memory_format=torch.channels_last)
    x = torch.rand(batch, *shape, device="cuda").to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (batch,), device="cuda")
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.Adam(model.parameters(), fused=True, capturable=graphed)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=not graphed):
            loss = nn.functional.cross_entropy(run(x), y)
        loss.backward()
        optimizer.step()

    return _captured(step) if graphed else step


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    """As PyTorch's notes on CUDA graphs say: warm up on a side stream, then capture."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


synchronize = torch.cuda.synchronize

"""Measures PyTorch for a report, in any Python with torch and numpy: `python torch_worker.py TASK.json ARRAYS.npz OUT.json`.

It stands alone beside a copy of timing.py: fastcnn need not be installed there. The network is built from the layers'
configurations, begins with the same weights and sees the same pictures. Of the settings that need no compiler (channels_last or
not, Adam fused or not) the one with the fastest training step is measured.

    build    the network
    load     fastcnn's weights into it
    Trainer  steps, epochs, predictions in one setting
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import timing  # type: ignore[import-not-found]
import torch  # type: ignore[import-not-found]
from torch import Tensor, nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "elu": nn.ELU, "leaky_relu": lambda: nn.LeakyReLU(0.2)}


# The network.


class Flat(nn.Module):
    """Rows of pixels, channels last, as fastcnn lays them out."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, rows, columns) -> (n, rows * columns * channels)."""
        return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x.flatten(1)


def build(layers: list[Any], shape: list[int]) -> nn.Sequential:
    """The layers of a Sequential model for pictures of this shape; ends with logits. ValueError for a layer unknown here."""
    modules: list[nn.Module] = []
    x = torch.zeros(1, shape[2], shape[0], shape[1])
    if any("softmax" in (kind.lower(), config.get("activation")) for kind, config in layers[:-1]):
        raise ValueError("the worker for PyTorch knows a softmax as the last layer only")
    for kind, config in layers:
        for module in _modules(kind, config, x.shape):
            modules.append(module.eval())
            x = module(x)
    return nn.Sequential(*modules)


def _modules(kind: str, config: Any, shape: Any) -> Iterator[nn.Module]:
    if kind == "Conv2D":
        padding = config["padding"] if config["padding"] == "same" else 0
        geometry = (config["kernel_size"], config["strides"], padding, config["dilation_rate"], config["groups"])
        yield nn.Conv2d(shape[1], config["filters"], *geometry, bias=config["use_bias"])
    elif kind == "Dense":
        yield nn.Linear(shape[1], config["units"], bias=config["use_bias"])
    elif kind == "BatchNormalization":
        yield nn.BatchNorm2d(shape[1], config["epsilon"], 1 - config["momentum"])
    elif kind in ("MaxPooling2D", "AveragePooling2D") and config["padding"] == "valid":
        yield (nn.MaxPool2d if kind == "MaxPooling2D" else nn.AvgPool2d)(config["pool_size"], config["strides"])
    elif kind == "Dropout":
        yield nn.Dropout(config["rate"])
    elif kind == "Flatten":
        yield Flat()
    elif kind not in ("Activation", "ReLU", "Softmax", "InputLayer"):
        raise ValueError(f"the worker for PyTorch builds no {kind} with padding {config.get('padding')!r}")
    yield from _activation("relu" if kind == "ReLU" else config.get("activation"))


def _activation(name: str | None) -> Iterator[nn.Module]:
    # The softmax at the end is the loss's.
    if name not in (None, "linear", "softmax"):
        yield ACTIVATIONS[name]()


def load(model: nn.Module, weights: list[Any]) -> None:
    """Fill parameters and statistics from fastcnn's arrays, in the order of layers."""
    arrays = iter(weights)
    with torch.no_grad():
        for module in model.modules():
            names = ("weight", "bias", "running_mean", "running_var")
            for value in (getattr(module, name, None) for name in names):
                if isinstance(value, Tensor):
                    array = torch.from_numpy(next(arrays))
                    order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
                    value.copy_(array.permute(order))


# What is done with it.


class Trainer:
    """A network in one setting, and its data."""

    def __init__(self, task: Any, arrays: Any, channels_last: bool, fused: bool):
        self.task, self.device = task, torch.device(task["device"])
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        torch.manual_seed(task["seed"])
        self.model = build(task["layers"], task["shape"])
        load(self.model, [arrays[f"weight{k}"] for k in range(task["weights"])])
        self.model.to(self.device, memory_format=self.format)
        self.optimizer = torch.optim.Adam(self.model.parameters(), task["learning_rate"], eps=task["epsilon"], fused=fused)
        self.parts = {name: self._part(arrays, name) for name in ("train", "validation", "test")}

    def _part(self, arrays: Any, name: str) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(arrays[f"x_{name}"]).permute(0, 3, 1, 2).contiguous(memory_format=self.format)
        return x.to(self.device), torch.from_numpy(arrays[f"y_{name}"]).to(self.device)

    def step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """A training step: loss, and number of right answers."""
        self.optimizer.zero_grad()
        scores = self.model(x)
        loss = nn.functional.cross_entropy(scores, y)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), (scores.detach().argmax(1) == y).sum()

    def stepping(self) -> Callable[[], Any]:
        """A call that makes a training step on the first pictures."""
        self.model.train()
        x, y = (part[: self.task["batch_size"]] for part in self.parts["train"])
        return lambda: self.step(x, y)[0].item()

    def predicting(self, size: int) -> Callable[[], Any]:
        """A call that answers for so many pictures, its result on the host."""
        self.model.eval()
        x = self.parts["train"][0]
        x = x[torch.arange(size, device=self.device) % len(x)].contiguous(memory_format=self.format)

        def predict() -> Tensor:
            with torch.inference_mode():
                return self.model(x).softmax(1).cpu()

        return predict

    def epoch(self) -> tuple[float, float]:
        """Mean loss and accuracy of an epoch of training on shuffled pictures."""
        self.model.train()
        x, y = self.parts["train"]
        sums = torch.zeros(2, device=self.device)
        for rows in torch.randperm(len(y), device=self.device).split(self.task["batch_size"]):
            loss, right = self.step(x[rows], y[rows])
            sums += torch.stack([loss * len(rows), right])
        return tuple(float(value) / len(y) for value in sums)  # type: ignore[return-value]

    def evaluate(self, part: str) -> tuple[float, float]:
        """Mean loss and accuracy."""
        self.model.eval()
        x, y = self.parts[part]
        sums = torch.zeros(2, device=self.device)
        size = self.task["batch_size"]
        with torch.inference_mode():
            for first in range(0, len(y), size):
                scores, labels = self.model(x[first : first + size]), y[first : first + size]
                loss = nn.functional.cross_entropy(scores, labels, reduction="sum")
                sums += torch.stack([loss, (scores.argmax(1) == labels).sum()])
        return tuple(float(value) / len(y) for value in sums)  # type: ignore[return-value]


def measure(task: Any, arrays: Any) -> dict[str, Any]:
    """What torch_side makes a Device of."""
    began = time.perf_counter()
    Trainer(task, arrays, False, False).stepping()()
    first = time.perf_counter() - began
    setting = min(product((True, False), repeat=2), key=lambda setting: _trial(task, arrays, setting))
    trainer = Trainer(task, arrays, *setting)
    steps = timing.spread(timing.times(trainer.stepping(), task["seconds"]))
    training = _train(Trainer(task, arrays, *setting))
    memory = timing.peak_memory()
    latency = timing.spread(timing.times(trainer.predicting(1), task["seconds"] / 2))
    named = ["eager", "channels_last" if setting[0] else "channels first", "fused Adam" if setting[1] else "Adam"]
    return {
        "library": f"PyTorch {torch.__version__}, {', '.join(named)}", "first_step": first, "steps": steps, "memory": memory,
        "training": training, "latency": latency, "throughput": timing.rates(trainer.predicting, task["seconds"]),
    }  # fmt: skip


def _trial(task: Any, arrays: Any, setting: Any) -> float:
    step = Trainer(task, arrays, *setting).stepping()
    return statistics.median(timing.times(step, task["seconds"] / 4))


def _train(trainer: Trainer) -> dict[str, Any]:
    """The epochs that are asked for, or as many as patience allows, one at least."""
    task, pictures = trainer.task, len(trainer.parts["train"][1])
    epochs: list[dict[str, float]] = []
    began, training = time.perf_counter(), 0.0
    while len(epochs) < task["epochs"] and _fits(epochs, task["patience"]):
        epoch_began = time.perf_counter()
        loss, accuracy = trainer.epoch()
        training += time.perf_counter() - epoch_began
        held_out = dict(zip(("val_loss", "val_accuracy"), trainer.evaluate("validation"), strict=True))
        epochs.append({"seconds": time.perf_counter() - began, "loss": loss, "accuracy": accuracy, **held_out})
    accuracy = trainer.evaluate("test")[1]
    return {"epochs": epochs, "samples_per_second": len(epochs) * pictures / training, "test_accuracy": accuracy}


def _fits(epochs: list[dict[str, float]], patience: float | None) -> bool:
    return not epochs or patience is None or epochs[-1]["seconds"] * (1 + 1 / len(epochs)) <= patience


def main(task: str, arrays: str, out: str) -> None:
    """Measure, and write the result."""
    torch.set_flush_denormal(True)  # before the pool of threads starts: they inherit it
    told = json.loads(Path(task).read_text())
    torch.set_num_threads(told["threads"])
    with np.load(arrays) as data:
        result = measure(told, data)
    Path(out).write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Measures PyTorch for versus_torch: `python -m benchmarks.worker_torch`, requests and answers as in worker.py.

Needs only torch.

    about      versions
    network    milliseconds of a training step or of a prediction, in one setting
    memory     peak memory after some training steps, in MB; of a fresh process
    layer      milliseconds of one layer's forward or backward pass, in one setting
    sample     some elements of its results, to compare
    forget     drop what was prepared for earlier requests

A setting is a dict:

    channels_last   the memory format of weights and images; 1-D images become rows of 2-D ones for it
    fused           Adam in one kernel
    mode            "eager"; "compiled": torch.compile; "frozen": the same with constant weights, packed once, for inference
    threads         how many, where it is not all
"""

import os
import platform
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch._dynamo.config
import torch._inductor.config
from torch import Tensor, nn

from .layer_shapes import LayerShape
from .worker import LEARNING_RATE, median_ms, numbers, peak_memory, picks, serve

Setting = dict[str, Any]
FORMATS = {3: torch.contiguous_format, 4: torch.channels_last, 5: torch.channels_last_3d}
CONVOLUTIONS = {3: nn.functional.conv1d, 4: nn.functional.conv2d, 5: nn.functional.conv3d}


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


def about() -> dict[str, Any]:
    """Versions of what computes."""
    built = torch.__config__.show().splitlines()
    libraries = [line.strip(" -") for line in built if "Math Kernel" in line or "MKL-DNN" in line]
    vectors = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "libraries": libraries, "vectors": vectors, "Python": platform.python_version()}


def _translated(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """A function, or its compiled twin; what cannot be compiled whole is an error."""
    return function if mode == "eager" else torch.compile(function, fullgraph=True, dynamic=False)


def _threads(setting: Setting) -> Any:
    """Use the setting's number of threads; a context in which code is compiled for them."""
    count = setting.get("threads", int(os.environ["OMP_NUM_THREADS"]))
    torch.set_num_threads(count)
    return torch._inductor.config.patch({"cpp.threads": count, "freezing": setting["mode"] == "frozen"})


# ------ networks


@cache
def _network(network: str, batch: int, training: bool, setting: tuple[tuple[str, Any], ...]) -> Callable[[], Any]:
    """A function that runs one training step or one prediction."""
    chosen, (make, shape) = dict(setting), NETWORKS[network]
    torch.manual_seed(0)
    model, x, y = make().train(training), torch.rand(batch, *shape), torch.randint(0, 10, (batch,))
    if chosen["channels_last"]:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    run = _translated(model, chosen["mode"])
    if not training:
        return lambda: _inferred(run, x)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=chosen["fused"])

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(run(x), y).backward()
        optimizer.step()

    return step


def _inferred(run: Callable[..., Any], x: Tensor) -> Tensor:
    with torch.inference_mode():
        return run(x)


def network(network: str, mode: str, batch: int, milliseconds: float, setting: Setting) -> dict[str, Any]:
    """{"ms"} of a training "step" or of "infer"."""
    call = _network(network, batch, mode == "step", tuple(setting.items()))
    with _threads(setting):
        return {"ms": median_ms(call, milliseconds)}


def memory(network: str, batch: int, steps: int, setting: Setting) -> float:
    """Peak memory of this process after training steps."""
    call = _network(network, batch, True, tuple(setting.items()))
    with _threads(setting):
        for _ in range(steps):
            call()
    return peak_memory()


# ------ one layer


class Layer:
    """One convolution and its gradients in one memory format, its operands resident.

    Padding on one side only has no argument: the image is padded first, in the forward pass; the backward pass finds it padded,
    as autograd would have kept it, and cuts the edge off dx.
    """

    def __init__(self, shape: LayerShape, channels_last: bool):
        self.shape, self.lifted = shape, channels_last and len(shape.image) == 1
        self.format = FORMATS[len(shape.image) + 2 + self.lifted] if channels_last else torch.contiguous_format
        self.edges = any(before != after for before, after in shape.padding)
        self.strides = self._axes(shape.strides, 1)
        self.padding = self._axes([0 if self.edges else before for before, _ in shape.padding], 0)
        self.x = self._images(shape.image, shape.channels, 0)
        self.dy = self._images(shape.output(), shape.filters, 1)
        self.w = self._values((*shape.kernel, shape.channels // shape.groups, shape.filters), 2, (-1, -2))
        self.b = _values((shape.filters,), 3)
        self.padded = self._pad(self.x)

    def _axes(self, values: Any, unit: int) -> list[int]:
        return [unit, *values] if self.lifted else [*values]

    def _images(self, extents: tuple[int, ...], channels: int, salt: int) -> Tensor:
        return self._values((self.shape.batch, *extents, channels), salt, (0, -1))

    def _values(self, shape: tuple[int, ...], salt: int, outer: tuple[int, int]) -> Tensor:
        """The axes `outer` come first, the spatial ones after them."""
        values = _values(shape, salt)
        order = [axis % len(shape) for axis in outer]
        values = values.permute(*order, *(axis for axis in range(len(shape)) if axis not in order))
        return (values.unsqueeze(2) if self.lifted else values).contiguous(memory_format=self.format)

    def _pad(self, x: Tensor) -> Tensor:
        """x with padding that differs between the sides of an axis; itself otherwise."""
        return nn.functional.pad(x, self._edge(1)).contiguous(memory_format=self.format) if self.edges else x

    def _edge(self, sign: int) -> list[int]:
        return [sign * n for pair in reversed(self.shape.padding) for n in pair]

    def forward(self, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        """y."""
        options = dict(stride=self.strides, padding=self.padding, groups=self.shape.groups)
        return CONVOLUTIONS[x.ndim](self._pad(x), w, b, **options)

    def backward(self, dy: Tensor, padded: Tensor, w: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """dx, dw, db by the function that autograd calls."""
        zeros, wanted = [0] * len(self.strides), (self.shape.input_gradient, True, True)
        geometry = (self.strides, self.padding, [1] * len(zeros), False, zeros, self.shape.groups)
        dx, dw, db = torch.ops.aten.convolution_backward(dy, padded, w, [self.shape.filters], *geometry, wanted)
        return nn.functional.pad(dx, self._edge(-1)) if self.edges and dx is not None else dx, dw, db

    def results(self) -> dict[str, Tensor]:
        """y, dx, dw, db with channels last; a lifted axis stays."""
        dx, dw, db = self.backward(self.dy, self.padded, self.w)
        images = {"y": self.forward(self.x, self.w, self.b), **({} if dx is None else {"dx": dx})}
        return {name: value.movedim(1, -1) for name, value in images.items()} | {"dw": dw.movedim((1, 0), (-2, -1)), "db": db}


def _values(shape: tuple[int, ...], salt: int) -> Tensor:
    return numbers(torch.arange(torch.Size(shape).numel()), salt).reshape(shape)


@cache
def _layer(shape: Any, channels_last: bool) -> Layer:
    return Layer(LayerShape(*shape), channels_last)


@cache
def _call(shape: Any, direction: str, setting: tuple[tuple[str, Any], ...]) -> Callable[[], Any]:
    chosen = dict(setting)
    one = _layer(shape, chosen["channels_last"])
    run = _translated(getattr(one, direction), chosen["mode"])
    operands = (one.x, one.w, one.b) if direction == "forward" else (one.dy, one.padded, one.w)

    def call() -> Any:
        with torch.no_grad():
            return run(*operands)

    return call


def layer(shape: list[Any], mode: str, milliseconds: float, setting: Setting) -> dict[str, Any]:
    """{"ms"} of a "forward" or "backward" pass."""
    with _threads(setting):
        return {"ms": median_ms(_call(_tuples(shape), mode, tuple(setting.items())), milliseconds)}


def sample(shape: list[Any]) -> dict[str, list[float]]:
    """64 elements of y, dx, dw, db."""
    with torch.no_grad():
        results = _layer(_tuples(shape), False).results()
    return {name: value.reshape(-1)[picks(value.numel())].tolist() for name, value in results.items()}


def _tuples(value: Any) -> Any:
    """JSON has lists only."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def forget() -> None:
    """Drop every model and layer; compile the next one as if it were the first."""
    for prepared in (_network, _layer, _call):
        prepared.cache_clear()
    torch.compiler.reset()


if __name__ == "__main__":
    torch.set_flush_denormal(True)  # before the pool of threads starts: they inherit it
    torch._dynamo.config.recompile_limit = 64  # a task tries more settings than the usual 8
    handlers = {"about": about, "network": network, "memory": memory, "layer": layer, "sample": sample, "forget": forget}
    serve(handlers)

"""Measures fastcnn for versus_torch: `python -m benchmarks.worker_fastcnn`, requests and answers as in worker.py.

    about      versions
    network    milliseconds of a training step or of a prediction
    memory     peak memory after some training steps, in MB; of a fresh process
    layer      milliseconds of one layer's forward or backward pass
    sample     some elements of its results, to compare

One layer is a program of gathers, the convolution, its gradients, and exports, run step by step: what is timed is the one step
that is the forward or the backward pass. Its operands lie where they lie inside a network, in blocks of 16 channels or,
pictures of few, channels-last, for the whole batch. Packing or transforming the weights belongs to the step: training does it
anew every time.
"""

import platform
from collections.abc import Callable
from functools import cache, lru_cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np

from .layer_shapes import LayerShape
from .worker import LEARNING_RATE, median_ms, numbers, peak_memory, picks, serve

NETWORKS = {"T3": ("TutorialMNIST", (28, 28, 1)), "T4": ("TutorialCIFAR10", (32, 32, 3))}
STEPS = {"forward": "conv_forward", "backward": "conv_backward"}


def about() -> dict[str, Any]:
    """Versions of what computes."""
    import fastcnn

    packages = {name: version(name) for name in ("numpy", "numba", "llvmlite")}
    return {"fastcnn": fastcnn.__version__, **packages, "Python": platform.python_version()}


# ------ networks


@cache
def _model(network: str, batch: int) -> tuple[Any, Any, Any]:
    """A compiled model and a batch."""
    from fastcnn import applications, optimizers

    name, shape = NETWORKS[network]
    model = getattr(applications, name)()
    model.compile(optimizers.Adam(LEARNING_RATE), "sparse_categorical_crossentropy", device="cpu")
    rng = np.random.default_rng(0)
    return model, rng.random((batch, *shape), dtype=np.float32), rng.integers(0, 10, batch).astype(np.int32)


def network(network: str, mode: str, batch: int, milliseconds: float) -> dict[str, Any]:
    """{"ms"} of a training "step" or of "infer"."""
    model, x, y = _model(network, batch)
    call = (lambda: model.train_on_batch(x, y)) if mode == "step" else (lambda: model.predict_on_batch(x))
    return {"ms": median_ms(call, milliseconds)}


def memory(network: str, batch: int, steps: int) -> float:
    """Peak memory of this process after training steps."""
    model, x, y = _model(network, batch)
    for _ in range(steps):
        model.train_on_batch(x, y)
    return peak_memory()


# ------ one layer


class Layer:
    """One convolution with its gradients on the CPU backend: every step has run once, its operands and results are resident."""

    def __init__(self, shape: LayerShape):
        from fastcnn.backends import resolve
        from fastcnn.program.program import Program

        lowered, results = _lower(shape)
        self.program = program = Program("layer", lowered, shape.batch, resolve("cpu"), {})
        arrays = [_values((shape.batch, *value.shape[1:]), salt) for salt, value in enumerate(lowered.inputs)]
        outside = [np.empty((shape.batch, *value.shape[1:]), np.float32) for value in lowered.outputs]
        program.bind(arrays, outputs=outside)
        found = program.first_nonfinite(0)
        if found:
            raise FloatingPointError(f"{found[1]} of {shape} is not finite")
        self.results = {name: program.plan.read(program.tensors[value]) for name, value in results.items()}

    def call(self, mode: str) -> Callable[[], None]:
        """A function that computes one pass and nothing else: `run_step` with its preparations made beforehand.

        They take 10 us, time enough for the other threads to fall asleep. Inside a network nothing comes between two layers.
        """
        plan = self.program.plan
        number = next(n for n, step in enumerate(self.program.steps) if step.op == STEPS[mode])
        plan.run_step(number)
        return partial(plan._walk, plan._table(plan._ranges(number)))


def _lower(shape: LayerShape) -> tuple[Any, dict[str, Any]]:
    """The layer's steps, and its results by name. Exports at the end keep them in memory of their own until then."""
    from fastcnn import ops
    from fastcnn.program.gradients import Differentiator
    from fastcnn.program.lowering import Lowered
    from fastcnn.trace import Trace, Value
    from fastcnn.variables import Variable

    kernel = Variable(_values((*shape.kernel, shape.channels // shape.groups, shape.filters), 2), name="kernel")
    bias = Variable(_values((shape.filters,), 3), name="bias")
    with Trace(training=True) as trace:
        lowered = Lowered(trace, "train", Value((None,), "int64", "index", "external"))
        x = _gather(lowered, (None, *shape.image, shape.channels), "x")
        dy = _gather(lowered, (None, *shape.output(), shape.filters), "dy")
        y = ops.conv(x, kernel, bias, strides=shape.strides, padding=shape.padding, groups=shape.groups)
        back = Differentiator(trace, [kernel, bias, *([x] if shape.input_gradient else [])])
        gradients = back.run([(y, dy)])
        results = {"y": y, "dw": gradients[kernel], "db": gradients[bias]}
        if shape.input_gradient:
            results["dx"] = back.contributions[x][0]
        for value in (value for name, value in results.items() if name in ("y", "dx")):
            destination = Value(value.shape, value.dtype, f"{value.name} outside", "external")
            trace.append("export", {"x": value, "destination": destination})
            lowered.outputs.append(destination)
    return lowered, results


def _gather(lowered: Any, shape: tuple[int | None, ...], name: str) -> Any:
    from fastcnn.trace import Value

    source, value = Value(shape, "float32", f"{name} outside", "external"), lowered.trace.new(shape, name=name)
    lowered.inputs.append(source)
    lowered.trace.append("gather", {"source": source, "index": lowered.index, "y": value})
    return value


def _values(shape: tuple[int, ...], salt: int) -> np.ndarray:
    return numbers(np.arange(np.prod(shape), dtype=np.int64), salt).astype(np.float32).reshape(shape)


@lru_cache(maxsize=1)
def _layer(*shape: Any) -> Layer:
    return Layer(LayerShape(*shape))


def layer(shape: list[Any], mode: str, milliseconds: float) -> dict[str, Any]:
    """{"ms"} of a "forward" or "backward" pass."""
    return {"ms": median_ms(_layer(*_tuples(shape)).call(mode), milliseconds)}


def sample(shape: list[Any]) -> dict[str, list[float]]:
    """64 elements of y, dx, dw, db."""
    results = _layer(*_tuples(shape)).results
    return {name: value.reshape(-1)[picks(value.size)].tolist() for name, value in results.items()}


def _tuples(value: Any) -> Any:
    """JSON has lists only."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


if __name__ == "__main__":
    serve({"about": about, "network": network, "memory": memory, "layer": layer, "sample": sample})

"""Model: a graph of layers that can be trained, saved, and used as a layer of a larger one."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from ..graph import KerasTensor, Shape, flatten, pack
from ..layers import Layer, deserialize, serialize
from ..layers.base import calling_mode
from ..losses import Loss, Target
from ..trace import Value, current_trace
from ..training.trainer import Trainer
from ..utils.custom_objects import custom_object_scope
from ..utils.naming import unique_name
from ..utils.suggest import unknown
from .functional import Graph, connect


class Model(Layer, Trainer):
    """All layers between `inputs` and `outputs`.

    inputs    an Input, or a list or dict of them; or any tensors inside another model's graph
    outputs   results of layers called on them: one, a list, or a dict

    Training, evaluation and prediction are in `Trainer`. A subclass may extend these, but has no `call` of its own: the
    graph is what runs.
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, *, trainable: bool = True):
        if inputs is None or outputs is None or type(self).call is not Model.call:
            raise TypeError(
                f"{type(self).__name__} needs inputs and outputs: Model(inputs, outputs). Models that are a subclass with a "
                "call() of their own are not offered; build the graph, or write the computation as a Layer"
            )
        self._begin(name or unique_name("Functional"), Graph(inputs, outputs))
        if not trainable:
            self.trainable = False

    def _begin(self, name: str | None, graph: Graph | None) -> None:
        super().__init__(name=name)
        self._recorded = {}
        self._graph = graph
        self.built = graph is not None

    @property
    def graph(self) -> Graph:
        """The calls between inputs and outputs. ValueError while the input shape is unknown."""
        if self._graph is None:
            raise ValueError(
                f"model {self.name!r} does not know its input shape yet: give its first layer input_shape=, begin it with an "
                "Input, call build((None, ...)), or fit it"
            )
        return self._graph

    # What the graph looks like.

    @property
    def layers(self) -> list[Layer]:
        """The layers in Keras's order: the farther from the outputs the earlier."""
        return list(self.graph.layers)

    def _sublayers(self) -> list[Layer]:
        return self.layers

    @property
    def inputs(self) -> list[KerasTensor]:
        """The input tensors as a flat list (of a dict, in the order of its sorted keys)."""
        return list(self.graph.inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The output tensors as a flat list (of a dict, in the order of its sorted keys)."""
        return list(self.graph.outputs)

    @property
    def input(self) -> Any:
        """The inputs as they were given: a tensor, list or dict."""
        return self.graph.input_structure

    @property
    def output(self) -> Any:
        """The outputs as they were given: a tensor, list or dict."""
        return self.graph.output_structure

    @property
    def input_names(self) -> list[str]:
        """Of each of `inputs`, the key of the dict or the Input's name."""
        return _names(self.input, [tensor.name for tensor in self.inputs])

    @property
    def output_names(self) -> list[str]:
        """Of each of `outputs`, the key of the dict or the name of its layer, numbered where a layer gives several."""
        return _names(self.output, [tensor.name for tensor in self.outputs])

    @property
    def input_shape(self) -> Any:
        """(None, ...) of the input; a list where there are several."""
        return _one_or_list([tensor.shape for tensor in self.inputs])

    @property
    def output_shape(self) -> Any:
        """(None, ...) of the output; a list where there are several."""
        return _one_or_list([tensor.shape for tensor in self.outputs])

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name or at a place in `layers`. ValueError, with the nearest name, where there is none."""
        if (name is None) == (index is None):
            raise ValueError("get_layer needs a name or an index, one of both")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"model {self.name!r} has {len(self.layers)} layers, there is no index {index}")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown("layer", name, [layer.name for layer in self.layers])

    # Calls.

    def __call__(self, inputs: Any, *, training: bool | None = None, **kwargs: Any) -> Any:
        """On tensors, use the model as a layer. On arrays, compute: the same as `predict_on_batch`."""
        if any(isinstance(leaf, (KerasTensor, Value)) for leaf in flatten(inputs)):
            return super().__call__(inputs, training=training, **kwargs)
        if training or kwargs:
            raise ValueError(
                f"model {self.name!r} was called on arrays: it then predicts, with training=False; use train_on_batch to train"
            )
        return self.predict_on_batch(inputs)

    def call(self, inputs: Any) -> Any:
        """Replay the graph on values: nested as the model's inputs, and returned as its outputs."""
        values = self.match_inputs(inputs)
        for value, tensor in zip(values, self.inputs, strict=True):
            if value.shape != tensor.shape:
                raise ValueError(f"the input {tensor.name!r} of the model has shape {tensor.shape}, got {value.shape}")
        return pack(self.output, self.graph.replay(values))

    def match_inputs(self, data: Any) -> list[Any]:
        """What belongs to each of `inputs`: by name from a dict, by place from a list. ValueError where something lacks."""
        if isinstance(data, dict):
            for name in data:
                if name not in self.input_names:
                    raise unknown("input", name, self.input_names)
            missing = [name for name in self.input_names if name not in data]
            if missing:
                raise ValueError(f"model {self.name!r} also needs the input(s) {', '.join(missing)}")
            return [data[name] for name in self.input_names]
        items = list(data) if isinstance(data, (list, tuple)) else [data]
        if len(items) != len(self.inputs):
            names = ", ".join(self.input_names)
            raise ValueError(f"model {self.name!r} has {len(self.inputs)} input(s), {names}; got {len(items)}")
        return items

    def trace(self, values: Sequence[Value], training: bool) -> list[Value]:
        """Append the steps of all layers to the open trace: one value an input, and returned one an output."""
        with calling_mode(current_trace(), training):
            return self.graph.replay(values)

    # Pictures of the model.

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print a table of the layers: output shape, parameters, and the cost of one sample going forward.

        print_fn is called with each line; None is print.
        """
        from .summary import summary_lines

        for line in summary_lines(self, line_length):
            (print_fn or print)(line)

    # Configurations and files.

    def get_config(self) -> dict[str, Any]:
        """Name, layers with their configurations, and the calls between them, in plain values."""
        layers = [serialize(layer) for layer in self.graph.called_layers()]
        return {**self._base_config(), "layers": layers, **self.graph.table()}

    def _base_config(self) -> dict[str, Any]:
        homes: dict[Layer, Model] = {}
        for layer, home in _homes(self):
            other = homes.setdefault(layer, home)
            if other is not home:
                raise ValueError(
                    f"layer {layer.name!r} is part of both {other.name!r} and {home.name!r}, which a configuration cannot "
                    "say: use it in one of them only; pickle and save_weights can do without a configuration"
                )
        return {"name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "Model":
        """A model like the one described, with new weights."""
        with custom_object_scope(custom_objects):
            layers = {item["config"]["name"]: deserialize(item) for item in config["layers"]}
            model = cls(*connect(layers, config), name=config["name"])
        model._trainable = config["trainable"]
        return model

    def to_json(self, **options: Any) -> str:
        """The class and `get_config` as JSON, for `models.model_from_json`; options go to json.dumps."""
        return json.dumps(serialize(self), **options)

    def save(self, filepath: str | os.PathLike[str], **options: Any) -> None:
        """Write the model to a file, for `models.load_model`."""
        from ..saving import save_model

        save_model(self, filepath, **options)

    def program(self, mode: Literal["train", "test", "predict"] = "train", batch_size: int = 32) -> Any:
        """The flat list of steps that runs for a batch of this size; print it to read it. Inputs are shown as float32."""
        if mode not in ("train", "test", "predict"):
            raise unknown("mode", mode, ("train", "test", "predict"))
        dtypes = ("float32",) * len(self.inputs)
        if mode == "predict":
            return self.executor.program(mode, batch_size, dtypes)
        self._require_compiled("program")
        losses = self._interface().losses
        targets = tuple(_usual_target(loss, t.shape) if loss else None for loss, t in zip(losses, self.outputs, strict=True))
        return self.executor.program(mode, batch_size, (*dtypes, *(target[1] for target in targets if target)), targets)

    def _forget_weights(self) -> None:
        """A model that was called wrongly keeps its layers' weights."""


def _homes(model: Model) -> Iterator[tuple[Layer, Model]]:
    """Every layer with weights, and the model that it is directly part of."""
    for layer in model.layers:
        if layer.weights:
            yield layer, model
        if isinstance(layer, Model):
            yield from _homes(layer)


def _usual_target(loss: Loss, shape: Shape) -> Target:
    """What a loss makes of one-hot labels or, where it does not take them, of class numbers."""
    one_hot = np.zeros((1, *(int(n or 1) for n in shape[1:])), np.float32)
    one_hot[..., 0] = 1
    try:
        return loss.target(shape, one_hot)
    except ValueError:
        return loss.target(shape, one_hot[..., 0].astype(np.int64))


def _names(structure: Any, names: list[str]) -> list[str]:
    if isinstance(structure, dict) and len(structure) == len(names):
        return sorted(structure)
    return [name if names[:k].count(name) == 0 else f"{name}_{names[:k].count(name)}" for k, name in enumerate(names)]


def _one_or_list(shapes: list[Any]) -> Any:
    return shapes[0] if len(shapes) == 1 else shapes

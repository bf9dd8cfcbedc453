"""Sequential: a model that is a stack of layers."""

from collections.abc import Sequence
from typing import Any

from ..graph import KerasTensor
from ..layers import Input, InputLayer, Layer, deserialize, serialize
from ..utils.custom_objects import custom_object_scope
from .functional import Graph
from .model import Model


class Sequential(Model):
    """A stack of layers, each called on the result of the one before.

    layers  a list of them, or None; see also `add`

    Its input shape comes from an Input in front, from `input_shape=` of the first layer, from a model in first place, or from
    the first data. From then on the layers are built as they are added.
    """

    def __init__(self, layers: Sequence[Any] | None = None, *, name: str | None = None, trainable: bool = True):
        if type(self).call is not Sequential.call:
            raise TypeError(f"{type(self).__name__} may not write its own call(): the stack of layers is what runs")
        self._begin(name, None)
        self._stack: list[Layer] = []
        for layer in layers or ():
            self.add(layer)
        if not trainable:
            self.trainable = False

    def add(self, layer: Any) -> None:
        """Put a layer (or, first, an Input) on top. Where it does not fit, an error, and the model stays as it was."""
        if isinstance(layer, KerasTensor) and layer.node is not None and isinstance(layer.node.layer, InputLayer):
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise TypeError(f"only layers can be added to a Sequential model, got {type(layer).__name__} ({layer!r})")
        if isinstance(layer, InputLayer):
            if self._stack or self._graph is not None:
                raise ValueError(f"an Input can only be the first in a Sequential model; {self.name!r} has begun already")
            self._connect(Graph(layer.output, layer.output))
            return
        self._check_name(layer)
        graph = self._graph or self._begun_with(layer)
        if graph is not None:
            graph = Graph(graph.input_structure, layer(graph.output_structure))
        self._stack.append(layer)
        self._connect(graph)

    def _connect(self, graph: Graph | None) -> None:
        self._graph, self.built = graph, graph is not None

    def _begun_with(self, layer: Layer) -> Graph | None:
        """A graph of the input only, where the first layer tells its shape."""
        shape = layer._input_shape
        if isinstance(layer, Model) and layer.built:
            shape = layer.input_shape[1:]
        if self._stack or shape is None:
            return None
        tensor = Input(shape)
        return Graph(tensor, tensor)

    def _check_name(self, layer: Layer) -> None:
        if any(layer.name == known.name for known in self._stack):
            raise ValueError(
                f"the Sequential model {self.name!r} already has a layer named {layer.name!r}; give one of them another name="
            )

    def pop(self) -> Layer:
        """Remove the layer on top and return it."""
        if not self._stack:
            raise ValueError(f"the Sequential model {self.name!r} has no layers to remove")
        layer = self._stack.pop()
        if self._graph is not None:
            node = self._graph.nodes[-1]
            layer._nodes.remove(node)
            self._connect(Graph(self._graph.input_structure, node.inputs))
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Fix the input shape, (None, ...) with the batch axis, and build the layers. Not needed where it is known."""
        if self._graph is not None:
            if input_shape is not None and tuple(input_shape)[1:] != self.input_shape[1:]:
                raise ValueError(f"model {self.name!r} is built for inputs of {self.input_shape}, got {tuple(input_shape)}")
            return
        if input_shape is None or not self._stack:
            raise ValueError(f"model {self.name!r} needs {'an input shape' if self._stack else 'layers'} to be built")
        inputs = Input(tuple(input_shape)[1:])
        result = inputs
        for layer in self._stack:
            result = layer(result)
        self._connect(Graph(inputs, result))

    @property
    def layers(self) -> list[Layer]:
        """The layers from bottom to top, without the Input."""
        return list(self._stack)

    def get_config(self) -> dict[str, Any]:
        """Name, input and layers, in plain values."""
        first = self._graph.inputs[0] if self._graph is not None else None
        inputs = None if first is None else {"name": first.name, "shape": list(first.shape[1:])}
        layers = [serialize(layer) for layer in self._stack]
        return {**self._base_config(), "input": inputs, "layers": layers}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "Sequential":
        """A model like the one described, with new weights."""
        with custom_object_scope(custom_objects):
            layers = [deserialize(item) for item in config["layers"]]
        if config["input"] is not None:
            layers.insert(0, Input(**config["input"]))
        model = cls(layers, name=config["name"])
        model._trainable = config["trainable"]
        return model

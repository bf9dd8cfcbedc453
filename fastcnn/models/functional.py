"""The graph between a model's inputs and outputs: replayed on values, and written down as a table and read back."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..graph import KerasTensor, flatten, layer_order, pack, topological_order
from ..layers import Input, InputLayer, Layer
from ..trace import Value


class Graph:
    """All layer calls that lead from inputs to outputs.

    inputs, outputs    flat lists of KerasTensors
    nodes              the calls, each after those that it reads
    layers             in Keras's order, InputLayers among them

    ValueError where the graph is disconnected, an input is given twice or two layers have one name.
    """

    def __init__(self, inputs: Any, outputs: Any):
        self.input_structure, self.output_structure = inputs, outputs
        self.inputs, self.outputs = _tensors("inputs", inputs), _tensors("outputs", outputs)
        if len(set(self.inputs)) < len(self.inputs):
            raise ValueError(f"an input is given twice: {[tensor.name for tensor in self.inputs]}")
        self.nodes = [node for node in topological_order(self.inputs, self.outputs) if node.inputs]
        self.layers = layer_order(self.inputs, self.outputs)
        names = [layer.name for layer in self.layers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two layers of the model are named {', '.join(map(repr, twice))}; give one another name=")

    def replay(self, values: Sequence[Value]) -> list[Value]:
        """Call every layer on values of the open trace; one value an input, and returned one an output."""
        known = dict(zip(self.inputs, values, strict=True))
        for node in self.nodes:
            arguments = pack(node.inputs, [known[tensor] for tensor in flatten(node.inputs)])
            results = node.layer(arguments, **node.kwargs)
            known.update(zip(flatten(node.outputs), flatten(results), strict=True))
        return [known[tensor] for tensor in self.outputs]

    def table(self) -> dict[str, Any]:
        """The graph in plain values. Tensors are "input.0" for the first input, "3.0" for the first result of call 3."""
        place = {tensor: f"input.{k}" for k, tensor in enumerate(self.inputs)}
        for number, node in enumerate(self.nodes):
            place.update({tensor: f"{number}.{k}" for k, tensor in enumerate(flatten(node.outputs))})

        def places(structure: Any) -> Any:
            return pack(structure, [place[tensor] for tensor in flatten(structure)])

        return {
            "inputs": [{"name": tensor.name, "shape": list(tensor.shape[1:])} for tensor in self.inputs],
            "calls": [
                {"layer": node.layer.name, "inputs": places(node.inputs), "arguments": node.kwargs} for node in self.nodes
            ],
            "input_structure": places(self.input_structure),
            "output_structure": places(self.output_structure),
        }

    def called_layers(self) -> list[Layer]:
        """`layers` without the InputLayers."""
        return [layer for layer in self.layers if not isinstance(layer, InputLayer)]

    def __getstate__(self) -> dict[str, Any]:
        # As a table, because nodes and tensors refer to each other in chains too long for pickle's recursion.
        return {"layers": self.called_layers(), "table": self.table()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        layers = {layer.name: layer for layer in state["layers"]}
        self.__init__(*connect(layers, state["table"]))  # type: ignore[misc]


def connect(layers: Mapping[str, Layer], table: Mapping[str, Any]) -> tuple[Any, Any]:
    """Make the calls of `Graph.table` on new inputs with these layers, by name: the nested inputs and outputs."""
    known = {f"input.{k}": Input(spec["shape"], name=spec["name"]) for k, spec in enumerate(table["inputs"])}

    def tensors(structure: Any) -> Any:
        return pack(structure, [known[place] for place in flatten(structure)])

    for number, call in enumerate(table["calls"]):
        results = layers[call["layer"]](tensors(call["inputs"]), **call["arguments"])
        known.update({f"{number}.{k}": tensor for k, tensor in enumerate(flatten(results))})
    return tensors(table["input_structure"]), tensors(table["output_structure"])


def _tensors(what: str, structure: Any) -> list[KerasTensor]:
    leaves = flatten(structure)
    wrong = [leaf for leaf in leaves if not isinstance(leaf, KerasTensor)]
    if wrong or not leaves:
        got = type(wrong[0]).__name__ if wrong else "an empty list"
        raise ValueError(f"a model's {what} must be tensors: Input(...) or the result of calling a layer on one, got {got}")
    return leaves

"""The graph of layer calls: what calling layers on symbolic tensors writes down.

KerasTensor         the symbolic result of a layer call: a shape and the node that makes it
Node                one call of a layer
flatten, pack       nested lists and dicts of tensors as a flat list, and back
topological_order   the nodes between inputs and outputs, each after those that it reads
layer_order         their layers, in the order of `model.layers`
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .layers.base import Layer

Shape = tuple[int | None, ...]


@dataclass(eq=False)
class KerasTensor:
    """The symbolic result of a layer call. The first axis of `shape` counts samples and is None."""

    shape: Shape
    dtype: str = "float32"
    name: str = "keras_tensor"
    node: "Node | None" = None

    @property
    def ndim(self) -> int:
        """Number of axes, the batch's included."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


@dataclass(eq=False)
class Node:
    """One call of a layer: `layer(inputs, **kwargs)` gave `outputs`. Both may be nested; an Input's node has no inputs."""

    layer: "Layer"
    inputs: Any = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    outputs: Any = None


def flatten(structure: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dicts; of a dict in the order of its sorted keys, as Keras has it."""
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in flatten(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in flatten(item)]
    return [structure]


def pack(structure: Any, leaves: Iterable[Any]) -> Any:
    """`leaves`, in the order of `flatten`, in the form of `structure`."""
    return _pack(structure, iter(leaves))


def _pack(structure: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(structure, dict):
        packed = {key: _pack(structure[key], leaves) for key in sorted(structure)}
        return {key: packed[key] for key in structure}
    if isinstance(structure, (list, tuple)):
        return type(structure)([_pack(item, leaves) for item in structure])
    return next(leaves)


def topological_order(inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor]) -> list[Node]:
    """The nodes that the outputs need, each after the nodes that it reads.

    `inputs` may be tensors inside a larger graph: what makes them is left out. ValueError where an output needs an
    Input that is not among `inputs`, or an input reaches no output.
    """
    order, _ = _depth_first(inputs, outputs)
    read = {id(tensor) for node in order for tensor in flatten(node.inputs)} | {id(tensor) for tensor in outputs}
    unused = [tensor.name for tensor in inputs if id(tensor) not in read]
    if unused:
        raise ValueError(f"no output depends on the input(s) {', '.join(unused)}; connect them or leave them out")
    return order


def layer_order(inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor]) -> list["Layer"]:
    """The layers between inputs and outputs, each once, as Keras orders `model.layers` and therefore weights.

    The farther from the outputs the earlier; of equally far layers, the one that a search from the outputs meets first.
    """
    order, visited = _depth_first(inputs, outputs)
    node_depth: dict[Node, int] = {}
    layer_depth: dict[Layer, int] = {}
    for node in reversed(order):
        depth = max(node_depth.get(node, 0), layer_depth.get(node.layer, 0))
        node_depth[node] = layer_depth[node.layer] = depth
        for before in (tensor.node for tensor in flatten(node.inputs)):
            node_depth[before] = max(node_depth.get(before, 0), depth + 1)
    return sorted(dict.fromkeys(node.layer for node in visited), key=lambda layer: -layer_depth[layer])


def _depth_first(inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor]) -> tuple[list[Node], list[Node]]:
    """Nodes as a search from the outputs leaves them (after what they read), and as it first meets them."""
    # With a stack of its own: a recursive search would stop at networks some hundred layers deep.
    given = {id(tensor) for tensor in inputs}
    left: list[Node] = []
    met: dict[Node, None] = {}
    stack: list[tuple[KerasTensor, bool]] = [(tensor, False) for tensor in reversed(outputs)]
    while stack:
        tensor, done = stack.pop()
        node = tensor.node
        if node is None or (id(tensor) in given and node.inputs):
            continue
        if done:
            left.append(node)
        elif node not in met:
            if not node.inputs and id(tensor) not in given:
                raise ValueError(_disconnected(tensor, left))
            met[node] = None
            stack.append((tensor, True))
            stack.extend((x, False) for x in reversed(flatten(node.inputs)))
    return left, list(met)


def _disconnected(tensor: KerasTensor, reached: Sequence[Node]) -> str:
    names = ", ".join(node.layer.name for node in reached) or "none"
    return (
        f"graph disconnected: the outputs depend on the input {tensor.name!r} of shape {tensor.shape}, which is not among "
        f"the model's inputs; add it to `inputs`. Layers reached before it: {names}"
    )

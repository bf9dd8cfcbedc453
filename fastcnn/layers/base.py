"""The base of all layers: names, weights, freezing, configurations, and what happens when a layer is called.

A layer is configuration, `build(input_shape)`, which makes its weights, and `call(inputs)`, which composes `fastcnn.ops`. The
rest is here. A layer of your own:

    class Scale(layers.Layer):
        def __init__(self, start=1.0, **kwargs):
            super().__init__(**kwargs)
            self.start = start

        def call(self, x):
            return x * self.start

Called on a KerasTensor, a layer appends a node to the graph; called on the values of an open trace (inside another layer's
`call`), it appends steps.
"""

import contextlib
import copy
import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import constraints, initializers, regularizers
from ..graph import KerasTensor, Node, Shape, flatten, pack
from ..trace import Trace, Value, current_trace
from ..utils import random_seed
from ..utils.naming import unique_name
from ..utils.suggest import nearest
from ..variables import Variable
from .configuration import constructor_config, from_constructor_config, recorded_arguments


class LayerError(ValueError):
    """An error in a layer's arguments, weights or input; the message begins with the layer's name."""


class Layer:
    """Base of layers.

    name         by default the class's name in snake case and a number: conv2d, conv2d_1, ...
    trainable    False freezes the layer's weights
    input_shape  of one sample; of the first layer of a Sequential, in place of an Input
    dtype        None or "float32"

    After its first call: `kernel`, `bias`, ... as the layer names them, `weights`, `input`, `output`.
    """

    input_axes: str = ""
    """The axes that the input must have, such as "batch, height, width, channels"; "" takes any."""

    _recorded: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> "Layer":
        layer = super().__new__(cls)
        layer.__dict__["_recorded"] = recorded_arguments(cls, args, kwargs)
        return layer

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _marks_built(cls.build)  # type: ignore[method-assign]

    def __init__(self, *, name: str | None = None, trainable: bool = True, **options: Any):
        self.name = name or unique_name(type(self).__name__)
        self.built = False
        self._trainable = bool(trainable)
        self._trainable_variables: list[Variable] = []
        self._non_trainable_variables: list[Variable] = []
        self._nodes: list[Node] = []
        self._input_shape = _sample_shape(options)
        _refuse_options(self, options)

    # What a subclass writes.

    def build(self, input_shape: Any) -> None:
        """Make the weights. `input_shape` is a tuple that begins with None, for the batch; or a list or dict of such."""
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Compose `fastcnn.ops` on the inputs and return the result. A parameter `training` is filled in if there is one."""
        raise NotImplementedError(f"the layer class {type(self).__name__} has no call(self, inputs)")

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        *,
        trainable: bool = True,
        name: str = "variable",
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Variable:
        """A new weight of this layer; `initializer` is by default "glorot_uniform". Called in `build`."""
        values = initializers.get("glorot_uniform" if initializer is None else initializer)(tuple(shape))
        if np.shape(values) != tuple(shape):
            raise ValueError(f"the initializer of {name!r} made an array of shape {np.shape(values)}, not {tuple(shape)}")
        variable = Variable(values, trainable=trainable, name=f"{self.name}/{name}")
        variable.regularizer, variable.constraint = regularizers.get(regularizer), constraints.get(constraint)
        if variable.constraint is not None:
            variable.constraint.attributes(variable.shape)
        self._track(variable)
        return variable

    def _weight(self, argument: str, shape: Sequence[int], name: str | None = None) -> Variable:
        """A weight made as the arguments ARGUMENT_initializer, _regularizer and _constraint say."""
        made = {rule: getattr(self, f"{argument}_{rule}") for rule in ("initializer", "regularizer", "constraint")}
        return self.add_weight(shape, name=name or argument, **made)

    # Calls.

    def __call__(self, inputs: Any, *, training: bool | None = None, **kwargs: Any) -> Any:
        """On KerasTensors: append a node to their graph. On values of the open trace: append the layer's steps to it.

        training   True or False overrides the mode of the model, here and in the layers inside
        """
        self._check_initialized()
        leaves = flatten(inputs)
        if leaves and all(isinstance(leaf, KerasTensor) for leaf in leaves):
            return self._call_symbolic(inputs, {**kwargs, **({} if training is None else {"training": training})})
        if leaves and all(isinstance(leaf, Value) for leaf in leaves):
            return self._call_traced(inputs, training, kwargs)
        raise TypeError(
            f"layer {self.name!r} was called on {_kinds(leaves)}: a layer only describes a computation. Call it on an Input "
            "or on another layer's result, make a model of them, and call that: models.Sequential([layer]).predict(x)"
        )

    def _call_symbolic(self, inputs: Any, kwargs: dict[str, Any]) -> Any:
        results = self._infer(pack(inputs, [Value(t.shape, t.dtype, t.name) for t in flatten(inputs)]), kwargs)
        node = Node(self, inputs, kwargs)
        node.outputs = pack(results, [KerasTensor(v.shape, v.dtype, self.name, node) for v in flatten(results)])
        self._nodes.append(node)
        return node.outputs

    def _infer(self, values: Any, kwargs: dict[str, Any]) -> Any:
        with Trace():
            return self(values, **kwargs)

    def _call_traced(self, inputs: Any, training: bool | None, kwargs: dict[str, Any]) -> Any:
        trace = current_trace()
        with trace.scope(self.name), calling_mode(trace, training), self._error_context(inputs, trace.source):
            shapes = pack(inputs, [x.shape for x in flatten(inputs)])
            self._check_axes(shapes)
            if not self.built:
                self.build(shapes)
            if "training" in inspect.signature(self.call).parameters:
                kwargs = {**kwargs, "training": trace.training}
            results = self._checked(self.call(inputs, **kwargs))
            trace.results.setdefault(trace.source, results)
            return results

    @contextlib.contextmanager
    def _error_context(self, inputs: Any, path: str) -> Iterator[None]:
        # A layer whose first call fails is as if never called: no weights of a shape that turned out wrong.
        fresh = not self.built
        try:
            yield
        except Exception as error:
            if fresh:
                self._forget_weights()
            if not isinstance(error, ValueError) or isinstance(error, LayerError):
                raise
            shapes = ", ".join(str(x.shape) for x in flatten(inputs))
            raise LayerError(f"layer {path!r} ({type(self).__name__}), called on {shapes}: {error}") from error

    def _forget_weights(self) -> None:
        self.built = False
        self._trainable_variables, self._non_trainable_variables = [], []

    def _check_axes(self, shapes: Any) -> None:
        expected = self.input_axes.split(", ") if self.input_axes else None
        for shape in flatten_shapes(shapes):
            if expected is not None and len(shape) != len(expected):
                raise ValueError(
                    f"expects {len(expected)} axes ({self.input_axes}), got {len(shape)}: add the missing axis "
                    "(images[..., None] adds a channel), or put a Reshape or Flatten before this layer"
                )

    def _checked(self, results: Any) -> Any:
        leaves = flatten(results)
        if not leaves or not all(isinstance(leaf, Value) for leaf in leaves):
            raise ValueError(f"call() must return what fastcnn.ops computed, got {_kinds(leaves)}")
        return results

    def _check_initialized(self) -> None:
        if "name" not in self.__dict__:
            raise RuntimeError(f"{type(self).__name__}.__init__ must begin with super().__init__(**kwargs)")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the result for inputs of this shape (batch axis None). The layer is left as it is."""
        layer = self if self.built else copy.deepcopy(self)
        with random_seed.preserved():
            results = layer._infer(map_shapes(lambda shape: Value(shape, "float32", "input"), input_shape), {})
        return pack(results, [value.shape for value in flatten(results)])

    # Weights.

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable):
            self._track(value)
        super().__setattr__(name, value)

    def _track(self, variable: Variable) -> None:
        self._check_initialized()
        if not any(variable is known for known in self._own_variables()):
            (self._trainable_variables if variable.trainable else self._non_trainable_variables).append(variable)
            variable.trainable = variable.trainable and self._trainable

    def _own_variables(self) -> list[Variable]:
        return self._trainable_variables + self._non_trainable_variables

    def _sublayers(self) -> list["Layer"]:
        """Layers that this one keeps as attributes, also in lists and dicts."""
        kept = (flatten(value) for key, value in vars(self).items() if key not in _BOOKKEEPING and isinstance(value, _NESTS))
        return [x for leaves in kept for x in leaves if isinstance(x, Layer)]

    @property
    def weights(self) -> list[Variable]:
        """All variables, each once: the layer's own, trainable ones first, then those of the layers inside."""
        inner = [v for layer in self._sublayers() for v in layer.weights]
        return list(dict.fromkeys(self._own_variables() + inner))

    @property
    def variables(self) -> list[Variable]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes now."""
        return [v for v in self.weights if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that gradients do not change now: frozen ones and moving statistics."""
        return [v for v in self.weights if not (v.trainable and self.trainable)]

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether training changes this layer. Setting it reaches the layers inside, and takes effect at `compile`."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._trainable_variables:
            variable.trainable = self._trainable
        for layer in self._sublayers():
            layer.trainable = self._trainable

    def count_params(self) -> int:
        """Number of elements of all weights. ValueError before they exist."""
        if not self.built:
            raise ValueError(f"layer {self.name!r} has no weights yet: call it, or build(input_shape), before counting them")
        return sum(v.size for v in self.weights)

    def get_weights(self) -> list[NDArray[Any]]:
        """Copies of the weights, in the order of `weights`."""
        return [v.value for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Overwrite the weights by arrays in the order of `weights`. ValueError, and nothing changed, where they do not fit."""
        variables, arrays = self.weights, [np.asarray(w) for w in weights]
        if len(variables) != len(arrays):
            raise ValueError(
                f"{self.name!r} has {len(variables)} weights, got {len(arrays)} arrays; expected "
                + (", ".join(f"{v.name} {v.shape}" for v in variables) or "none (has it been built?)")
            )
        for variable, array in zip(variables, arrays, strict=True):
            if variable.shape != array.shape:
                raise ValueError(f"the weight {variable.name} of {self.name!r} has shape {variable.shape}, got {array.shape}")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    # The place in a graph.

    def _first_node(self) -> Node:
        if not self._nodes:
            raise ValueError(f"layer {self.name!r} has not been called, so it has no input and output yet")
        return self._nodes[0]

    @property
    def input(self) -> Any:
        """The tensor, or tensors, that the layer was first called on."""
        node = self._first_node()
        return node.inputs or node.outputs

    @property
    def output(self) -> Any:
        """The result of the first call: `Model(model.inputs, layer.output)` is a model that ends here."""
        return self._first_node().outputs

    # Configurations.

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON has them, so that `from_config` makes a layer like this one, with new weights.

        An argument is read from the attribute of the same name, or else as it was passed.
        """
        return {"name": self.name, "trainable": self.trainable, **constructor_config(self, self._recorded)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Layer":
        """The layer of a configuration."""
        return from_constructor_config(cls, config)

    def __getstate__(self) -> dict[str, Any]:
        # The graph is a model's to keep: a layer with it would drag every layer before it along.
        state: Any = super().__getstate__()
        return {**state, "_nodes": []}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


_NESTS = (Layer, list, tuple, dict)
_BOOKKEEPING = frozenset({"_recorded", "_nodes", "_trainable_variables", "_non_trainable_variables"})


def described(layer: Layer) -> str:
    """How errors name a layer."""
    return f"layer {layer.name!r} ({type(layer).__name__})"


def refuse(layer: Layer, **arguments: Any) -> None:
    """ValueError where an argument that Keras knows and fastcnn does not offer is anything but None or False."""
    for name, value in arguments.items():
        if value is not None and value is not False:
            raise ValueError(f"{described(layer)}: {name} is not offered yet; leave it out (got {value!r})")


def regularized(layer: Layer, **arguments: Any) -> None:
    """Give `layer` the attributes WEIGHT_regularizer and WEIGHT_constraint: what the arguments of these names stand for."""
    for name, value in arguments.items():
        setattr(layer, name, (regularizers if name.endswith("_regularizer") else constraints).get(value))


def flatten_shapes(shapes: Any) -> list[Shape]:
    """The shapes in a shape, or a list or dict of shapes."""
    found: list[Shape] = []
    map_shapes(found.append, shapes)
    return found


def map_shapes(function: Any, shapes: Any) -> Any:
    """`function` of a shape, or of every shape in a list or dict of shapes."""
    if isinstance(shapes, dict):
        return {key: map_shapes(function, shapes[key]) for key in shapes}
    if isinstance(shapes, (list, tuple)) and any(isinstance(item, (list, tuple, dict)) for item in shapes):
        return [map_shapes(function, item) for item in shapes]
    return function(tuple(shapes))


def _marks_built(build: Any) -> Any:
    @functools.wraps(build)
    def wrapper(self: Layer, input_shape: Any) -> None:
        build(self, input_shape)
        self.built = True

    return wrapper


@contextlib.contextmanager
def calling_mode(trace: Trace, training: bool | None) -> Iterator[None]:
    """The trace is in this mode inside; None leaves it as it is."""
    outer = trace.training
    trace.training = outer if training is None else training
    try:
        yield
    finally:
        trace.training = outer


def _kinds(leaves: Sequence[Any]) -> str:
    return ", ".join(sorted({type(leaf).__name__ for leaf in leaves})) or "nothing"


def _sample_shape(options: dict[str, Any]) -> tuple[int, ...] | None:
    given = options.pop("input_shape", None)
    shape = (options.pop("input_dim"),) if "input_dim" in options else given
    if shape is None:
        return None
    if not isinstance(shape, (list, tuple)) or not all(isinstance(n, (int, np.integer)) and n > 0 for n in shape):
        raise ValueError(
            "the shape of one sample must be positive whole numbers without the batch axis, such as (28, 28, 1), got "
            f"{shape!r}; every axis must be known when the network is built, so None is not possible"
        )
    return tuple(int(n) for n in shape)


def _refuse_options(layer: Layer, options: dict[str, Any]) -> None:
    dtype = options.pop("dtype", None)
    if dtype not in (None, "float32"):
        raise ValueError(f"{described(layer)}: dtype must be None or 'float32', as everything is computed in it, got {dtype!r}")
    refuse(layer, activity_regularizer=options.pop("activity_regularizer", None))
    if options:
        known = [*inspect.signature(type(layer).__init__).parameters, "name", "trainable", "input_shape"]
        hints = (f"{key!r}" + (f" (did you mean {match!r}?)" if (match := nearest(key, known)) else "") for key in options)
        raise TypeError(f"{type(layer).__name__} got unknown argument(s): {', '.join(hints)}")

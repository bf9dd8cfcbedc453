"""What lies inside of a model: its layers by path, what they return for some pictures, and gradients between them.

paths, find     the layers, those inside of other layers too
following       the layers that only normalise and activate what a convolution computed
feature_maps    the pictures that a layer makes of pictures
filters         the kernels of a convolution
features        one vector a picture: what the classifier at the end reads
scores          what classes are chosen by
gradients       of a score of your choice, with respect to any of these

All of it runs as a compiled program on the model's device, in inference mode: no dropout, moving statistics.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..graph import KerasTensor, flatten
from ..layers import Activation, BatchNormalization, Conv2D, Dense, Dropout, Layer, LeakyReLU, ReLU
from ..layers.pooling import GlobalPooling, WindowPooling
from ..models import Model
from ..program import Place, Probe
from ..utils.suggest import unknown

Array = NDArray[Any]
BATCH_SIZE = 32
INPUT, SCORES, OUTPUT = Place("input"), Place("scores"), Place("output")
POINTWISE = (Activation, BatchNormalization, Dropout, LeakyReLU, ReLU)
"""Layers that change each pixel of each channel on its own."""
NO_LOOK = (Dropout, GlobalPooling, WindowPooling)
"""Layers whose results show less than those before them."""


# Layers by path.


def paths(model: Model) -> dict[str, Layer]:
    """All layers from the input to the output by path: "conv2d", or "block/conv2d" for a layer inside of "block"."""
    return {path: layer for layer in model.layers for path, layer in _inside(layer, "")}


def _inside(layer: Layer, prefix: str) -> list[tuple[str, Layer]]:
    path = prefix + layer.name
    inner = [found for sublayer in layer._sublayers() for found in _inside(sublayer, f"{path}/")]
    return [*inner, (path, layer)]


def find(model: Model, layer: str | Layer) -> str:
    """The path of a layer: one of the model's, its path, or its name where only one has that. ValueError for another."""
    known = paths(model)
    if isinstance(layer, str) and layer in known:
        return layer
    if isinstance(layer, str):
        matches = [path for path in known if path.rpartition("/")[2] == layer]
    else:
        matches = [path for path, other in known.items() if other is layer]
    if len(matches) > 1:
        raise ValueError(f"several layers are meant by {layer!r}: {', '.join(matches)}; give the path of one")
    if not matches:
        raise unknown("layer", layer if isinstance(layer, str) else layer.name, known)
    return matches[0]


def last(model: Model, kind: type[Layer] | tuple[type[Layer], ...]) -> str | None:
    """The path of the last layer of a kind, None where there is none."""
    return next((path for path, layer in reversed(paths(model).items()) if isinstance(layer, kind)), None)


def convolution_layer(model: Model, layer: str | Layer | None = None) -> tuple[str, Conv2D]:
    """The path of a convolution (None: of the first one) and the layer. ValueError where it is none over pictures."""
    known = paths(model)
    if layer is None:
        path = next((path for path, other in known.items() if isinstance(other, Conv2D)), None)
        if path is None:
            raise ValueError(f"model {model.name!r} has no convolution over pictures")
    else:
        path = find(model, layer)
    found = known[path]
    if not isinstance(found, Conv2D):
        names = ", ".join(path for path, other in known.items() if isinstance(other, Conv2D)) or "none"
        raise ValueError(f"layer {path!r} is a {type(found).__name__}, not a Conv2D; convolutions over pictures here: {names}")
    return path, found


def following(model: Model, path: str, kinds: tuple[type[Layer], ...] = POINTWISE) -> list[str]:
    """The paths of the layers of these kinds that follow a layer one by one, each the only reader of the one before."""
    *outer, name = path.split("/")
    home: Any = paths(model)["/".join(outer)] if outer else model
    found: list[str] = []
    if not isinstance(home, Model):
        return found
    tensor = next((node.outputs for node in home.graph.nodes if node.layer.name == name), None)
    while tensor is not None:
        readers = [node for node in home.graph.nodes if tensor in flatten(node.inputs)]
        if len(readers) != 1 or not isinstance(readers[0].layer, kinds):
            break
        found.append("/".join([*outer, readers[0].layer.name]))
        tensor = readers[0].outputs
    return found


def image_layer(model: Model, layer: str | Layer | None = None) -> str:
    """The path of `layer`; None is the last that returns pictures of several pixels, pooling and dropout left out."""
    if layer is not None:
        return find(model, layer)
    for node in reversed(model.graph.nodes):
        shape = node.outputs.shape if isinstance(node.outputs, KerasTensor) else ()
        if len(shape) == 4 and shape[1:3] != (1, 1) and not isinstance(node.layer, NO_LOOK):
            return node.layer.name
    raise ValueError(f"no layer of model {model.name!r} returns pictures (rows, columns, channels); name the layer to look at")


# What layers return.


def look(model: Model, x: Any, places: Sequence[Place], batch_size: int = BATCH_SIZE) -> list[Array]:
    """The values at these places for pictures x (n, ...): arrays (n, ...) in the order of `places`."""
    unique = tuple(dict.fromkeys(places))
    values = dict(zip(unique, _run(model, Probe(unique), x, None, batch_size), strict=True))
    return [values[place] for place in places]


def _run(model: Model, probe: Probe, x: Any, weights: Array | None, batch_size: int) -> list[Array]:
    samples = model._interface().inputs(x)
    executor = model.executor
    chunks = []
    for first in range(0, len(samples), batch_size):
        rows = slice(first, min(first + batch_size, len(samples)))
        program = executor.probe(probe, rows.stop - first, samples.dtypes)
        shapes = [tuple(int(n or 0) for n in value.shape[1:]) for value in program.lowered.outputs]
        outputs = [np.empty((rows.stop - first, *shape), executor.backend.dtype) for shape in shapes]
        labels = [] if weights is None else [np.ascontiguousarray(weights[rows], np.float32)]
        program.bind([np.ascontiguousarray(array[rows]) for array in samples.x], labels, outputs=outputs)
        program.run()
        chunks.append(outputs)
    return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]


def feature_maps(model: Model, x: Any, layer: str | Layer | None = None) -> Array:
    """What a layer makes of pictures x (n, height, width, channels): (n, rows, columns, C), one picture a channel.

    layer   a layer, its name or path; None is the last that returns pictures, pooling and dropout left out

    ValueError for a layer that does not return pictures.
    """
    path = image_layer(model, layer)
    (maps,) = look(model, x, [Place("result", path)])
    if maps.ndim != 4:
        raise ValueError(f"layer {path!r} returns {maps.shape[1:]} a picture, not (rows, columns, channels)")
    return maps


def filters(model: Model, layer: str | Layer | None = None) -> Array:
    """The kernel of a convolution over pictures (None: of the first one), (rows, columns, C_in / groups, filters)."""
    kernel: Array = convolution_layer(model, layer)[1].kernel.value
    return kernel


def features(model: Model, x: Any, layer: str | Layer | None = None) -> Array:
    """One vector a picture, float32 (n, d): what a layer returns, flattened.

    layer   a layer, its name or path; None is the penultimate one: what the last dense layer reads, or, in a network without
            dense layers, the scores
    """
    (values,) = look(model, x, [feature_place(model, layer)])
    return np.ascontiguousarray(values.reshape(len(values), -1), np.float32)


def feature_place(model: Model, layer: str | Layer | None) -> Place:
    """Where `features` looks."""
    if layer is not None:
        return Place("result", find(model, layer))
    dense = last(model, Dense)
    return SCORES if dense is None else Place("operand", dense)


def scores(model: Model, x: Any) -> Array:
    """One score a class, (n, classes): the model's output before the softmax or sigmoid that it ends in.

    ValueError where the model returns anything but one number a class.
    """
    (values,) = look(model, x, [SCORES])
    if values.ndim != 2:
        raise ValueError(f"model {model.name!r} returns {values.shape[1:]} a picture, not one number a class")
    return values


# Gradients.


class Gradients(NamedTuple):
    """The values that a score is made of, the values that it is differentiated by, and the gradient, of their shape."""

    of: Array
    at: Array
    gradient: Array


def gradients(
    model: Model,
    x: Any,
    weights: Any,
    of: Place = SCORES,
    wrt: Place = INPUT,
    *,
    squared: bool = False,
    batch_size: int = BATCH_SIZE,
) -> Gradients:
    """The gradient of each sample's score sum(weights * value at `of`) with respect to the value at `wrt`.

    x         pictures (n, ...)
    weights   of the shape of the values at `of`, (n, ...), or one that broadcasts to it
    of, wrt   places inside of the model: INPUT, SCORES, OUTPUT, or Place("result", path of a layer)
    squared   the score is sum(weights * value**2) / 2

    ValueError where `of` does not depend on `wrt`.
    """
    probe = Probe(tuple(dict.fromkeys((of, wrt))), of, (wrt,), squared)
    samples = model._interface().inputs(x)
    shape = (len(samples), *_shape(model, probe, samples.dtypes))
    *values, gradient = _run(model, probe, x, np.broadcast_to(np.asarray(weights, np.float32), shape), batch_size)
    return Gradients(values[0], values[-1], gradient)


def _shape(model: Model, probe: Probe, dtypes: tuple[str, ...]) -> tuple[int, ...]:
    """The shape of one sample's value at `of`."""
    program = model.executor.probe(probe, 1, dtypes)
    return tuple(int(n or 1) for n in program.lowered.labels[0].shape[1:])


def class_weights(model: Model, x: Any, classes: Any = None) -> tuple[NDArray[np.int64], Array]:
    """The classes to explain, (n,), and weights (n, number of classes) that choose their scores.

    classes   one number, one a picture, or None for the class of the highest score
    """
    found = scores(model, x)
    count = found.shape[1]
    chosen = found.argmax(axis=1) if classes is None else np.asarray(classes)
    fits = chosen.dtype.kind in "iu" and chosen.shape in ((), (len(found),))
    if not fits or (chosen < 0).any() or (chosen >= count).any():
        raise ValueError(f"classes must be numbers from 0 to {count - 1}, one or one a picture, got {classes!r}")
    chosen = np.broadcast_to(chosen, len(found)).astype(np.int64)
    return chosen, np.eye(count, dtype=np.float32)[chosen]

"""The shapes that tests, verification and benchmarks share, each with its reason.

    Case                    an op, the shapes of its operands, its attributes, and why it is here
    cases(), heavy_cases()  all of them; the larger ones that only the exhaustive run takes
    arrays(case, seed)      NumPy operands for everything that the op reads
    kind(op, operand)       the kind of tensor that an operand is
    scalars(...)            a scalars buffer with these values

The tables of cases are further down, in the order of api.py. Batches of 1, 3, 8 and 17 samples: one sample, fewer than the
CPU puts in a slice, exactly a slice, and two slices of different sizes. Channels of 1, 3, 5, 16, 17 and 33: fewer than a
vector, a vector, and one more than one or two vectors.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .activation.reference import activate
from .api import (
    ACTIVATIONS,
    BINARY,
    FILL_MODES,
    INTERPOLATIONS,
    POINTWISE_LOSSES,
    RULES,
    UNARY,
    Extents,
    Kind,
    Padding,
    Scalars,
    operations,
)
from .conv.reference import convolve
from .dense.reference import affine_map
from .elementwise.reference import unary
from .pool.reference import max_pool
from .softmax_crossentropy.reference import sigmoid, softmax

Array = NDArray[Any]
Shape = tuple[int, ...]
Operands = dict[str, Any]
"""Arrays by operand: an array, a list of arrays, or None where the operand is switched off."""


@dataclass(frozen=True, eq=False)
class Case:
    """One call of an op.

    shapes      of every operand, read or written; a list for operands that are sequences; None switches one off
    dtypes      of the operands that are not floats of the backend's dtype
    numbers     what the operands hold:
                "normal"    standard normal numbers, scaled so that outputs are of order one
                "distinct"  no two pixels of x alike, so that maxima have a gradient
                "grid"      small multiples of 1/4: sums are exact in float32, so ties are ties on every backend
                "large"     logits of hundreds, where a naive exponential overflows
                "clipped"   probabilities of exactly 0 and 1 and beyond the clip
                "nan"       a prediction that is NaN, which the loss of its sample must not hide
                "nonfinite" a loss that is infinite
                "stopped"   as "nonfinite", after an earlier step's loss was so: NONFINITE is set
    """

    op: str
    reason: str
    shapes: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    numbers: str = "normal"

    def __str__(self) -> str:
        return f"{self.op}-{self.reason}".replace(" ", "_")

    @property
    def smooth(self) -> bool:
        """Whether the op can be differentiated at these numbers by finite differences."""
        return self.numbers in ("normal", "distinct")

    @property
    def batch_size(self) -> int:
        """Number of samples; 1 for ops on parameters."""
        for operand, shape in self.shapes.items():
            if shape and kind(self.op, operand) == "batch":
                return int((shape[0] if isinstance(shape, list) else shape)[0])
        return 1

    def reads(self) -> dict[str, Any]:
        """Shapes of the operands that the op reads."""
        return {name: self.shapes[name] for name in operations()[self.op].reads}

    def writes(self) -> dict[str, Any]:
        """Shapes of the operands that the op writes."""
        return {name: self.shapes[name] for name in operations()[self.op].writes}


WEIGHTS = frozenset({"w", "b", "dw", "db", "gamma", "beta", "dgamma", "dbeta"})
STATE = frozenset({"slots", "mean", "rstd", "moving_mean", "moving_variance"})
ON_PARAMETERS = frozenset({"add_parameters", "reshape_parameters", "clip_factor", "penalty", "penalty_gradient", "constrain"})
PLAIN, EXTERNAL = frozenset({"scalars", "accumulator", "factor"}), frozenset({"source", "index", "destination"})


def kind(op: str, operand: str) -> Kind:
    """The kind of tensor that `operand` of `op` is."""
    if operand in PLAIN:
        return "plain"
    if operand in EXTERNAL:
        return "external"
    if op in ON_PARAMETERS or (operand in WEIGHTS | STATE and not op.startswith("binary_")):
        return "parameter"
    return "batch"


def scalars(**values: float) -> NDArray[np.int64]:
    """A scalars buffer with these values, by the names of api.Scalars in lower case; 0 elsewhere."""
    buffer = np.zeros(Scalars.COUNT, np.int64)
    for name, value in values.items():
        slot = getattr(Scalars, name.upper())
        (buffer.view(np.float64) if slot in Scalars.FLOATS else buffer)[slot] = value
    return buffer


# ------ numbers


def arrays(case: Case, seed: int = 0) -> Operands:
    """Operands for everything that `case` reads, from `seed`: float64 arrays whose values are exact in float32.

    Operands of a backward op that its forward op makes (y, argmax) are what forward makes of the others.
    """
    rng = np.random.default_rng(seed)
    operands: Operands = {}
    for name, shape in case.reads().items():
        if name == "slots":
            operands[name] = [_slot(slot, one, rng) for slot, one in zip(RULES[case.attributes["rule"]], shape, strict=True)]
        elif isinstance(shape, list):
            operands[name] = [_draw(case, name, one, rng) for one in shape]
        elif name != "argmax":
            operands[name] = None if shape is None else _draw(case, name, shape, rng)
    operands.update(_made_by_forward(case, operands, rng))
    return {name: value if name == "accumulator" else _exact_in_float32(value) for name, value in operands.items()}


def _exact_in_float32(value: Any) -> Any:
    if isinstance(value, list):
        return [_exact_in_float32(item) for item in value]
    if value is None or value.dtype != np.float64:
        return value
    return value.astype(np.float32).astype(np.float64)


def _draw(case: Case, name: str, shape: Shape, rng: np.random.Generator) -> Array:
    match name:
        case "scalars":
            stopped = 4 if case.numbers == "stopped" else 0
            rates = dict(learning_rate=0.03, rate=0.04, gradient_rate=0.01, epsilon=1e-3)
            return scalars(seed=2**40 + 7, step=5, nonfinite=stopped, **rates)
        case "y" | "labels" if case.op.startswith("pointwise_loss"):
            return _pointwise(case, name, shape, rng)
        case "labels":
            return _labels(case, shape, rng)
        case "index":
            return rng.integers(0, case.shapes["source"][0], shape)
        case "before" | "maps":
            return _maps(shape, rng)
        case "boxes":
            return np.sort(rng.integers(0, case.shapes["x"][1:3], (shape[0], 2, 2)), axis=1).transpose(0, 2, 1).reshape(shape)
        case "x" if case.op.startswith("embedding"):
            table = case.shapes.get("w") or case.shapes["dw"]
            return rng.integers(0, table[0], shape).astype(np.float64)
        case "source":
            return _data(shape, np.dtype(case.dtypes["source"]), rng)
        case "accumulator":
            return rng.uniform(1, 10, shape)
        case "weight":
            return rng.uniform(0.5, 1.5, shape) * (np.arange(shape[0]) != 1)
        case "rstd" | "moving_variance" | "factor":
            return rng.uniform(0.5, 2, shape)
        case "w" if len(shape) > 1 and case.numbers != "grid":
            return rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
    return _values(case, name, shape, rng)


def _values(case: Case, name: str, shape: Shape, rng: np.random.Generator) -> Array:
    normal = rng.standard_normal(shape)
    if case.numbers == "grid":
        return np.clip(np.round(4 * normal), -8, 8) / 4
    if case.numbers == "large" and name == "x":
        return 300 * normal
    if case.numbers == "distinct" and name == "x":
        return rng.permutation(normal.size).reshape(shape) * (4 / normal.size) - 2
    if case.numbers in ("nonfinite", "stopped") and name == "loss":
        return np.where(np.arange(shape[0]) == 0, np.inf, normal)
    if case.attributes.get("function") == "log":
        return 0.5 + np.abs(normal)
    if case.op.startswith(("activation", "unary")):
        # Finite differences need a margin around the kink at 0.
        return normal + 0.05 * np.sign(normal)
    if case.op.startswith(("crossentropy", "binary_crossentropy")) and name == "y":
        normal = _probabilities(case, normal)
    return _extreme(case, normal) if name in ("x", "y") else normal


def _maps(shape: Shape, rng: np.random.Generator) -> Array:
    """Affine maps (augment/geometry.py): anything that is not far from no change at all, and a few pixels off."""
    factors = np.array([1, 0, 0, 0, 1, 0]) * 2**24
    return (factors + rng.uniform(-1, 1, shape) * np.tile([2**23, 2**23, 3 * 2**17], 2)).astype(np.int32)


def _slot(name: str, shape: Shape, rng: np.random.Generator) -> Array:
    """Averages of gradients have signs; averages of their squares are larger than the squares of these."""
    return rng.uniform(-0.9, 0.9, shape) if name in ("m", "momentum", "average_gradient") else rng.uniform(1, 2, shape)


def _probabilities(case: Case, normal: Array) -> Array:
    """Of classes for crossentropy (not quite normalised, which the op must do itself), of yes for binary_crossentropy."""
    return 1.1 * softmax(0.5 * normal) if case.op.startswith("crossentropy") else 0.02 + 0.96 * sigmoid(normal)


def _extreme(case: Case, predictions: Array) -> Array:
    """Predictions as `numbers` wants them."""
    if case.numbers == "clipped":
        # One sample each: a certain answer, and a number just beyond the clip.
        predictions[0], predictions[0, ..., 0] = 0, 1
        predictions[1, ..., 0] = 3e-8
    if case.numbers == "nan":
        predictions[0, ..., 0] = np.nan
    return predictions


def _labels(case: Case, shape: Shape, rng: np.random.Generator) -> Array:
    values = case.shapes.get("y") or case.shapes["x"]
    if case.dtypes.get("labels") == "int32":
        return rng.integers(0, values[-1], shape).astype(np.int32)
    if case.op.startswith(("sigmoid", "binary")) or case.attributes.get("form") == "binary":
        return _yes_or_no(case, shape, rng)
    if case.numbers == "normal":
        return rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]


def _yes_or_no(case: Case, shape: Shape, rng: np.random.Generator) -> Array:
    labels = rng.integers(0, 2, shape).astype(np.float64)
    if case.numbers == "clipped":
        # A yes that is certain and wrong costs log of 1 - (1 - 1e-7), of which float32 keeps no digit.
        labels[0] = 1
    return labels


def _pointwise(case: Case, name: str, shape: Shape, rng: np.random.Generator) -> Array:
    """Predictions and labels that the function of a pointwise loss is for."""
    normal = rng.standard_normal(shape)
    match case.attributes["function"], name:
        case "focal", "labels":
            return _yes_or_no(case, shape, rng)
        case "hinge" | "squared_hinge", "labels":
            return np.sign(normal) * (np.arange(shape[-1]) > 0)
        case "poisson", "labels":
            return np.round(np.abs(normal))
        case "poisson" | "squared_logarithmic", "y":
            normal = 0.1 + np.abs(normal)
        case "divergence" | "focal", _:
            normal = 0.02 + 0.96 * sigmoid(normal)
    return _extreme(case, normal) if name == "y" else normal


def _data(shape: Shape, dtype: np.dtype[Any], rng: np.random.Generator) -> Array:
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, min(np.iinfo(dtype).max, 1 << 20), shape, endpoint=True).astype(dtype)


def _made_by_forward(case: Case, operands: Operands, rng: np.random.Generator) -> Operands:
    """y and argmax of a backward op. Where the op does not read the forward op's input, an input is drawn for it."""
    attributes = case.attributes
    match case.op:
        case "conv_backward":
            return {"y": _activated(_convolution(case, operands, case.shapes["y"][1:-1]), case)}
        case "conv_pool_backward":
            extents = tuple(o * k for o, k in zip(case.shapes["y"][1:-1], attributes["window"], strict=True))
            z = _activated(_convolution(case, operands, extents), case)
            y, argmax = max_pool(z, case.shapes["y"][1:-1], attributes["window"], attributes["window"])
            return {"y": y, "argmax": argmax.astype(case.dtypes["argmax"])}
        case "dense_backward":
            return {"y": _activated(affine_map(operands["x"], operands["w"], None), case)}
        case "max_pool_backward":
            _, argmax = max_pool(_values(case, "x", case.shapes["dx"], rng), case.shapes["dy"][1:-1], **attributes)
            return {"argmax": argmax.astype(case.dtypes["argmax"])}
        case "activation_backward":
            return {"y": _activated(operands["y"], case)}
        case "unary_backward":
            return {"y": unary(operands["x"], attributes["function"])}
        case "softmax_backward" | "softmax_crossentropy_backward":
            return {"y": softmax(operands["y"])}
        case "sigmoid_crossentropy_backward":
            return {"y": sigmoid(operands["y"])}
    return {}


def _activated(z: Array, case: Case) -> Array:
    return activate(z, case.attributes["activation"], case.attributes.get("alpha", 0.0))


def _convolution(case: Case, operands: Operands, extents: Extents) -> Array:
    geometry = {name: case.attributes[name] for name in ("strides", "padding", "dilation", "groups")}
    return convolve(operands["x"], operands["w"], None, extents, **geometry)


# ------ data


def _data_cases() -> Iterable[Case]:
    for dtype in ("uint8", "int32", "int64", "float32", "float64"):
        shapes = dict(source=(20, 3, 5), index=(8,), y=(8, 3, 5))
        scaled = dict(scale=1 / 255, offset=-0.5) if dtype == "uint8" else {}
        yield Case("gather", f"{dtype} data set", shapes, scaled, dict(source=dtype, index="int64"))
    image = dict(source=(9, 4, 5, 17), index=(17,), y=(17, 4, 5, 17))
    yield Case("gather", "images with more than one vector of channels", image, {}, dict(source="float32", index="int64"))
    labels = dict(source=(9,), index=(17,), y=(17,))
    yield Case("gather", "class numbers", labels, {}, dict(source="int64", index="int64", y="int32"))
    one = dict(source=(5, 4, 4, 1), index=(1,), y=(1, 4, 4, 1))
    yield Case("gather", "one sample of one channel", one, {}, dict(source="uint8", index="int64"))
    volume = dict(source=(5, 2, 3, 4, 3), index=(3,), y=(3, 2, 3, 4, 3))
    yield Case("gather", "volumes", volume, {}, dict(source="float64", index="int64"))
    for shape in ((1, 10), (17, 33), (3, 4, 5, 3), (8, 2, 3, 4, 16), (17,)):
        yield Case("export", f"shape {'x'.join(map(str, shape))}", dict(x=shape, destination=shape))
    yield Case("export", "bytes", dict(x=(3, 4, 5, 17), destination=(3, 4, 5, 17)), {}, dict(x="uint8", destination="uint8"))


# ------ convolution and dense


def same_padding(image: Extents, kernel: Extents, strides: Extents, dilation: Extents) -> Padding:
    """Padding for ceil(image / stride) outputs; the odd pixel goes behind (Keras, TensorFlow)."""
    pairs = []
    for size, k, s, d in zip(image, kernel, strides, dilation, strict=True):
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


def output_extents(image: Extents, kernel: Extents, strides: Extents, dilation: Extents, padding: Padding) -> Extents:
    """Number of positions of a window on each axis."""
    sizes = zip(image, kernel, strides, dilation, padding, strict=True)
    return tuple((size + sum(p) - (k - 1) * d - 1) // s + 1 for size, k, s, d, p in sizes)


def _window(image: Extents, kernel: Extents, strides: Any, dilation: Any, padding: Any) -> tuple[Any, ...]:
    """Strides, dilation, padding and output extents in full, from numbers and 'valid' or 'same'."""
    rank = len(image)
    strides, dilation = (v if isinstance(v, tuple) else (v,) * rank for v in (strides, dilation))
    if padding == "same":
        padding = same_padding(image, kernel, strides, dilation)
    elif padding == "valid":
        padding = ((0, 0),) * rank
    return strides, dilation, padding, output_extents(image, kernel, strides, dilation, padding)


def _conv(
    reason: str, x: Shape, filters: int, kernel: Extents, *, strides: Any = 1, padding: Any = "valid",
    dilation: Any = 1, groups: int = 1, activation: str = "linear", alpha: float = 0.0, pool: Extents | None = None,
    absent: tuple[str, ...] = (), numbers: str = "normal",
) -> Iterable[Case]:
    """A forward and a backward case. `absent` operands are None; with `pool` the ops are conv_pool's."""
    strides, dilation, padding, extents = _window(x[1:-1], kernel, strides, dilation, padding)
    w = (*kernel, x[-1] // groups, filters)
    attributes: dict[str, Any] = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    attributes.update(activation=activation, alpha=alpha)
    dtypes = {}
    if pool:
        extents = tuple(o // k for o, k in zip(extents, pool, strict=True))
        attributes["window"], dtypes["argmax"] = pool, "uint8"
    y = (x[0], *extents, filters)
    shapes: dict[str, Any] = dict(x=x, w=w, b=(filters,), y=y, argmax=y, dy=y, dx=x, dw=w, db=(filters,))
    shapes.update(dict.fromkeys(absent))
    yield from _pair("conv_pool" if pool else "conv", reason, shapes, attributes, dtypes, numbers)


def _pair(
    name: str, reason: str, shapes: Mapping[str, Any], attributes: Mapping[str, Any] | None = None,
    dtypes: Mapping[str, str] | None = None, numbers: str = "normal",
) -> Iterable[Case]:
    """The cases of `name`_forward and `name`_backward, whose operands are all in `shapes`."""
    for op in (f"{name}_forward", f"{name}_backward"):
        yield _trimmed(Case(op, reason, shapes, attributes or {}, dtypes or {}, numbers))


def _trimmed(case: Case) -> Case:
    """The case without shapes and dtypes of operands that its op does not have."""
    operation = operations()[case.op]
    present = {*operation.reads, *operation.writes}
    shapes = {name: shape for name, shape in case.shapes.items() if name in present}
    return replace(case, shapes=shapes, dtypes={n: d for n, d in case.dtypes.items() if n in present})


def _conv_cases() -> Iterable[Case]:
    yield from _conv("T3's first layer, small", (3, 12, 12, 1), 32, (3, 3), activation="relu")
    yield from _conv("a vector of channels to a vector", (8, 7, 9, 16), 16, (3, 3), padding="same", activation="relu")
    yield from _conv("two slices, ragged channels", (17, 6, 6, 17), 33, (3, 3), padding="same")
    yield from _conv("two vectors to four, a wide row", (3, 5, 31, 32), 64, (3, 3), padding="same", activation="relu")
    yield from _conv("colour images", (3, 11, 10, 3), 5, (3, 3), padding="same")
    yield from _conv("one pixel", (1, 1, 1, 5), 3, (1, 1))
    yield from _conv("one pixel under a 3x3 kernel", (3, 1, 1, 16), 17, (3, 3), padding="same")
    yield from _conv("1x1 kernel", (8, 5, 7, 33), 16, (1, 1), activation="tanh")
    yield from _conv("1x1 kernel with stride", (3, 7, 7, 16), 16, (1, 1), strides=2)
    yield from _conv("2x2 kernel, odd padding behind", (3, 6, 5, 16), 16, (2, 2), padding="same", activation="relu")
    yield from _conv("5x5 kernel", (3, 9, 9, 5), 17, (5, 5), padding="same")
    yield from _conv("kernel larger than half the image", (3, 5, 6, 3), 16, (4, 5))
    yield from _conv("kernel as large as the image", (8, 4, 4, 17), 10, (4, 4))
    yield from _conv("kernel larger than the image", (3, 3, 2, 5), 7, (5, 5), padding="same")
    yield from _conv("stride 2, asymmetric padding", (3, 8, 10, 3), 16, (3, 3), strides=2, padding="same")
    yield from _conv("the first layer of ResNet, small", (3, 27, 30, 3), 17, (7, 7), strides=2, padding="same", absent=("dx",))
    yield from _conv("stride that does not divide", (3, 11, 8, 5), 5, (3, 2), strides=(3, 2))
    yield from _conv("stride larger than the kernel", (3, 9, 9, 5), 16, (2, 2), strides=3)
    yield from _conv("padding on one side only", (3, 6, 6, 3), 5, (3, 3), padding=((2, 0), (0, 1)))
    yield from _conv("dilated", (3, 9, 10, 5), 17, (3, 3), dilation=2, padding="same")
    yield from _conv("dilated and strided", (3, 12, 9, 16), 5, (3, 2), dilation=(2, 3), strides=2)
    yield from _conv("strided and dilated, channels in fours", (2, 11, 8, 8), 12, (3, 2), strides=(2, 3), dilation=(2, 1))
    yield from _conv("two groups, vectors cut in half", (3, 6, 6, 10), 6, (3, 3), groups=2, padding="same")
    yield from _conv("two groups of a vector each", (3, 5, 6, 32), 32, (3, 3), groups=2, padding="same")
    yield from _conv("three groups, strided", (3, 7, 7, 9), 51, (3, 3), groups=3, strides=2)
    yield from _conv("depthwise", (3, 6, 7, 17), 17, (3, 3), groups=17, padding="same", activation="relu")
    yield from _conv("depthwise, a full vector, strided", (9, 7, 8, 16), 16, (3, 3), groups=16, strides=2, padding="same")
    yield from _conv("depthwise, more taps than a tile", (3, 9, 9, 40), 40, (5, 5), groups=40, activation="tanh")
    yield from _conv("depthwise, dilated, no bias", (3, 9, 9, 5), 5, (3, 3), groups=5, dilation=2, absent=("b", "db"))
    yield from _conv("depthwise time series", (3, 20, 17), 17, (4,), groups=17, padding="same")
    yield from _conv("depthwise volume", (2, 4, 5, 6, 18), 18, (2, 3, 2), groups=18, padding="same")
    yield from _conv("depthwise with a multiplier", (3, 6, 5, 5), 10, (3, 3), groups=5, strides=2)
    yield from _conv("time series", (3, 20, 5), 7, (4,), strides=3)
    yield from _conv("time series, same", (17, 13, 16), 16, (3,), padding="same", activation="relu")
    yield from _conv("volumes", (3, 4, 5, 6, 3), 5, (2, 3, 3), padding="same", activation="sigmoid")
    yield from _conv("volumes, channels in whole blocks", (4, 4, 9, 6, 16), 33, (3, 3, 3), padding="same", activation="relu")
    yield from _conv("volumes, strided and dilated", (1, 7, 6, 5, 16), 17, (3, 2, 2), strides=(2, 1, 2), dilation=(2, 1, 1))
    yield from _conv("volumes, channels in fours", (1, 4, 6, 5, 8), 16, (2, 3, 2), strides=(2, 1, 1), activation="relu")
    yield from _conv("no bias", (3, 6, 6, 5), 16, (3, 3), absent=("b", "db"))
    yield from _conv("two channels in bands, two tiles of filters", (2, 26, 17, 2), 36, (3, 3), padding="same", absent=("dx",))
    yield from _conv("bands of a time series of one channel", (2, 300, 1), 8, (5,), strides=2, padding="same", absent=("dx",))
    yield from _conv("slices of a volume of four channels", (1, 9, 7, 8, 4), 20, (2, 3, 2), strides=(2, 1, 1), padding="same")
    yield from _conv("first layer: nobody needs dx", (8, 8, 8, 1), 16, (3, 3), absent=("dx",), activation="relu")
    yield from _conv("frozen layer: only dx", (8, 6, 6, 16), 16, (3, 3), absent=("dw", "db"))
    for activation in ACTIVATIONS:
        yield from _conv(f"epilogue {activation}", (3, 6, 6, 5), 17, (3, 3), activation=activation, alpha=0.3)


def _conv_pool_cases() -> Iterable[Case]:
    # On the grid sums are exact, so that every backend must find the same winner, the first of equal ones.
    def pooled(reason: str, x: Shape, filters: int, kernel: Extents, **attributes: Any) -> Iterable[Case]:
        return _conv(reason, x, filters, kernel, **{"pool": (2, 2), "numbers": "grid", **attributes})

    yield from pooled("T3's first layer, small", (8, 12, 12, 1), 32, (3, 3), activation="relu")
    yield from pooled("T4's layer, small", (3, 8, 8, 16), 33, (3, 3), padding="same", activation="relu")
    yield from pooled("pixels that fill no window", (17, 7, 9, 5), 17, (3, 3), padding="same", activation="relu")
    yield from pooled("2x2 kernel", (3, 6, 6, 16), 16, (2, 2), padding="same", activation="relu")
    yield from pooled("window 3x2", (3, 8, 8, 3), 5, (3, 3), pool=(3, 2))
    yield from pooled("window as large as the map", (3, 6, 6, 3), 16, (3, 3), pool=(4, 4))
    yield from pooled("the first layer of AlexNet, small", (3, 43, 51, 3), 16, (11, 11), strides=(4, 3), absent=("dx",))
    yield from pooled("strided, no bias", (3, 11, 11, 3), 5, (3, 3), strides=2, absent=("b", "db"), activation="relu")
    yield from pooled("dilated, groups", (3, 10, 10, 4), 6, (3, 3), dilation=2, groups=2, activation="leaky_relu", alpha=0.25)
    yield from pooled("time series", (3, 20, 5), 7, (4,), pool=(3,), activation="relu")
    yield from pooled("volumes", (3, 4, 6, 4, 3), 5, (2, 3, 3), pool=(2, 2, 2), padding="same", activation="relu")
    yield from pooled("bands of colour images", (2, 37, 22, 3), 20, (3, 3), padding="same", absent=("dx",), activation="relu")
    yield from pooled("first layer: nobody needs dx", (8, 8, 8, 3), 16, (3, 3), absent=("dx",), activation="relu")
    yield from pooled("frozen layer: only dx", (3, 8, 8, 16), 16, (3, 3), absent=("dw", "db"), activation="relu")
    yield from pooled("gradients of a smooth one", (3, 8, 8, 3), 5, (3, 3), numbers="normal", activation="tanh")


def _conv_transpose(
    reason: str, x: Shape, filters: int, kernel: Extents, *, strides: Any = 1, padding: Any = 0, dilation: Any = 1,
    longer: int = 0, absent: tuple[str, ...] = (),
) -> Iterable[Case]:
    """A forward and a backward case; `padding` on every side, output extents `longer` than they have to be."""
    rank = len(kernel)
    strides, dilation, _, _ = _window(x[1:-1], kernel, strides, dilation, "valid")
    padding = padding if isinstance(padding, tuple) else ((padding, padding),) * rank
    sizes = zip(x[1:-1], kernel, strides, dilation, padding, strict=True)
    extents = ((n - 1) * s + (k - 1) * d + 1 - sum(p) + longer for n, k, s, d, p in sizes)
    w, y = (*kernel, filters, x[-1]), (x[0], *extents, filters)
    shapes: dict[str, Any] = dict(x=x, w=w, b=(filters,), y=y, dy=y, dx=x, dw=w, db=(filters,))
    shapes.update(dict.fromkeys(absent))
    yield from _pair("conv_transpose", reason, shapes, dict(strides=strides, padding=padding, dilation=dilation))


def _conv_transpose_cases() -> Iterable[Case]:
    yield from _conv_transpose("twice as large", (3, 4, 5, 16), 16, (2, 2), strides=2)
    yield from _conv_transpose("two slices, ragged channels", (17, 4, 3, 17), 33, (3, 3), strides=2, padding=((0, 1), (0, 1)))
    yield from _conv_transpose("overlapping, stride 1", (3, 5, 4, 3), 5, (3, 3), padding=1)
    yield from _conv_transpose("gaps between the windows", (3, 3, 4, 5), 3, (2, 1), strides=3, longer=1)
    yield from _conv_transpose("a longer output", (3, 4, 4, 5), 16, (3, 3), strides=2, padding=1, longer=1)
    yield from _conv_transpose("dilated", (3, 4, 5, 5), 7, (3, 2), dilation=2)
    yield from _conv_transpose("one pixel", (1, 1, 1, 1), 1, (3, 3))
    yield from _conv_transpose("time series", (3, 7, 5), 6, (4,), strides=2, padding=1)
    yield from _conv_transpose("volumes", (3, 2, 3, 2, 5), 3, (2, 3, 3), strides=(1, 2, 2))
    yield from _conv_transpose("no bias", (3, 4, 4, 3), 5, (3, 3), strides=2, absent=("b", "db"))
    yield from _conv_transpose("first layer: nobody needs dx", (3, 4, 4, 3), 5, (3, 3), strides=2, absent=("dx",))
    yield from _conv_transpose("frozen layer: only dx", (3, 4, 4, 3), 5, (3, 3), strides=2, absent=("dw", "db"))


def _dense(
    reason: str, x: Shape, units: int, activation: str = "linear", alpha: float = 0.0, absent: tuple[str, ...] = ()
) -> Iterable[Case]:
    w, y = (x[-1], units), (*x[:-1], units)
    shapes: dict[str, Any] = dict(x=x, w=w, b=(units,), y=y, dy=y, dx=x, dw=w, db=(units,))
    shapes.update(dict.fromkeys(absent))
    yield from _pair("dense", reason, shapes, dict(activation=activation, alpha=alpha))


def _dense_cases() -> Iterable[Case]:
    yield from _dense("ten classes", (17, 64), 10)
    yield from _dense("a vector of features", (8, 16), 16, "relu")
    yield from _dense("features are no multiple of a vector", (3, 37), 19, "relu")
    yield from _dense("one input", (8, 1), 5)
    yield from _dense("one output", (8, 33), 1, "sigmoid")
    yield from _dense("one sample", (1, 50), 10)
    yield from _dense("more samples than a tile", (67, 48), 32, "relu")
    yield from _dense("rows of a sequence", (3, 5, 17), 6, "tanh")
    yield from _dense("pixels of an image", (3, 2, 5, 16), 33)
    yield from _dense("a long sum of few products", (8, 1024), 40, "relu")
    yield from _dense("no bias", (8, 20), 12, absent=("b", "db"))
    yield from _dense("first layer: nobody needs dx", (8, 20), 12, absent=("dx",))
    yield from _dense("frozen layer: only dx", (8, 20), 12, absent=("dw", "db"))
    for activation in ACTIVATIONS:
        yield from _dense(f"epilogue {activation}", (8, 21), 18, activation, 0.3)


# ------ pooling


def _pool(
    name: str, reason: str, x: Shape, window: Extents, strides: Any, padding: Any = "valid", numbers: str = "distinct"
) -> Iterable[Case]:
    strides, _, padding, extents = _window(x[1:-1], window, strides, 1, padding)
    y = (x[0], *extents, x[-1])
    dtypes = dict(argmax="uint8" if np.prod(window) <= 255 else "int32")
    attributes = dict(window=window, strides=strides, padding=padding)
    yield from _pair(name, reason, dict(x=x, y=y, argmax=y, dy=y, dx=x), attributes, dtypes, numbers)


def _pool_cases() -> Iterable[Case]:
    for name in ("max_pool", "average_pool"):
        yield from _pool(name, "T3's pool, small", (17, 6, 8, 16), (2, 2), 2)
        yield from _pool(name, "rows that do not fill a window", (3, 7, 5, 3), (2, 2), 2)
        yield from _pool(name, "ragged same", (8, 7, 7, 5), (2, 2), 2, "same")
        yield from _pool(name, "overlapping", (3, 9, 8, 17), (3, 3), 2)
        yield from _pool(name, "overlapping, same, stride 1", (3, 5, 6, 33), (3, 3), 1, "same")
        yield from _pool(name, "gaps between windows", (3, 8, 8, 1), (2, 2), 3)
        yield from _pool(name, "whole image", (8, 5, 4, 17), (5, 4), (5, 4))
        yield from _pool(name, "more pixels than a byte counts", (3, 17, 16, 5), (17, 16), (17, 16))
        yield from _pool(name, "one pixel", (1, 1, 1, 1), (1, 1), 1)
        yield from _pool(name, "time series", (3, 13, 5), (3,), 2, "same")
        yield from _pool(name, "volumes", (3, 4, 5, 6, 3), (2, 2, 3), (2, 1, 3))
    yield from _pool("max_pool", "equal pixels: the first wins", (8, 8, 8, 16), (2, 2), 2, numbers="grid")
    yield from _pool("max_pool", "equal pixels in overlapping windows", (3, 7, 7, 5), (3, 3), 2, "same", numbers="grid")


# ------ normalisation


def _batch_norm(reason: str, x: Shape, absent: tuple[str, ...] = ()) -> Iterable[Case]:
    c = x[-1:]
    shapes: dict[str, Any] = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance", "mean", "rstd"), c)
    shapes.update(x=x, y=x, dy=x, dx=x, dgamma=c, dbeta=c)
    shapes.update(dict.fromkeys(absent))
    for op, attributes in {
        "batch_norm_forward": dict(momentum=0.9, epsilon=1e-3),
        "batch_norm_backward": {},
        "batch_norm_inference": dict(epsilon=1e-3),
        "batch_norm_inference_backward": dict(epsilon=1e-3),
    }.items():
        if not (shapes["dx"] is None and op == "batch_norm_inference_backward"):
            yield _trimmed(Case(op, reason, shapes, attributes))


def _norm_cases() -> Iterable[Case]:
    yield from _batch_norm("images", (17, 5, 6, 16))
    yield from _batch_norm("ragged channels", (8, 3, 7, 33))
    yield from _batch_norm("one channel", (3, 4, 4, 1))
    yield from _batch_norm("flat", (17, 21))
    yield from _batch_norm("one sample", (1, 4, 5, 5))
    yield from _batch_norm("volumes", (3, 2, 3, 4, 5))
    yield from _batch_norm("no scale", (3, 4, 4, 5), absent=("gamma", "dgamma"))
    yield from _batch_norm("no centre", (3, 4, 4, 5), absent=("beta", "dbeta"))
    yield from _batch_norm("first layer: nobody needs dx", (3, 4, 4, 5), absent=("dx",))


def _group_norm_cases() -> Iterable[Case]:
    for reason, x, groups in (
        ("a group of channels that lie in one block", (17, 3, 5, 16), 4),
        ("groups across blocks", (8, 3, 4, 33), 3),
        ("one group", (3, 4, 5, 17), 1),
        ("every channel alone", (3, 4, 5, 17), 17),
        ("volumes", (3, 2, 3, 4, 6), 2),
        ("flat", (17, 24), 4),
        ("more numbers than a warp takes", (1, 30, 40, 8), 2),
    ):
        attributes = dict(groups=groups, by_pixel=False, epsilon=1e-3)
        yield from _pair("group_norm", reason, dict(x=x, y=x, dy=x, dx=x), attributes)
    attributes = dict(groups=1, by_pixel=True, epsilon=1e-3)
    for reason, s in (*_ELEMENTWISE_SHAPES.items(), ("whole blocks", (1, 7, 32))):
        if s[-1] > 1:
            yield from _pair("group_norm", f"pixels of {reason}", dict(x=s, y=s, dy=s, dx=s), attributes)


# ------ elementwise

_ELEMENTWISE_SHAPES: dict[str, Shape] = {
    "images": (17, 3, 5, 17),
    "flat": (8, 33),
    "one number a sample": (3, 1),
    "volumes": (3, 2, 3, 4, 5),
}


def _elementwise_cases() -> Iterable[Case]:
    for reason, s in _ELEMENTWISE_SHAPES.items():
        for activation in ACTIVATIONS:
            attributes = dict(activation=activation, alpha=0.3)
            yield from _pair("activation", f"{activation} of {reason}", dict(x=s, y=s, dy=s, dx=s), attributes)
        for function in UNARY:
            yield from _pair("unary", f"{function} of {reason}", dict(x=s, y=s, dy=s, dx=s), dict(function=function))
        for function in BINARY:
            shapes = dict(a=s, b=s, y=s, dy=s, da=s, db=s)
            yield from _pair("binary", f"{function} of {reason}", shapes, dict(function=function))
        yield Case("affine", reason, dict(x=s, y=s), dict(scale=-1.5, offset=0.25))
        yield Case("add", f"three, {reason}", dict(xs=[s] * 3, y=s))
    s = (3, 4)
    ties: dict[str, Any] = dict(a=s, b=s, dy=s, da=s, db=s)
    yield Case("binary_backward", "ties: a takes the gradient", ties, dict(function="maximum"), numbers="grid")
    yield Case("binary_backward", "only a", {**ties, "db": None}, dict(function="multiply"))
    yield Case("binary_backward", "only b", {**ties, "da": None}, dict(function="multiply"))
    yield Case("add", "one", dict(xs=[s], y=s))
    for w in ((3, 3, 5, 17), (7,), (20, 10)):
        yield Case("add_parameters", f"weights of rank {len(w)}", dict(xs=[w, w], y=w))


def _dropout_cases() -> Iterable[Case]:
    for reason, s in _ELEMENTWISE_SHAPES.items():
        shapes = dict(x=s, dy=s, scalars=(Scalars.COUNT,), y=s, dx=s)
        yield from _pair("dropout", reason, shapes, dict(rate=0.3, op_id=11), dict(scalars="int64"))
        whole = dict(rate=0.3, op_id=11, by_channel=True)
        yield from _pair("dropout", f"whole channels of {reason}", shapes, whole, dict(scalars="int64"))
        for kind, multiplicative in (("added to", False), ("multiplied with", True)):
            attributes = dict(stddev=0.7, multiplicative=multiplicative, op_id=11)
            operands: dict[str, Any] = dict(x=s, scalars=(Scalars.COUNT,), y=s)
            yield Case("gaussian_noise", f"{kind} {reason}", operands, attributes, dict(scalars="int64"))


def _embedding_cases() -> Iterable[Case]:
    for reason, x, w in (
        ("sentences, more numbers than a warp", (17, 9), (20, 17)),
        ("one number a sample", (3,), (5, 3)),
        ("a column of numbers", (8, 1), (3, 33)),
        ("rows that nothing asks for", (3, 2, 2), (70, 16)),
    ):
        yield from _pair("embedding", reason, dict(x=x, w=w, y=(*x, w[1]), dy=(*x, w[1]), dw=w), {})


# ------ augmentation


def _augment_cases() -> Iterable[Case]:
    for reason, transform, low, high in (
        ("flips", "flip", (0.0, 0.0), (1.0, 1.0)),
        ("flips of columns only", "flip", (0.0, 0.0), (0.0, 1.0)),
        ("shifts", "translation", (-3.2, -1.5), (3.2, 0.5)),
        ("windows of odd and even distance", "crop", (-2.5, -2.0), (3.5, 3.0)),
        ("turns", "rotation", (-0.4,), (0.9,)),
        ("zooms of one number", "zoom", (0.7,), (1.4,)),
        ("zooms of two numbers", "zoom", (0.7, 1.0), (1.4, 1.0)),
    ):
        attributes: dict[str, Any] = dict(transform=transform, low=low, high=high)
        yield _drawn("random_affine", f"{reason}, alone", (17, 6), "int32", before=None, **attributes)
        yield _drawn("random_affine", f"{reason}, behind another map", (17, 6), "int32", before=(17, 6), **attributes)
    yield _drawn("random_affine", "a seed of its own", (3, 6), "int32", before=None, **attributes, seed=2**31 + 3, op_id=0)
    yield _drawn("random_uniform", "a batch", (17,), low=-0.25, high=2.0)
    yield _drawn("random_uniform", "a seed of its own", (1,), low=-0.25, high=2.0, seed=5, op_id=0)
    for reason, scale, probability in (
        ("some, of many sizes", (0.02, 0.33), (0.0, 1.0)),
        ("all, of one size", (0.25, 0.25), (1.0, 1.0)),
        ("the whole picture", (1.0, 1.0), (1.0, 1.0)),
    ):
        yield _drawn("random_box", reason, (17, 4), "int32", size=(28, 19), scale=scale, probability=probability)
    for interpolation in INTERPOLATIONS:
        for fill_mode in FILL_MODES:
            chosen = f"{interpolation}, {fill_mode}"
            yield _sampled(f"{chosen}, pictures", (17, 6, 5, 3), (6, 5), interpolation, fill_mode)
            yield _sampled(f"{chosen}, a smaller window, channels by fours", (3, 7, 8, 20), (4, 5), interpolation, fill_mode)
        yield _sampled(f"{interpolation}, one pixel", (1, 1, 1, 1), (3, 2), interpolation, "reflect")
    for reason, x in (("pictures", (17, 3, 5, 3)), ("channels by fours", (3, 4, 3, 20))):
        shapes: dict[str, Any] = dict(x=x, centre=(x[0], 1, 1, x[-1]), amounts=x[:1], y=x)
        yield Case("adjust", f"contrast, {reason}", shapes, dict(low=-1.0, high=1.5))
        yield Case("adjust", f"brightness, {reason}", {**shapes, "centre": None}, dict(low=-1.0, high=1.5))
        yield _erased(f"noise, {reason}", x, None)
        yield _erased(f"a number, {reason}", x, (0.5,))
    yield _erased("a colour beyond the limits", (8, 6, 7, 3), (0.5, -3.0, 9.0))
    yield _erased("four channels, a seed of its own", (3, 4, 5, 4), (0.1, 0.2, 0.3, 0.4), seed=5, op_id=0)
    yield _erased("noise with a seed of its own", (3, 4, 5, 4), None, seed=5, op_id=0)


def _drawn(
    op: str, reason: str, y: Shape, dtype: str = "float32", *, op_id: int = 11, seed: int | None = None, **options: Any
) -> Case:
    before = {"before": options.pop("before")} if "before" in options else {}
    dtypes = dict(scalars="int64", **(dict(y=dtype, before=dtype) if dtype == "int32" else {}))
    return Case(op, reason, dict(scalars=(Scalars.COUNT,), **before, y=y), dict(**options, op_id=op_id, seed=seed), dtypes)


def _sampled(reason: str, x: Shape, size: Extents, interpolation: str, fill_mode: str) -> Case:
    attributes = dict(interpolation=interpolation, fill_mode=fill_mode, fill_value=0.5)
    return Case("affine_sample", reason, dict(x=x, maps=(x[0], 6), y=(x[0], *size, x[-1])), attributes, dict(maps="int32"))


def _erased(reason: str, x: Shape, fill: tuple[float, ...] | None, op_id: int = 11, seed: int | None = None) -> Case:
    attributes = dict(fill=fill, low=-1.0, high=1.5, op_id=op_id, seed=seed)
    shapes = dict(x=x, boxes=(x[0], 4), scalars=(Scalars.COUNT,), y=x)
    return Case("erase", reason, shapes, attributes, dict(boxes="int32", scalars="int64"))


# ------ shape


def _shape_cases() -> Iterable[Case]:
    reshapes: tuple[tuple[str, Shape, Shape], ...] = (
        ("flatten images", (17, 3, 5, 17), (17, 255)),
        ("flatten volumes", (3, 2, 3, 2, 5), (3, 60)),
        ("a row becomes an image", (8, 48), (8, 4, 4, 3)),
        ("split the channels", (3, 4, 32), (3, 4, 2, 16)),
        ("one number a sample", (3, 1), (3,)),
        ("rank six", (3, 2, 1, 2, 3, 4), (3, 4, 12)),
    )
    for reason, x, y in reshapes:
        yield Case("reshape", reason, dict(x=x, y=y))
    parameters: tuple[tuple[str, Shape, Shape], ...] = (
        ("depthwise weights", (3, 3, 5, 1), (3, 3, 1, 5)),
        ("depthwise weights with a multiplier", (3, 17, 2), (3, 1, 34)),
        ("and back", (3, 1, 34), (3, 17, 2)),
    )
    for reason, x, y in parameters:
        yield Case("reshape_parameters", reason, dict(x=x, y=y))
    yield from _concatenate("channels, vectors", [(3, 4, 5, 16), (3, 4, 5, 32)], 3)
    yield from _concatenate("channels, ragged", [(17, 3, 4, 5), (17, 3, 4, 17), (17, 3, 4, 1)], 3)
    yield from _concatenate("rows", [(3, 2, 4, 5), (3, 3, 4, 5)], 1)
    yield from _concatenate("columns", [(3, 2, 4, 17), (3, 2, 1, 17)], 2)
    yield from _concatenate("flat", [(8, 10), (8, 7)], 1)
    yield from _concatenate("one input", [(3, 4)], 1)
    images: tuple[Shape, ...] = ((17, 3, 5, 17), (8, 33), (3,), (3, 2, 2, 3, 5))
    for x in images:
        yield from _pair("mean", f"rank {len(x)}", dict(x=x, y=x[:1], dy=x[:1], dx=x))


def _spatial_cases() -> Iterable[Case]:
    permutations: tuple[tuple[str, Shape, Extents], ...] = (
        ("height and width, channels by fours", (3, 4, 5, 16), (0, 2, 1, 3)),
        ("height and width, ragged channels", (17, 3, 2, 17), (0, 2, 1, 3)),
        ("channels first", (3, 4, 5, 17), (0, 3, 1, 2)),
        ("channels last again", (3, 17, 4, 5), (0, 2, 3, 1)),
        ("steps and features", (17, 20, 33), (0, 2, 1)),
        ("all axes of volumes", (3, 2, 3, 4, 5), (0, 4, 2, 3, 1)),
        ("one pixel", (1, 1, 1), (0, 2, 1)),
    )
    for reason, x, axes in permutations:
        yield Case("transpose", reason, dict(x=x, y=tuple(x[axis] for axis in axes)), dict(axes=axes))
    yield _pad("a border", (17, 3, 4, 17), ((1, 1), (2, 1)))
    yield _pad("one side only", (3, 4, 5, 3), ((0, 2), (1, 0)))
    yield _pad("cropped", (3, 6, 7, 33), ((-1, -2), (0, -3)))
    yield _pad("cropped to one pixel", (3, 3, 3, 4), ((-1, -1), (-2, 0)))
    yield _pad("padded here, cropped there", (3, 4, 5, 16), ((2, -1), (-3, 1)))
    yield _pad("time series", (8, 9, 5), ((3, 0),))
    yield _pad("volumes", (3, 2, 3, 4, 3), ((1, 0), (-1, 2), (0, -1)))
    for interpolation in INTERPOLATIONS:
        yield from _upsample("twice as large", (17, 3, 4, 17), (2, 2), interpolation)
        yield from _upsample("three times and once", (3, 4, 3, 16), (3, 1), interpolation)
        yield from _upsample("one pixel", (1, 1, 1, 5), (4, 3), interpolation)
        yield from _upsample("two pixels, an even and an odd factor", (3, 2, 2, 4), (4, 5), interpolation)
        yield from _upsample("time series", (8, 5, 3), (2,), interpolation)
        yield from _upsample("volumes", (3, 2, 3, 2, 5), (2, 3, 2), interpolation)


def _pad(reason: str, x: Shape, padding: Padding) -> Case:
    y = (x[0], *(n + sum(pair) for n, pair in zip(x[1:-1], padding, strict=True)), x[-1])
    return Case("pad", reason, dict(x=x, y=y), dict(padding=padding))


def _upsample(reason: str, x: Shape, factors: Extents, interpolation: str) -> Iterable[Case]:
    y = (x[0], *(n * factor for n, factor in zip(x[1:-1], factors, strict=True)), x[-1])
    attributes = dict(factors=factors, interpolation=interpolation)
    yield from _pair("upsample", f"{interpolation}, {reason}", dict(x=x, y=y, dy=y, dx=x), attributes)


def _concatenate(reason: str, xs: list[Shape], axis: int) -> Iterable[Case]:
    y = (*xs[0][:axis], sum(x[axis] for x in xs), *xs[0][axis + 1 :])
    yield Case("concatenate_forward", reason, dict(xs=xs, y=y), dict(axis=axis))
    for number, dx in enumerate(xs):
        start = sum(x[axis] for x in xs[:number])
        yield Case("concatenate_backward", f"{reason}, part {number}", dict(dy=y, dx=dx), dict(axis=axis, start=start))


# ------ softmax, losses, metrics

_CLASSES: dict[str, Shape] = {
    "ten classes": (17, 10),
    "three classes at each position": (3, 5, 3),
    "more classes than a vector": (8, 33),
    "one class": (3, 1),
    "one sample": (1, 16),
    "classes of pixels": (3, 4, 5, 17),
}


def _with_labels(
    name: str, reason: str, x: Shape, sparse: bool, numbers: str = "normal", **attributes: float
) -> Iterable[Case]:
    labels, dtypes = (x[:-1], dict(labels="int32")) if sparse else (x, {})
    shapes = dict(x=x, y=x, labels=labels, loss=x[:1], dloss=x[:1], dx=x, dy=x)
    reason = f"{reason}, {'class numbers' if sparse else 'distributions'}"
    yield from _pair(name, reason, shapes, attributes, dtypes, numbers)


def _loss_cases() -> Iterable[Case]:
    for reason, s in _CLASSES.items():
        yield from _pair("softmax", reason, dict(x=s, y=s, dy=s, dx=s))
        for sparse in (False, True):
            yield from _with_labels("softmax_crossentropy", reason, s, sparse)
            yield from _with_labels("crossentropy", reason, s, sparse)
        for name in ("sigmoid_crossentropy", "binary_crossentropy"):
            yield from _with_labels(name, reason, s, sparse=False)
    yield Case("softmax_forward", "large logits", dict(x=(8, 20), y=(8, 20)), numbers="large")
    for sparse in (False, True):
        yield from _with_labels("softmax_crossentropy", "large logits", (8, 20), sparse, "large")
        yield from _with_labels("crossentropy", "clipped", (3, 5), sparse, "clipped")
        yield from _with_labels("crossentropy", "focused", (17, 10), sparse, focus=2.0)
        yield from _with_labels("crossentropy", "focused, classes of pixels", (3, 4, 5, 17), sparse, focus=0.5)
        yield from _with_labels("crossentropy", "focused, clipped", (3, 5), sparse, "clipped", focus=2.0)
    yield from _with_labels("sigmoid_crossentropy", "large logits", (8, 20), False, "large")
    yield from _with_labels("binary_crossentropy", "clipped", (3, 5), False, "clipped")
    for name in ("softmax_crossentropy", "crossentropy", "sigmoid_crossentropy", "binary_crossentropy"):
        yield from _with_labels(name, "not a number", (3, 5), False, "nan")


def _pointwise_loss_cases() -> Iterable[Case]:
    for function in POINTWISE_LOSSES:
        parameters = _PARAMETERS.get(function, ((),))
        for reason in ("ten classes", "one sample", "classes of pixels"):
            yield from _pointwise_loss(function, reason, _CLASSES[reason], parameters[0])
        for other in parameters[1:]:
            yield from _pointwise_loss(function, f"parameters {other}", (3, 5), other)
        yield from _pointwise_loss(function, "not a number", (3, 5), parameters[0], "nan")
    for function in ("squared_logarithmic", "divergence", "focal"):
        yield from _pointwise_loss(function, "clipped", (3, 5), _PARAMETERS.get(function, ((),))[0], "clipped")


_PARAMETERS: dict[str, tuple[tuple[float, ...], ...]] = {
    "huber": ((1.0,), (0.3,)),
    "focal": ((2.0, 1.0, 1.0), (2.0, 0.25, 0.75), (0.5, 1.0, 1.0), (0.0, 1.0, 1.0)),
}


def _pointwise_loss(
    function: str, reason: str, y: Shape, parameters: tuple[float, ...], numbers: str = "normal"
) -> Iterable[Case]:
    shapes, attributes = dict(y=y, labels=y, loss=y[:1], dloss=y[:1], dy=y), dict(function=function, parameters=parameters)
    yield from _pair("pointwise_loss", f"{function}, {reason}", shapes, attributes, {}, numbers)


def _metric_cases() -> Iterable[Case]:
    for n in (1, 3, 17):
        yield _weighted_loss(f"batch of {n}", n)
        shapes: dict[str, Any] = dict(values=(n,), weight=(n,), accumulator=(2,))
        yield Case("mean_metric", f"batch of {n}", shapes, {}, dict(accumulator="float64"))
    yield _weighted_loss("evaluation: no gradient", 3, gradient=False)
    yield _weighted_loss("not finite", 3, numbers="nonfinite")
    yield _weighted_loss("not finite again", 3, numbers="stopped")
    for reason, s in _CLASSES.items():
        for form in ("categorical", "sparse", "binary"):
            yield _accuracy(f"{form}, {reason}", s, form)
    yield _accuracy("ties: the first wins", (8, 5), "sparse", "grid")


def _weighted_loss(reason: str, n: int, gradient: bool = True, numbers: str = "normal") -> Case:
    shapes = dict(loss=(n,), weight=(n,), dloss=(n,) if gradient else None, accumulator=(2,), scalars=(Scalars.COUNT,))
    dtypes = dict(accumulator="float64", scalars="int64")
    return Case("weighted_loss", reason, shapes, dict(scale=0.7), dtypes, numbers)


def _accuracy(reason: str, y: Shape, form: str, numbers: str = "normal") -> Case:
    sparse = form == "sparse"
    shapes = dict(y=y, labels=y[:-1] if sparse else y, weight=y[:1], accumulator=(2,))
    dtypes = dict(accumulator="float64") | (dict(labels="int32") if sparse else {})
    return Case("accuracy", reason, shapes, dict(form=form), dtypes, numbers)


# ------ optimizers


def _optimizer_cases() -> Iterable[Case]:
    for rule in RULES:
        for w in ((3, 3, 5, 17), (40, 33), (7,)):
            yield _step(rule, f"weights of rank {len(w)}", w)
        yield _step(rule, "after a loss that is not finite", (5, 7), numbers="stopped")
    for rule in ("sgd", "adam"):
        yield _step(rule, "a factor for the gradient", (40, 33), scaled=True)
        yield _step(rule, "gradients beyond the limit", (40, 33), clipvalue=0.5)
        yield _step(rule, "weights that decay", (40, 33), weight_decay=2.0)
    for reason, xs in (
        ("one bias", [(7,)]),
        ("a kernel", [(3, 3, 5, 17)]),
        ("more rows than chunks of them", [(201, 20)]),
        ("all weights of a network", [(3, 3, 1, 16), (16,), (40, 33), (33,)]),
    ):
        for limit in (0.25, 1e3):
            told = "longer than the limit" if limit < 1 else "short enough"
            yield Case("clip_factor", f"{reason}, {told}", dict(xs=xs, factor=(1,)), dict(limit=limit))


def _regularization_cases() -> Iterable[Case]:
    for reason, w in (
        ("a bias", (7,)),
        ("a kernel", (3, 3, 5, 17)),
        ("more rows than chunks of them", (201, 20)),
        ("whole vectors", (9, 32)),
    ):
        rates = dict(l1=0.3, l2=0.2)
        yield Case("penalty", reason, dict(w=w, accumulator=(2,)), rates, dict(accumulator="float64"))
        yield Case("penalty_gradient", reason, dict(w=w, dw=w, y=w), rates)
        cut = dict(axes=1, low=0.0, high=1.0, rate=1.0, positive=True)
        for axes in range(1, len(w) + 1):
            yield _constrain(f"{reason}, norms over {axes} axes", w, {**_LIMITS, "axes": axes})
        yield _constrain(f"{reason}, not below 0", w, cut)
    for told, limits in (("norms", _LIMITS), ("not below 0", cut)):
        yield _constrain(f"{told}, after a loss that is not finite", (5, 7), limits, numbers="stopped")


_LIMITS = dict(axes=1, low=0.5, high=2.0, rate=0.75, positive=False)


def _constrain(reason: str, w: Shape, limits: Mapping[str, Any], numbers: str = "normal") -> Case:
    shapes = dict(w=w, scalars=(Scalars.COUNT,))
    return Case("constrain", reason, shapes, limits, dict(scalars="int64"), numbers)


def _step(rule: str, reason: str, w: Shape, numbers: str = "normal", scaled: bool = False, **attributes: float) -> Case:
    shapes = dict(w=w, dw=w, slots=[w] * len(RULES[rule]), factor=(1,) if scaled else None, scalars=(Scalars.COUNT,))
    chosen = dict(rule=rule, beta_1=0.9, beta_2=0.99, **attributes)
    return Case("optimizer_step", f"{rule}, {reason}", shapes, chosen, dict(scalars="int64"), numbers)


# ------ the list

_TABLES: tuple[Callable[[], Iterable[Case]], ...] = (
    _data_cases,
    _conv_cases,
    _conv_pool_cases,
    _conv_transpose_cases,
    _dense_cases,
    _pool_cases,
    _norm_cases,
    _group_norm_cases,
    _elementwise_cases,
    _dropout_cases,
    _embedding_cases,
    _augment_cases,
    _shape_cases,
    _spatial_cases,
    _loss_cases,
    _pointwise_loss_cases,
    _metric_cases,
    _optimizer_cases,
    _regularization_cases,
)


@cache
def cases() -> tuple[Case, ...]:
    """Every case, in the order of api.py."""
    return tuple(case for table in _TABLES for case in table())


@cache
def heavy_cases() -> tuple[Case, ...]:
    """Layers of the tutorials' networks in full size."""

    def layers() -> Iterable[Case]:
        yield from _conv("T3 layer 2", (64, 13, 13, 32), 64, (3, 3), activation="relu")
        yield from _conv("T3 layer 3", (64, 5, 5, 64), 64, (3, 3), activation="relu")
        yield from _conv("T4 layer 2", (32, 32, 32, 32), 64, (3, 3), padding="same", activation="relu")
        yield from _conv("T4 layer 3", (32, 16, 16, 64), 128, (3, 3), padding="same", activation="relu")
        yield from _conv("T4 layer 4", (32, 8, 8, 128), 128, (2, 2), padding="same", activation="relu")
        yield from _conv("T3 layer 1", (64, 28, 28, 1), 32, (3, 3), activation="relu", pool=(2, 2), numbers="grid")
        yield from _dense("T4 dense", (128, 2048), 1500, "relu")
        yield from _pool("max_pool", "T4 pool 1", (64, 32, 32, 64), (2, 2), 2, numbers="grid")
        yield from _batch_norm("T5 layer", (64, 32, 32, 33))

    return tuple(layers())

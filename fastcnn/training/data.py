"""Data on its way into programs: everything about it is checked here, before anything runs.

Interface     what a compiled model takes: names and shapes of its inputs and outputs, and what labels they need
Samples       checked arrays, as programs bind them
ArrayFeed     batches of arrays in memory, gathered by a shuffled index
StreamFeed    batches that a generator or a PyDataset yields
Batch         one run of a program
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from fastcnn_kernels.random import reference as random
from numpy.typing import NDArray

from ..losses import Loss, Target
from ..trace import Shape
from ..utils.suggest import unknown

Array = NDArray[Any]
ShuffleKey = tuple[int, int]
"""The seed and the number of training steps done: what a shuffle is drawn from."""

SHUFFLE_STREAM = 0  # dropout steps count theirs from 1
INPUT_DTYPES = frozenset(map(np.dtype, ("uint8", "float32")))
LABEL_DTYPES = frozenset(map(np.dtype, ("uint8", "int32", "int64", "float32", "float64")))


# What the model takes.


@dataclass
class Interface:
    """Inputs and outputs by name, shapes with None for the batch; `losses` says how labels enter, None where none do."""

    input_names: list[str]
    input_shapes: list[Shape]
    output_names: list[str]
    output_shapes: list[Shape]
    losses: list[Loss | None]

    def __post_init__(self) -> None:
        self.labelled = [name for name, _, loss in self._outputs() if loss is not None]

    def samples(self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> "Samples":
        """Check and convert inputs, labels and weights. ValueError where anything does not fit."""
        xs, ys = self._inputs(x), self.labels(y)
        weights = self._weights(sample_weight, self.labelled)
        _same_length(x=xs, y=ys, sample_weight=weights)
        targets = tuple(None if loss is None else loss.target(shape, ys[name]) for name, shape, loss in self._outputs())
        labels = [_shaped(ys[n], target) for n, target in zip(self.output_names, targets, strict=True) if target is not None]
        ones = np.ones(len(next(iter(xs.values()))), np.float32)
        samples = Samples(list(xs.values()), labels, [weights.get(name, ones) for name in ys], targets)
        not_both(sample_weight, class_weight)
        return samples if class_weight is None else samples.by_class(class_weight)

    def inputs(self, x: Any) -> "Samples":
        """Check and convert inputs alone, for prediction."""
        xs = self._inputs(x)
        _same_length(x=xs)
        return Samples(list(xs.values()), [], [], ())

    def _outputs(self) -> Iterator[tuple[str, Shape, Loss | None]]:
        return zip(self.output_names, self.output_shapes, self.losses, strict=True)

    def _inputs(self, x: Any) -> dict[str, Array]:
        if x is None:
            raise ValueError("x is missing: pass the inputs")
        entries = _arrange("x", x, self.input_names, len(self.input_shapes[0]))
        shapes = zip(self.input_names, self.input_shapes, strict=True)
        return {name: _input(f"input {name!r}", entries[name], shape) for name, shape in shapes}

    def labels(self, y: Any) -> dict[str, Array]:
        """The labels by the name of their output, as arrays; whether a loss takes them is not checked."""
        if y is None:
            raise ValueError(f"y is missing: pass the labels of {', '.join(self.labelled)}")
        if isinstance(y, list | tuple) and len(y) == len(self.output_names) != len(self.labelled):
            y = [entry for entry, loss in zip(y, self.losses, strict=True) if loss is not None]
        entries = _arrange("y", y, self.labelled, 0)
        return {name: _label(f"y of {name!r}", entry) for name, entry in entries.items()}

    def _weights(self, weights: Any, names: list[str]) -> dict[str, Array]:
        if weights is None:
            return {}
        nested = isinstance(weights, Mapping) or (
            isinstance(weights, list | tuple) and len(names) > 1 and len(weights) == len(names)
        )
        entries = _arrange("sample_weight", weights, names, 0) if nested else dict.fromkeys(names, weights)
        return {name: _sample_weight(entry) for name, entry in entries.items() if entry is not None}


@dataclass
class Samples:
    """Checked arrays: inputs, labels and weights of the outputs that have them, C-contiguous, samples along the first axis.

    targets   an output's label shape and dtype inside programs, None where it has no labels; () where nothing has
    """

    x: list[Array]
    y: list[Array]
    weights: list[Array]
    targets: tuple[Target | None, ...]

    def __post_init__(self) -> None:
        # Views of their own: a device keeps its copy of an array for as long as it is bound to the very same object, and the
        # caller may fill his with other numbers for the next call.
        self.x, self.y, self.weights = ([array[:] for array in arrays] for arrays in (self.x, self.y, self.weights))

    def __len__(self) -> int:
        return len(self.x[0])

    def __getitem__(self, rows: slice) -> "Samples":
        return Samples([a[rows] for a in self.x], [a[rows] for a in self.y], [a[rows] for a in self.weights], self.targets)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Of the inputs, then of the labels."""
        return tuple(_dtype_name(array.dtype) for array in (*self.x, *self.y))

    def by_class(self, class_weight: Any) -> "Samples":
        """The same samples, weighted by their class."""
        return Samples(self.x, self.y, [_class_weights(class_weight, self.y)], self.targets)

    def split(self, share: float) -> tuple["Samples", "Samples"]:
        """The first samples, and the last `share` of them, as Keras divides them."""
        if not (isinstance(share, int | float) and 0 < share < 1):
            raise ValueError(f"validation_split must lie between 0 and 1, got {share!r}")
        at = math.floor(len(self) * (1.0 - share))
        if not 0 < at < len(self):
            raise ValueError(
                f"{len(self)} samples cannot be split with validation_split={share}: {at} would be left for training "
                f"and {len(self) - at} for validation"
            )
        return self[:at], self[at:]


@cache
def _dtype_name(dtype: np.dtype[Any]) -> str:
    return dtype.name


# One argument, array by array.


def numbers(name: str, value: Any) -> Array:
    """`value` as an array of numbers with at least one sample; ValueError otherwise."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: rows of different lengths do not make an array; pad or crop them first ({error})") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must hold real numbers, got an array of dtype {array.dtype}; convert it to float32 or uint8 first"
        )
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array with samples along its first axis, got the number {array}")
    if len(array) == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}")
    return array


def _arrange(argument: str, value: Any, names: list[str], rank: int) -> dict[str, Any]:
    """The entries of `value`, a dict, a list or an array, by name."""
    if isinstance(value, Mapping):
        missing, extra = [n for n in names if n not in value], [n for n in value if n not in names]
        if extra:
            raise unknown(f"name in {argument}", extra[0], names)
        if missing:
            raise ValueError(f"{argument} lacks {', '.join(missing)}; expected a dict with {', '.join(names)}")
        return {name: value[name] for name in names}
    if len(names) == 1:
        single = isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], np.ndarray)
        return {names[0]: value[0] if single and np.ndim(value[0]) >= max(rank, 1) else value}
    if isinstance(value, list | tuple) and len(value) == len(names):
        return dict(zip(names, value, strict=True))
    got = f"a list of {len(value)}" if isinstance(value, list | tuple) else f"one {type(value).__name__}"
    raise ValueError(
        f"{argument} must be a list of {len(names)} arrays ({', '.join(names)}) or a dict by these names, got {got}"
    )


def _input(name: str, value: Any, shape: Shape) -> Array:
    array = numbers(name, value)
    if array.ndim == 1 and shape[1:] == (1,):
        array = array[:, None]
    if array.shape[1:] != tuple(shape[1:]):
        raise ValueError(
            f"{name} must have shape {_shown(shape[1:])}, got {array.shape}{_advice(array.shape, tuple(shape[1:]))}"
        )
    return np.ascontiguousarray(array, None if array.dtype in INPUT_DTYPES else np.float32)


def _shown(rows: Sequence[int | None]) -> str:
    return f"(n, {', '.join(map(str, rows))})"


def _advice(shape: tuple[int, ...], rows: tuple[Any, ...]) -> str:
    if shape == rows:
        return ": this is one sample, x[None] makes a batch of it"
    if (*shape[1:], 1) == rows:
        return ": x[..., None] adds the channel axis"
    if len(rows) > 1 and (rows[-1], *rows[:-1]) == shape[1:]:
        return ": channels come last here, np.moveaxis(x, 1, -1) moves them"
    if math.prod(shape[1:]) == math.prod(rows):
        return f": the numbers fit, x.reshape(-1, {', '.join(map(str, rows))}) arranges them"
    return ""


def _label(name: str, value: Any) -> Array:
    array = numbers(name, value)
    if array.dtype in LABEL_DTYPES:
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int64)


def _shaped(array: Array, target: Target) -> Array:
    return array.reshape(len(array), *target[0])


def _sample_weight(value: Any) -> Array:
    array = numbers("sample_weight", value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"sample_weight must be one number a sample, of shape (n,), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("sample_weight holds values that are NaN or infinite")
    return np.ascontiguousarray(array, np.float32)


def not_both(sample_weight: Any, class_weight: Any) -> None:
    """ValueError where both kinds of weights are given."""
    if sample_weight is not None and class_weight is not None:
        raise ValueError("sample_weight and class_weight cannot be combined: multiply the class's weight into sample_weight")


def _class_weights(class_weight: Any, labels: list[Array]) -> Array:
    if len(labels) != 1:
        raise ValueError(
            f"class_weight needs a model with one output that has labels, this one has {len(labels)}; use sample_weight"
        )
    if not isinstance(class_weight, Mapping):
        raise ValueError(f"class_weight must be a dict from class number to weight, got {class_weight!r}")
    classes = _classes(labels[0])
    weights = np.ones(len(classes), np.float32)
    for number, weight in class_weight.items():
        if not isinstance(number, int | np.integer) or not (
            isinstance(weight, int | float | np.number) and np.isfinite(weight)
        ):
            raise ValueError(f"class_weight must map class numbers to finite weights, got {number!r}: {weight!r}")
        weights[classes == number] = weight
    return weights


def _classes(labels: Array) -> Array:
    if labels.ndim > 2:
        raise ValueError(f"class_weight needs one label a sample, got labels of shape {labels.shape}")
    if labels.ndim == 2 and labels.shape[1] > 1:
        return labels.argmax(axis=-1)
    return np.round(labels.reshape(-1)).astype(np.int64)


def _same_length(**arguments: Mapping[str, Array]) -> None:
    if len({len(array) for arrays in arguments.values() for array in arrays.values()}) > 1:
        told = [
            f"{argument} of {name!r} has {len(array)}" if len(arrays) > 1 else f"{argument} has {len(array)}"
            for argument, arrays in arguments.items()
            for name, array in arrays.items()
        ]
        raise ValueError(f"all arrays must have the same number of samples: {', '.join(told)}")


def positive(name: str, value: Any) -> int:
    """`value` as a whole number of at least 1; ValueError otherwise."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


# Batches.


@dataclass(slots=True)
class Batch:
    """One run of a program: the samples index[first : first + size], and where predictions go."""

    program: Any
    samples: Samples
    index: Array | None
    outputs: list[Array]
    first: int
    size: int

    def bind(self) -> None:
        """Point the program at the batch's arrays."""
        self.program.bind(self.samples.x, self.samples.y, self.samples.weights, self.index, self.outputs)

    def run(self) -> None:
        """Run the program, which must be bound to the batch's arrays."""
        self.program.run(self.first)

    def labels(self) -> list[Array]:
        """The labels of the batch."""
        return self._rows(self.samples.y)

    def weights(self) -> list[Array]:
        """The weights of its samples, as the labels are listed."""
        return self._rows(self.samples.weights)

    def _rows(self, arrays: list[Array]) -> list[Array]:
        rows: Any = slice(self.first, self.first + self.size)
        return [array[rows if self.index is None else self.index[rows]] for array in arrays]

    def predictions(self) -> list[Array]:
        """The outputs of the batch, after `run`."""
        return [output[self.first : self.first + self.size] for output in self.outputs]


class Programs:
    """The programs of one mode, by batch size, and arrays for what they export."""

    def __init__(self, executor: Any, mode: str, output_shapes: Sequence[Shape], export: bool):
        self.executor, self.mode, self.export = executor, mode, export
        self.shapes: list[Any] = [shape[1:] for shape in output_shapes] if export else []

    def program(self, size: int, samples: Samples) -> Any:
        """The program for batches of `size` of such samples."""
        return self.executor.program(self.mode, size, samples.dtypes, samples.targets, self.export and self.mode != "predict")

    def batch(self, samples: Samples) -> Batch:
        """All these samples, as they lie, as one batch that its program is bound to."""
        size = len(samples)
        batch = Batch(self.program(size, samples), samples, None, self.outputs(size), 0, size)
        batch.bind()
        return batch

    def outputs(self, count: int) -> list[Array]:
        """An empty array for the predictions of `count` samples, for each output that is exported."""
        return [np.empty((count, *shape), self.executor.backend.dtype) for shape in self.shapes]


class Repeat:
    """A prediction once more, for an array of the last one's shape and dtype: it would pass the same checks, and meet the same
    program, whose own work on one picture takes no longer than these."""

    def __init__(self, batch: Batch):
        self.program, (x,), self.outputs = batch.program, batch.samples.x, batch.outputs
        self.shape, self.dtype = x.shape, x.dtype

    def fits(self, x: Any) -> bool:
        """Whether `x` is such an array, and the program still the model's."""
        return (
            type(x) is np.ndarray
            and x.shape == self.shape
            and x.dtype == self.dtype
            and x.flags.c_contiguous
            and self.program.is_current()
        )

    def __call__(self, x: Array) -> Array:
        """The outputs for `x`, which must fit."""
        self.program.bind((x[:],), outputs=self.outputs)
        self.program.run()
        return self.outputs[0].copy()


class Feed:
    """Batches, epoch by epoch. `steps` is the number in an epoch, None where only the data know.

    per_epoch   an epoch is this many batches; the next one goes on where it ended
    """

    passes: int | None = None
    """Batches in one pass over the data, None where only the data know."""

    def __init__(self, per_epoch: int | None):
        self.per_epoch = None if per_epoch is None else positive("steps_per_epoch", per_epoch)
        self._current: Iterator[Batch] = iter(())

    @property
    def steps(self) -> int | None:
        """Batches in an epoch."""
        return self.per_epoch or self.passes

    def batches(self, programs: Programs, key: ShuffleKey | None) -> Iterator[Batch]:
        """One pass over the data, in the order of `key`, or as they lie."""
        raise NotImplementedError

    def build(self, programs: Programs) -> None:
        """Build the programs that are known to be needed, so that errors come before anything runs."""

    def epoch(self, programs: Programs, key: Callable[[], ShuffleKey | None] = lambda: None) -> Iterator[Batch]:
        """The batches of an epoch; `key` is asked for whenever a pass begins. ValueError where the data end too early."""
        if self.per_epoch is None:
            yield from _not_empty(self.batches(programs, key()))
            return
        for _ in range(self.per_epoch):
            batch = next(self._current, None)
            if batch is None:
                self._current = _not_empty(self.batches(programs, key()))
                batch = next(self._current)
            yield batch


def _not_empty(batches: Iterator[Batch]) -> Iterator[Batch]:
    first = next(batches, None)
    if first is None:
        raise ValueError(
            "the data ended: no batch came. A generator can be gone through once only; let it go on for ever and pass "
            "steps_per_epoch (validation_steps, steps), or use a utils.PyDataset"
        )
    return itertools.chain([first], batches)


class ArrayFeed(Feed):
    """Batches of arrays in memory; the last one of a pass may be smaller."""

    def __init__(self, samples: Samples, batch_size: int, per_epoch: int | None = None):
        super().__init__(per_epoch)
        self.samples, self.batch_size = samples, batch_size
        self.passes = -(-len(samples) // batch_size)

    def _parts(self) -> list[tuple[int, range]]:
        """(size, where batches of this size begin): all full batches, and the last where it is smaller."""
        rest = len(self.samples) % self.batch_size
        whole = len(self.samples) - rest
        parts = [(self.batch_size, range(0, whole, self.batch_size)), (rest, range(whole, whole + 1))]
        return [(size, firsts) for size, firsts in parts if size and firsts]

    def build(self, programs: Programs) -> None:
        """Build the programs of both sizes."""
        for size, _ in self._parts():
            programs.program(size, self.samples)

    def batches(self, programs: Programs, key: ShuffleKey | None) -> Iterator[Batch]:
        """One pass over the samples."""
        index = None if key is None else random.permutation(*key, SHUFFLE_STREAM, len(self.samples))
        outputs = programs.outputs(len(self.samples))
        for size, firsts in self._parts():
            program = programs.program(size, self.samples)
            Batch(program, self.samples, index, outputs, 0, size).bind()
            for first in firsts:
                yield Batch(program, self.samples, index, outputs, first, size)


class StreamFeed(Feed):
    """Batches that come from an iterator, an iterable, or an object with `__len__` and `__getitem__`, as they come.

    prepare   makes Samples of what is yielded
    """

    def __init__(self, source: Any, prepare: Callable[[Any], Samples], per_epoch: int | None = None):
        super().__init__(per_epoch)
        self.source, self.prepare = source, prepare
        if _indexable(source):
            self.passes = positive(f"the length of {type(source).__name__}", len(source))

    def _items(self, key: ShuffleKey | None) -> Iterable[Any]:
        if not _indexable(self.source):
            return self.source
        order = range(len(self.source)) if key is None else random.permutation(*key, SHUFFLE_STREAM, len(self.source)).tolist()
        return (self.source[k] for k in order)

    def batches(self, programs: Programs, key: ShuffleKey | None) -> Iterator[Batch]:
        """One pass over what the source yields."""
        for item in self._items(key):
            yield programs.batch(self.prepare(item))
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()


def is_stream(x: Any) -> bool:
    """Whether x yields batches, rather than being arrays."""
    if isinstance(x, list | tuple | Mapping | str | bytes) or hasattr(x, "__array__"):
        return False
    return hasattr(x, "__next__") or _indexable(x) or hasattr(x, "__iter__")


def _indexable(source: Any) -> bool:
    return hasattr(source, "__len__") and hasattr(source, "__getitem__")


def first_item(source: Any) -> tuple[Any, Any]:
    """The first batch of a stream, and the stream with that batch still in it."""
    if _indexable(source):
        return source[0], source
    iterator = iter(source)
    item = next(iterator)
    return item, itertools.chain([item], iterator) if iterator is source else source


def unpacked(item: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of what a generator yields, or of validation_data: x, (x,), (x, y) or (x, y, sample_weight)."""
    if not isinstance(item, list | tuple):
        return item, None, None
    if not 1 <= len(item) <= 3:
        raise ValueError(f"expected (x, y) or (x, y, sample_weight), got a {type(item).__name__} of {len(item)}")
    return (*item, None, None)[:3]

"""Data on the way into programs: what is taken, what is refused, and that refusing changes nothing."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fastcnn.losses import get
from fastcnn.training.data import ArrayFeed, Interface, Samples, is_stream

from .conftest import Array, classifier, two_headed

X, Y = np.zeros((6, 4), np.float32), np.array([0, 1, 2, 0, 1, 2])


def fit(**options: Any) -> Any:
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.get_weights()
    try:
        model.fit(**{"x": X, "y": Y, "verbose": 0, **options})
    finally:
        unchanged = all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
        assert unchanged
        assert model.optimizer.iterations == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(x=np.zeros((6, 5))), r"input .* must have shape \(n, 4\), got \(6, 5\)"),
        (dict(x=np.zeros(4)), r"one sample, x\[None\]"),
        (dict(x=np.zeros((6, 2, 2))), r"x\.reshape\(-1, 4\)"),
        (dict(x=None), "x is missing"),
        (dict(y=None), "y is missing"),
        (dict(y=Y[:5]), "x has 6, y has 5"),
        (dict(sample_weight=np.ones(5)), "x has 6, y has 6, sample_weight has 5"),
        (dict(sample_weight=np.ones((6, 2))), r"one number a sample.*got \(6, 2\)"),
        (dict(sample_weight=[1, 1, 1, 1, 1, np.nan]), "sample_weight holds values that are NaN"),
        (dict(x=np.zeros((0, 4)), y=Y[:0]), r"empty: its shape is \(0, 4\)"),
        (dict(x=[[1, 2, 3, 4], [1, 2]], y=Y[:2]), "rows of different lengths"),
        (dict(x=np.array([["a"] * 4] * 6)), "real numbers, got an array of dtype <U1"),
        (dict(x=np.zeros((6, 4), complex)), "complex128"),
        (dict(x=np.zeros((6, 4), object)), "object"),
        (dict(x=3.0), "the number 3.0"),
        (dict(y=np.eye(3)[Y]), "one-hot"),
        (dict(y=Y + 1), r"0 \.\. 2.*got 3"),
        (dict(batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
        (dict(batch_size=2.5), "batch_size"),
        (dict(epochs=-1), "epochs"),
        (dict(initial_epoch="2"), "initial_epoch"),
        (dict(validation_split=1.0), "between 0 and 1, got 1.0"),
        (dict(validation_split=-0.1), "between 0 and 1"),
        (dict(validation_split=0.99), "6 samples cannot be split.*0 would be left for training"),
        (dict(validation_data=(X, Y, None, 3)), r"\(x, y, sample_weight\), got a tuple of 4"),
        (dict(validation_data=(X, Y + 1)), "got 3"),
        (dict(validation_data=(X,)), "y is missing"),
        (dict(validation_data=(X[:, :2], Y)), "must have shape"),
        (dict(validation_batch_size=0, validation_split=0.5), "at least 1, got 0"),
        (dict(validation_freq=0), "validation_freq"),
        (dict(steps_per_epoch=0), "steps_per_epoch"),
        (dict(verbose=3), "verbose must be 0"),
        (dict(class_weight={0: 2.0}, sample_weight=np.ones(6)), "cannot be combined"),
        (dict(class_weight=[1, 2, 3]), "class_weight must be a dict"),
        (dict(class_weight={"cat": 2.0}), "'cat': 2.0"),
        (dict(class_weight={0: np.inf}), "finite weights"),
        (dict(x=iter([(X, Y)])), "leave y out"),
        (dict(x=iter([(X, Y)]), y=None, validation_split=0.5), "validation_split needs arrays"),
        (dict(x=iter([(X, Y + 1)]), y=None), "got 3"),
        (dict(x=iter([]), y=None), "no batch came"),
    ],
)
def test_refused_before_anything_changes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(**options)


@pytest.mark.parametrize(
    ("shape", "x", "message"),
    [
        ((None, 28, 28, 1), (5, 28, 28), r"x\[\.\.\., None\] adds the channel axis"),
        ((None, 28, 28, 1), (28, 28, 1), r"x\[None\]"),
        ((None, 32, 32, 3), (5, 3, 32, 32), r"np\.moveaxis\(x, 1, -1\)"),
        ((None, 28, 28, 1), (5, 784), r"x\.reshape\(-1, 28, 28, 1\)"),
    ],
)
def test_advice_for_shapes(shape: tuple, x: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Interface(["image"], [shape], ["y"], [(None, 3)], [None]).inputs(np.zeros(x, np.float32))


def test_inputs_of_different_lengths() -> None:
    interface = Interface(["a", "b"], [(None, 3), (None, 4)], ["y"], [(None, 7)], [None])
    with pytest.raises(ValueError, match="x of 'a' has 6, x of 'b' has 5"):
        interface.inputs([np.zeros((6, 3)), np.zeros((5, 4))])


def test_dtypes() -> None:
    """uint8 and float32 stay, labels too where kernels read them; the rest is converted once."""
    interface = Interface(["x"], [(None, 4)], ["y"], [(None, 3)], [get("sparse_categorical_crossentropy")])

    def dtypes(x: Any, y: Any) -> tuple[str, ...]:
        return interface.samples(x, y).dtypes

    assert dtypes(X.astype(np.uint8), Y) == ("uint8", "int64")
    assert dtypes(X.astype(np.float64), Y.astype(np.uint8)) == ("float32", "uint8")
    assert dtypes(X.astype(np.int32), Y.astype(np.int8)) == ("float32", "int64")
    assert dtypes(X.astype(bool), Y.astype(np.float16)) == ("float32", "float32")
    assert dtypes(X.tolist(), Y.tolist()) == ("float32", "int64")


def test_arrays_that_fit_are_not_copied() -> None:
    x = np.ones((6, 4), np.float32)
    samples = Interface(["x"], [(None, 4)], ["y"], [(None, 3)], [get("sparse_categorical_crossentropy")]).samples(x, Y)
    assert samples.x[0].base is x
    assert samples.y[0].base is Y or samples.y[0] is Y
    fortran = Interface(["x"], [(None, 4)], ["y"], [(None, 3)], [None]).inputs(np.asfortranarray(x))
    assert fortran.x[0].flags.c_contiguous


def test_several_inputs_and_outputs(two_data: tuple) -> None:
    x, y = two_data
    model = two_headed()
    model.compile("sgd", ["sparse_categorical_crossentropy", "mse"])
    as_lists = model.evaluate(x, y, verbose=0)
    assert model.evaluate(dict(left=x[0], right=x[1]), dict(size=y[1], kind=y[0]), verbose=0) == as_lists
    assert model.evaluate((x[0], x[1]), (y[0], y[1][:, None]), verbose=0) == as_lists
    for bad, message in [
        ((x[0], y), r"x must be a list of 2 arrays \(left, right\) or a dict by these names, got one ndarray"),
        (([x[0]], y), "got a list of 1"),
        ((dict(left=x[0]), y), "x lacks right"),
        ((dict(left=x[0], rigth=x[1]), y), "did you mean 'right'"),
        (([x[0], x[1][:9]], y), "x of 'left' has 18, x of 'right' has 9"),
        ((x, y[0]), r"y must be a list of 2 arrays \(kind, size\)"),
        ((x, dict(kind=y[0])), "y lacks size"),
        ((x, [y[0], np.zeros((18, 2))]), r"mean_squared_error expects labels of shape \('n', 1\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.evaluate(*bad, verbose=0)
    with pytest.raises(ValueError, match="one output that has labels, this one has 2"):
        model.fit(x, y, class_weight={0: 2.0}, verbose=0)


def test_labels_of_an_output_without_loss_are_left_out(two_data: tuple) -> None:
    x, y = two_data
    model = two_headed()
    model.compile("sgd", [None, "mse"])
    only = model.evaluate(x, y[1], verbose=0)
    assert model.evaluate(x, y, verbose=0) == model.evaluate(x, dict(size=y[1]), verbose=0) == only
    assert isinstance(only, float)


class Steps:
    """Stands for programs: keeps what it is bound to."""

    def program(self, size: int, samples: Samples) -> "Steps":
        return self

    def outputs(self, count: int) -> list[Array]:
        return []

    def bind(self, x: list[Array], y: Any, weights: Any, index: Array | None, outputs: Any) -> None:
        self.x, self.index = x[0], np.arange(len(x[0])) if index is None else index


def ran(feed: ArrayFeed, key: Any, steps: Any = None) -> list[list[float]]:
    steps, found = steps or Steps(), []
    for batch in feed.epoch(steps, lambda: key):
        found.append(steps.x[steps.index[batch.first : batch.first + batch.size], 0].tolist())
    return found


def samples(count: int) -> Samples:
    return Samples([np.arange(count, dtype=np.float32)[:, None]], [], [], ())


@pytest.mark.parametrize(("count", "size", "sizes"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (5, 1, [1] * 5)])
def test_batches_of_arrays(count: int, size: int, sizes: list[int]) -> None:
    batches = ran(ArrayFeed(samples(count), size), None)
    assert [len(batch) for batch in batches] == sizes
    assert [n for batch in batches for n in batch] == list(range(count))
    assert ArrayFeed(samples(count), size).steps == len(sizes)


def test_shuffles_are_permutations_keyed_by_seed_and_step() -> None:
    feed = ArrayFeed(samples(50), 8)
    keys = [(1, 0), (1, 0), (1, 7), (2, 0)]
    one, again, other_step, other_seed = ([n for batch in ran(feed, key) for n in batch] for key in keys)
    assert one == again
    assert one != other_step != other_seed != one
    assert sorted(one) == list(range(50))
    assert one != list(range(50))


def test_epochs_of_some_steps_go_on_where_the_last_ended() -> None:
    feed, steps = ArrayFeed(samples(10), 4, per_epoch=2), Steps()
    epochs = [[batch[0] for batch in ran(feed, None, steps)] for _ in range(3)]
    assert epochs == [[0, 4], [8, 0], [4, 8]]


@pytest.mark.parametrize(
    ("x", "stream"),
    [(X, False), ([1, 2], False), ((X, X), False), ({"a": X}, False), (iter([X]), True), (range(3), True), ("abc", False)],
)
def test_is_stream(x: Any, stream: bool) -> None:
    assert is_stream(x) is stream


def test_stream_of_a_generator_function(data: tuple) -> None:
    x, y = data

    def endless() -> Iterator[tuple[Array, Array]]:
        while True:
            for first in range(0, 25, 10):
                yield x[first : first + 10], y[first : first + 10]

    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(endless(), steps_per_epoch=3, epochs=2, verbose=0)
    other = classifier()
    other.set_weights(model.get_weights())
    assert model.optimizer.iterations == 6

"""to_categorical against Keras 3's documented behaviour, train_test_split against scikit-learn itself."""

import numpy as np
import pytest
import sklearn.model_selection
from hypothesis import given
from hypothesis import strategies as st

from fastcnn.utils import to_categorical, train_test_split


def test_to_categorical_as_in_keras_s_example():
    one_hot = to_categorical([0, 1, 2, 3], num_classes=4)
    np.testing.assert_array_equal(one_hot, np.eye(4))
    assert one_hot.dtype == np.float64


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (5,)),  # one label
        ((6,), (6, 5)),
        ((6, 1), (6, 5)),  # as cifar10 gives them: the axis of length 1 goes
        ((1,), (1, 5)),  # but not where it is the only one
        ((2, 3), (2, 3, 5)),
        ((2, 3, 1), (2, 3, 5)),
        ((0,), (0, 5)),  # none
    ],
)
def test_to_categorical_appends_the_class_axis(shape, expected):
    labels = np.random.RandomState(0).randint(0, 5, shape).astype(np.uint8)
    one_hot = to_categorical(labels, 5)
    assert one_hot.shape == expected
    np.testing.assert_array_equal(one_hot.argmax(-1).ravel(), labels.ravel())
    np.testing.assert_array_equal(one_hot.sum(-1), 1)


def test_to_categorical_counts_the_classes():
    assert to_categorical(np.array([0.0, 2.0])).shape == (2, 3)


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        ([0, -1], None, r"0 \.\. 0 .* got -1"),
        ([0, 10, 11], 10, r"0 \.\. 9 .* got 10 and 1 more"),
        ([0.5], 2, "whole numbers, got 0.5"),
        ([float("nan")], 2, "whole numbers, got nan"),
        (["cat"], None, "must be integers"),
        ([], None, "pass num_classes"),
        ([0], 0, "positive integer, got 0"),
        ([0], 2.0, "positive integer, got 2.0"),
        ([], -1, "positive integer, got -1"),
        ([-1], None, r"0 \.\. 0 .* got -1"),
    ],
)
def test_to_categorical_refuses(labels, num_classes, message):
    with pytest.raises(ValueError, match=message):
        to_categorical(labels, num_classes)


SIZES = st.one_of(st.none(), st.floats(0.01, 0.99), st.integers(1, 40))


@given(samples=st.integers(2, 40), test=SIZES, train=SIZES, seed=st.integers(0, 2**32 - 1), shuffle=st.booleans())
def test_splits_exactly_as_scikit_learn(samples, test, train, seed, shuffle):
    x, y = np.arange(3 * samples).reshape(samples, 3), list(range(samples))
    options = {"test_size": test, "train_size": train, "random_state": seed, "shuffle": shuffle}
    try:
        expected = sklearn.model_selection.train_test_split(x, y, **options)
    except ValueError:
        with pytest.raises(ValueError, match="size"):
            train_test_split(x, y, **options)
        return
    for ours, theirs in zip(train_test_split(x, y, **options), expected, strict=True):
        assert type(ours) is type(theirs)
        np.testing.assert_array_equal(ours, theirs)


def test_the_tutorial_s_split():
    x = np.arange(60_000)
    x_train, x_val = train_test_split(x, test_size=0.2, random_state=23)
    theirs = sklearn.model_selection.train_test_split(x, test_size=0.2, random_state=23)
    assert (len(x_train), len(x_val)) == (48_000, 12_000)
    np.testing.assert_array_equal(x_train, theirs[0])
    np.testing.assert_array_equal(x_val, theirs[1])


def test_without_a_seed_follows_numpy_s_global_state():
    np.random.seed(5)
    first = train_test_split(np.arange(20))
    np.random.seed(5)
    second = train_test_split(np.arange(20))
    np.testing.assert_array_equal(first[1], second[1])


def test_accepts_a_random_state():
    ours = train_test_split(np.arange(20), random_state=np.random.RandomState(3))
    np.testing.assert_array_equal(ours[1], train_test_split(np.arange(20), random_state=3)[1])


def test_parts_are_copies():
    x = np.zeros(8)
    train_test_split(x, shuffle=False)[0][:] = 1
    assert not x.any()


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ((), {}, "at least one array"),
        (([1, 2], [1, 2, 3]), {}, "same number of samples, got 2, 3"),
        (([1],), {}, "1 samples cannot"),
        (([1, 2],), {"test_size": 1.5}, "test_size must be a fraction"),
        (([1, 2],), {"train_size": True}, "train_size must be a fraction"),
        (([1, 2, 3],), {"train_size": 2, "test_size": 2}, "into 2 and 2"),
        (([1, 2],), {"random_state": "x"}, "random_state must be"),
        (([1, 2],), {"stratify": [0, 1]}, "stratified splits are not offered"),
    ],
)
def test_refuses(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        train_test_split(*arrays, **options)

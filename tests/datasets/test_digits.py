"""The bundled digits are scikit-learn's, in scikit-learn's split."""

import numpy as np
import sklearn.datasets
import sklearn.model_selection

from fastcnn.datasets import digits


def test_the_digits_are_scikit_learn_s():
    theirs = sklearn.datasets.load_digits()
    expected = sklearn.model_selection.train_test_split(theirs.images, theirs.target, test_size=0.2, random_state=0)
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    for got, want in zip((x_train, x_test, y_train, y_test), expected, strict=True):
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, want)
    assert (x_train.shape, x_test.shape) == ((1437, 8, 8), (360, 8, 8))


def test_the_caller_may_change_what_it_got():
    digits.load_data()[0][0][:] = 0
    assert digits.load_data()[0][0].any()

"""datasets.load: every data set, by name or path, in the one form of Dataset."""

import numpy as np
import pytest
from PIL import Image

from fastcnn import datasets
from fastcnn.datasets import digits


def assert_in_form(data):
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.ndim == 4
        assert x.shape[1:] == data.x_train.shape[1:]
        assert (y.shape, y.dtype) == ((len(x),), np.int64)
        assert 0 <= y.min() <= y.max() < len(data.class_names)


def test_digits_fill_the_range_of_a_byte():
    data = datasets.load("digits")
    assert_in_form(data)
    assert (data.name, len(data.class_names), data.x_train.shape) == ("digits", 10, (1437, 8, 8, 1))
    original = digits.load_data()[0][0][..., None]
    assert data.x_train.dtype == np.uint8
    np.testing.assert_allclose(data.x_train / 255, original / 16, atol=0.5 / 255)
    assert set(data.x_train[original == 16]) == {255}


@pytest.mark.parametrize(
    ("name", "shape", "labels"),
    [("mnist", (28, 28), (2,)), ("cifar10", (32, 32, 3), (2, 1))],
)
def test_mnist_and_cifar10_get_channels_and_flat_labels(monkeypatch, name, shape, labels):
    part = np.full((2, *shape), 200, np.uint8), np.array([3, 9], np.uint8).reshape(labels)
    monkeypatch.setattr(getattr(datasets, name), "load_data", lambda: (part, part))
    data = datasets.load(name)
    assert_in_form(data)
    assert data.x_test.shape == (2, shape[0], shape[1], 3 if name == "cifar10" else 1)
    assert data.x_test.max() == 200
    assert data.y_train.tolist() == [3, 9]


def save(path, x, y):
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return path


@pytest.mark.parametrize(
    ("x", "shape", "dtype"),
    [
        (np.full((4, 5, 6), 255, np.uint8), (4, 5, 6, 1), np.uint8),
        (np.full((4, 5, 6, 2), 255, np.int64), (4, 5, 6, 2), np.uint8),
        (np.full((4, 5, 6), -0.5, np.float64), (4, 5, 6, 1), np.float32),
    ],
)
def test_npz(tmp_path, x, shape, dtype):
    data = datasets.load(save(tmp_path / "mine.npz", x, np.array([[0], [2], [1], [0]])))
    assert_in_form(data)
    assert (data.name, data.class_names) == ("mine", ["0", "1", "2"])
    assert (data.x_train.shape, data.x_train.dtype) == (shape, dtype)
    np.testing.assert_array_equal(data.x_train.ravel(), x.ravel())


IMAGES, LABELS = np.zeros((3, 4, 4), np.uint8), np.arange(3)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (IMAGES[0], LABELS[:4], r"expected one entry|entry for each sample"),
        (IMAGES.reshape(3, 16), LABELS, r"expected pictures in x_train, .* got \(3, 16\); reshape"),
        (IMAGES[:, :0], LABELS, r"expected pictures in x_train, .* got \(3, 0, 4\)"),
        (IMAGES.astype(int) + 256, LABELS, "integers from 0 to 255 .* got 256 to 256; scale"),
        (IMAGES, np.eye(3), r"one integer a picture in y_train, got float64 of shape \(3, 3\); one-hot .*argmax"),
        (IMAGES, LABELS / 1.0, r"one integer a picture in y_train, got float64 of shape \(3,\)"),
        (IMAGES, LABELS - 1, "labels from 0 in y_train, got -1"),
    ],
)
def test_npz_that_holds_no_classified_pictures(tmp_path, x, y, message):
    with pytest.raises(ValueError, match=message) as caught:
        datasets.load(save(tmp_path / "mine.npz", x, y))
    assert str(tmp_path / "mine.npz") in str(caught.value)


def test_a_folder_of_pictures(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for k in range(3):
            Image.new("RGB", (9, 9)).save(tmp_path / name / f"{k}.png")
    data = datasets.load(tmp_path)
    assert_in_form(data)
    assert (data.name, data.class_names) == (tmp_path.name, ["cat", "dog"])
    assert (data.x_train.shape, data.x_test.shape) == ((4, 32, 32, 3), (2, 32, 32, 3))


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown data set 'minst'; did you mean 'mnist'\? known: digits, mnist"):
        datasets.load("minst")


@pytest.mark.parametrize("path", ["no/such/folder", "nothing.npz"])
def test_a_path_to_nothing_is_named(path):
    with pytest.raises(FileNotFoundError, match=f"{path}: there is no such"):
        datasets.load(path)


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "data.csv").write_text("1,2,3\n")
    with pytest.raises(ValueError, match=r"data\.csv: expected a whole \.npz file"):
        datasets.load(tmp_path / "data.csv")

"""Data sets in .npz files: the arrays as they are, or an error that names the file and what is wrong with it."""

import io

import numpy as np
import pytest

from fastcnn.datasets import npz

ARRAYS = {
    "x_train": np.arange(54, dtype=np.uint8).reshape(6, 3, 3),
    "y_train": np.arange(6),
    "x_test": np.ones((2, 3, 3)),
    "y_test": np.array([0, 1]),
}


def packed(save=np.savez, **changes):
    stream = io.BytesIO()
    save(stream, **{key: value for key, value in (ARRAYS | changes).items() if value is not None})
    return stream.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_gives_the_arrays_as_they_are(tmp_path, save):
    path = tmp_path / "data.npz"
    path.write_bytes(packed(save, names=np.array(["more"])))
    (x_train, y_train), (x_test, y_test) = npz.load_data(str(path))
    for got, expected in zip((x_train, y_train, x_test, y_test), ARRAYS.values(), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "it has no y_test, but x_train, y_train, x_test"),
        ({"y_train": np.arange(5)}, r"got shapes \(6, 3, 3\) and \(5,\)"),
        ({"x_test": np.ones((0, 3, 3)), "y_test": np.ones(0)}, "at least one"),
        ({"x_test": np.ones((2, 3, 4))}, r"same shape after the first axis, got \(6, 3, 3\) and \(2, 3, 4\)"),
        ({"x_test": np.full((2, 3, 3), np.nan)}, "finite numbers in x_test"),
        ({"x_test": np.array(["cat", "dog"])}, "real numbers in x_test, got <U3"),
        ({"x_test": np.float64(1)}, r"got shapes \(\) and \(2,\)"),
        ({"y_test": np.array([{}, []], object)}, "allow_pickle=False"),
    ],
)
def test_refuses(tmp_path, changes, message):
    path = tmp_path / "data.npz"
    path.write_bytes(packed(**changes))
    with pytest.raises(ValueError, match=message) as caught:
        npz.load_data(path)
    assert str(path) in str(caught.value)


def test_refuses_a_file_of_another_kind(tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(b"x_train,y_train\n")
    with pytest.raises(ValueError, match=r"data\.npz: expected a whole \.npz file with x_train.* not a zip file"):
        npz.load_data(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.npz"):
        npz.load_data(tmp_path / "data.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_never_changes_the_values(tmp_path, save):
    path, good = tmp_path / "data.npz", packed(save)
    random = np.random.RandomState(0)
    refused = 0
    for _ in range(400):
        bad = bytearray(good)
        bad[random.randint(len(bad))] ^= 1 << random.randint(8)
        path.write_bytes(bad[: random.choice([len(bad), random.randint(len(bad))])])
        try:
            (x_train, y_train), _ = npz.load_data(path)
        except ValueError:
            refused += 1
        else:
            np.testing.assert_array_equal(x_train, ARRAYS["x_train"])
            np.testing.assert_array_equal(y_train, ARRAYS["y_train"])
    assert refused > 200

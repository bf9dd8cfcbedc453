"""Folders of pictures: read, resized and divided; everything that is no picture of a class is refused by name."""

import builtins

import numpy as np
import pytest
from PIL import Image

from fastcnn.datasets import folder

RED, BLUE = (255, 0, 0), (0, 0, 255)


def save(path, color, size=(6, 4), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)


@pytest.fixture
def pictures(tmp_path):
    """Ten red pictures of the class "a", five blue ones of "b"; each of its own size."""
    root = tmp_path / "pictures"
    for k in range(10):
        save(root / "a" / f"{k}.png", RED, size=(3 + k, 20 - k))
    for k in range(5):
        save(root / "b" / f"{k}.bmp", BLUE, size=(8, 8 + k))
    (root / "README.txt").write_text("beside the classes, so left alone")
    (root / "a" / ".DS_Store").write_bytes(b"hidden, so left alone")
    return root


def test_reads_resizes_and_divides(pictures):
    (x_train, y_train), (x_test, y_test), names = folder.load_data(pictures, image_size=(5, 7))
    assert names == ["a", "b"]
    assert (x_train.shape, x_train.dtype) == ((12, 5, 7, 3), np.uint8)
    assert (x_test.shape, y_test.dtype) == ((3, 5, 7, 3), np.int64)
    assert np.bincount(y_train).tolist() == [8, 4]
    assert np.bincount(y_test).tolist() == [2, 1]
    for x, y in ((x_train, y_train), (x_test, y_test)):
        np.testing.assert_array_equal(x, np.array([RED, BLUE])[y][:, None, None] * np.ones((5, 7, 1), int))


def test_the_training_part_is_not_sorted_by_class(pictures):
    (_, y_train), _, _ = folder.load_data(pictures)
    assert (np.diff(y_train) < 0).any()


def test_the_seed_chooses_the_split(pictures):
    for k in range(10):
        save(pictures / "a" / f"{k}.png", (k, k, k))
    tests = [folder.load_data(pictures, seed=seed)[1][0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(tests[0], tests[1])
    assert (tests[0] != tests[2]).any()


def test_grayscale_has_one_channel(pictures):
    (x_train, y_train), _, _ = folder.load_data(pictures, color_mode="grayscale")
    assert x_train.shape == (12, 32, 32, 1)
    assert x_train[y_train == 0][0, 0, 0, 0] == 76  # ITU-R 601: 0.299 of the red


def test_both_parts_have_every_class_whatever_the_fraction(tmp_path):
    for name in ("a", "b"):
        for k in range(2):
            save(tmp_path / name / f"{k}.png", RED)
    for fraction in (0.01, 0.99):
        (_, y_train), (_, y_test), _ = folder.load_data(tmp_path, test_split=fraction)
        assert sorted(y_train) == sorted(y_test) == [0, 1]


def test_load_image_agrees_with_load_data(pictures):
    (x_train, _), _, _ = folder.load_data(pictures, image_size=(9, 2))
    image = folder.load_image(pictures / "a" / "0.png", image_size=(9, 2))
    assert image.shape == x_train.shape[1:]
    assert image[0, 0].tolist() == list(RED)


def test_load_image_turns_a_picture_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: rotate by 90 degrees to see it so
    picture = Image.new("RGB", (8, 4), RED)
    picture.paste(BLUE, (0, 0, 4, 4))  # left half as stored, upper half as seen
    picture.save(tmp_path / "a.png", exif=exif)
    image = folder.load_image(tmp_path / "a.png", image_size=(8, 4))
    assert image[0, 0].tolist() == list(BLUE)
    assert image[0, 3].tolist() == list(BLUE)
    assert image[7, 0].tolist() == list(RED)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [("L", 7, (7, 7, 7)), ("1", 1, (255, 255, 255)), ("RGBA", (1, 2, 3, 255), (1, 2, 3)), ("P", 0, (0, 0, 0))],
)
def test_load_image_reads_every_8_bit_kind(tmp_path, mode, color, expected):
    save(tmp_path / "a.png", color, mode=mode)
    assert folder.load_image(tmp_path / "a.png")[0, 0].tolist() == list(expected)


def test_16_bits_are_refused_and_not_cut_off(tmp_path):
    save(tmp_path / "scan.png", 40_000, mode="I;16")
    with pytest.raises(ValueError, match=r"scan\.png: expected .* 8 bits .* more than 8 bits \(Pillow's mode I;16\)"):
        folder.load_image(tmp_path / "scan.png")


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_picture_is_named(pictures, content):
    (pictures / "a" / "notes.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"notes\.txt: expected a whole picture .* take it out"):
        folder.load_data(pictures)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif"])
def test_a_truncated_picture_is_named(pictures, suffix):
    path = pictures / "a" / f"cut.{suffix}"
    noise = np.random.RandomState(0).randint(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"cut\.{suffix}: expected a whole picture"):
        folder.load_data(pictures)


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        folder.load_image(tmp_path / "none.png")


def test_folders_that_are_not_so(tmp_path, pictures):
    save(tmp_path / "x" / "1.png", RED)
    save(tmp_path / "x" / "2.png", RED)
    with pytest.raises(NotADirectoryError, match="nowhere: expected a folder"):
        folder.load_data(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"got a folder, 'a'; give the folder whose sub-folders are the classes"):
        folder.load_data(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: expected at least two sub-folders, one a class, got \[\]"):
        folder.load_data(tmp_path / "empty")
    (pictures / "c").mkdir()
    with pytest.raises(ValueError, match=r"pictures/c: expected at least two pictures of the class 'c'.* got 0"):
        folder.load_data(pictures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": (0, 5)}, "two positive integers"),
        ({"image_size": (5, 5, 3)}, "two positive integers"),
        ({"color_mode": "gray"}, "unknown color_mode 'gray'; did you mean 'grayscale'"),
        ({"test_split": 0}, "fraction between 0 and 1, got 0"),
    ],
)
def test_options_are_checked_before_anything_is_read(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        folder.load_data(tmp_path / "nowhere", **options)


def test_without_pillow_says_what_to_install(pictures, monkeypatch):
    real = builtins.__import__

    def without_pillow(name, *rest):
        if name == "PIL":
            raise ImportError("No module named 'PIL'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    with pytest.raises(ImportError, match=r"pip install 'fastcnn\[images\]'"):
        folder.load_data(pictures)

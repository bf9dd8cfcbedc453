"""A folder of pictures with one sub-folder a class: `load_data` reads them all, `load_image` one.

    pictures/cat/001.jpg
    pictures/cat/002.png
    pictures/dog/a.jpg

Needs Pillow: pip install 'fastcnn[images]'.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastcnn.utils.suggest import unknown

CHANNELS = {"rgb": ("RGB", 3), "grayscale": ("L", 1)}


def load_data(
    path: str | os.PathLike[str],
    image_size: tuple[int, int] = (32, 32),
    color_mode: str = "rgb",
    test_split: float = 0.2,
    seed: int = 0,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], list[str]]:
    """All pictures of a folder, resized: `(x_train, y_train), (x_test, y_test), class_names`.

    path: a folder whose sub-folders are the classes, in the order of their names; each holds at least two pictures,
        and nothing else. Files beside the sub-folders, and names that begin with a dot, are left alone.
    image_size: (height, width) that every picture is resized to, as `load_image` does.
    color_mode: "rgb" (3 channels) or "grayscale" (1).
    test_split: the fraction, between 0 and 1, of each class that goes to the test (rounded, at least 1 picture, and at
        least 1 is left for training). The same files and seed give the same split.
    seed: an integer; chooses the test pictures and shuffles both parts, so that neither is sorted by class.

    x: uint8 (n, height, width, channels). y: int64 (n,), the index of the class in class_names.
    Raises ImportError without Pillow; OSError or ValueError, naming the file or folder, where it is not as said above.
    """
    _check_options(image_size, color_mode, test_split)
    classes = _classes(Path(path))
    files = [file for names in classes.values() for file in names]
    images = np.empty((len(files), *image_size, CHANNELS[color_mode][1]), np.uint8)
    for i, file in enumerate(files):
        images[i] = load_image(file, image_size, color_mode)
    sizes = [len(names) for names in classes.values()]
    labels = np.repeat(np.arange(len(classes)), sizes)
    train, test = _split(sizes, test_split, seed)
    return (images[train], labels[train]), (images[test], labels[test]), list(classes)


def load_image(
    path: str | os.PathLike[str], image_size: tuple[int, int] = (32, 32), color_mode: str = "rgb"
) -> np.ndarray:
    """One picture as uint8 (height, width, channels), resized to (height, width) without regard to its proportions.

    Turned upright where its EXIF data say how; shrunk with antialiasing (Pillow's bilinear filter); of an animation,
    the first frame. Raises ValueError for a file that is no whole 8-bit picture, FileNotFoundError.
    """
    Image, ImageOps = _pillow()
    mode, channels = CHANNELS[color_mode]
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise ValueError(f"its pixels have more than 8 bits (Pillow's mode {picture.mode})")
            upright = ImageOps.exif_transpose(picture).convert(mode)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path}: expected a whole picture with 8 bits a channel (JPEG, PNG, ...); {error}; "
            "convert the file, or take it out of the folder"
        ) from error
    height, width = image_size
    resized = upright.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8).reshape(height, width, channels)


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError("reading pictures needs Pillow: pip install 'fastcnn[images]'") from error
    return Image, ImageOps


def _check_options(image_size: tuple[int, int], color_mode: str, test_split: float) -> None:
    if len(image_size) != 2 or any(not isinstance(n, int) or n < 1 for n in image_size):
        raise ValueError(f"image_size must be two positive integers, (height, width), got {image_size!r}")
    if color_mode not in CHANNELS:
        raise unknown("color_mode", color_mode, CHANNELS)
    if not 0 < test_split < 1:
        raise ValueError(f"test_split must be a fraction between 0 and 1, got {test_split!r}")


def _classes(path: Path) -> dict[str, list[Path]]:
    if not path.is_dir():
        raise NotADirectoryError(f"{path}: expected a folder with one sub-folder a class, got no folder")
    folders = sorted(entry for entry in _visible(path) if entry.is_dir())
    if len(folders) < 2:
        raise ValueError(f"{path}: expected at least two sub-folders, one a class, got {[f.name for f in folders]}")
    return {folder.name: _pictures(folder) for folder in folders}


def _pictures(folder: Path) -> list[Path]:
    files = sorted(_visible(folder))
    nested = [file.name for file in files if file.is_dir()]
    if nested:
        raise ValueError(
            f"{folder}: expected pictures of the class {folder.name!r}, got a folder, {nested[0]!r}; "
            "give the folder whose sub-folders are the classes"
        )
    if len(files) < 2:
        raise ValueError(
            f"{folder}: expected at least two pictures of the class {folder.name!r}, one for training and one for the "
            f"test, got {len(files)}; add pictures or take the folder away"
        )
    return files


def _visible(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]


def _split(sizes: Sequence[int], test_split: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the training and of the test pictures, shuffled, where class after class has these sizes."""
    random = np.random.RandomState(seed)
    train, test = [], []
    first = 0
    for size in sizes:
        order = first + random.permutation(size)
        tested = min(max(1, round(size * test_split)), size - 1)
        test.append(order[:tested])
        train.append(order[tested:])
        first += size
    return random.permutation(np.concatenate(train)), random.permutation(np.concatenate(test))

"""`opened`: a picture file that holds a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def opened(path: Path) -> Any:
    """The pixels of a PNG file, uint8 (height, width, 3); the test fails where it is small, or blank."""
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) >= 100, pixels.shape
    assert max(pixels.shape[:2]) <= 2000, pixels.shape
    assert len(np.unique(pixels @ np.array([1, 256, 65536]))) > 20
    # More than a frame or a title on an empty page.
    assert (pixels != pixels[0, 0]).any(axis=-1).mean() > 0.05
    return pixels

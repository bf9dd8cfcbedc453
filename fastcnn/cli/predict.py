"""`fastcnn predict`: names the class of pictures, with its probability."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastcnn.cli.arguments import Parser, device_option
from fastcnn.cli.pictures import scaled
from fastcnn.cli.runs import saved_model
from fastcnn.datasets.folder import load_image
from fastcnn.explain.embeddings import MODES, picture_shape


def describe(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="DIR|FILE", help="a run folder or a model file")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a picture, resized to what the network takes")
    device_option(parser)


def run(arguments: Any) -> int:
    """Print a line for each picture."""
    model, notes = saved_model(arguments.model)
    model.compile(device=arguments.device)
    data = notes.get("data", {})
    if data.get("float"):
        print("note: trained on floats; pictures are given to it as 0 to 1, which may not be their scale", file=sys.stderr)
    probabilities = model.predict(read(model, arguments.images), verbose=0)
    print(_table(arguments.images, probabilities, class_names(data, probabilities.shape[-1])))
    return 0


def read(model: Any, images: Sequence[str]) -> np.ndarray:
    """The pictures as the network takes them, float32 (n, height, width, channels) from 0 to 1."""
    height, width, channels = picture_shape(model)
    gives = [tensor.shape[1:] for tensor in model.outputs]
    if len(gives) > 1 or len(gives[0]) != 1 or gives[0][-1] < 2:
        raise ValueError(f"{model.name} gives {gives}, not one probability a class, of two classes or more")
    return np.stack([scaled(load_image(image, (height, width), MODES[channels])) for image in images])


def class_names(data: Mapping[str, Any], classes: int) -> list[str]:
    """The names of a run's classes, or numbers where it has none for as many."""
    names: list[str] = data.get("class_names", [])
    return names if len(names) == classes else [str(k) for k in range(classes)]


def _table(images: Sequence[str], probabilities: np.ndarray, names: Sequence[str]) -> str:
    rows = [("picture", "class", "probability")]
    for image, row in zip(images, probabilities, strict=True):
        best = int(row.argmax())
        rows.append((image, names[best], f"{100 * row[best]:.1f} %"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>11}" for a, b, c in rows)

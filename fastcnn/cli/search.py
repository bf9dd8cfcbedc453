"""`fastcnn search`: finds the pictures that a network thinks most like another.

    fastcnn search runs/digits pictures/ 3.png                      the nearest in a folder, its sub-folders included
    fastcnn search runs/digits mnist --save mnist.safetensors       an index of a data set's test pictures, kept
    fastcnn search runs/digits mnist.safetensors 3.png --sheet nearest.png
    fastcnn search runs/digits mnist.safetensors --index 7          the nearest of one that is in it

Pictures are compared by the vectors that a layer makes of them.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from fastcnn.cli.arguments import Parser, device_option, positive_int
from fastcnn.cli.pictures import tested
from fastcnn.cli.predict import read
from fastcnn.cli.runs import saved_model
from fastcnn.datasets import load
from fastcnn.datasets.loading import MODULES
from fastcnn.explain import Embeddings, Neighbours, figures
from fastcnn.explain.embeddings import METRICS


def describe(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="DIR|FILE", help="a run folder or a model file")
    parser.add_argument("where", metavar="WHERE", help="a folder of pictures, a data set, or an index that --save wrote")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="what to find the like of")
    parser.add_argument("--index", type=int, metavar="N", help="find the like of picture N of those in WHERE")
    parser.add_argument("-k", type=positive_int, metavar="N", default=5, help="how many to find (default: 5)")
    parser.add_argument(
        "--metric", choices=METRICS, default=METRICS[0], help=f"distance between vectors (default: {METRICS[0]})"
    )
    parser.add_argument("--layer", metavar="NAME", help="the layer that makes the vectors (default: the penultimate one)")
    parser.add_argument("--save", metavar="FILE", help="keep the index in this .safetensors file")
    parser.add_argument(
        "--sheet", metavar="FILE", help="draw query and results to a PNG file; of several queries, numbered files"
    )
    device_option(parser)


def run(arguments: Any) -> int:
    """Make or load the index, keep it, search it: whichever was asked for."""
    if not (arguments.images or arguments.index is not None or arguments.save):
        raise ValueError("there is nothing to do: give an IMAGE, or --index N, to find the like of, or --save FILE")
    model, _ = saved_model(arguments.model)
    model.compile(device=arguments.device)
    index = _index(model, arguments)
    layer = index.layer or "the penultimate layer"
    print(f"{len(index):,} pictures, vectors of {index.vectors.shape[1]:,} numbers from {layer}")
    if arguments.save:
        index.save(arguments.save)
        print(f"wrote {arguments.save}")
    sheets = _sheet_names(arguments)
    if arguments.index is not None:
        found = index.like(arguments.index, arguments.k, arguments.metric)
        _show(index, index.names[arguments.index], index.pictures[arguments.index], found, 0, next(sheets))
    if arguments.images:
        pictures = read(model, arguments.images)
        found = index.search(model, pictures, arguments.k, arguments.metric)
        for n, image in enumerate(arguments.images):
            _show(index, image, pictures[n], found, n, next(sheets))
    return 0


def _index(model: Any, arguments: Any) -> Embeddings:
    where = Path(arguments.where)
    if where.suffix == ".safetensors" and where.is_file():
        index = Embeddings.load(where)
        if arguments.layer not in (None, index.layer):
            raise ValueError(f"{where} was made with {index.layer or 'the penultimate layer'}: leave --layer out")
        return index
    if where.is_dir() and arguments.where not in MODULES:
        return Embeddings.of_folder(model, where, arguments.layer)
    data = load(arguments.where)
    x, y = tested(data, None)
    names = [f"{data.class_names[label]} (test {k})" for k, label in enumerate(y)]
    return Embeddings.of(model, x, names, arguments.layer)


def _sheet_names(arguments: Any) -> Any:
    """A path for each query in turn, None where no sheets are asked for."""
    if not arguments.sheet:
        return itertools.repeat(None)
    path = Path(arguments.sheet)
    if len(arguments.images) + (arguments.index is not None) == 1:
        return iter([path])
    return (path.with_stem(f"{path.stem}-{n}") for n in itertools.count(1))


def _show(index: Embeddings, name: str, picture: np.ndarray, found: Neighbours, n: int, sheet: Path | None) -> None:
    print(f"\nmost like {name}:")
    for row, distance in zip(found.rows[n], found.distances[n], strict=True):
        print(f"{distance:10.4f}  {index.names[row]}")
    if sheet is not None:
        figures.save(index.sheet(picture, found, n), sheet)
        print(f"wrote {sheet}")

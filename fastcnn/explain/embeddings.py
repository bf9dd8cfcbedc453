"""Semantic search: pictures as the vectors that a layer makes of them, and the nearest of these.

Embeddings       an index: vectors, small pictures, names; saved as one safetensors file
nearest          the k nearest of many vectors, exactly
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..datasets.folder import load_image
from ..layers import Layer
from ..models import Model
from ..saving import check_suffix, read_safetensors
from ..utils.files import write_atomically
from ..utils.suggest import unknown
from . import figures
from .inside import Array, feature_place, features

FORMAT, VERSION = "fastcnn-embeddings", 1
METRICS = ("cosine", "euclidean")
BLOCK_BYTES = 64 << 20
"""What a search takes beside the index: vectors are compared block by block."""
ZERO = 2.0
"""|u - v|^2 of a vector of zeros and any other, whose cosine is taken as 0."""
MODES = {1: "grayscale", 3: "rgb"}
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class Neighbours(NamedTuple):
    """The nearest of each query, nearest first, the lower row first where two are equally near: both (queries, k)."""

    rows: NDArray[np.int64]
    distances: Array


class Embeddings:
    """An index of pictures. Make one with `of` or `of_folder`, or `load` a saved one.

    vectors   float32 (n, d)
    pictures  uint8 (n, height, width, 1 or 3), for contact sheets
    names     n of them: files, or what you call them
    layer     the path of the layer that made the vectors; "" is the penultimate one
    model     a SHA-256 of the model's weights: vectors of another model mean something else
    """

    def __init__(self, vectors: Array, pictures: Array, names: Sequence[str], layer: str = "", model: str = ""):
        if vectors.ndim != 2 or not len(vectors) == len(pictures) == len(names):
            raise ValueError(
                "expected n vectors (n, d), n pictures and n names, got "
                f"{vectors.shape}, {pictures.shape} and {len(names)} names"
            )
        self.vectors, self.pictures, self.names = vectors, pictures, list(names)
        self.layer, self.model = layer, model

    def __len__(self) -> int:
        return len(self.names)

    # Making one.

    @classmethod
    def of(cls, model: Model, x: Any, names: Sequence[str] | None = None, layer: str | Layer | None = None) -> "Embeddings":
        """The pictures x (n, height, width, 1 or 3), as the network takes them; names are by default their numbers.

        layer   a layer, its name or path; None is the penultimate one, which the last dense layer reads
        """
        x = np.asarray(x)
        pictures = np.stack([_small(picture) for picture in x])
        called = [str(k) for k in range(len(x))] if names is None else names
        place = feature_place(model, layer)
        return cls(features(model, x, layer), pictures, called, "" if layer is None else place.path, fingerprint(model))

    @classmethod
    def of_folder(cls, model: Model, folder: str | os.PathLike[str], layer: str | Layer | None = None) -> "Embeddings":
        """All pictures in a folder and its sub-folders, resized to what the network takes and scaled to 0 to 1, by file name.

        Needs Pillow. ValueError where the folder holds no picture, or a file that is named like one is none.
        """
        height, width, channels = picture_shape(model)
        root = Path(folder)
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not files:
            raise ValueError(f"{root}: expected pictures in it or its sub-folders ({', '.join(sorted(SUFFIXES))}), got none")
        x = np.stack([load_image(file, (height, width), MODES[channels]) for file in files])
        # As floats only block by block: they take four times the memory.
        parts = [features(model, x[k : k + 1024] / np.float32(255), layer) for k in range(0, len(x), 1024)]
        names = [file.relative_to(root).as_posix() for file in files]
        path = "" if layer is None else feature_place(model, layer).path
        return cls(np.concatenate(parts), x, names, path, fingerprint(model))

    # Searching.

    def search(self, model: Model, x: Any, k: int = 5, metric: str = "cosine") -> Neighbours:
        """The k nearest of each of the pictures x (n, height, width, C), as the network takes them.

        ValueError for a model with other weights than the one that made this index.
        """
        if self.model and fingerprint(model) != self.model:
            raise ValueError(
                f"model {model.name!r} has other weights than the one that made this index, so their vectors cannot be "
                "compared: use that model, or make the index again"
            )
        return nearest(self.vectors, features(model, x, self.layer or None), k, metric)

    def like(self, row: int, k: int = 5, metric: str = "cosine") -> Neighbours:
        """The k nearest of one picture of the index, itself left out: both (1, k)."""
        if not 0 <= row < len(self):
            raise ValueError(f"the index holds pictures 0 to {len(self) - 1}, got {row}")
        others = np.delete(np.arange(len(self)), row)
        found = nearest(self.vectors[others], self.vectors[row : row + 1], k, metric)
        return Neighbours(others[found.rows], found.distances)

    def sheet(self, query: Any, neighbours: Neighbours, number: int = 0, title: str = "") -> Any:
        """A matplotlib Figure of a query's picture and its nearest; `number` says which query of `neighbours` it is."""
        rows = neighbours.rows[number]
        names = [self.names[row] for row in rows]
        return figures.neighbours(query, self.pictures[rows], list(neighbours.distances[number]), names, title)

    # Files.

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to one .safetensors file, whole or not at all."""
        from safetensors.numpy import save

        check_suffix(path)
        head = {"version": VERSION, "layer": self.layer, "model": self.model, "names": self.names, "sha256": self._digest()}
        tensors = {"vectors": np.ascontiguousarray(self.vectors), "pictures": np.ascontiguousarray(self.pictures)}
        write_atomically(path, save(tensors, {FORMAT: json.dumps(head)}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Embeddings":
        """The index in a file. ValueError where it is damaged, or holds something else."""
        tensors, metadata = read_safetensors(path)
        if FORMAT not in metadata:
            raise ValueError(f"{path} is a safetensors file, but no index of pictures: Embeddings.of(...).save(path) makes one")
        try:
            head = json.loads(metadata[FORMAT])
            if head["version"] > VERSION:
                raise ValueError(f"{path} has format version {head['version']}, this fastcnn reads up to {VERSION}: update it")
            index = cls(tensors["vectors"], tensors["pictures"], head["names"], head["layer"], head["model"])
            intact = index._digest() == head["sha256"]
        except (KeyError, TypeError, json.JSONDecodeError):
            intact = False
        if not intact:
            raise ValueError(f"{path} is damaged: its contents do not have the checksum that was written; use another copy")
        return index

    def _digest(self) -> str:
        total = hashlib.sha256(json.dumps([self.layer, self.model, self.names]).encode())
        for array in (self.vectors, self.pictures):
            total.update(f"{array.dtype.str} {array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()


def picture_shape(model: Model) -> tuple[int, int, int]:
    """(height, width, channels) that a model takes. ValueError where it takes anything but one grey or RGB picture."""
    shapes = [tensor.shape[1:] for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][-1] not in MODES:
        raise ValueError(f"{model.name} takes {shapes}, not one picture of (height, width, 1 or 3 channels)")
    height, width, channels = (int(n or 0) for n in shapes[0])
    return height, width, channels


def fingerprint(model: Model) -> str:
    """A SHA-256 that changes with any weight."""
    total = hashlib.sha256()
    for variable in model.variables:
        total.update(f"{variable.shape}".encode())
        total.update(np.ascontiguousarray(variable.value).data)
    return total.hexdigest()


def _small(picture: Array) -> Array:
    shown = np.rint(255 * figures.visible(picture)).astype(np.uint8)
    return shown[..., None] if shown.ndim == 2 else shown


# Distances.


def nearest(vectors: Any, queries: Any, k: int = 5, metric: str = "cosine") -> Neighbours:
    """The k vectors (n, d) nearest to each query (q, d), found by comparing with all of them.

    k        at most n are returned
    metric   "cosine": 1 - cos of the angle, 0 to 2, and 1 from or to a vector of zeros; "euclidean"

    Computed in float64. A block of vectors is ranked by |q|^2 - 2 q.v + |v|^2, which is one matrix product; those that rounding
    leaves among the first k are ranked again by |q - v|^2, which is exact near 0.
    """
    vectors, queries = np.asarray(vectors), np.asarray(queries)
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if vectors.ndim != 2 or queries.ndim != 2 or vectors.shape[1] != queries.shape[1]:
        raise ValueError(f"expected vectors (n, d) and queries (q, d), got {vectors.shape} and {queries.shape}")
    asked = _prepared(queries, metric)
    best = [(np.empty(0), np.empty(0, np.int64)) for _ in queries]
    size = max(1, BLOCK_BYTES // (8 * (vectors.shape[1] + len(queries))))
    for first in range(0, len(vectors), size):
        block = _prepared(vectors[first : first + size], metric)
        ranks = _ranks(asked, block, metric)
        for n, (query, rank) in enumerate(zip(asked, ranks, strict=True)):
            near = _near(rank, k, 1e-12 * (query @ query + np.square(block).sum(axis=1).max(initial=0)))
            best[n] = _merged(best[n], _squares(query, block[near], metric), first + near, k)
    squares = np.array([squared for squared, _ in best])
    rows = np.array([row for _, row in best], np.int64)
    return Neighbours(rows, squares / 2 if metric == "cosine" else np.sqrt(squares))


def _prepared(vectors: Array, metric: str) -> Array:
    """In float64, and of length 1 for cosines: then |u - v|^2 / 2 is 1 - cos."""
    values = vectors.astype(np.float64)
    if metric == "cosine":
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        np.divide(values, lengths, out=values, where=lengths > 0)
    return values


def _ranks(queries: Array, block: Array, metric: str) -> Array:
    """|q - v|^2 of all pairs, (queries, rows of the block), as far as rounding lets it."""
    squares = np.square(queries).sum(axis=1)[:, None] + np.square(block).sum(axis=1)
    ranks: Array = squares - 2 * queries @ block.T
    if metric == "cosine":
        ranks[:, ~block.any(axis=1)] = ZERO
        ranks[~queries.any(axis=1)] = ZERO
    return ranks


def _near(rank: Array, k: int, tolerance: float) -> NDArray[np.int64]:
    """Where a row may be among the k nearest, given what rounding may have changed."""
    if k >= len(rank):
        return np.arange(len(rank))
    return np.flatnonzero(rank <= np.partition(rank, k - 1)[k - 1] + tolerance)


def _squares(query: Array, rows: Array, metric: str) -> Array:
    squares: Array = np.square(rows - query).sum(axis=1)
    if metric == "cosine":
        squares[~rows.any(axis=1) | ~query.any()] = ZERO
    return squares


def _merged(best: tuple[Array, Array], squares: Array, rows: Array, k: int) -> tuple[Array, Array]:
    squares, rows = np.concatenate([best[0], squares]), np.concatenate([best[1], rows])
    order = np.lexsort((rows, squares))[:k]
    return squares[order], rows[order]

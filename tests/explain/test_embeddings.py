"""Semantic search is exact, and an index in a file is whole or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastcnn import explain, models
from fastcnn.explain import Embeddings, embeddings, figures, nearest

from ..pictures import opened


def slow(vectors: np.ndarray, query: np.ndarray, k: int, metric: str) -> tuple[list[int], list[float]]:
    """All distances one by one, sorted."""
    found = []
    for row, vector in enumerate(vectors.astype(np.float64)):
        asked = query.astype(np.float64)
        if metric == "euclidean":
            distance = np.sqrt(((vector - asked) ** 2).sum())
        else:
            lengths = np.linalg.norm(vector) * np.linalg.norm(asked)
            distance = 1 - vector @ asked / lengths if lengths else 1.0
        found.append((distance, row))
    found.sort(key=lambda pair: (round(pair[0], 12), pair[1]))
    return [row for _, row in found[:k]], [distance for distance, _ in found[:k]]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [64 << 20, 400])
def test_nearest_against_all_distances(metric: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where vectors are equal, zero or opposite, and where a block holds less than k of them."""
    monkeypatch.setattr(embeddings, "BLOCK_BYTES", block)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((50, 7)).astype(np.float32)
    vectors[[10, 30, 31]] = vectors[4]
    vectors[[5, 20]] = 0
    vectors[6] = -vectors[4]
    queries = np.stack([vectors[4], rng.standard_normal(7), np.zeros(7), 2 * vectors[8]]).astype(np.float32)
    for k in (1, 4, 6, 50, 60):
        rows, distances = nearest(vectors, queries, k, metric)
        assert rows.shape == distances.shape == (4, min(k, 50))
        for n, query in enumerate(queries):
            expected_rows, expected = slow(vectors, query, k, metric)
            np.testing.assert_allclose(distances[n], expected, atol=1e-12)
            assert rows[n].tolist() == expected_rows
    assert distances[0, :4].tolist() == [0, 0, 0, 0]


def test_a_query_far_from_zero_loses_no_digits() -> None:
    vectors = np.array([[1e6, 0], [1e6 + 0.0625, 0], [1e6 + 0.125, 0]], np.float32)
    rows, distances = nearest(vectors, vectors[1:2], 3, "euclidean")
    assert rows.tolist() == [[1, 0, 2]]
    assert distances.tolist() == [[0, 0.0625, 0.0625]]


def test_bad_searches() -> None:
    vectors = np.ones((3, 2))
    for arguments, expected in {
        (3,): r"vectors \(n, d\) and queries \(q, d\)",
        (2, 0): "k must be at least 1",
        (2, 1, "cosin"): "unknown metric 'cosin'; did you mean 'cosine'",
    }.items():
        with pytest.raises(ValueError, match=expected):
            nearest(vectors, np.ones((1, arguments[0])), *arguments[1:])


@pytest.fixture(scope="module")
def index(digits: Any) -> Embeddings:
    return Embeddings.of(digits.model, digits.x, [f"{label}-{k}" for k, label in enumerate(digits.y)])


def test_what_the_network_finds_alike_is_of_one_class(digits: Any, index: Embeddings) -> None:
    found = [index.like(row, 5) for row in range(60)]
    same = np.mean([digits.y[n.rows[0]] == digits.y[row] for row, n in enumerate(found)])
    assert same > 0.95
    assert all(row not in n.rows for row, n in enumerate(found))


def test_a_picture_of_the_index_is_nearest_to_itself(digits: Any, index: Embeddings) -> None:
    for metric in embeddings.METRICS:
        found = index.search(digits.model, digits.x[3:6], 2, metric)
        assert found.rows[:, 0].tolist() == [3, 4, 5]
        # A batch of another size may be convolved by another algorithm, and be rounded otherwise.
        np.testing.assert_allclose(found.distances[:, 0], 0, atol=1e-5 * np.linalg.norm(index.vectors[3]))
        like = index.like(4, 1, metric)
        assert like.rows[0, 0] == found.rows[1, 1]
        assert like.distances[0, 0] == pytest.approx(found.distances[1, 1], rel=1e-3)


def test_vectors_are_the_layers(digits: Any, index: Embeddings) -> None:
    np.testing.assert_array_equal(index.vectors, explain.features(digits.model, digits.x))
    layer = digits.model.layers[0]
    other = Embeddings.of(digits.model, digits.x[:5], layer=layer)
    assert other.layer == layer.name
    assert other.names == ["0", "1", "2", "3", "4"]
    np.testing.assert_array_equal(other.vectors, explain.feature_maps(digits.model, digits.x[:5], layer).reshape(5, -1))
    assert other.search(digits.model, digits.x[:1], 1).rows == [[0]]


def test_an_index_comes_back_from_its_file(index: Embeddings, tmp_path: Path) -> None:
    index.save(tmp_path / "index.safetensors")
    loaded = Embeddings.load(tmp_path / "index.safetensors")
    np.testing.assert_array_equal(loaded.vectors, index.vectors)
    np.testing.assert_array_equal(loaded.pictures, index.pictures)
    assert (loaded.names, loaded.layer, loaded.model) == (index.names, index.layer, index.model)
    assert list(tmp_path.iterdir()) == [tmp_path / "index.safetensors"]


def test_a_file_that_is_no_whole_index_is_refused(digits: Any, index: Embeddings, tmp_path: Path) -> None:
    path = tmp_path / "index.safetensors"
    index.save(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        Embeddings.load(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="is damaged, cut off"):
        Embeddings.load(path)
    digits.model.save(path)
    with pytest.raises(ValueError, match="no index of pictures"):
        Embeddings.load(path)
    index.save(path)
    with pytest.raises(ValueError, match="not one that fastcnn wrote"):
        models.load_model(path)
    with pytest.raises(ValueError, match=r"name it 'index\.safetensors'"):
        index.save(tmp_path / "index.npz")


def test_another_model_is_refused(digits: Any, index: Embeddings) -> None:
    other = models.Sequential.from_config(digits.model.get_config())
    with pytest.raises(ValueError, match="has other weights than the one that made this index"):
        index.search(other, digits.x[:1])
    other.set_weights(digits.model.get_weights())
    assert index.search(other, digits.x[:1], 1).rows == [[0]]


def test_a_folder_with_sub_folders(digits: Any, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    pixels = np.rint(255 * digits.x[:4]).astype(np.uint8)
    for name, picture in zip(("b.png", "a.PNG", "more/c.png"), pixels, strict=False):
        Image.fromarray(picture[..., 0]).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    index = Embeddings.of_folder(digits.model, tmp_path)
    assert index.names == ["a.PNG", "b.png", "more/c.png"]
    np.testing.assert_array_equal(index.pictures, pixels[[1, 0, 2]])
    assert index.search(digits.model, digits.x[:3], 1).rows.ravel().tolist() == [1, 0, 2]
    (tmp_path / "broken.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match="broken"):
        Embeddings.of_folder(digits.model, tmp_path)


def test_a_folder_without_pictures(digits: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected pictures in it"):
        Embeddings.of_folder(digits.model, tmp_path)


def test_the_contact_sheet(digits: Any, index: Embeddings, tmp_path: Path) -> None:
    found = index.search(digits.model, digits.x[:2], 7)
    figure = index.sheet(digits.x[1], found, 1)
    figures.save(figure, tmp_path / "sheet.png")
    opened(tmp_path / "sheet.png")
    labels = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert labels[0] == "query"
    assert labels[1] == f"{digits.y[1]}-1\n0.0000"
    assert len(labels) == 8

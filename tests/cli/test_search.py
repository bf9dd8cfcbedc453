"""`fastcnn search` finds what is alike, in folders, data sets and saved indexes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcnn import cli, datasets, models
from fastcnn.explain import Embeddings, features, nearest

from ..pictures import opened


@pytest.fixture
def pictures() -> np.ndarray:
    """Twelve test pictures of the digits, in the folder "digits12" with a sub-folder."""
    x = datasets.load("digits").x_test[:12]
    Path("digits12/more").mkdir(parents=True)
    for k, picture in enumerate(x):
        Image.fromarray(picture[..., 0]).save(f"digits12/{'more/' if k > 8 else ''}{k:02}.png")
    return x


def _rows(output: str) -> list[list[str]]:
    """The lines of results as [distance, name]."""
    return [line.split(maxsplit=1) for line in output.splitlines() if line.startswith(" ")]


def test_the_nearest_in_a_folder(unbroken: Path, pictures: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(unbroken), "digits12", "digits12/03.png", "-k", "4", "--sheet", "sheet.png"]
    assert cli.main(["search", *words]) == 0
    output = capsys.readouterr().out
    assert output.startswith("12 pictures, vectors of 1,024 numbers from the penultimate layer\n")
    assert "most like digits12/03.png:" in output
    vectors = features(models.load_model(unbroken / "model.safetensors"), pictures / np.float32(255))
    found = nearest(vectors, vectors[3:4], 4)
    names = [f"{'more/' if row > 8 else ''}{row:02}.png" for row in found.rows[0]]
    assert _rows(output) == [[f"{d:.4f}", name] for d, name in zip(found.distances[0], names, strict=True)]
    assert names[0] == "03.png"
    opened(Path("sheet.png"))


def test_an_index_is_kept_and_searched(unbroken: Path, pictures: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["search", str(unbroken), "digits", "--layer", "max_pooling2d", "--save", "i.safetensors"]) == 0
    assert "360 pictures, vectors of 1,024 numbers from max_pooling2d\nwrote i.safetensors" in capsys.readouterr().out
    index = Embeddings.load("i.safetensors")
    labels = datasets.load("digits").y_test
    assert index.names[:2] == [f"{labels[0]} (test 0)", f"{labels[1]} (test 1)"]
    words = ["digits12/02.png", "digits12/more/09.png", "--index", "7", "--metric", "euclidean", "--sheet", "s.png"]
    assert cli.main(["search", str(unbroken), "i.safetensors", *words, "-k", "2"]) == 0
    output = capsys.readouterr().out
    assert _rows(output)[2] == ["0.0000", f"{labels[2]} (test 2)"]
    assert _rows(output)[4] == ["0.0000", f"{labels[9]} (test 9)"]
    assert f"most like {labels[7]} (test 7):" in output
    assert f"{labels[7]} (test 7)" not in [name for _, name in _rows(output)[:2]]
    for number in (1, 2, 3):
        opened(Path(f"s-{number}.png"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["digits"], "there is nothing to do: give an IMAGE"),
        (["digitz", "x.png"], "unknown data set 'digitz'; did you mean 'digits'?"),
        (["digits", "absent.png"], "absent.png: No such file"),
        (["digits", "--index", "360"], "the index holds pictures 0 to 359, got 360"),
        (["digits", "--index", "1", "--layer", "maxpool"], "unknown layer 'maxpool'; did you mean 'max_pooling2d'?"),
        (["digits", "--save", "i.npz"], "name it 'i.safetensors'"),
        (["digits", "--index", "1", "-k", "0"], "expected a whole number of at least 1"),
    ],
)
def test_mistakes_are_one_line(unbroken: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["search", str(unbroken), *words]) == 1
    assert expected in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_the_index_of_another_network_or_layer_is_refused(
    unbroken: Path, pictures: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["search", str(unbroken), "digits12", "--save", "i.safetensors"]) == 0
    model = models.load_model(unbroken / "model.safetensors")
    model.set_weights([0.9 * w for w in model.get_weights()])
    model.save("other.safetensors")
    assert cli.main(["search", "other.safetensors", "i.safetensors", "digits12/03.png"]) == 1
    assert "has other weights than the one that made this index" in capsys.readouterr().err
    assert cli.main(["search", str(unbroken), "i.safetensors", "digits12/03.png", "--layer", "dense"]) == 1
    assert "was made with the penultimate layer: leave --layer out" in capsys.readouterr().err

"""`fastcnn explain` writes the pictures that it says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcnn import cli, datasets, layers, models
from fastcnn.cli.explain import OF_TEST_PICTURES, WHAT

from ..pictures import opened


@pytest.fixture
def picture() -> str:
    """A test picture of the digits as a PNG file in the test's folder."""
    Image.fromarray(datasets.load("digits").x_test[5, ..., 0]).save("five.png")
    return "five.png"


def _written(output: str) -> list[str]:
    return [line.removeprefix("wrote ") for line in output.splitlines() if line.startswith("wrote ")]


def test_everything_about_the_first_test_picture(unbroken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", str(unbroken), "--out", "pictures"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("test picture 0: class ")
    assert "patch × filter = products" in output
    assert _written(output) == [f"pictures/{name}.png" for name in WHAT]
    assert sorted(path.name for path in Path("pictures").iterdir()) == sorted(f"{name}.png" for name in WHAT)
    for name in set(WHAT) - {"grad-cam"}:
        opened(Path("pictures") / f"{name}.png")
    # The Grad-CAM of a network that flattens may be 0 everywhere; then it is said.
    with Image.open("pictures/grad-cam.png") as image:
        assert image.size == (1080, 384)


def test_a_picture_from_a_file_with_layer_and_class(unbroken: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    what = "feature-maps,filters,convolution,hires-cam"
    words = ["--picture", picture, "--what", what, "--layer", "activation_1", "--class", "8", "--device", "reference"]
    assert cli.main(["explain", str(unbroken / "model.safetensors"), *words]) == 0
    output = capsys.readouterr().out
    assert output.startswith("five.png: class 8 (")
    assert "conv2d_1: filter" in output
    assert _written(output) == [f"explained/{name}.png" for name in what.split(",")]
    for file in _written(output):
        opened(Path(file))


def test_a_file_alone_does_without_test_pictures(unbroken: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("alone.safetensors").write_bytes((unbroken / "model.safetensors").read_bytes())
    assert cli.main(["explain", "alone.safetensors", "--picture", picture]) == 0
    names = [Path(file).stem for file in _written(capsys.readouterr().out)]
    assert names == [name for name in WHAT if name not in OF_TEST_PICTURES]
    assert cli.main(["explain", "alone.safetensors", "--data", "digits", "--index", "5", "--what", "saliency"]) == 0
    assert capsys.readouterr().out.startswith("test picture 5: class ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--what", "salience"], "unknown kind of picture 'salience'; did you mean 'saliency'?"),
        (["--layer", "conv"], "unknown layer 'conv'; did you mean 'conv2d'?"),
        (["--class", "10"], "--class must be from 0 to 9, got 10"),
        (["--index", "60"], "--index must be from 0 to 59, got 60"),
        (["--index", "1", "--picture", "x.png"], "leave it or --picture out"),
        (["--picture", "absent.png"], "absent.png: No such file"),
    ],
)
def test_mistakes_write_nothing(unbroken: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", str(unbroken), *words]) == 1
    assert expected in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_what_a_file_alone_cannot_say(unbroken: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("alone.safetensors").write_bytes((unbroken / "model.safetensors").read_bytes())
    assert cli.main(["explain", "alone.safetensors"]) == 1
    assert "give --picture FILE or --data NAME" in capsys.readouterr().err
    assert cli.main(["explain", "alone.safetensors", "--picture", picture, "--what", "confusion"]) == 1
    assert "need test pictures: give --data NAME" in capsys.readouterr().err
    assert not Path("explained").exists()


def test_a_network_of_numbers_is_refused(picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    models.Sequential([layers.Dense(3, input_shape=(4,))]).save("numbers.safetensors")
    assert cli.main(["explain", "numbers.safetensors", "--picture", picture]) == 1
    assert "not one picture" in capsys.readouterr().err


def test_equal_runs_draw_equal_pictures(unbroken: Path) -> None:
    for folder in ("a", "b"):
        assert cli.main(["explain", str(unbroken), "--what", "smooth-grad,maximization", "--out", folder]) == 0
    for name in ("smooth-grad", "maximization"):
        np.testing.assert_array_equal(opened(Path(f"a/{name}.png")), opened(Path(f"b/{name}.png")))

"""The commands that use what was trained, and those that show what is here."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcnn import backends, cli, datasets, layers, models
from fastcnn.cli import machine, warmup

from .conftest import records


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three test pictures of the digits as PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    for k, picture in enumerate(datasets.load("digits").x_test[:3]):
        Image.fromarray(picture[..., 0]).save(folder / f"{k}.png")
    return [str(folder / f"{k}.png") for k in range(3)]


def test_predict_is_what_the_model_predicts(unbroken: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(unbroken), *pictures]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["picture", "class", "probability"]
    model = models.load_model(unbroken / "model.safetensors")
    expected = model.predict(datasets.load("digits").x_test[:3].astype(np.float32) / 255, verbose=0)
    for line, path, row in zip(lines, pictures, expected, strict=True):
        assert line.split() == [path, str(row.argmax()), f"{100 * row.max():.1f}", "%"]


def test_predict_resizes_and_loses_colour(unbroken: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with Image.open(pictures[0]) as picture:
        picture.convert("RGB").resize((80, 80), Image.Resampling.NEAREST).save("large.png")
    assert cli.main(["predict", str(unbroken / "model.safetensors"), pictures[0], "large.png"]) == 0
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.split()[1] == second.split()[1]


def test_predict_names_the_picture_that_is_none(
    unbroken: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.png").write_text("no picture")
    for path, reason in (("text.png", "expected a whole picture"), ("absent.png", "No such file")):
        assert cli.main(["predict", str(unbroken), pictures[0], path]) == 1
        output, errors = capsys.readouterr()
        assert output == ""
        assert path in errors
        assert reason in errors


def test_predict_needs_a_model_of_pictures_and_classes(pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    models.Sequential([layers.Dense(3, input_shape=(4,))]).save("numbers.safetensors")
    models.Sequential([layers.Flatten(input_shape=(8, 8, 1)), layers.Dense(1)]).save("one.safetensors")
    for file, expected in (("numbers", "not one picture"), ("one", "not one probability a class")):
        assert cli.main(["predict", f"{file}.safetensors", pictures[0]]) == 1
        assert expected in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_evaluate_gives_the_runs_own_accuracy(unbroken: Path, device: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", str(unbroken), "--device", device]) == 0
    accuracy = records(unbroken)[-1]["test_accuracy"]
    expected = f"Accuracy on the test set: {100 * accuracy:.2f}% ({round(60 * accuracy)} / 60)"
    assert capsys.readouterr().out.splitlines()[0] == expected


def test_evaluate_a_file_on_data_that_are_named(unbroken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.safetensors").write_bytes((unbroken / "model.safetensors").read_bytes())
    assert cli.main(["evaluate", "model.safetensors"]) == 1
    assert "does not say what it was trained on" in capsys.readouterr().err
    assert cli.main(["evaluate", "model.safetensors", "digits"]) == 0
    assert "/ 360)" in capsys.readouterr().out


def test_summary_of_a_name_a_folder_and_a_file(unbroken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("Digits", str(unbroken), str(unbroken / "model.safetensors")):
        assert cli.main(["summary", model]) == 0
        assert "Total params: 66,474" in capsys.readouterr().out


def test_a_folder_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["summary", str(tmp_path)]) == 1
    assert "holds no model: expected checkpoint.safetensors or model.safetensors" in capsys.readouterr().err


def test_devices_says_what_is_usable_and_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["devices"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert machine.processor() in lines["cpu"]
    assert "-bit vectors" in lines["cpu"]
    assert f"{backends.get_num_threads()} thread" in lines["cpu"]
    assert "NumPy" in lines["reference"]
    assert backends.why_not("cuda") in lines["cuda"]
    assert lines["default:"].startswith("default: auto")


def test_warmup_asks_every_kernel_for_its_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    class Kernel:
        def __init__(self, name: str):
            self.name = name

        @property
        def address(self) -> int:
            asked.append(self.name)
            return 1

    monkeypatch.setattr(warmup, "SIZES", {"Digits": 32})
    monkeypatch.setattr(warmup, "_kernels", lambda: [Kernel("conv.forward"), Kernel("dense.forward")])
    assert cli.main(["warmup"]) == 0
    assert asked == ["conv.forward", "dense.forward"]
    assert "2 kernels are ready" in capsys.readouterr().out


def test_warmup_knows_every_kernel() -> None:
    families = {kernel.name.split(".")[0] for kernel in warmup._kernels()}
    assert {"conv", "pool", "norm", "activation", "optimizer"} <= families


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0s"), (12.34, "12.3s"), (59.99, "60.0s"), (484, "8m 4s"), (3599.6, "1h 0m"), (12_600, "3h 30m")],
)
def test_durations_are_written_as_the_tutorials_do(seconds: float, expected: str) -> None:
    assert machine.duration(seconds) == expected

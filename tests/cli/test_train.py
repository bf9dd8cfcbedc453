"""`fastcnn train`: what it leaves, that it leaves the same bits each time, and other data than the bundled ones."""

import json
import os
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcnn import cli, models
from fastcnn.cli import plot

from .conftest import EPOCHS, RUN, contents, finish, records


def test_the_files_of_a_run(unbroken: Path) -> None:
    files = {"checkpoint.safetensors", "model.safetensors", "history.json", "run.toml", "history.png"}
    assert {file.name for file in unbroken.iterdir()} == files
    with Image.open(unbroken / "history.png") as picture:
        assert picture.format == "PNG"


def test_the_history_has_a_record_an_epoch_and_the_test_in_the_last(unbroken: Path) -> None:
    found = records(unbroken)
    keys = ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert [list(record) for record in found[:-1]] == [keys] * (EPOCHS - 1)
    assert list(found[-1]) == [*keys, "test_loss", "test_accuracy"]
    assert found[-1]["loss"] < found[0]["loss"]
    assert found[-1]["test_accuracy"] * 60 == pytest.approx(round(found[-1]["test_accuracy"] * 60))  # of 60 pictures


def test_the_notes_hold_what_is_needed_to_run_it_again(unbroken: Path) -> None:
    notes = tomllib.loads((unbroken / "run.toml").read_text())
    assert notes["options"] == {
        "data": "digits", "model": "Digits", "epochs": EPOCHS, "batch_size": 16, "learning_rate": 0.001,
        "validation_split": 0.1, "seed": 3, "limit": 60, "device": "cpu",
    }  # fmt: skip
    assert notes["data"]["class_names"] == [str(k) for k in range(10)]
    assert set(notes["versions"]) >= {"fastcnn", "python", "numpy", "numba"}


def test_the_command_in_the_notes_runs_it_again(unbroken: Path, tmp_path: Path) -> None:
    words = shlex.split(tomllib.loads((unbroken / "run.toml").read_text())["run"]["command"])
    assert words.pop(0) == "fastcnn"
    words[words.index("--out") + 1] = str(tmp_path / "again")
    assert cli.main(words) == 0
    assert contents(tmp_path / "again") == contents(unbroken)


def test_another_number_of_threads_gives_the_same_bits(unbroken: Path, tmp_path: Path) -> None:
    finish(*RUN, "--out", tmp_path / "one", FASTCNN_NUM_THREADS="1")
    assert contents(tmp_path / "one") == contents(unbroken)


def test_another_seed_gives_other_bits(unbroken: Path, tmp_path: Path) -> None:
    assert cli.main([*RUN, "--out", "other", "--seed", "4"]) == 0
    assert contents(tmp_path / "other")["history"] != contents(unbroken)["history"]


def test_the_model_can_be_loaded(unbroken: Path) -> None:
    assert models.load_model(unbroken / "model.safetensors").count_params() == 66_474


def test_the_last_lines_are_the_tutorials_table(unbroken: Path) -> None:
    lines = (unbroken.parent / "printed").read_text().splitlines()
    assert lines[0].startswith("Digits on digits: 54 pictures to train on, 6 to validate, 60 to test; ")
    assert lines[-5] == f"| Device | Batch size | Time ({EPOCHS} epochs) | Accuracy [%] |"
    cells = [cell.strip() for cell in lines[-3].strip("|").split("|")]
    assert cells[1] == "16"
    assert float(cells[3]) == pytest.approx(100 * records(unbroken)[-1]["test_accuracy"], abs=0.005)


def test_an_epoch_is_one_plain_line_where_nobody_watches(unbroken: Path) -> None:
    output = (unbroken.parent / "printed").read_text()
    assert output.count("val_accuracy") == EPOCHS
    assert "\r" not in output
    assert "\x1b" not in output
    assert "samples/s" in output


def test_without_validation(tmp_path: Path) -> None:
    assert cli.main(["train", "--limit", "20", "--epochs", "1", "--validation-split", "0", "--out", "run"]) == 0
    assert list(records(tmp_path / "run")[0]) == ["loss", "accuracy", "test_loss", "test_accuracy"]


def test_without_matplotlib_it_is_said_how_to_get_the_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def curves(*_: object) -> bytes:
        raise ImportError("no matplotlib")

    monkeypatch.setattr(plot, "curves", curves)
    assert cli.main(["train", "--limit", "20", "--epochs", "1", "--out", "run"]) == 0
    assert not (tmp_path / "run" / "history.png").exists()
    assert capsys.readouterr().out.count("pip install 'fastcnn[plot]'") == 1


def test_a_folder_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, red in (("dark", 0), ("light", 200)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for k in range(5):
            Image.new("RGB", (40, 40), (red, k, k)).save(tmp_path / "pets" / name / f"{k}.png")
    assert cli.main(["train", "pets", "--epochs", "1"]) == 0
    folder = tmp_path / "runs" / "pets-TutorialKeras"
    assert tomllib.loads((folder / "run.toml").read_text())["data"]["class_names"] == ["dark", "light"]
    assert cli.main(["predict", str(folder), "pets/dark/0.png"]) == 0
    assert {"dark", "light"} & set(capsys.readouterr().out.splitlines()[-1].split())


def test_an_npz_file_of_floats_in_another_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    x, y = random.random((12, 14, 11), np.float32), np.arange(12) % 3
    np.savez(tmp_path / "noise.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert cli.main(["train", "noise.npz", "--model", "Digits", "--epochs", "1", "--out", "run"]) == 0
    assert models.load_model("run/model.safetensors").input_shape == (None, 14, 11, 1)
    Image.new("L", (20, 20)).save("black.png")
    assert cli.main(["predict", "run", "black.png"]) == 0
    assert "trained on floats" in capsys.readouterr().err


def test_pictures_that_are_too_small_are_an_error_and_leave_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "digits", "--model", "TutorialMNIST"]) == 1
    assert "below one pixel" in capsys.readouterr().err
    assert os.listdir() == []


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_what_was_saved(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--limit", "40", "--batch-size", "4", "--learning-rate", "1e30"]
    assert cli.main([*words, "--out", "run"]) == 1
    errors = capsys.readouterr().err
    assert "NaN or infinite" in errors
    assert errors.count("\n") == 1
    assert json.loads(Path("run/history.json").read_text()) == []

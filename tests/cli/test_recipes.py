"""How the options of a run are found: given, from the data set's recipe, or from the run that is resumed."""

from dataclasses import asdict
from pathlib import Path

import pytest

from fastcnn import applications, cli, datasets
from fastcnn.cli import recipes, train
from fastcnn.cli.arguments import Parser
from fastcnn.cli.recipes import OTHERS, RECIPES, default_folder, options_of, resumed


def test_every_recipe_names_a_model_and_a_data_set() -> None:
    assert set(RECIPES) == set(datasets.loading.MODULES)
    assert {recipe.model for recipe in [*RECIPES.values(), OTHERS]} <= set(applications.MODELS)


def test_the_table_in_the_docstring_is_the_recipes() -> None:
    rows = [line.split() for line in (recipes.__doc__ or "").splitlines() if line.startswith(" ")]
    told = {row[0]: row[1:6] for row in rows[1:]}
    table = {**RECIPES, "others": OTHERS}
    assert told == {name: [str(value) for value in asdict(recipe).values()] for name, recipe in table.items()}


def test_what_is_given_counts_and_the_recipe_fills_the_rest() -> None:
    options = options_of({"data": "mnist", "epochs": 3, "seed": None})
    assert (options.model, options.epochs, options.batch_size, options.seed) == ("TutorialMNIST", 3, 64, 0)
    assert options_of({}).data == "digits"
    assert default_folder(options) == Path("runs/mnist-TutorialMNIST")


def test_paths_become_absolute_and_name_the_folder(tmp_path: Path) -> None:
    (tmp_path / "pets.npz").touch()
    options = options_of({"data": "pets.npz"})
    assert options.data == str(tmp_path / "pets.npz")
    assert default_folder(options) == Path("runs/pets-TutorialKeras")


def test_the_command_of_a_run_gives_the_same_options() -> None:
    options = options_of({"data": "mnist", "limit": 100, "learning_rate": 1e-5, "validation_split": 0.0, "device": "cpu"})
    parser = Parser(prog="fastcnn train")
    train.describe(parser)
    words = options.command(Path("a folder"))
    assert words[:2] == ["fastcnn", "train"]
    arguments = parser.parse(words[2:])
    assert options_of(vars(arguments)) == options
    assert arguments.out == Path("a folder")


def test_a_resumed_run_keeps_its_options() -> None:
    saved = options_of({"data": "mnist", "seed": 7, "limit": 100})
    assert resumed(saved, {}) == saved
    assert resumed(saved, {"seed": 7, "epochs": 30, "device": "reference"}).epochs == 30


def test_a_resumed_run_takes_no_other_options_and_says_which_differ() -> None:
    saved = options_of({"data": "mnist"})
    with pytest.raises(ValueError, match="model was TutorialMNIST, now Digits; batch size was 64, now 8; seed was 0, now 1"):
        resumed(saved, {"model": "Digits", "batch_size": 8, "seed": 1, "epochs": 2})


def test_the_environment_names_the_default_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCNN_DEVICE", "reference")
    assert options_of({}).device == "reference"
    assert cli.main(["train", "--device", "cuda"]) == 1

"""Every example runs on its small data and prints what it is there to show; the table of examples/README.md is true."""

import inspect
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fastcnn.cli
from fastcnn.datasets import digits
from fastcnn.utils.naming import snake_case
from tests.layers.test_conformance import CASES
from tests.pictures import opened

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
README = (EXAMPLES / "README.md").read_text()
PRINTS = {
    "t1_convolution": ["138", "32x32x1 -> 16x16x1|stride 2, valid  -> 16x16x1", "1,228,800 weights"],
    "t2_letters": ["high are: 1 4 5 10 11", "scores 0.91 as X"],
    "t3_mnist": [r"Test accuracy: [89]\d\.\d\d%", "the network says"],
    "t5_augmentation": [r"Accuracy on Test-Set: [89]\d\.\d\d%"],
    "cifar10_faithful": [r"loss: 1\.[5-7]", r"Accuracy on Test-Set: [789]\d\.\d\d%"],
    "cifar10_mended": ["Chosen: epoch . of 3", r"Accuracy on Test-Set: [789]\d\.\d\d%"],
    "cifar10_resnet20": ["Chosen: epoch . of 3", "Accuracy on Test-Set"],
    "own_pictures": ["circle", r"[89]\d\.\d\d%|100\.00%"],
    "text_conv1d": [r"Accuracy on test lines: 9\d\.\d\d%", "right +English"],
    "volumes": [r"Accuracy on 100 other volumes: (9\d|100)\.\d\d%"],
    "transfer_learning": ["new head on the frozen convolutions", "everything from the beginning"],
}
"""Patterns of what each script prints; cifar10_faithful's loss stays above ln(e + 9) - 1 = 1.46."""


def run(name: str, folder: Path, monkeypatch: Any, *arguments: str) -> None:
    """A script as `python examples/NAME.py ARGUMENTS` runs it, in `folder`."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_every_script_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*PRINTS, "runs"}
    assert all(f"[{name}.py]({name}.py)" in README for name in PRINTS)


@pytest.mark.parametrize("name", PRINTS)
def test_an_example_shows_what_it_is_there_for(name: str, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    run(name, tmp_path, monkeypatch)
    printed = capsys.readouterr().out
    for pattern in PRINTS[name]:
        assert re.search(pattern, printed), f"{pattern!r} is not in what {name}.py prints"
    for picture in tmp_path.rglob("*.png"):
        opened(picture)
    assert name != "t3_mnist" or (tmp_path / "runs" / "t3_mnist.png").exists()


def test_the_edges_of_a_picture_are_drawn(tmp_path: Path, monkeypatch: Any) -> None:
    (picture, *_), _ = digits.load_data()[0]
    Image.fromarray(np.kron(picture * 15, np.ones((20, 20))).astype(np.uint8)).save(tmp_path / "digit.png")
    run("t1_convolution", tmp_path, monkeypatch, "--picture", "digit.png")
    opened(tmp_path / "runs" / "edges.png")


def test_a_training_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    run("cifar10_resnet20", tmp_path, monkeypatch, "--epochs", "1", "--out", "once")
    run("cifar10_resnet20", tmp_path, monkeypatch, "--epochs", "1", "--out", "once")
    assert capsys.readouterr().out.count("39/39 - ") == 1


# The table of the tutorials' words.

ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in README.splitlines() if re.match(r"\| T\d ", line)]
NAMES = sorted({name for row in ROWS for name in re.findall(r"`([^`]+)`", row[2])})


def test_the_table_has_every_tutorial() -> None:
    assert {row[0] for row in ROWS} == {f"T{k}" for k in range(1, 7)}
    assert all(re.search("`", row[2]) for row in ROWS)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_table_exists(name: str) -> None:
    if name.startswith("fastcnn "):
        assert name.split()[1] in fastcnn.cli.COMMANDS
        return
    path, _, arguments = name.partition("(")
    found: Any = fastcnn
    for part in path.split("."):
        found = getattr(found, part)
    taken = inspect.signature(found).parameters if arguments else {}
    assert set(re.findall(r"\w+", arguments)) <= set(taken)


@pytest.mark.parametrize("row", [row for row in ROWS if row[3]], ids=lambda row: row[1])
def test_a_script_shows_what_the_table_says(row: list[str]) -> None:
    text = (EXAMPLES / row[3]).read_text()
    last = [re.split(r"[ .]", name.partition("(")[0])[-1] for name in re.findall(r"`([^`]+)`", row[2])]
    assert any(name in text or snake_case(name) in text for name in last), f"none of {', '.join(last)} is in {row[3]}"


def test_every_layer_of_the_table_conforms() -> None:
    named = {name.partition("(")[0].removeprefix("layers.") for name in NAMES if name.startswith("layers.")}
    tested = {type(case.make()).__name__ for case in CASES.values()}
    assert named - {"Input", "Layer.trainable"} <= tested

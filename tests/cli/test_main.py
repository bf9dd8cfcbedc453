"""The command itself: help, versions, unknown words, errors in one line, exit codes."""

import subprocess
import sys
from typing import Any

import pytest

import fastcnn
from fastcnn import cli

UNKNOWN = {
    "command": (["trian"], "unknown command 'trian'; did you mean 'train'?"),
    "top option": (["--verison"], "unknown command '--verison'; did you mean '--version'?"),
    "option": (["train", "--modle", "Digits"], "unknown option '--modle'; did you mean '--model'?"),
    "abbreviated option": (["train", "--epoch", "3"], "unknown option '--epoch'; did you mean '--epochs'?"),
    "data": (["train", "mnits"], "unknown data set 'mnits'; did you mean 'mnist'?"),
    "model": (["train", "--model", "TutorialMINST"], "did you mean 'TutorialMNIST'?"),
    "device": (["train", "--device", "gpu"], "unknown device 'gpu'"),
    "network": (["summary", "Digit"], "unknown model 'Digit'; did you mean 'Digits'?"),
}
BAD = {
    "no cuda": (["train", "--device", "cuda"], "device 'cuda' is not usable"),
    "no epochs": (["train", "--epochs", "0"], "--epochs: expected a whole number of at least 1, got '0'"),
    "no pictures": (["train", "--batch-size", "-1"], "--batch-size: expected a whole number of at least 1, got '-1'"),
    "no number": (["train", "--learning-rate", "nan"], "--learning-rate: expected a number above 0, got 'nan'"),
    "no share": (["train", "--validation-split", "1"], "--validation-split: expected a fraction from 0 to below 1, got '1'"),
    "seed too large": (["train", "--seed", str(2**32)], "--seed: expected a whole number from 0 to 4294967295"),
    "extra word": (["train", "digits", "mnist"], "unexpected argument 'mnist'; see fastcnn train --help"),
    "missing word": (["predict", "x.safetensors"], "the following arguments are required: IMAGE"),
    "no such data": (["train", "no/such/folder"], "no/such/folder: there is no such file or folder"),
    "no such model": (["evaluate", "no/such/run"], "no/such/run: there is no such run folder or model file"),
    "nothing left": (["train", "--limit", "1"], "1 samples cannot be divided"),
}


@pytest.mark.parametrize(("words", "expected"), [*UNKNOWN.values(), *BAD.values()], ids=[*UNKNOWN, *BAD])
def test_a_mistake_is_one_line_that_helps_and_leaves_nothing(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    assert cli.main(words) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("fastcnn: error: ")
    assert errors.count("\n") == 1
    assert expected in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    output = capsys.readouterr().out
    assert all(command in output for command in cli.COMMANDS)


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    assert f"usage: fastcnn {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastcnn {fastcnn.__version__}\n"


def test_help_and_version_import_nothing_heavy() -> None:
    program = (
        "import sys; from fastcnn.cli import main; main(['--help']); main(['--version'])\n"
        "heavy = {'numba', 'rich', 'matplotlib', 'safetensors', 'pooch'} & set(sys.modules); assert not heavy, heavy"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert result.returncode == 0, result.stderr


def test_a_traceback_is_shown_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCNN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown command"):
        cli.main(["trian"])


def _noted(error: Exception, note: str) -> Exception:
    error.add_note(note)
    return error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(), "ValueError: "),
        (FileNotFoundError(2, "No such file or directory", "a.png"), "a.png: No such file or directory"),
        (RuntimeError("told"), "told"),
        (MemoryError("a batch of 3 fits"), "a batch of 3 fits"),
        (_noted(RuntimeError("out of bounds"), "in step 3"), "out of bounds; in step 3"),
    ],
)
def test_errors_are_told_in_words(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_dispatch", _raising(error))
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == f"fastcnn: error: {line}\n"


def test_an_interrupt_is_no_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_dispatch", _raising(KeyboardInterrupt()))
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "\nfastcnn: interrupted.\n"


def _raising(error: BaseException) -> Any:
    def dispatch(arguments: Any) -> int:
        raise error

    return dispatch

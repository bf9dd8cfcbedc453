"""Runs that are killed, interrupted or run out of space go on with --resume, and end with the bits of an unbroken one."""

import errno
import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcnn import cli, models
from fastcnn.saving import load_checkpoint, save_checkpoint

from .conftest import EPOCHS, RUN, contents, records, start

KILLS_ITSELF = """
import os, signal, sys
from fastcnn import cli
name, left = sys.argv[1], int(sys.argv[2])
original = getattr(os, name)
def dying(*arguments):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return original(*arguments)
setattr(os, name, dying)
cli.main(sys.argv[3:])
"""


def test_killed_at_several_moments(unbroken: Path, tmp_path: Path) -> None:
    # A moment is a number of lines that were printed, and a little later: while it starts, trains, validates, writes.
    for lines, later in ((0, 0.1), (1, 0.0), (2, 0.02), (5, 0.0), (9, 0.01)):
        process = start(*RUN, "--resume", "--out", tmp_path)
        assert process.stdout
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(later)
        process.kill()
        process.communicate()
    _goes_on(tmp_path, unbroken)


def _goes_on(folder: Path, unbroken: Path) -> None:
    """A run goes on in a folder, and leaves what the unbroken one left, and nothing else."""
    assert cli.main([*RUN, "--resume", "--out", str(folder)]) == 0
    assert contents(folder) == contents(unbroken)
    assert not list(folder.glob(".*"))


# The files are written in this order: run.toml, then checkpoint, model, history before the first epoch and after each.
@pytest.mark.parametrize(
    ("function", "calls"),
    [("fsync", 1), ("replace", 1), ("fsync", 4), ("replace", 5), ("replace", 3 * EPOCHS + 4)],
    ids=["writing the first checkpoint", "before it has its name", "writing epoch 1", "before its model", "at the very end"],
)
def test_killed_while_writing(function: str, calls: int, unbroken: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-c", KILLS_ITSELF, function, str(calls), *RUN, "--out", str(tmp_path)]
    killed = subprocess.run(program, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert list(tmp_path.glob(".*.tmp"))
    _goes_on(tmp_path, unbroken)


def test_ctrl_c_says_what_is_saved_and_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--limit", "800", "--epochs", "60", "--batch-size", "4", "--out", tmp_path / "a run"]
    process = start(*words)
    assert process.stdout
    assert process.stderr
    for line in process.stdout:
        if line.startswith("Epoch 3/"):
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    told = re.search(r"fastcnn: interrupted\. (\d+) of 60 epochs are saved; to go on: (fastcnn .*)\n", errors)
    assert told, errors
    assert 2 <= int(told[1]) == len(records(tmp_path / "a run")) < 60
    assert cli.main(shlex.split(told[2])[1:]) == 0
    assert f"Epoch {int(told[1]) + 1}/60" in capsys.readouterr().out
    assert len(records(tmp_path / "a run")) == 60


def test_more_epochs_are_those_of_a_longer_run(unbroken: Path, tmp_path: Path) -> None:
    assert cli.main([*RUN, "--epochs", "5", "--out", str(tmp_path)]) == 0
    assert cli.main(["train", "--epochs", str(EPOCHS), "--resume", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path) == contents(unbroken)


def test_a_finished_run_makes_its_files_again(unbroken: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes((unbroken / "checkpoint.safetensors").read_bytes())
    assert cli.main(["train", "--resume", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path) == contents(unbroken)


def _copy(unbroken: Path, tmp_path: Path) -> str:
    (tmp_path / "checkpoint.safetensors").write_bytes((unbroken / "checkpoint.safetensors").read_bytes())
    return str(tmp_path)


def _fails(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(words) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    return errors


DIFFERENT: dict[str, tuple[list[str], str]] = {
    "model": (["--model", "TutorialKeras"], "model was Digits, now TutorialKeras"),
    "batch size": (["--batch-size", "8"], "batch size was 16, now 8"),
    "seed and limit": (["--seed", "1", "--limit", "50"], "seed was 3, now 1; limit was 60, now 50"),
    "fewer epochs": (["--epochs", "2"], f"holds {EPOCHS} epochs already, more than --epochs 2"),
    "data": (["other.npz"], "cannot resume on other data"),
}


@pytest.mark.parametrize(("words", "expected"), DIFFERENT.values(), ids=list(DIFFERENT))
def test_a_run_does_not_go_on_as_another(
    words: list[str], expected: str, unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("other.npz", x_train=np.zeros((9, 8, 8)), y_train=np.arange(9), x_test=np.zeros((9, 8, 8)), y_test=np.arange(9))
    folder = _copy(unbroken, tmp_path)
    assert expected in _fails(["train", *words, "--resume", "--out", folder], capsys)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == (unbroken / "checkpoint.safetensors").read_bytes()


def test_a_run_is_not_overwritten(unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _copy(unbroken, tmp_path)
    errors = _fails([*RUN, "--out", folder], capsys)
    assert f"{folder} holds a run already, of {EPOCHS} epochs: go on with it by --resume, or choose another --out" in errors


def test_a_run_of_no_epochs_is_nothing_to_keep(unbroken: Path, tmp_path: Path) -> None:
    model, state = load_checkpoint(unbroken / "checkpoint.safetensors")
    save_checkpoint(tmp_path / "checkpoint.safetensors", model, {**state, "epochs": 0})
    assert cli.main([*RUN, "--out", str(tmp_path)]) == 0
    assert contents(tmp_path) == contents(unbroken)


def test_a_damaged_checkpoint(unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = bytearray((unbroken / "checkpoint.safetensors").read_bytes())
    damaged[-100] ^= 1
    (tmp_path / "checkpoint.safetensors").write_bytes(damaged)
    assert "checkpoint.safetensors is damaged" in _fails(["train", "--resume", "--out", str(tmp_path)], capsys)


def test_a_checkpoint_that_train_did_not_write(unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = models.load_model(unbroken / "model.safetensors")
    save_checkpoint(tmp_path / "checkpoint.safetensors", model, {"epochs": 1})
    assert "was not written by fastcnn train" in _fails(["train", "--resume", "--out", str(tmp_path)], capsys)


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        errors = _fails([*RUN, "--out", str(tmp_path)], capsys)
    finally:
        os.close(handle)
    assert "another process is training in" in errors


def test_a_full_disk_ends_the_run_and_space_lets_it_go_on(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = os.fsync, []

    def fsync(handle: Any) -> None:
        calls.append(handle)
        if len(calls) > 10:  # run.toml, and three times checkpoint, model and history
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    errors = _fails([*RUN, "--out", str(tmp_path)], capsys)
    assert errors.startswith(f"fastcnn: error: {tmp_path}/checkpoint.safetensors: No space left on device")
    assert not list(tmp_path.glob(".*"))
    assert len(records(tmp_path)) == 2
    monkeypatch.setattr(os, "fsync", real)
    _goes_on(tmp_path, unbroken)


def test_a_file_that_may_not_grow_leaves_no_checkpoint(tmp_path: Path) -> None:
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000,) * 2)\n"
    program = [sys.executable, "-c", limited + "from fastcnn import cli; sys.exit(cli.main(sys.argv[1:]))"]
    words = [*RUN, "--device", "reference", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([*program, *words], env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "checkpoint.safetensors: File too large" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["run.toml"]

"""Runs of the command in its own process, and one unbroken run that others are compared with."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from fastcnn.utils import clear_session

ROOT = Path(__file__).parents[2]
EPOCHS = 12
RUN = ["train", "--limit", "60", "--epochs", str(EPOCHS), "--batch-size", "16", "--seed", "3", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _as_in_a_new_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run folder but the test's own, no settings of this machine, and layers that are named as in a new process.

    One thread: small steps on a busy machine are waits for the thread that does not run. The unbroken run has two.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("FASTCNN_DEVICE", "FASTCNN_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FASTCNN_NUM_THREADS", "1")
    clear_session()


def start(*words: Any, **environment: str) -> "subprocess.Popen[str]":
    """Start `python -m fastcnn` with these words, interruptible even where these tests are not: shells start jobs in the
    background with SIGINT ignored, and children inherit that."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "fastcnn", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path, **environment}, **pipes)  # type: ignore[call-overload]
    finally:
        signal.signal(signal.SIGINT, before)


def finish(*words: Any, **environment: str) -> str:
    """Run the command to its end, and return what it printed; the test fails where the command does."""
    process = start(*words, **environment)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


def contents(folder: Path) -> dict[str, Any]:
    """Everything in a run folder that must be the same bits in every run of the same options."""
    return {
        "checkpoint": _tensors(folder / "checkpoint.safetensors"),
        "model": _tensors(folder / "model.safetensors"),
        "history": (folder / "history.json").read_bytes(),
    }


def _tensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
        return {"tensors": tensors, "metadata": file.metadata()}


def records(folder: Path) -> list[dict[str, float]]:
    """history.json."""
    return json.loads((folder / "history.json").read_text())


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed; `printed` beside it holds what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    (folder.parent / "printed").write_text(finish(*RUN, "--out", folder, FASTCNN_NUM_THREADS="2"))
    return folder

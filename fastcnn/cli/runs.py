"""Run folders: what `fastcnn train` leaves, and what the other commands read.

    checkpoint.safetensors   model, optimizer and state after the last complete epoch: what --resume goes on from
    model.safetensors        the model alone, for models.load_model
    history.json             a list of records, one an epoch; the last one has the test's numbers too
    run.toml                 options, data and versions: what is needed to run it again
    history.png              the history drawn

Each is written whole or not at all, the checkpoint first: the others are derived from it, and made again by a resumed run.
"""

import contextlib
import fcntl
import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastcnn.cli import plot, toml
from fastcnn.saving import load_model
from fastcnn.utils.files import write_atomically


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path):
        self.path = path
        self.checkpoint, self.model = path / "checkpoint.safetensors", path / "model.safetensors"
        self.history, self.run, self.plot = path / "history.json", path / "run.toml", path / "history.png"

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Make the folder, and keep other processes from training in it meanwhile; the system lets go of a killed one's."""
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            self._lock(handle)
            self._remove_unfinished()
            yield
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another process is training in {self.path}; wait for it, or choose another --out") from None
        except OSError:
            pass  # some network file systems have no locks

    def _remove_unfinished(self) -> None:
        """Remove what a killed process was writing."""
        for name in (self.checkpoint, self.model, self.history, self.run, self.plot):
            for left in self.path.glob(f".{name.name}.*.tmp"):
                left.unlink()

    def write_history(self, records: Sequence[Mapping[str, float]]) -> None:
        """Write history.json, a record a line."""
        lines = ",\n".join(f" {json.dumps(record)}" for record in records)
        write_atomically(self.history, f"[\n{lines}\n]\n".encode())

    def write_run(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Write run.toml."""
        write_atomically(self.run, toml.dumps(tables).encode())

    def draw_history(self, records: Sequence[Mapping[str, float]], title: str) -> str:
        """Draw history.png where matplotlib is installed; else return what to install, as the end of a sentence."""
        try:
            content = plot.curves(records, title)
        except ImportError:
            return " (history.png needs matplotlib: pip install 'fastcnn[plot]')"
        write_atomically(self.plot, content)
        return ""


def saved_model(path: str) -> tuple[Any, Mapping[str, Any]]:
    """The model in a run folder or file, not compiled, and what run.toml beside it says (nothing, where there is none).

    Raises FileNotFoundError where there is no model, ValueError for a damaged one.
    """
    file = model_file(Path(path))
    notes = file.with_name("run.toml")
    return load_model(file, compile=False), tomllib.loads(notes.read_text("utf-8")) if notes.exists() else {}


def model_file(path: Path) -> Path:
    """The file of the model in a run folder, or the file itself. FileNotFoundError where there is none."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such run folder or model file; fastcnn train makes them")
    if not path.is_dir():
        return path
    folder = RunFolder(path)
    for file in (folder.checkpoint, folder.model):
        if file.exists():
            return file
    raise FileNotFoundError(f"{path} holds no model: expected {folder.checkpoint.name} or {folder.model.name} in it")

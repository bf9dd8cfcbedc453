"""What an epoch's numbers are written into: `History`, and `CSVLogger`'s file."""

import csv
import os
from pathlib import Path
from typing import Any, TextIO

from .callback import Callback, Logs


class History(Callback):
    """`history`: a list of values, one an epoch, by name; `epoch`: the numbers of the epochs. `fit` returns it."""

    state_fields = ("history", "epoch")

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Count the epochs of this `fit`."""
        if not self.continues():
            self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the epoch's numbers."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class CSVLogger(Callback):
    """A row an epoch in the file `filename`: epoch, then the logs sorted by name; NA where there is no value, as in Keras.

    append   continue the file rather than begin it again; a restored logger continues where its checkpoint was made
    """

    state_fields = ("keys", "position")

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        self.filename, self.separator, self.append = Path(filename), separator, append
        self.keys: list[str] | None = None
        self.position = 0
        self._file: TextIO | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        if self.continues() and self.filename.exists():
            self._file = open(self.filename, "r+", newline="")  # noqa: SIM115
            self._file.truncate(self.position)
            self._file.seek(self.position)
        else:
            self.keys = None
            self._file = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a row."""
        assert self._file is not None
        logs = logs or {}
        rows = csv.writer(self._file, delimiter=self.separator)
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                # Validation may come in a later epoch only.
                self.keys += [f"val_{key}" for key in self.keys]
            if self._file.tell() == 0:
                rows.writerow(["epoch", *self.keys])
        rows.writerow([epoch, *(logs.get(key, "NA") for key in self.keys)])
        self._file.flush()
        self.position = self._file.tell()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_file": None}

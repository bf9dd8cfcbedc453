"""`Training`: a run from its headline to its last file, whether it begins or goes on."""

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fastcnn.callbacks import Callback, History, states
from fastcnn.cli.devices import device_name
from fastcnn.cli.machine import duration, versions
from fastcnn.cli.pictures import Parts
from fastcnn.cli.recipes import Options
from fastcnn.cli.runs import RunFolder
from fastcnn.saving import save_checkpoint

Logs = Mapping[str, float]


@dataclass
class Training:
    """What was chosen, the data and what is to be noted about them, the compiled model, and the history so far."""

    folder: RunFolder
    options: Options
    facts: dict[str, Any]
    parts: Parts
    model: Any
    history: History = field(default_factory=History)

    def run(self) -> None:
        """Train the epochs that are left, measure the result on the test part once, and report it."""
        done = len(self.history.epoch)
        print(self._headline(), flush=True)
        self.folder.write_run(self._notes())
        if not done:
            self.save()
        seconds = self._fit(done)
        test = self.model.evaluate(*self.parts.test, self.options.batch_size, verbose=0, return_dict=True)
        self._finish(test, seconds, self.options.epochs - done)

    def _fit(self, done: int) -> float:
        began = time.perf_counter()
        self.model.fit(
            *self.parts.train,
            batch_size=self.options.batch_size,
            initial_epoch=done,
            epochs=self.options.epochs,
            validation_data=self.parts.validation,
            callbacks=[self.history, _AtEpochEnd(self.save)],
        )
        return time.perf_counter() - began

    def save(self) -> None:
        """Write the checkpoint, then the files that are derived from it."""
        state = {
            "epochs": len(self.history.epoch),
            "options": asdict(self.options),
            "sha256": self.facts["sha256"],
            "callbacks": states([self.history]),
        }
        save_checkpoint(self.folder.checkpoint, self.model, state)
        self._derive(self._records())

    def _derive(self, records: list[dict[str, float]]) -> None:
        self.model.save(self.folder.model)
        self.folder.write_history(records)

    def _records(self) -> list[dict[str, float]]:
        """The history as a list with one record an epoch."""
        columns = self.history.history
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _finish(self, test: Logs, seconds: float, epochs: int) -> None:
        records = self._records()
        records[-1].update({f"test_{name}": value for name, value in test.items()})
        self._derive(records)
        # How long it took is not the same in every run, so it stands where nothing is compared.
        self.folder.write_run(self._notes() | {"timing": {"epochs": epochs, "seconds": round(seconds, 3)}})
        print(self._table(test["accuracy"], seconds, epochs))
        hint = self.folder.draw_history(records, f"{self.options.model} on {self.facts['name']}")
        print(f"\nThe trained model and its history are in {self.folder.path}{hint}")

    def _notes(self) -> dict[str, dict[str, Any]]:
        """run.toml: what is needed to run it again."""
        command = {"command": shlex.join(self.options.command(self.folder.path))}
        return {"run": command, "options": asdict(self.options), "data": self.facts, "versions": versions()}

    def _headline(self) -> str:
        train, validation, test = (0 if part is None else len(part[1]) for part in self.parts)
        return (
            f"{self.options.model} on {self.facts['name']}: {train:,} pictures to train on, {validation:,} to validate, "
            f"{test:,} to test; {device_name(self.options.device)}"
        )

    def _table(self, accuracy: float, seconds: float, epochs: int) -> str:
        """The tutorials' table with this run's row: `epochs` of them took `seconds`."""
        device, batch_size = device_name(self.options.device), self.options.batch_size
        return (
            f"\n| Device | Batch size | Time ({epochs} epochs) | Accuracy [%] |\n| --- | --- | --- | --- |\n"
            f"| {device} | {batch_size} | {duration(seconds)} | {100 * accuracy:.2f} |"
        )


class _AtEpochEnd(Callback):
    def __init__(self, action: Callable[[], None]):
        self.action = action

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.action()


def compiled(model: Any, optimizer: Any, options: Options) -> Any:
    """The model, ready to be trained on integer labels; an optimizer keeps what it has learned."""
    loss, metrics = "sparse_categorical_crossentropy", ["accuracy"]
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, device=options.device)
    return model

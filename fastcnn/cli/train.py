"""`fastcnn train`: trains a network on a data set and leaves it in a run folder (see `runs`).

A run can be killed at any moment: with --resume it goes on after its last complete epoch and ends with the same bits as an
unbroken one.
"""

import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastcnn import applications, backends
from fastcnn.callbacks import Callback, History, restore, states
from fastcnn.cli import arguments as kinds
from fastcnn.cli.devices import device_name
from fastcnn.cli.machine import duration, versions
from fastcnn.cli.pictures import Parts, divided, fingerprint
from fastcnn.cli.recipes import Options, default_folder, options_of, resumed
from fastcnn.cli.runs import RunFolder
from fastcnn.datasets import Dataset, load
from fastcnn.optimizers import Adam
from fastcnn.saving import load_checkpoint, save_checkpoint
from fastcnn.utils import set_random_seed

INTERRUPTED = 130


def describe(parser: kinds.Parser) -> None:
    """Add the arguments. Those left away are taken from the data set's recipe, or from the run that is resumed."""
    parser.add_argument("data", nargs="?", help="digits (default), mnist, cifar10, an .npz file, or a folder of pictures")
    parser.add_argument("--model", metavar="NAME", help=f"{', '.join(applications.MODELS)}")
    parser.add_argument("--epochs", type=kinds.positive_int, metavar="N", help="passes over the training pictures")
    parser.add_argument("--batch-size", type=kinds.positive_int, metavar="N", help="pictures in a training step")
    parser.add_argument("--learning-rate", type=kinds.positive_float, metavar="X", help="Adam's (default 0.001)")
    parser.add_argument("--validation-split", type=kinds.share, metavar="X", help="share of the training pictures; 0: none")
    parser.add_argument("--seed", type=kinds.seed, metavar="N", help="of weights, shuffles and dropout (default 0)")
    parser.add_argument("--limit", type=kinds.positive_int, metavar="N", help="N pictures for training, N for the test")
    kinds.device_option(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default runs/DATA-MODEL)")
    parser.add_argument("--resume", action="store_true", help="go on after the last complete epoch in the run folder")


def run(arguments: Any) -> int:
    """Train, and report."""
    given = vars(arguments)
    options = options_of(given)
    folder = RunFolder(arguments.out or default_folder(options))
    training = _resume(folder, given) if _to_resume(folder, arguments.resume) else _begin(folder, options)
    with folder.taken():
        try:
            training.run()
        except KeyboardInterrupt:
            print(f"\nfastcnn: interrupted. {_saved(folder)}", file=sys.stderr)
            return INTERRUPTED
    return 0


@dataclass
class Training:
    """A run: what was chosen, the data and their fingerprint, the model, and the history so far."""

    folder: RunFolder
    options: Options
    data: Dataset
    fingerprint: str
    model: Any
    history: History = field(default_factory=History)

    def run(self) -> None:
        """Train the epochs that are left, measure the result once, and report it."""
        parts = divided(self.data, self.options)
        done = len(self.history.epoch)
        print(self._headline(parts))
        self.folder.write_run(self._notes())
        if not done:
            self.save()
        seconds = self._fit(parts, done)
        test = self.model.evaluate(*parts.test, self.options.batch_size, verbose=0, return_dict=True)
        self._finish(test, seconds, self.options.epochs - done)

    def _fit(self, parts: Parts, done: int) -> float:
        began = time.perf_counter()
        self.model.fit(
            *parts.train,
            batch_size=self.options.batch_size,
            initial_epoch=done,
            epochs=self.options.epochs,
            validation_data=parts.validation,
            callbacks=[self.history, _AtEpochEnd(self.save)],
        )
        return time.perf_counter() - began

    def save(self) -> None:
        """Write the checkpoint, then the files that are derived from it."""
        save_checkpoint(self.folder.checkpoint, self.model, self._state())
        self.model.save(self.folder.model)
        self.folder.write_history(self.records())

    def _state(self) -> dict[str, Any]:
        return {
            "epochs": len(self.history.epoch),
            "options": asdict(self.options),
            "fingerprint": self.fingerprint,
            "callbacks": states([self.history]),
        }

    def records(self) -> list[dict[str, float]]:
        """The history as a list with one record an epoch."""
        columns = self.history.history
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _finish(self, test: Mapping[str, float], seconds: float, epochs: int) -> None:
        records = self.records()
        records[-1].update({f"test_{name}": value for name, value in test.items()})
        self.model.save(self.folder.model)
        self.folder.write_history(records)
        # How long it took is no part of what is the same in every run, so it stands apart.
        self.folder.write_run(self._notes() | {"timing": {"epochs": epochs, "seconds": round(seconds, 3)}})
        print(_table(self.options, seconds, epochs, test["accuracy"]))
        hint = self.folder.draw_history(records, f"{self.options.model} on {self.data.name}")
        print(f"\nThe trained model and its history are in {self.folder.path}{hint}")

    def _notes(self) -> dict[str, dict[str, Any]]:
        """run.toml: what is needed to run it again."""
        is_float = self.data.x_train.dtype == np.float32
        facts = {"name": self.data.name, "sha256": self.fingerprint, "class_names": self.data.class_names, "float": is_float}
        command = {"command": shlex.join(self.options.command(self.folder.path))}
        return {"run": command, "options": asdict(self.options), "data": facts, "versions": versions()}

    def _headline(self, parts: Parts) -> str:
        counts = [len(labels) for _, labels in (parts.train, parts.validation or ((), ()), parts.test)]
        return (
            f"{self.options.model} on {self.data.name}: {counts[0]:,} pictures to train on, {counts[1]:,} to validate, "
            f"{counts[2]:,} to test; {device_name(self.options.device)}"
        )


class _AtEpochEnd(Callback):
    def __init__(self, action: Any):
        self.action = action

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.action()


def _begin(folder: RunFolder, options: Options) -> Training:
    """A new run with new weights."""
    build = applications.get(options.model)
    options = replace(options, device=backends.resolve(options.device).name)
    data = load(options.data)
    set_random_seed(options.seed)
    model = build(input_shape=data.x_train.shape[1:], classes=len(data.class_names))
    return Training(folder, options, data, fingerprint(data), _compiled(model, Adam(options.learning_rate), options))


def _to_resume(folder: RunFolder, wanted: bool) -> bool:
    """Whether there is a run to go on with. RuntimeError where a new one would overwrite it."""
    if wanted or not folder.checkpoint.exists():
        return folder.checkpoint.exists()
    epochs = load_checkpoint(folder.checkpoint)[1]["epochs"]
    if epochs:
        raise FileExistsError(
            f"{folder.path} holds a run already, of {epochs} epochs: go on with it by --resume, or choose another --out"
        )
    return False


def _resume(folder: RunFolder, given: dict[str, Any]) -> Training:
    """The run that was saved, with its weights and history."""
    model, state = load_checkpoint(folder.checkpoint)
    if "options" not in state:
        raise ValueError(f"{folder.checkpoint} was not written by fastcnn train: there is nothing that it could resume")
    options = resumed(Options(**state["options"]), given)
    if options.epochs < state["epochs"]:
        raise ValueError(f"{folder.path} holds {state['epochs']} epochs already, more than --epochs {options.epochs}")
    data = load(options.data)
    if fingerprint(data) != state["fingerprint"]:
        raise ValueError(f"cannot resume on other data: {options.data} does not hold the pictures of {folder.path}")
    set_random_seed(options.seed)
    options = replace(options, device=backends.resolve(options.device).name)
    training = Training(folder, options, data, state["fingerprint"], _compiled(model, model.optimizer, options))
    restore([training.history], state["callbacks"])
    return training


def _compiled(model: Any, optimizer: Any, options: Options) -> Any:
    loss, metrics = "sparse_categorical_crossentropy", ["accuracy"]
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, device=options.device)
    return model


def _saved(folder: RunFolder) -> str:
    """What is there to go on with, and how."""
    if not folder.checkpoint.exists():
        return "Nothing was saved yet."
    state = load_checkpoint(folder.checkpoint)[1]
    command = shlex.join(["fastcnn", "train", "--resume", "--out", str(folder.path)])
    return f"{state['epochs']} of {state['options']['epochs']} epochs are saved; to go on: {command}"


def _table(options: Options, seconds: float, epochs: int, accuracy: float) -> str:
    """The tutorials' table, with the row of this run."""
    return (
        f"\n| Device | Batch size | Time ({epochs} epochs) | Accuracy [%] |\n| --- | --- | --- | --- |\n"
        f"| {device_name(options.device)} | {options.batch_size} | {duration(seconds)} | {100 * accuracy:.2f} |"
    )

"""What the longer examples share: CIFAR-10, and a training that goes on where it was interrupted.

    arguments   --real, --seed, --epochs, --out
    pictures    CIFAR-10, or the bundled digits in its place
    parts       the same with a validation part, taken from the training pictures
    train       fit that writes a checkpoint an epoch, keeps the best epoch, and resumes
    report      which epoch was chosen, and how it does on the test set
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastcnn import callbacks, datasets, models, saving, utils
from fastcnn.utils.files import write_atomically

Pictures = tuple[np.ndarray, np.ndarray]
"""Float32 (n, 32, 32, 3) in 0..1, and class numbers (n, 1) or (n,)."""


class Parts(NamedTuple):
    """Pictures to learn from, to choose by, and to judge by; no picture is in two of them."""

    train: Pictures
    validation: Pictures
    test: Pictures


def arguments(description: str | None, epochs: int, small_epochs: int) -> argparse.Namespace:
    """Options of the command line, and batch_size; `epochs` for the real data, `small_epochs` for the small."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="train on CIFAR-10 (downloaded once) rather than on the digits")
    parser.add_argument("--seed", type=int, default=0, help="of weights, shuffles, dropout and augmentation")
    parser.add_argument("--epochs", type=int, help=f"default: {epochs}, or {small_epochs} without --real")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where history.json and the networks are written")
    given = parser.parse_args()
    given.epochs = given.epochs or (epochs if given.real else small_epochs)
    given.batch_size = 128 if given.real else 32
    data = "cifar10" if given.real else "digits"
    given.out = given.out or Path("runs") / f"{Path(parser.prog).stem}-{data}-seed{given.seed}"
    return given


def pictures(real: bool) -> tuple[Pictures, Pictures]:
    """CIFAR-10, train and test; not real: the bundled 8x8 digits, four times as large and with three channels."""
    if real:
        train, test = datasets.cifar10.load_data()
    else:
        train, test = ((np.kron(x[..., None] * 15, np.ones((1, 4, 4, 3))), y) for x, y in datasets.digits.load_data())
    return _scaled(*train), _scaled(*test)


def _scaled(x: np.ndarray, y: np.ndarray) -> Pictures:
    return np.divide(x, np.float32(255), dtype=np.float32), y


def parts(real: bool) -> Parts:
    """The pictures, with 5,000 (of the digits 200) of those for training held out as validation, the same for every seed."""
    (x, y), test = pictures(real)
    x, validation_x, y, validation_y = utils.train_test_split(x, y, test_size=5000 if real else 200, random_state=0)
    return Parts((x, y), (validation_x, validation_y), test)


def train(model: Any, data: Parts, options: argparse.Namespace) -> tuple[Any, list[dict[str, float]]]:
    """Train the compiled model, or go on with the one in options.out; returns the network of the epoch that did best on
    the validation part, and the numbers of all epochs, which are also in history.json."""
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    history = callbacks.History()
    best = callbacks.ModelCheckpoint(out / "best.safetensors", "val_accuracy", save_best_only=True)
    if (out / "last.safetensors").exists():
        model, state = saving.load_checkpoint(out / "last.safetensors")
        callbacks.restore([history, best], state["callbacks"])
    model.fit(
        *data.train, options.batch_size, options.epochs, initial_epoch=len(history.epoch), validation_data=data.validation,
        callbacks=[Notes(), history, best, Save(out, history, best)], verbose=2,
    )  # fmt: skip
    return models.load_model(out / "best.safetensors"), json.loads((out / "history.json").read_text())


class Notes(callbacks.Callback):
    """Adds the epoch's seconds and its last learning rate to its numbers."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Read it."""
        logs.update(seconds=round(time.perf_counter() - self.began, 2), learning_rate=self.model.optimizer.learning_rate)


class Save(callbacks.Callback):
    """Writes after each epoch what a killed training needs to go on, and history.json, a record an epoch."""

    def __init__(self, out: Path, history: callbacks.History, best: callbacks.ModelCheckpoint):
        self.out, self.history, self.best = out, history, best

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write both, each whole or not at all."""
        columns = self.history.history
        records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        write_atomically(self.out / "history.json", json.dumps(records, indent=1).encode())
        state = {"callbacks": callbacks.states([self.history, self.best])}
        saving.save_checkpoint(self.out / "last.safetensors", self.model, state)


def report(best: Any, data: Parts, history: list[dict[str, float]]) -> None:
    """Print the chosen epoch, the tutorial's line about the test set, and how long it took."""
    chosen = max(history, key=lambda epoch: epoch["val_accuracy"])
    print(f"Chosen: epoch {history.index(chosen) + 1} of {len(history)}, validation accuracy {chosen['val_accuracy']:.2%}")
    print_accuracy(best, data.test)
    print(f"Trained in {sum(epoch['seconds'] for epoch in history) / 60:.1f} minutes")


def print_accuracy(model: Any, test: Pictures) -> None:
    """The line in which the tutorial's second script says how good the network is."""
    accuracy, count = model.evaluate(*test, verbose=0, return_dict=True)["accuracy"], len(test[0])
    print(f"Accuracy on Test-Set: {accuracy:.2%} ({round(accuracy * count)} / {count})")

"""A training that breaks off and goes on from its checkpoint ends with the bits of an unbroken one, whatever it trains with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcnn import callbacks as cb
from fastcnn import constraints, layers, models, optimizers, regularizers, saving
from fastcnn.optimizers import schedules

from .conftest import Array
from .test_optimizers import OPTIMIZERS
from .test_schedules import IDS, VALUES

EPOCHS, SAVED = 5, 2


class BrokenError(Exception):
    """What a power cut is here."""


class Breaks(cb.Callback):
    """Ends the epoch after the last one that is saved, when everything but the checkpoint was written."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == SAVED:
            raise BrokenError


class Saves(cb.Callback):
    """A checkpoint after each epoch."""

    def __init__(self, path: Path, others: list[Any]):
        self.path, self.others = path, others

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        saving.save_checkpoint(self.path, self.model, {"epochs": epoch + 1, "callbacks": cb.states(self.others)})


def network() -> Any:
    penalty, limit = regularizers.L1L2(1e-3, 1e-2), constraints.MaxNorm(1.2)
    hidden = layers.Dense(6, activation="relu", kernel_regularizer=penalty, name="hidden")
    last = layers.Dense(3, kernel_constraint=limit, name="last")
    return models.Sequential([layers.GaussianNoise(0.1, input_shape=(4,)), hidden, layers.Dropout(0.2), last])


def fit(model: Any, data: tuple, callbacks: list[Any], initial_epoch: int = 0) -> Any:
    x, y = data
    options = dict(batch_size=8, epochs=EPOCHS, initial_epoch=initial_epoch, validation_data=(x[:9], y[:9]), verbose=0)
    return model.fit(x, y, callbacks=callbacks, **options)


def everything(model: Any) -> list[bytes]:
    """The bits of weights and slots."""
    slots = [slot for v in model.optimizer.trained() for slot in model.optimizer.slots(v)]
    return [v.value.tobytes() for v in (*model.variables, *slots)]


def unbroken_and_resumed(
    optimizer: Callable[[], Any], data: tuple[Array, Array], folder: Path, helpers: Callable[[Path], list[Any]] = lambda p: []
) -> tuple[Any, Any, list[Any], list[Any]]:
    """The two models, after they were found equal in weights, slots and history, and their callbacks."""
    whole, parts = network(), network()
    parts.set_weights(whole.get_weights())
    for model in (whole, parts):
        model.compile(optimizer(), "mse", metrics=["mae", "rmse"])
        model.seed = 11
    targets = np.eye(3, dtype=np.float32)[data[1]]
    data = (data[0], targets)
    before = helpers(folder / "whole")
    expected = fit(whole, data, before)

    history, path = cb.History(), folder / "checkpoint.safetensors"
    first = [*helpers(folder / "parts"), history]
    with pytest.raises(BrokenError):
        fit(parts, data, [*first, Breaks(), Saves(path, first)])
    resumed, state = saving.load_checkpoint(path)
    assert state["epochs"] == SAVED
    after = [*helpers(folder / "parts"), cb.History()]
    cb.restore(after, state["callbacks"])
    got = fit(resumed, data, after, initial_epoch=SAVED)
    assert everything(resumed) == everything(whole)
    assert got.history == expected.history
    return whole, resumed, before, after[:-1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str, data: tuple, tmp_path: Path) -> None:
    cls, arguments, _ = OPTIMIZERS[name]
    unbroken_and_resumed(lambda: cls(0.01, **arguments), data, tmp_path)


@pytest.mark.parametrize("options", [dict(clipnorm=0.1), dict(clipvalue=0.01), dict(global_clipnorm=0.1, weight_decay=0.1)])
def test_clipping(options: dict[str, float], data: tuple, tmp_path: Path) -> None:
    unbroken_and_resumed(lambda: optimizers.Adam(0.01, **options), data, tmp_path)


def test_weights_excluded_from_decay(data: tuple, tmp_path: Path) -> None:
    def optimizer() -> Any:
        made = optimizers.AdamW(0.01, weight_decay=0.5)
        made.exclude_from_weight_decay(var_names=["bias"])
        return made

    unbroken_and_resumed(optimizer, data, tmp_path)


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in VALUES], ids=IDS)
def test_schedules(schedule: Any, data: tuple, tmp_path: Path) -> None:
    whole, resumed, *_ = unbroken_and_resumed(lambda: optimizers.Adam(schedule), data, tmp_path)
    assert resumed.optimizer.learning_rate == whole.optimizer.learning_rate == schedule(4 * EPOCHS)


CALLBACKS: dict[str, Callable[[Path], Any]] = {
    "early stopping": lambda p: cb.EarlyStopping("val_loss", min_delta=9.0, patience=3),
    "best weights": lambda p: cb.EarlyStopping("loss", patience=9, mode="max", restore_best_weights=True),
    "plateau": lambda p: cb.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=9.0),
    "plateau and cooldown": lambda p: cb.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=9.0, cooldown=2),
    "scheduler": lambda p: cb.LearningRateScheduler(lambda epoch, rate: rate * 0.7),
    "function": lambda p: cb.LambdaCallback(on_epoch_begin=lambda epoch, logs: None),
    "terminate": lambda p: cb.TerminateOnNaN(),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks(name: str, data: tuple, tmp_path: Path) -> None:
    _, _, (one,), (other,) = unbroken_and_resumed(lambda: optimizers.SGD(0.05), data, tmp_path, lambda p: [CALLBACKS[name](p)])
    for (key, a), (_, b) in zip(one.state().items(), other.state().items(), strict=True):
        np.testing.assert_equal(a, b, err_msg=key)


def test_files_are_the_same(data: tuple, tmp_path: Path) -> None:
    def helpers(folder: Path) -> list[Any]:
        folder.mkdir(exist_ok=True)
        best = cb.ModelCheckpoint(folder / "best.safetensors", "loss", save_best_only=True, save_weights_only=True)
        return [
            cb.CSVLogger(folder / "log.csv"),
            best,
            cb.ModelCheckpoint(folder / "last.safetensors", save_weights_only=True),
            cb.ModelCheckpoint(folder / "{epoch}-{batch}.safetensors", save_freq=3, save_weights_only=True),
        ]

    _, _, before, after = unbroken_and_resumed(lambda: optimizers.SGD(0.05), data, tmp_path, helpers)
    files = {file.name: file.read_bytes() for file in (tmp_path / "whole").iterdir()}
    assert {"log.csv", "best.safetensors", "last.safetensors", "1-3.safetensors", "2-2.safetensors"} < files.keys()
    assert {file.name: file.read_bytes() for file in (tmp_path / "parts").iterdir()} == files
    assert before[1].best == after[1].best


class SetsRate(cb.Callback):
    """Once, before the break."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == SAVED - 1:
            self.model.optimizer.learning_rate = 0.125


def test_a_rate_set_by_hand_is_kept(data: tuple, tmp_path: Path) -> None:
    _, resumed, *_ = unbroken_and_resumed(lambda: optimizers.SGD(0.05), data, tmp_path, lambda p: [SetsRate()])
    assert resumed.optimizer.learning_rate == 0.125


def test_a_schedule_of_ones_own_is_found_by_name(data: tuple, tmp_path: Path) -> None:
    class Halving(schedules.LearningRateSchedule):
        arguments = ("rate",)

        def __init__(self, rate: float, name: str = "Halving"):
            self.rate, self.name = rate, name

        def __call__(self, step: int) -> float:
            return self.rate * 0.5**step

    model = network()
    model.compile(optimizers.SGD(Halving(0.5)), "mse")
    model.save(tmp_path / "m.safetensors")
    loaded = models.load_model(tmp_path / "m.safetensors", custom_objects={"Halving": Halving})
    loaded.optimizer.iterations = 3
    assert loaded.optimizer.learning_rate == 0.0625
    with pytest.raises(ValueError, match=r"unknown learning-rate schedule 'Halving'.*custom_objects="):
        models.load_model(tmp_path / "m.safetensors")

"""Callbacks: when they are called, what they do, and that a restored one continues."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastcnn import callbacks as cb
from fastcnn import models, optimizers

from .conftest import classifier


class Recorder(cb.Callback):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.logs: list[Any] = []
        for hook in cb.HOOKS:
            setattr(self, hook, self._recording(hook))

    def _recording(self, hook: str) -> Any:
        def record(*arguments: Any) -> None:
            self.calls.append(" ".join([hook, *(str(a) for a in arguments if isinstance(a, int))]))
            self.logs.append(arguments[-1] if isinstance(arguments[-1], dict) else None)

        return record


def compiled(**options: Any) -> Any:
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def test_moments_of_fit(data: tuple) -> None:
    x, y = data
    recorder = Recorder()
    compiled().fit(x, y, batch_size=13, validation_data=(x[:5], y[:5]), callbacks=recorder, verbose=0)
    step = ["on_train_batch_begin {0}", "on_batch_begin {0}", "on_train_batch_end {0}", "on_batch_end {0}"]
    assert recorder.calls == [
        "on_train_begin", "on_epoch_begin 0",
        *(line.format(0) for line in step), *(line.format(1) for line in step),
        "on_test_begin", "on_test_batch_begin 0", "on_test_batch_end 0", "on_test_end",
        "on_epoch_end 0", "on_train_end",
    ]  # fmt: skip
    ends = [logs for call, logs in zip(recorder.calls, recorder.logs, strict=True) if call.startswith("on_train_batch_end")]
    assert [sorted(logs) for logs in ends] == [["accuracy", "loss"]] * 2
    assert sorted(recorder.logs[-2]) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert recorder.params == {"verbose": 0, "epochs": 1, "steps": 2}


def test_moments_of_evaluate_and_predict(data: tuple) -> None:
    x, y = data
    recorder, model = Recorder(), compiled()
    model.evaluate(x, y, batch_size=25, callbacks=[recorder], verbose=0)
    model.predict(x, batch_size=25, callbacks=[recorder], verbose=0)
    assert recorder.calls == [
        "on_test_begin", "on_test_batch_begin 0", "on_test_batch_end 0", "on_test_end",
        "on_predict_begin", "on_predict_batch_begin 0", "on_predict_batch_end 0", "on_predict_end",
    ]  # fmt: skip
    assert recorder.logs[-2]["outputs"][0].shape == (25, 3)


def test_batch_logs_are_running_means(data: tuple) -> None:
    x, y = data
    seen: list[float] = []
    model = compiled()
    model.optimizer.learning_rate = 0.0
    watch = cb.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    model.fit(x, y, batch_size=10, shuffle=False, callbacks=[watch], verbose=0)
    expected = [model.evaluate(x[:n], y[:n], verbose=0)[0] for n in (10, 20, 25)]
    assert seen == pytest.approx(expected, rel=1e-6)


def test_what_is_no_callback_is_refused(data: tuple) -> None:
    with pytest.raises(TypeError, match="LambdaCallback"):
        compiled().fit(*data, callbacks=[print], verbose=0)
    with pytest.raises(ValueError, match="did you mean 'on_epoch_end'"):
        cb.LambdaCallback(on_epok_end=print)


def test_stop_training_ends_after_the_batch(data: tuple) -> None:
    x, y = data
    model = compiled()
    stop = cb.LambdaCallback(on_train_batch_end=lambda batch, logs: setattr(model, "stop_training", batch == 1))
    history = model.fit(x, y, batch_size=5, epochs=3, callbacks=[stop], verbose=0)
    assert history.epoch == [0]
    assert model.optimizer.iterations == 2


def drive(callback: Any, values: list[float], monitor: str = "val_loss") -> int:
    """Feed a callback the numbers of epochs; the number of epochs until it stops."""
    weights = SimpleNamespace(now=None)
    callback.set_model(
        SimpleNamespace(
            stop_training=False, get_weights=lambda: weights.now, set_weights=lambda w: setattr(weights, "now", w),
            metric_directions=lambda: {"accuracy": "up", "mse": "down", "own": None},
        )
    )  # fmt: skip
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        weights.now = [epoch]
        callback.on_epoch_end(epoch, {monitor: value})
        if callback.model.stop_training:
            break
    callback.on_train_end()
    callback.weights = weights.now
    return epoch + 1


@pytest.mark.parametrize(
    ("options", "values", "epochs"),
    [
        (dict(), [3, 2, 1, 1.5, 0], 4),  # patience 0: the first epoch that is no better ends it
        (dict(patience=2), [3, 2, 2.5, 2.2, 2.1, 0], 4),
        (dict(patience=2), [3, 2, 2.5, 1.9, 2.5, 1.8], 6),  # an improvement starts patience again
        (dict(patience=1, min_delta=0.5), [3, 2.8, 2.6], 2),
        (dict(patience=1, baseline=1.0), [3, 2, 1.5, 1.2], 2 + 0),
        (dict(patience=1, start_from_epoch=3), [1, 2, 3, 4, 5], 5),
        (dict(monitor="val_accuracy", patience=1), [0.1, 0.2, 0.3, 0.2], 4),  # auto: more is better
        (dict(monitor="own", mode="max"), [1, 2, 1], 3),
    ],
)
def test_early_stopping(options: dict, values: list[float], epochs: int) -> None:
    callback = cb.EarlyStopping(**options)
    if "baseline" in options:
        # Only what beats the baseline resets patience: better epochs above it do not stop the training either.
        assert drive(callback, [3, 4], callback.monitor) == 2
        assert drive(callback, [3, 2, 1.5, 1.2], callback.monitor) == 4
        return
    assert drive(callback, values, callback.monitor) == epochs


def test_early_stopping_restores_the_best_weights() -> None:
    callback = cb.EarlyStopping(patience=2, restore_best_weights=True)
    drive(callback, [3, 1, 2, 2, 2])
    assert callback.weights == [1]
    assert callback.best_epoch == 1


def test_early_stopping_needs_a_direction() -> None:
    with pytest.raises(ValueError, match="mode='max'"):
        drive(cb.EarlyStopping("own"), [1, 2], "own")
    with pytest.raises(ValueError, match='mode must be "auto"'):
        cb.EarlyStopping(mode="biggest")
    with pytest.warns(UserWarning, match="follows 'val_loss', which is not among: loss"):
        drive(cb.EarlyStopping(), [1], "loss")


def rates_of(callback: Any, values: list[float]) -> list[float]:
    """The learning rate after each epoch of these losses, 1 at first."""
    optimizer = SimpleNamespace(learning_rate=1.0)
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val_loss": value})
        rates.append(optimizer.learning_rate)
    return rates


@pytest.mark.parametrize(
    ("options", "values", "rates"),
    [
        (dict(patience=2), [3, 3, 3, 3, 3], [1, 1, 0.5, 0.5, 0.25]),
        (dict(patience=2), [3, 3, 2, 2, 2, 1], [1, 1, 1, 1, 0.5, 0.5]),  # an improvement starts patience again
        (dict(patience=1, cooldown=2), [3, 3, 3, 3, 3, 3], [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        (dict(patience=1, min_delta=1.0), [3, 2.5, 2.2], [1, 0.5, 0.25]),
        (dict(patience=1, min_lr=0.4), [3, 3, 3, 3], [1, 0.5, 0.4, 0.4]),
        (dict(patience=1, mode="max"), [1, 2, 1, 3], [1, 1, 0.5, 0.5]),
    ],
)
def test_reduce_on_plateau(options: dict, values: list[float], rates: list[float]) -> None:
    assert rates_of(cb.ReduceLROnPlateau(factor=0.5, **options), values) == pytest.approx(rates)


def test_reduce_on_plateau_needs_a_rate_that_can_be_set(data: tuple) -> None:
    model = classifier()
    model.compile(optimizers.SGD(lambda step: 0.1), "sparse_categorical_crossentropy")
    with pytest.raises(TypeError, match="follows a learning-rate schedule"):
        model.fit(*data, epochs=3, callbacks=cb.ReduceLROnPlateau("loss", patience=0, min_delta=9.0), verbose=0)
    with pytest.raises(ValueError, match="factor must lie between 0 and 1, got 2"):
        cb.ReduceLROnPlateau(factor=2)


def test_reduce_on_plateau_notes_the_rate(data: tuple, capsys: pytest.CaptureFixture[str]) -> None:
    model = compiled()
    plateau = cb.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=9.0, verbose=1)
    history = model.fit(*data, epochs=4, callbacks=plateau, verbose=0).history
    assert history["learning_rate"] == pytest.approx([0.01, 0.01, 0.005, 0.0025])
    assert "Epoch 2: the learning rate becomes 0.005" in capsys.readouterr().out


@pytest.mark.parametrize("schedule", [lambda epoch: 0.5**epoch, lambda epoch, rate: rate / 2 if epoch else 1.0])
def test_scheduler_takes_functions_of_one_or_two_numbers(schedule: Any, data: tuple) -> None:
    history = compiled().fit(*data, epochs=3, callbacks=cb.LearningRateScheduler(schedule), verbose=0).history
    assert history["learning_rate"] == [1.0, 0.5, 0.25]


def test_an_error_inside_a_schedule_is_not_taken_for_a_missing_argument(data: tuple) -> None:
    def broken(epoch: int, rate: float) -> float:
        return rate * None  # type: ignore[operator]

    with pytest.raises(TypeError, match="unsupported operand"):
        compiled().fit(*data, callbacks=cb.LearningRateScheduler(broken), verbose=0)


@pytest.mark.parametrize("cut", range(1, 6))
def test_restored_early_stopping_continues(cut: int) -> None:
    values = [3.0, 2.0, 2.5, 1.9, 2.5, 2.6, 2.7, 0.0]
    whole = cb.EarlyStopping(patience=3)
    end = drive(whole, values)
    first, second = cb.EarlyStopping(patience=3), cb.EarlyStopping(patience=3)
    drive(first, values[:cut])
    cb.restore([second], cb.states([first]))
    second.set_model(SimpleNamespace(stop_training=False, metric_directions=dict))
    second.on_train_begin()
    for epoch in range(cut, len(values)):
        second.on_epoch_end(epoch, {"val_loss": values[epoch]})
        if second.model.stop_training:
            break
    assert epoch + 1 == end
    assert second.state() == whole.state()


def test_restore_needs_the_same_callbacks() -> None:
    saved = cb.states([cb.EarlyStopping(), cb.History()])
    with pytest.raises(ValueError, match=r"\['EarlyStopping', 'History'\], not \['History'\]"):
        cb.restore([cb.History()], saved)


def test_model_checkpoint_keeps_the_best(tmp_path: Path, data: tuple) -> None:
    x, y = data
    model = compiled()
    path = tmp_path / "deep" / "best-{epoch}.safetensors"
    checkpoint = cb.ModelCheckpoint(path, monitor="loss", save_best_only=True)
    worse = cb.LearningRateScheduler(lambda epoch, rate: 100.0 if epoch == 1 else 0.01)
    model.fit(x, y, epochs=3, callbacks=[checkpoint, worse], verbose=0)
    losses = model.history.history["loss"]
    best = [epoch + 1 for epoch in range(3) if losses[epoch] == min(losses[: epoch + 1])]
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == [f"best-{epoch}.safetensors" for epoch in best]
    assert 3 not in best  # the rate of 100 made the third epoch begin badly
    assert model.history.history["learning_rate"] == [0.01, 100.0, 0.01]


def test_model_checkpoint_every_few_batches(tmp_path: Path, data: tuple) -> None:
    x, y = data
    checkpoint = cb.ModelCheckpoint(tmp_path / "{epoch}-{batch}.safetensors", save_freq=2, save_weights_only=True)
    compiled().fit(x, y, batch_size=5, epochs=1, callbacks=[checkpoint], verbose=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-2.safetensors", "1-4.safetensors"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cb.ModelCheckpoint("model.keras"), r"'model\.safetensors' rather than 'model\.keras'.*Keras's zip format"),
        (lambda: cb.ModelCheckpoint("model.weights.h5"), "HDF5"),
        (lambda: cb.ModelCheckpoint("m.safetensors", save_freq="batch"), "save_freq"),
    ],
)
def test_model_checkpoint_refuses(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_model_checkpoint_names_the_missing_log(data: tuple) -> None:
    with pytest.raises(KeyError, match="val_loss"):
        compiled().fit(*data, callbacks=[cb.ModelCheckpoint("{val_loss:.2f}.safetensors")], verbose=0)


def test_csv_logger(tmp_path: Path, data: tuple) -> None:
    x, y = data
    path = tmp_path / "log.csv"
    model = compiled()
    model.fit(x, y, epochs=2, validation_data=(x, y), callbacks=[cb.CSVLogger(path)], verbose=0)
    model.fit(x, y, epochs=3, initial_epoch=2, validation_data=(x, y), callbacks=[cb.CSVLogger(path, append=True)], verbose=0)
    rows = list(csv.DictReader(path.open()))
    assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[2]["loss"]) == model.history.history["loss"][0]


def test_restored_csv_logger_forgets_rows_after_its_checkpoint(tmp_path: Path, data: tuple) -> None:
    x, y = data
    path = tmp_path / "log.csv"
    first = cb.CSVLogger(path)
    states: list[Any] = []
    keep = cb.LambdaCallback(on_epoch_end=lambda epoch, logs: states.append(first.state()))
    compiled().fit(x, y, epochs=3, callbacks=[first, keep], verbose=0)
    second = cb.CSVLogger(path)
    second.restore(states[0])
    compiled().fit(x, y, epochs=2, initial_epoch=1, callbacks=[second], verbose=0)
    assert [row["epoch"] for row in csv.DictReader(path.open())] == ["0", "1"]


def test_history_given_by_the_user_is_the_one_returned(data: tuple) -> None:
    x, y = data
    model, history = compiled(), cb.History()
    assert model.fit(x, y, epochs=2, callbacks=[history], verbose=0) is history
    again = cb.History()
    again.restore(history.state())
    model.fit(x, y, epochs=3, initial_epoch=2, callbacks=[again], verbose=0)
    assert again.epoch == [0, 1, 2]
    assert len(again.history["loss"]) == 3


def test_own_callback_saves_the_model_and_it_loads(tmp_path: Path, data: tuple) -> None:
    class Saver(cb.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.save(tmp_path / f"{epoch}.safetensors")

    x, y = data
    model = compiled()
    model.fit(x, y, epochs=2, callbacks=[Saver()], verbose=0)
    loaded = models.load_model(tmp_path / "1.safetensors")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))

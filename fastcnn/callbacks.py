"""Callbacks: what happens beside training, at the moments that Keras names.

    Callback               the base: on_{train,epoch,train_batch,test,test_batch,predict,predict_batch}_{begin,end}
    CallbackList           calls many, each only at the moments that it overrides
    History                the numbers of every epoch
    ModelCheckpoint        saves the model, or the best so far
    EarlyStopping          stops when a number has not improved for a while
    LearningRateScheduler  sets the learning rate before each epoch
    CSVLogger              a row an epoch
    TerminateOnNaN         stops, instead of raising, at a loss that is not finite
    LambdaCallback         functions as callbacks

A callback that remembers something from epoch to epoch lists it in `state_fields`: `state()` goes into a checkpoint, and
`restore()` before the next `fit` lets it continue as if training had never stopped.
"""

import csv
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO

Logs = dict[str, float]
HOOKS = tuple(
    f"on_{moment}_{edge}"
    for moment in ("train", "epoch", "train_batch", "batch", "test", "test_batch", "predict", "predict_batch")
    for edge in ("begin", "end")
)


class Callback:
    """The base of callbacks. `self.model` is the model, `self.params` has verbose, epochs and steps.

    `logs` maps the names of loss and metrics to their running means. Setting `self.model.stop_training = True` ends training
    after the batch. `on_batch_begin` and `on_batch_end` are older names of `on_train_batch_begin` and `on_train_batch_end`.
    """

    state_fields: ClassVar[tuple[str, ...]] = ()
    model: Any = None
    params: dict[str, Any] | None = None
    _restored = False

    def set_params(self, params: dict[str, Any]) -> None:
        """Called once before training."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Called once before training."""
        self.model = model

    def state(self) -> dict[str, Any]:
        """What must be known to continue: plain values, lists, dicts and arrays."""
        return {name: getattr(self, name) for name in self.state_fields}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`: the next `on_train_begin` does not start afresh."""
        for name in self.state_fields:
            setattr(self, name, state[name])
        self._restored = True

    def continues(self) -> bool:
        """Whether `restore` was called since this was last asked."""
        restored, self._restored = self._restored, False
        return restored

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch; logs hold the validation's numbers too, as val_*."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of on_train_batch_begin."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of on_train_batch_end."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step, counted from 0 in each epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation, a validation's too."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction; logs["outputs"] holds it."""


class CallbackList:
    """Callbacks as one. `call` reaches those that override a hook; `wants(hook)` says whether any does."""

    def __init__(self, callbacks: Callback | Iterable[Callback] | None, model: Any, params: dict[str, Any]):
        self.callbacks = _flat(callbacks)
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)
        self._listeners = {hook: [getattr(c, hook) for c in self.callbacks if _overrides(c, hook)] for hook in HOOKS}
        for edge in ("begin", "end"):
            self._listeners[f"on_train_batch_{edge}"] += self._listeners.pop(f"on_batch_{edge}")

    def wants(self, hook: str) -> bool:
        """Whether any callback does something at `hook`."""
        return bool(self._listeners[hook])

    def call(self, hook: str, *number: int, logs: Mapping[str, Any] | None = None) -> None:
        """Call every callback that does something at `hook`, in order, with the epoch's or batch's number and logs."""
        for listener in self._listeners[hook]:
            listener(*number, {} if logs is None else logs)

    def find(self, kind: type[Callback]) -> Any:
        """The first callback of a class, or None."""
        return next((c for c in self.callbacks if isinstance(c, kind)), None)


def _flat(callbacks: Any) -> list[Callback]:
    if callbacks is None:
        return []
    found = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
    for callback in found:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks must be Callback objects, got {callback!r}; functions go into LambdaCallback(...)")
    return found


def _overrides(callback: Callback, hook: str) -> bool:
    return getattr(type(callback), hook) is not getattr(Callback, hook) or hook in vars(callback)


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


class _Monitor(Callback):
    """Follows one number and knows whether it became better."""

    def __init__(self, monitor: str, mode: str, best: float | None, min_delta: float = 0.0):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f'mode must be "auto", "min" or "max", got {mode!r}')
        self.monitor, self.mode, self.best, self.min_delta = monitor, mode, best, abs(min_delta)

    def improved(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference` by more than min_delta."""
        if reference is None:
            return True
        return value > reference + self.min_delta if self._upward() else value < reference - self.min_delta

    def _upward(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        direction = "down" if name.endswith("loss") else self.model.metric_directions().get(name)
        if direction is None:
            raise ValueError(
                f"{type(self).__name__} cannot tell whether more or less {self.monitor!r} is better: pass mode='max' or 'min'"
            )
        return direction == "up"

    def current(self, logs: Logs | None) -> float | None:
        """The number followed, None with a warning where it is not in the logs."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            known = ", ".join(logs or {})
            warnings.warn(f"{type(self).__name__} follows {self.monitor!r}, which is not among: {known}", stacklevel=4)
        return value


class EarlyStopping(_Monitor):
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs. Arguments as Keras has them.

    baseline              a value that must be beaten for patience to start again
    restore_best_weights  go back to the weights of the best epoch at the end
    start_from_epoch      epochs before it are not judged
    """

    state_fields = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, None, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best: float | None = None
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start counting."""
        if not self.continues():
            self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judge the epoch."""
        value = self.current(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._remember(epoch)
        self.wait += 1
        if self.improved(value, self.best):
            self.best = value
            self._remember(epoch)
            if self.baseline is None or self.improved(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Go back to the best weights."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of epoch {self.best_epoch + 1}, the best.")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Monitor):
    """Save the model to `filepath` after each epoch, or after every `save_freq` batches.

    filepath           ends in .safetensors; may name {epoch} (from 1), {batch} and logs: "{epoch:02d}-{loss:.2f}.safetensors"
    save_best_only     save only when `monitor` is better than ever before, or than `initial_value_threshold`
    save_weights_only  `model.save_weights` rather than `model.save`
    """

    state_fields = ("best", "_batches")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ):
        from .saving import check_suffix

        super().__init__(monitor, mode, initial_value_threshold)
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise ValueError(f'save_freq must be "epoch" or a number of batches, got {save_freq!r}')
        self.filepath = check_suffix(filepath)
        self.verbose, self.save_best_only, self.save_weights_only = verbose, save_best_only, save_weights_only
        self.save_freq = save_freq
        self._epoch = self._batches = 0
        if save_freq != "epoch":
            # Set on the instance only where batches count: overriding it makes the numbers be read after every batch.
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches >= int(self.save_freq):
            self._batches = 0
            self._save({"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, perhaps."""
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: dict[str, Any]) -> None:
        if self.save_best_only:
            value = self.current(logs)
            if value is not None:
                if not self.improved(value, self.best):
                    return
                self.best = value
        path = self._path(logs)
        path.parent.mkdir(parents=True, exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.verbose:
            print(f"Epoch {self._epoch + 1}: saved {path}")

    def _path(self, logs: dict[str, Any]) -> Path:
        try:
            return Path(self.filepath.format(epoch=self._epoch + 1, **logs))
        except KeyError as error:
            raise KeyError(f"filepath {self.filepath!r} names {error}, known are: epoch, {', '.join(logs)}") from None


class LearningRateScheduler(Callback):
    """Before each epoch, the learning rate becomes schedule(epoch, learning_rate), the epoch counted from 0."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        optimizer.learning_rate = rate = float(self.schedule(epoch, optimizer.learning_rate))
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the rate among the epoch's numbers."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


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


class TerminateOnNaN(Callback):
    """Stop training at the first loss that is NaN or infinite, where `fit` would raise FloatingPointError without it.

    The weights are those before that batch. `raise_error=True` raises as `fit` does.
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = raise_error


class LambdaCallback(Callback):
    """Functions at the moments that the arguments name, for example LambdaCallback(on_epoch_end=lambda epoch, logs: ...)."""

    def __init__(self, **functions: Callable[..., Any] | None):
        from .utils.suggest import unknown

        for hook, function in functions.items():
            if hook not in HOOKS:
                raise unknown("moment", hook, HOOKS)
            if function is not None:
                setattr(self, hook, function)


def states(callbacks: Sequence[Callback]) -> list[dict[str, Any]]:
    """The state of each callback, with the name of its class, for a checkpoint."""
    return [{"class_name": type(c).__name__, "state": c.state()} for c in callbacks]


def restore(callbacks: Sequence[Callback], saved: Sequence[dict[str, Any]]) -> None:
    """Give each callback its state back; ValueError where they are not the callbacks that were saved."""
    now, then = [type(c).__name__ for c in callbacks], [entry["class_name"] for entry in saved]
    if now != then:
        raise ValueError(f"the checkpoint was made with the callbacks {then}, not {now}: pass the same ones, in that order")
    for callback, entry in zip(callbacks, saved, strict=True):
        callback.restore(entry["state"])

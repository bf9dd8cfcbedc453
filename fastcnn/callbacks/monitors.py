"""Callbacks that follow one number, and act when it becomes better or no longer does.

Monitor             the base: which number, and whether it became better
EarlyStopping       stops training
ModelCheckpoint     saves the model, or the best so far
ReduceLROnPlateau   lowers the learning rate
"""

import os
import warnings
from pathlib import Path
from typing import Any

from .callback import Callback, Logs


class Monitor(Callback):
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


class EarlyStopping(Monitor):
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


class ModelCheckpoint(Monitor):
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
        from ..saving import check_suffix

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


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when `monitor` has not improved by more than `min_delta` for `patience` epochs.

    cooldown   epochs after that in which nothing is counted
    min_lr     the rate does not become smaller

    The optimizer must have a number as its learning rate: TypeError where it follows a schedule. Arguments as Keras has them.
    """

    state_fields = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, mode, None, min_delta)
        if not 0 < factor < 1:
            raise ValueError(f"factor must lie between 0 and 1, got {factor!r}: it is what the rate is multiplied by")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.wait = self.cooldown_counter = 0

    def in_cooldown(self) -> bool:
        """Whether epochs are not counted now."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start counting."""
        if not self.continues():
            self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judge the epoch, and note the rate that it had among its numbers."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate
        value = self.current(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improved(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        if optimizer.learning_rate > self.min_lr:
            optimizer.learning_rate = rate = max(optimizer.learning_rate * self.factor, self.min_lr)
            self.cooldown_counter, self.wait = self.cooldown, 0
            if self.verbose:
                print(f"Epoch {epoch + 1}: the learning rate becomes {rate:g}")

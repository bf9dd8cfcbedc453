"""Callbacks that do one small thing: set the learning rate, end a training that failed, call functions."""

import inspect
from collections.abc import Callable
from typing import Any

from ..utils.suggest import unknown
from .callback import HOOKS, Callback, Logs


class LearningRateScheduler(Callback):
    """Before each epoch, counted from 0, the learning rate becomes schedule(epoch, learning_rate), or schedule(epoch)."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        self.schedule, self.verbose = schedule, verbose
        self._with_rate = _takes(schedule, 2)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        arguments = (epoch, optimizer.learning_rate) if self._with_rate else (epoch,)
        optimizer.learning_rate = rate = float(self.schedule(*arguments))
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the rate among the epoch's numbers."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


class TerminateOnNaN(Callback):
    """Stop training at the first loss that is NaN or infinite, where `fit` would raise FloatingPointError without it.

    The weights are those before that batch. `raise_error=True` raises as `fit` does.
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = raise_error


class LambdaCallback(Callback):
    """Functions at the moments that the arguments name, for example LambdaCallback(on_epoch_end=lambda epoch, logs: ...)."""

    def __init__(self, **functions: Callable[..., Any] | None):
        for hook, function in functions.items():
            if hook not in HOOKS:
                raise unknown("moment", hook, HOOKS)
            if function is not None:
                setattr(self, hook, function)

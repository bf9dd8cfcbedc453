"""`Callback`, the base of all; `CallbackList`, many as one; `states` and `restore`, what a checkpoint keeps of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

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

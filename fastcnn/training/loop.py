"""One pass over the batches: training, evaluation, prediction.

The numbers of a pass stay on the device; they are looked at every 100 ms, at the end, and after each batch only where a
callback asks for them then. The looks also find a loss that is not finite: from that step on the optimizer's steps were no-ops,
so the weights are still those before it.
"""

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..callbacks import CallbackList, TerminateOnNaN
from .compilation import Logs, Scores
from .data import Array, Batch
from .progress import Progress

LOOK_EVERY = 0.1  # seconds


def train(
    model: Any, scores: Scores, batches: Iterable[Batch], callbacks: CallbackList, progress: Progress, epoch: int
) -> Logs:
    """An epoch of training; returns its logs. FloatingPointError, with the weights intact, where the loss is not finite."""
    watch = _Watch(model, scores, callbacks, progress, epoch)
    each = callbacks.wants("on_train_batch_end")
    scores.reset()
    for step, batch in enumerate(batches):
        callbacks.call("on_train_batch_begin", step)
        _train_step(model, batch)
        scores.take(batch)
        watch.ran(step, batch, each)
        if each:
            callbacks.call("on_train_batch_end", step, logs=watch.logs)
        if model.stop_training:
            break
    return watch.look()


def _train_step(model: Any, batch: Batch) -> None:
    optimizer = model.optimizer
    done = optimizer.iterations
    model.executor.set(step=done, **optimizer.scalars())
    batch.run()
    optimizer.iterations = done + 1


class _Watch:
    """Looks at the numbers now and then, and keeps the batches since the last look, to find the one that failed."""

    def __init__(self, model: Any, scores: Scores, callbacks: CallbackList, progress: Progress, epoch: int):
        self.model, self.scores, self.progress, self.epoch = model, scores, progress, epoch
        self.terminate: TerminateOnNaN | None = callbacks.find(TerminateOnNaN)
        self.first_step = model.optimizer.iterations
        self.recent: list[Batch] = []
        self.logs: Logs = {}
        self._next = time.perf_counter() + LOOK_EVERY

    def ran(self, step: int, batch: Batch, look: bool) -> None:
        """Note a batch; look if it is time to, or asked for."""
        self.recent.append(batch)
        self.progress.ran(batch.size)
        now = time.perf_counter()
        if look or now >= self._next:
            self._next = now + LOOK_EVERY
            self.progress.update(self.look())

    def look(self) -> Logs:
        """The numbers now."""
        failed = self.model.executor.failed_step()
        if failed is not None:
            self._fail(failed)
        self.recent.clear()
        self.logs = self.scores.logs()
        return self.logs

    def _fail(self, failed: int) -> None:
        executor, optimizer = self.model.executor, self.model.optimizer
        batch = self.recent[failed - optimizer.iterations]
        batch.bind()
        culprit = executor.diagnose(batch.program, batch.first)
        executor.clear_failure()
        optimizer.iterations = failed
        step = failed - self.first_step
        if self.terminate is None or self.terminate.raise_error:
            raise FloatingPointError(
                f"the loss became NaN or infinite at batch {step} of epoch {self.epoch + 1} (training step {failed}); the "
                f"first value that was not finite came from {culprit}. {_weights_now(self.model)} A smaller learning rate, "
                "inputs scaled to about 0..1, or data without NaN usually help"
            )
        print(f"Batch {step}: the loss is not finite (first seen in {culprit}); training ends")
        self.model.stop_training = True


def _weights_now(model: Any) -> str:
    broken = [variable.name for variable in model.variables if not np.isfinite(variable.value).all()]
    if broken:
        return f"The weights are those of that step; of them, {', '.join(broken)} hold values that are not finite."
    return "The weights are those before that step, all of them finite."


def test(model: Any, scores: Scores, batches: Iterable[Batch], callbacks: CallbackList, progress: Progress) -> Logs:
    """A pass of evaluation; returns its logs."""
    each = callbacks.wants("on_test_batch_end")
    training_failed = model.executor.failed_step() is not None
    scores.reset()
    shown = time.perf_counter()
    for step, batch in enumerate(batches):
        callbacks.call("on_test_batch_begin", step)
        batch.run()
        scores.take(batch)
        progress.ran(batch.size)
        if each:
            callbacks.call("on_test_batch_end", step, logs=scores.logs())
        if time.perf_counter() - shown > LOOK_EVERY:
            progress.update(scores.logs())
            shown = time.perf_counter()
    if not training_failed:
        # A loss that is not finite is a result here; it must not stop the optimizer.
        model.executor.clear_failure()
    return scores.logs()


def predict(batches: Iterable[Batch], callbacks: CallbackList, progress: Progress) -> list[Array]:
    """A pass of prediction; returns the outputs of all samples."""
    ran = []
    for step, batch in enumerate(batches):
        callbacks.call("on_predict_batch_begin", step)
        batch.run()
        progress.ran(batch.size)
        progress.update({})
        ran.append(batch)
        if callbacks.wants("on_predict_batch_end"):
            callbacks.call("on_predict_batch_end", step, logs={"outputs": batch.predictions()})
    whole = ran[0].outputs
    if all(batch.outputs is whole for batch in ran) and sum(batch.size for batch in ran) == len(whole[0]):
        return whole
    return [np.concatenate(pieces) for pieces in zip(*(batch.predictions() for batch in ran), strict=True)]

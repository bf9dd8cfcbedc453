"""`Trainer`, the part of a model that learns and answers: compile, fit, evaluate, predict, and the same on single batches."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import optimizers, saving
from ..backends import resolve
from ..callbacks import Callback, CallbackList, History
from ..graph import KerasTensor, pack
from ..losses import Loss
from ..program import Executor, Objective
from ..utils.random_seed import current_seed
from . import loop
from .compilation import Compilation, Logs, Scores, compilation, resolved
from .data import (
    ArrayFeed,
    Feed,
    Interface,
    Programs,
    Repeat,
    Samples,
    StreamFeed,
    first_item,
    is_stream,
    not_both,
    positive,
    unpacked,
)
from .progress import Progress, progress

BATCH_SIZE = 32
NO_CALLBACKS = CallbackList(None, None, {})
"""What single batches call."""
NOT_OFFERED = {
    "run_eagerly": False,
    "steps_per_execution": 1,
}
"""Arguments of Keras's compile, with the only value that is taken."""


class Runtime:
    """What a compiled model has in this process only: backend, executor, programs. A pickle or copy begins without them."""

    def __init__(self, device: Any = None, options: Mapping[str, Any] | None = None):
        self.device = device if device is None or isinstance(device, str) else device.name
        self.options = dict(options or {})
        self.backend = resolve(device, **self.options)
        self.process = os.getpid()
        self.graph: Any = None
        self.executor: Any = None
        self.repeat: Repeat | None = None

    def __reduce__(self) -> Any:
        return Runtime, (self.device, self.options)

    def ready(self, model: Any) -> "Runtime":
        """Make what depends on the model's graph, unless it is there. RuntimeError in a process forked after compile."""
        if os.getpid() != self.process:
            raise RuntimeError(
                f"this model was compiled in process {self.process} and is used in its fork {os.getpid()}, where its threads "
                "do not exist: compile, or load, the model inside the new process, started with multiprocessing's 'spawn'"
            )
        if self.executor is None or self.graph is not model.graph:
            self.compilation = compilation(model.output_names, **(model._arguments or {}))
            self.interface = _interface(model, self.compilation)
            self.executor = Executor(model, self.compilation.objective(model.optimizer), self.backend)
            self.scores = Scores(self.compilation, self.executor)
            # They export the outputs where these are asked for, or measured on the host.
            self.programs = {
                mode: Programs(self.executor, mode, self.interface.output_shapes, mode == "predict" or bool(self.scores.host))
                for mode in ("train", "test", "predict")
            }
            self.graph, self.repeat = model.graph, None
        return self


def _interface(model: Any, compiled: Compilation) -> Interface:
    labelled = compiled.labelled()
    losses = [(loss or Loss("labels")) if k in labelled else None for k, loss in enumerate(compiled.losses)]
    inputs, outputs = [t.shape for t in model.inputs], [t.shape for t in model.outputs]
    return Interface(model.input_names, inputs, model.output_names, outputs, losses)


class Trainer:
    """Training, evaluation and prediction, with Keras's arguments, defaults and results.

    The class that inherits from it has inputs, outputs, input_names, output_names, trace, variables, build and get/set_weights.
    """

    optimizer: Any = None
    loss: Any = None
    history: Any = None
    compiled = False
    stop_training = False
    seed: int | None = None
    """What shuffles and dropout masks are drawn from: fixed at the first compile."""
    _runtime: Runtime | None = None
    _arguments: dict[str, Any] | None = None

    # Compilation.

    def compile(
        self: Any,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        device: Any = None,
        conv_algorithm: str | None = None,
        precision: str | None = None,
        jit_compile: Any = "auto",
        **not_offered: Any,
    ) -> None:
        """Decide how to train. Loss, metrics and trainable weights are those of the last call.

        optimizer         a name or an Optimizer
        loss              a name, Loss or function (y_true, y_pred) -> Value; a list or dict by output where there are several
        loss_weights      a number for each output's loss in their sum
        metrics           a list of names, metrics or functions; a list of lists or a dict by output where there are several
        weighted_metrics  the same, of metrics that see sample_weight and class_weight
        device            "cpu", "reference", "auto", or a backend; None takes the default of `fastcnn.set_device`
        conv_algorithm    of device "cpu": "auto" (the default), "direct" (least rounding), "winograd2" or "winograd4"
        precision         of device "cuda": "float32" (the default), or "tf32" or "bfloat16" for the products of convolutions
                          and dense layers, on tensor cores; weights, activations, gradients and sums stay float32
        jit_compile       taken and ignored: everything is compiled
        """
        _refuse(not_offered)
        chosen = optimizers.get(optimizer)
        arguments = resolved(loss, loss_weights, metrics, weighted_metrics)
        # For its errors: which output is whose is settled when the graph is known.
        compilation(self.output_names if self.built else ["output"], **arguments)
        own = dict(conv_algorithm=conv_algorithm, precision=precision)
        options = {name: value for name, value in own.items() if value is not None}
        self._runtime, self._arguments = Runtime(device, options), arguments
        self.optimizer, self.loss = chosen, loss
        self.seed = current_seed() if self.seed is None else self.seed
        self.compiled, self.stop_training = True, False

    def _ready(self: Any) -> Runtime:
        if self._runtime is None:
            self._runtime = Runtime()
        return self._runtime.ready(self)

    @property
    def executor(self: Any) -> Executor:
        """What builds and keeps the model's programs."""
        return self._ready().executor

    @property
    def objective(self: Any) -> Objective:
        """What programs are built from. Of a model that was not compiled it holds no losses."""
        return self.executor.objective

    @property
    def metrics_names(self: Any) -> list[str]:
        """The names of what `evaluate` returns, in that order."""
        return self._ready().compilation.log_names()

    def metric_directions(self: Any) -> dict[str, str | None]:
        """Whether more ("up") or less ("down") of a metric is better, by its name in logs."""
        return self._ready().compilation.directions()

    def _interface(self: Any) -> Interface:
        return self._ready().interface

    def _require_compiled(self: Any, what: str) -> None:
        if not self.compiled:
            raise RuntimeError(f"model {self.name!r} must be compiled before {what}(): call compile(optimizer, loss, metrics)")
        if self._arguments["loss"] is None:
            raise ValueError(f"{what}() needs a loss: pass one to compile(loss=...)")

    def _build_for(self: Any, x: Any) -> None:
        if not self.built:
            self.build((None, *np.shape(x)[1:]))

    # Training.

    def fit(
        self: Any,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Train for the epochs initial_epoch .. epochs - 1; returns the History of their numbers. Arguments as in Keras.

        x, y    arrays (a list or dict of them for several inputs or outputs); or x alone: a generator or utils.PyDataset of
                (x, y) or (x, y, sample_weight)

        ValueError, before anything is changed, where data do not fit the model. FloatingPointError at a loss that is not
        finite: it names the step and the layer where it began, and the weights are those before that step.
        """
        self._require_compiled("fit")
        _check_epochs(epochs, initial_epoch)
        size = batch_size if validation_batch_size is None else validation_batch_size
        held_out = validation_data is None and validation_split
        not_both(sample_weight, class_weight)
        feed = self._feed(x, y, sample_weight, None if held_out else class_weight, batch_size, steps_per_epoch)
        validation = None
        if held_out:
            feed, validation = _split(feed, validation_split, class_weight, size, validation_steps)
        elif validation_data is not None:
            validation = self._feed(*unpacked(validation_data), None, size, validation_steps)
        run = _Fit(self, feed, validation, _frequency(validation_freq), shuffle)
        callbacks, history = _with_history(callbacks)
        params = {"verbose": 1 if verbose == "auto" else verbose, "epochs": epochs, "steps": feed.steps}
        called = CallbackList(callbacks, self, params)
        shown = progress(verbose, feed.steps, epochs)
        self.history = history
        try:
            run.epochs(range(initial_epoch, epochs), called, shown)
        finally:
            shown.close()
        return history

    def evaluate(
        self: Any,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics of data that are not trained on: the loss, a list in the order of `metrics_names`, or a dict."""
        self._require_compiled("evaluate")
        feed = self._feed(x, y, sample_weight, None, batch_size, steps)
        shown = progress(verbose, feed.steps)
        called = CallbackList(callbacks, self, {"verbose": verbose, "epochs": 1, "steps": feed.steps})
        runtime = self._ready()
        try:
            shown.begin()
            logs = _evaluation(self, runtime.scores, feed.epoch(runtime.programs["test"]), called, shown)
            shown.end(logs)
        finally:
            shown.close()
        return _result(logs, return_dict)

    def predict(
        self: Any, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None, callbacks: Any = None
    ) -> Any:
        """The outputs for all samples: an array, or a list or dict of arrays as the model's outputs are."""
        feed = self._input_feed(x, batch_size, steps)
        shown = progress(verbose, feed.steps)
        called = CallbackList(callbacks, self, {"verbose": verbose, "epochs": 1, "steps": feed.steps})
        batches = feed.epoch(self._ready().programs["predict"])
        try:
            shown.begin()
            called.call("on_predict_begin")
            outputs = loop.predict(batches, called, shown)
            called.call("on_predict_end")
            shown.end({})
        finally:
            shown.close()
        return pack(self.output, outputs)

    # Single batches.

    def train_on_batch(
        self: Any, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One training step on these samples; returns its loss, or loss and metrics."""
        self._require_compiled("train_on_batch")
        self._build_for(x)
        runtime = self._ready()
        samples = runtime.interface.samples(x, y, sample_weight, class_weight)
        runtime.executor.set(seed=self.seed)
        batch = runtime.programs["train"].batch(samples)
        logs = loop.train(self, runtime.scores, [batch], NO_CALLBACKS, Progress(1), 0)
        return _result(logs, return_dict)

    def test_on_batch(self: Any, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss, or loss and metrics, on these samples."""
        self._require_compiled("test_on_batch")
        self._build_for(x)
        runtime = self._ready()
        samples = runtime.interface.samples(x, y, sample_weight)
        batch = runtime.programs["test"].batch(samples)
        logs = loop.test(self, runtime.scores, [batch], NO_CALLBACKS, Progress(1))
        return _result(logs, return_dict)

    def predict_on_batch(self: Any, x: Any) -> Any:
        """The outputs for these samples, with as little around them as can be."""
        self._build_for(x)
        runtime = self._ready()
        if runtime.repeat is not None and runtime.repeat.fits(x):
            return runtime.repeat(x)
        batch = runtime.programs["predict"].batch(runtime.interface.inputs(x))
        batch.run()
        runtime.repeat = Repeat(batch) if len(self.inputs) == 1 and isinstance(self.output, KerasTensor) else None
        return pack(self.output, [output.copy() for output in batch.outputs])

    # Weights in files.

    def save_weights(self: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone to a safetensors file."""
        saving.save_weights(self, filepath, overwrite)

    def load_weights(self: Any, filepath: str | os.PathLike[str]) -> None:
        """Overwrite the weights by those of a file. ValueError, and nothing changed, where they do not fit."""
        saving.load_weights(self, filepath)

    # Data.

    def _feed(
        self: Any,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        batch_size: int | None,
        per_epoch: int | None,
    ) -> Feed:
        size = positive("batch_size", BATCH_SIZE if batch_size is None else batch_size)
        if not is_stream(x):
            self._build_for(x)
            return ArrayFeed(self._interface().samples(x, y, sample_weight, class_weight), size, per_epoch)
        if y is not None or sample_weight is not None:
            raise ValueError(
                "where x yields batches, they hold labels and weights: (x, y) or (x, y, sample_weight); leave y out"
            )
        source = self._stream(x)

        def prepare(item: Any) -> Samples:
            return self._interface().samples(*unpacked(item), class_weight)

        return StreamFeed(source, prepare, per_epoch)

    def _input_feed(self: Any, x: Any, batch_size: int | None, per_epoch: int | None) -> Feed:
        size = positive("batch_size", BATCH_SIZE if batch_size is None else batch_size)
        if is_stream(x):
            return StreamFeed(self._stream(x), lambda item: self._interface().inputs(unpacked(item)[0]), per_epoch)
        self._build_for(x)
        return ArrayFeed(self._interface().inputs(x), size, per_epoch)

    def _stream(self: Any, source: Any) -> Any:
        if self.built:
            return source
        item, source = first_item(source)
        self._build_for(unpacked(item)[0])
        return source


class _Fit:
    """The epochs of one call of fit."""

    def __init__(self, model: Any, feed: Feed, validation: Feed | None, validates: Callable[[int], bool], shuffle: bool):
        self.model, self.feed, self.validation, self.validates, self.shuffle = model, feed, validation, validates, shuffle
        runtime = model._ready()
        self.train, self.test, self.scores = runtime.programs["train"], runtime.programs["test"], runtime.scores
        feed.build(self.train)
        if validation is not None:
            validation.build(self.test)

    def key(self) -> tuple[int, int] | None:
        """What the next pass's order is drawn from: steps are counted on across calls of fit, and in a checkpoint."""
        return (self.model.seed, self.model.optimizer.iterations) if self.shuffle else None

    def epochs(self, epochs: range, callbacks: CallbackList, shown: Progress) -> None:
        """Train, epoch by epoch, until the last or until a callback stops it."""
        model = self.model
        model.stop_training = False
        callbacks.call("on_train_begin")
        logs: Logs = {}
        for epoch in epochs:
            logs = self.epoch(epoch, callbacks, shown)
            if model.stop_training:
                break
        callbacks.call("on_train_end", logs=logs)

    def epoch(self, epoch: int, callbacks: CallbackList, shown: Progress) -> Logs:
        """One epoch with its validation."""
        model = self.model
        model.executor.set(seed=model.seed)
        callbacks.call("on_epoch_begin", epoch)
        shown.begin(epoch)
        logs = loop.train(model, self.scores, self.feed.epoch(self.train, self.key), callbacks, shown, epoch)
        if self.validation is not None and self.validates(epoch):
            results = _evaluation(model, self.scores, self.validation.epoch(self.test), callbacks, Progress(None))
            logs = {**logs, **{f"val_{name}": value for name, value in results.items()}}
        shown.end(logs)
        callbacks.call("on_epoch_end", epoch, logs=logs)
        return logs


def _evaluation(model: Any, scores: Scores, batches: Any, callbacks: CallbackList, shown: Progress) -> Logs:
    callbacks.call("on_test_begin")
    logs = loop.test(model, scores, batches, callbacks, shown)
    callbacks.call("on_test_end", logs=logs)
    return logs


def _result(logs: Logs, return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]


def _refuse(arguments: Mapping[str, Any]) -> None:
    for name, value in arguments.items():
        if name == "auto_scale_loss":
            continue
        if name not in NOT_OFFERED:
            raise TypeError(f"compile() got an unexpected argument {name!r}")
        if value != NOT_OFFERED[name]:
            raise ValueError(f"compile does not offer {name}={value!r}: leave it out")


def _check_epochs(epochs: Any, initial_epoch: Any) -> None:
    for name, value in (("epochs", epochs), ("initial_epoch", initial_epoch)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 0:
            raise ValueError(f"{name} must be a whole number of at least 0, got {value!r}")


def _split(feed: Feed, share: float, class_weight: Any, size: int | None, steps: int | None) -> tuple[Feed, Feed]:
    """Feeds of the first samples, weighted by class, and of the last `share` of them, which are not."""
    if not isinstance(feed, ArrayFeed):
        raise ValueError("validation_split needs arrays, whose last samples it takes; pass validation_data instead")
    training, held_out = feed.samples.split(share)
    if class_weight is not None:
        training = training.by_class(class_weight)
    size = feed.batch_size if size is None else positive("validation_batch_size", size)
    return ArrayFeed(training, feed.batch_size, feed.per_epoch), ArrayFeed(held_out, size, steps)


def _frequency(frequency: Any) -> Callable[[int], bool]:
    if isinstance(frequency, int) and frequency > 0:
        return lambda epoch: (epoch + 1) % frequency == 0
    if isinstance(frequency, list | tuple | set | range):
        return lambda epoch: epoch + 1 in frequency
    raise ValueError(f"validation_freq must be a number of epochs, or a list of epochs counted from 1, got {frequency!r}")


def _with_history(callbacks: Any) -> tuple[list[Callback], History]:
    """The callbacks as a list, and the History among them: a new one at the end where none was given."""
    given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())
    found = [c for c in given if isinstance(c, History)] or [History()]
    return ([*given] if found[0] in given else [*given, found[0]]), found[0]

"""What only training shows (FC4..): a few steps on a copy of the model, which is the only thing that they change.

These checks are made where nothing is wrong with network and data: those mistakes would show here too.
"""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from .findings import Seen, check
from .network import CATEGORICAL
from .setup import Array, Setup, spread

STEPS = 15
LEARNS = 0.7
"""A loss on one batch that falls to this share within STEPS steps is learned."""
STILL = 1e-5
"""A step that moves no kernel by more than this share of its norm is small: about 0.001 is usual."""
LOWER, HIGHER = (0.1, 0.01, 0.001), (1e3, 1e4, 1e5)
"""Factors of the learning rate that are tried against one that does not learn."""
LOOK_AHEAD = range(0, 1000, 50)
"""Steps of a schedule whose highest rate counts: many begin with almost nothing."""
FETCHED = 8


@dataclass(frozen=True)
class Run:
    """What STEPS steps on one batch did.

    losses   before each step; infinite from the first one on that is not finite
    moved    how far a step moved a kernel, as a share of its norm: the mean of the steps, of the kernel that moved most
    """

    losses: list[float]
    moved: float

    @property
    def end(self) -> float:
        """The loss at the end: a mean of three, as dropout makes noise."""
        return sum(self.losses[-3:]) / 3


@check(
    "FC401", "the learning rate is far too high", fix="Use the rate that learned. Adam usually takes 0.001, SGD 0.01 to 0.1."
)
def rate_too_high(setup: Setup) -> Seen:
    """Each step overshoots: the loss on one and the same batch does not fall, or grows without bound, while a lower rate learns
    that batch."""
    if _trains(setup):
        rate = _rate(setup.model)
        run = _run(setup, rate)
        if not run.end <= max(run.losses[0], _chance(setup) / 2):
            yield from _better(setup, rate, run, LOWER)


@check("FC402", "the learning rate is far too low", fix="Use the rate that learned. Adam usually takes 0.001, SGD 0.01 to 0.1.")
def rate_too_low(setup: Setup) -> Seen:
    """Steps are so small against the weights that training would take thousands of epochs, while a rate a thousand times higher
    learns the same batch."""
    if _trains(setup):
        rate = _rate(setup.model)
        run = _run(setup, rate)
        if run.moved < STILL:
            yield from _better(setup, rate, run, HIGHER)


@check(
    "FC403",
    "the device waits for its data",
    fix="Prepare batches ahead (in arrays, or a file of them), do less in Python for each picture, or augment on the device "
    "with layers.RandomFlip and its like.",
)
def starved(setup: Setup) -> Seen:
    """A step begins when its batch is there: the time to make one comes on top of every step."""
    if _trains(setup) and setup.streams:
        fetch, step = _fetch_time(setup.x), _step_time(setup)
        if fetch > max(step, 0.001):
            yield f"a batch takes {1e3 * fetch:.3g} ms to come, a step on it {1e3 * step:.3g} ms"


def _trains(setup: Setup) -> bool:
    return bool(setup.inputs and any(head.labels is not None for head in setup.heads) and setup.model.trainable_weights)


def _chance(setup: Setup) -> float:
    """The loss of a network that knows nothing; 0 where that cannot be said."""
    known = [math.log(head.units) for head in setup.trained_heads(CATEGORICAL)]
    return known[0] if len(known) == len(setup.heads) == 1 else 0.0


def _rate(model: Any) -> float:
    """The learning rate; of a schedule, the highest of those to come."""
    optimizer = copy.deepcopy(model.optimizer)
    rates = []
    for ahead in LOOK_AHEAD:
        optimizer.iterations = model.optimizer.iterations + ahead
        rates.append(float(optimizer.learning_rate))
    return max(rates)


def _batch(setup: Setup) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first batch of a stream; of arrays, samples from everywhere."""
    count = len(next(iter(setup.inputs.values())))
    rows = spread(count, count if setup.streams else setup.batch_size)
    return {n: a[rows] for n, a in setup.inputs.items()}, {n: a[rows] for n, a in setup.labels.items()}


def _run(setup: Setup, rate: float) -> Run:
    model = copy.deepcopy(setup.model)
    model.optimizer.learning_rate = lambda step: rate
    kernels = [variable for variable in model.trainable_weights if len(variable.shape) > 1]
    before = [kernel.value for kernel in kernels]
    losses = list(_losses(model, *_batch(setup)))
    moved = [_norm(k.value - w) / max(_norm(w), 1e-12) for k, w in zip(kernels, before, strict=True)]
    return Run(losses, max(moved, default=0.0) / STEPS)


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array))


def _losses(model: Any, x: Any, y: Any) -> Iterator[float]:
    finite = True
    for _ in range(STEPS):
        try:
            with np.errstate(all="ignore"):
                result = model.train_on_batch(x, y) if finite else math.inf
        except FloatingPointError:
            finite, result = False, math.inf
        yield float(result[0] if isinstance(result, list) else result)


def _better(setup: Setup, rate: float, run: Run, factors: tuple[float, ...]) -> Iterator[str]:
    """Tells of the first of other rates that learns, if there is one."""
    for factor in factors:
        other = _run(setup, factor * rate)
        if other.end < LEARNS * other.losses[0]:
            yield (
                f"{STEPS} steps on one batch take the loss from {run.losses[0]:.4g} to {run.end:.4g} with the rate {rate:.3g}, "
                f"to {other.end:.4g} with {factor * rate:.3g}"
            )
            return


def _step_time(setup: Setup) -> float:
    """Seconds of one training step, after one that builds the program."""
    model, batch = copy.deepcopy(setup.model), _batch(setup)
    return _median_time(lambda _: model.train_on_batch(*batch), 6)


def _fetch_time(source: Any) -> float:
    """Seconds that a batch takes to come."""
    return _median_time(source.__getitem__, min(FETCHED, len(source)))


def _median_time(call: Any, count: int) -> float:
    times = []
    for number in range(count):
        began = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - began)
    return median(times[1:] or times)

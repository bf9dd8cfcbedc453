"""What only shows when it runs (FC4..): a few steps on a copy of the model. The model itself is left as it is.

Thresholds are where something is plainly wrong, and each finding about the learning rate is confirmed by another rate that does
learn: a network that is merely slow is left in peace.
"""

import time
from collections.abc import Iterator
from itertools import islice
from math import isfinite, log
from statistics import median

import numpy as np

from ..callbacks import LearningRateScheduler
from ..variables import Variable
from .findings import ERROR, WARNING, Seen, check
from .network import CATEGORICAL
from .rehearsal import STEPS, Run
from .setup import PRODUCTS, Array, Setup, operation

LEARNS = 0.7
"""A loss on one batch that falls to this share within STEPS steps is learned."""
STILL = 1e-5
"""A step that moves no kernel by more than this share of its norm is small: about 0.001 is usual."""
LOWER, HIGHER = (0.1, 0.01, 0.001), (1000.0, 10_000.0, 100_000.0)
"""Factors of the learning rate that are tried against one that does not learn."""
DEAD = 0.8
EXPLODING, VANISHING = 1e3, 1e-5
FETCHED = 8


@check(
    "FC401",
    ERROR,
    "the learning rate is far too high",
    needs="fit",
    fix="Use the rate that learned. Adam usually takes 0.001, SGD 0.01 to 0.1.",
)
def rate_too_high(setup: Setup) -> Seen:
    """Each step overshoots: the loss on one and the same batch does not fall, or grows without bound, while a lower rate learns
    that batch."""
    if _rates_count(setup):
        run = setup.rehearsal.run(1.0)
        if _diverges(setup, run):
            yield from _better(setup, LOWER)


@check(
    "FC402",
    WARNING,
    "the learning rate is far too low",
    needs="fit",
    fix="Use the rate that learned. Adam usually takes 0.001, SGD 0.01 to 0.1.",
)
def rate_too_low(setup: Setup) -> Seen:
    """Steps are so small against the weights that training would take thousands of epochs, while a rate a thousand times higher
    learns the same batch."""
    fresh = setup.model.optimizer.iterations == 0
    if fresh and _rates_count(setup) and 0 < setup.rehearsal.run(1.0).moved < STILL:
        for better in _better(setup, HIGHER):
            yield f"a step moves the weights by {setup.rehearsal.run(1.0).moved:.2g} of their size; {better}"


@check(
    "FC403",
    WARNING,
    "dead ReLUs",
    needs="fit",
    fix="Lower the learning rate, normalise inputs, initialise with he_normal, put BatchNormalization before the ReLU, or use "
    "LeakyReLU.",
)
def dead_relus(setup: Setup) -> Seen:
    """A unit that is zero for every sample has no gradient, and stays zero."""
    for path, values in _rectified(setup):
        alive = (values > 0).reshape(-1, values.shape[-1]).any(axis=0)
        if alive.size >= 4 and 1 - alive.mean() > DEAD:
            yield f"{path}: {np.count_nonzero(~alive):,} of {alive.size:,} units are zero for all of {len(values)} samples"


@check(
    "FC404",
    ERROR,
    "gradients explode",
    needs="fit",
    fix="Normalise inputs, initialise with glorot_uniform or he_normal, add BatchNormalization; or clip: Adam(clipnorm=1.0).",
)
def exploding(setup: Setup) -> Seen:
    """One step of gradient descent would move these weights by thousands of times their own size."""
    for variable, share in _relative_gradients(setup):
        if not share < EXPLODING:
            yield f"{variable.name}: the gradient's norm is {share:.3g} times that of the weights"


@check(
    "FC405",
    WARNING,
    "gradients vanish",
    needs="fit",
    fix="Use ReLU in place of sigmoid and tanh inside of the network, he_normal, BatchNormalization, or shortcuts (layers.Add).",
)
def vanishing(setup: Setup) -> Seen:
    """Every layer hands on only a part of the gradient; in the first layers next to nothing arrives, and they stay as they were
    initialised."""
    found = _relative_gradients(setup)
    if len(found) > 2 and found[0][1] < VANISHING * found[-1][1]:
        (first, share), (last, most) = found[0], found[-1]
        yield f"relative to the weights, the gradient is {share:.2g} in {first.name} and {most:.2g} in {last.name}"


@check(
    "FC406",
    WARNING,
    "the device waits for its data",
    needs="fit stream",
    fix="Prepare batches ahead (in arrays, or a file of them), do less in Python for each picture, or augment on the device with "
    "layers.RandomFlip and its like.",
)
def starved(setup: Setup) -> Seen:
    """A step begins when its batch is there: the time to make one comes on top of every step."""
    fetch, step = _fetch_time(setup), setup.rehearsal.step_time
    if fetch > max(step, 0.001):
        yield f"a batch takes {1e3 * fetch:.3g} ms to come, a step on it {1e3 * step:.3g} ms"


def _rates_count(setup: Setup) -> bool:
    """Whether the optimizer's rate is the one that counts, and is meant to train."""
    scheduled = any(isinstance(callback, LearningRateScheduler) for callback in setup.callbacks)
    return not scheduled and setup.rehearsal.rate > 0 and bool(setup.model.trainable_weights)


def _diverges(setup: Setup, run: Run) -> bool:
    """Whether the loss on one batch ends above its beginning, and is not small either."""
    if not isfinite(run.end):
        return True
    chance = [log(head.units) for head in setup.trained_heads(CATEGORICAL) if head.units > 1]
    return run.end > run.losses[0] and run.end > (0.5 * chance[0] if len(chance) == 1 else 1.5 * run.losses[0])


def _better(setup: Setup, factors: tuple[float, ...]) -> Iterator[str]:
    """Tells of the first of other rates that learns, if there is one."""
    rate, run = setup.rehearsal.rate, setup.rehearsal.run(1.0)
    for factor in factors:
        other = setup.rehearsal.run(factor)
        if other.change < LEARNS:
            yield (
                f"{STEPS} steps on one batch take the loss from {run.losses[0]:.4g} to {run.end:.4g} with the rate {rate:.3g}, "
                f"to {other.end:.4g} with {factor * rate:.3g}"
            )
            return


def _rectified(setup: Setup) -> Iterator[tuple[str, Array]]:
    """The results of ReLUs for the batch, by the path of the layer that they are part of."""
    trace, prefix = setup.forward[0], f"{setup.model.name}/"
    results = {path: value for path, value in trace.results.items() if path.startswith(prefix)}
    relus = [path for path, value in results.items() if operation(getattr(value, "step", None)) == "relu" == _own(path, value)]
    shown = [path.removeprefix(prefix) for path in relus]
    return zip(shown, setup.rehearsal.values(shown) if shown else [], strict=True)


def _own(path: str, value: "object") -> str:
    """The op of a value that the layer at `path` computed itself; "" where a layer inside of it did."""
    step = getattr(value, "step", None)
    return operation(step) if step is not None and step.source == path else ""


def _relative_gradients(setup: Setup) -> list[tuple[Variable, float]]:
    """The kernels of convolutions and dense layers from input to output, with |gradient| / |kernel|."""
    gradients = {variable.name: gradient for variable, gradient in setup.rehearsal.gradients.items()}
    kernels = [step["w"] for step in setup.forward[0].steps if step.op in PRODUCTS]
    found = {}
    for kernel in kernels:
        if isinstance(kernel, Variable) and kernel.name in gradients:
            norm = float(np.linalg.norm(kernel.value))
            found[kernel] = float(np.linalg.norm(gradients[kernel.name])) / norm if norm else 0.0
    return list(found.items())


def _fetch_time(setup: Setup) -> float:
    """Seconds that a batch takes to come, the median of some."""
    source, times = setup.x, []
    batches = (source[k] for k in range(len(source))) if hasattr(source, "__getitem__") else iter(source)
    began = time.perf_counter()
    for _ in islice(batches, FETCHED):
        now = time.perf_counter()
        times.append(now - began)
        began = now
    return median(times)

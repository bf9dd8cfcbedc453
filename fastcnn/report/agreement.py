"""Whether a device learns what the float64 reference learns: losses step by step, results layer by layer.

As in fastcnn.trajectories, with momentum and not Adam, whose first steps amplify rounding without bound.
"""

from typing import Any, NamedTuple

import numpy as np
from fastcnn_kernels.reference import ReferenceBackend
from numpy.typing import NDArray

from fastcnn import optimizers
from fastcnn.explain.inside import look
from fastcnn.program import Place
from fastcnn.trajectories import RATE, STEPS, TOLERANCE
from fastcnn.utils import set_random_seed

from .schema import Agreement, LayerError
from .setup import Job

PICTURES = 16
Array = NDArray[Any]


class Run(NamedTuple):
    """What is compared: results by layer before training, losses, final weights."""

    results: dict[str, Array]
    losses: Array
    weights: list[Array]


def agreement(job: Job, device: Any) -> Agreement:
    """The device beside the reference."""
    have, want = run(job, device), run(job, ReferenceBackend(np.float64))
    layers = [LayerError(name, error(have.results[name], value)) for name, value in want.results.items()]
    loss_error = error(have.losses, want.losses)
    weight_error = max(error(ours, reference) for ours, reference in zip(have.weights, want.weights, strict=True))
    differing = [layer.layer for layer in layers if layer.error > TOLERANCE]
    if max(loss_error, weight_error) > TOLERANCE:
        differing.append("training")
    losses = [float(x) for x in have.losses], [float(x) for x in want.losses]
    first = differing[0] if differing else ""
    return Agreement(PICTURES, STEPS, *losses, loss_error, weight_error, TOLERANCE, layers, first)


def run(job: Job, device: Any) -> Run:
    """The network on the first pictures of the data, from the weights that the job's seed gives."""
    parts = job.parts()
    x, y = parts.train[0][:PICTURES], parts.train[1][:PICTURES]
    set_random_seed(job.options.seed)
    model = job.uncompiled(parts)
    model.compile(optimizers.SGD(RATE, momentum=0.9), "sparse_categorical_crossentropy", device=device)
    names = [layer.name for layer in model.layers]
    results = dict(zip(names, look(model, x, [Place("result", name) for name in names]), strict=True))
    losses = np.array([model.train_on_batch(x, y) for _ in range(STEPS)])
    return Run(results, losses, model.get_weights())


def error(have: Array, want: Array) -> float:
    """The largest difference as a share of the largest value."""
    # A bias in front of batch normalisation has no gradient but rounding: held to the size of one descent step.
    return float(np.abs(have - want).max() / max(float(np.abs(want).max()), 0.01))

"""Whole networks, ten optimizer steps, beside the float64 reference: what `fastcnn verify` and the tests hold devices to.

    NETWORKS              the networks, input shapes, and batch sizes that are small and yet do not fit vectors or tiles
    train                 losses and final weights of some steps on one batch
    follow                hold a device's against the reference's
    checks                one for every network

A gradient check can pass while a weight is never updated; ten steps show it. With momentum, not Adam: Adam's first steps
divide by the gradient's own size, which amplifies float32 rounding without bound.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from fastcnn_kernels.reference import ReferenceBackend
from numpy.typing import NDArray

from . import applications, layers, models, optimizers
from .utils import set_random_seed

STEPS = 10
RATE = 0.002
"""Small enough that rounding does not push a value across a kink of ReLU or a maximum within ten steps."""
TOLERANCE = 1e-4
BATCH_SEED = 7
"""Of batches without ties: none of their values comes so near a kink that changing the images by 1e-6 crosses it (tested)."""


class Network(NamedTuple):
    """A function that builds it, its input's shape, and samples in a batch."""

    build: Callable[[], Any]
    shape: tuple[int, ...]
    batch_size: int


def Small() -> models.Sequential:  # noqa: N802
    """One layer of each kind, for devices that are slow."""
    return models.Sequential(
        [
            layers.Conv2D(8, (3, 3), activation="relu", input_shape=(10, 10, 3)),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(12, (3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dropout(0.25),
            layers.AveragePooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(20, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ],
        name="Small",
    )


NETWORKS = {
    "Small": Network(Small, (10, 10, 3), 5),
    "Digits": Network(applications.Digits, (8, 8, 1), 16),
    "TutorialMNIST": Network(applications.TutorialMNIST, (28, 28, 1), 8),
    "TutorialCIFAR10": Network(applications.TutorialCIFAR10, (32, 32, 3), 2),
    "TutorialKeras": Network(applications.TutorialKeras, (32, 32, 3), 9),
}


def train(network: str, device: Any, change: float = 0.0) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Losses and final weights of STEPS steps on one batch of random images; weights and masks come from one seed.

    `change` is the standard deviation of noise that multiplies the images, in shares of a value.
    """
    build, shape, size = NETWORKS[network]
    set_random_seed(1)
    model = build()
    model.compile(optimizers.SGD(RATE, momentum=0.9), "sparse_categorical_crossentropy", device=device)
    rng = np.random.default_rng(BATCH_SEED)
    x, y = rng.random((size, *shape), dtype=np.float32), rng.integers(0, 10, size).astype(np.int32)
    x *= 1 + change * rng.standard_normal(x.shape, dtype=np.float32)
    losses = [model.train_on_batch(x, y) for _ in range(STEPS)]
    return np.array(losses), model.get_weights()


@cache
def _expected(network: str) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    return train(network, ReferenceBackend(np.float64))


def follow(network: str, device: Any, change: float = 0.0, tolerance: float | None = None) -> float:
    """AssertionError where a loss or a weight leaves the reference's by more than `tolerance`, by default TOLERANCE, of the
    largest; the largest error as a share of what is allowed."""
    tolerance = TOLERANCE if tolerance is None else tolerance
    (want, expected), (have, weights) = _expected(network), train(network, device, change)
    shares = [_share(f"{network}: the losses", have, want, tolerance * np.abs(want).max())]
    for number, (ours, reference) in enumerate(zip(weights, expected, strict=True)):
        # A bias in front of batch normalisation has no gradient but rounding: held to the size of one descent step.
        largest = max(float(np.abs(reference).max()), 0.01)
        shares.append(_share(f"{network}: weight {number} {reference.shape}", ours, reference, tolerance * largest))
    return max(shares)


def _share(what: str, have: NDArray[Any], want: NDArray[Any], allowed: float) -> float:
    error = float(np.abs(have - want).max())
    if not error <= allowed:
        raise AssertionError(f"{what} differ by {error:.3g} from the reference's after {STEPS} steps, allowed is {allowed:.3g}")
    return error / allowed


def checks(backend: Any, exhaustive: bool) -> list[Any]:
    """A check a network; on the emulated device the small one alone, unless all are wanted."""
    from fastcnn_kernels.verify import Check

    names = ["Small"] if backend.name == "emulated" and not exhaustive else NETWORKS
    return [Check("network", name, f"{STEPS} steps", partial(follow, name, backend)) for name in names]

"""One network in Keras and in fastcnn: the same weights, the same step, the same numbers."""

from typing import Any

import keras
import numpy as np

from fastcnn import optimizers

STEP, SAMPLES = 1024.0, 3
"""A large power of two: the gradient is what a step of plain SGD changes, and keeps its digits."""

SEQUENCE, PICTURE, VOLUME = (9, 3), (6, 7, 3), (4, 5, 3, 2)


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def network(
    module: Any, sequential: Any, name: str, options: dict[str, Any], shape: tuple[int, ...], bias: bool = True
) -> Any:
    """The layer behind a trained one, whose gradients tell those of the layer's input."""
    tried = getattr(module, name)(name="tried", **options)
    return sequential([module.Input(shape), module.Dense(shape[-1], use_bias=bias, name="front"), tried])


def by_keras(model: Any, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Output, and the change of every weight by a step down the mean squared error."""
    before = model.get_weights()
    model.compile(optimizer=keras.optimizers.SGD(STEP), loss="mse")
    output = model.predict(x, verbose=0)
    model.train_on_batch(x, y)
    return [output, *(a - b for a, b in zip(model.get_weights(), before, strict=True))]


def by_fastcnn(model: Any, x: np.ndarray, y: np.ndarray, device: str) -> list[np.ndarray]:
    before = model.get_weights()
    model.compile(optimizer=optimizers.SGD(STEP), loss="mse", device=device)
    output = model.predict(x, verbose=0)
    model.train_on_batch(x, y)
    return [output, *(a - b for a, b in zip(model.get_weights(), before, strict=True))]


def agree(theirs: Any, ours: Any, x: np.ndarray, device: str) -> None:
    """Outputs, and gradients of all weights, to 1e-5 of the largest."""
    assert ours.output_shape == theirs.output_shape
    weights = [0.5 * numbers(i, *w.shape) for i, w in enumerate(theirs.get_weights())]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    y = numbers(101, SAMPLES, *theirs.output_shape[1:])
    for want, got in zip(by_keras(theirs, x, y), by_fastcnn(ours, x, y, device), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())

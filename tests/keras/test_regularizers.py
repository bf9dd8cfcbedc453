"""Regularizers and constraints beside Keras 3: losses and weights of ten steps of momentum descent."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="the comparison with Keras needs it: pip install keras torch")

import keras

from fastcnn import constraints, layers, models, optimizers, regularizers

STEPS = 10
RULES: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "L1": dict(kernel_regularizer=("L1", dict(l1=0.003))),
    "L2 by its default": dict(kernel_regularizer=("L2", {}), bias_regularizer=("L2", dict(l2=0.1))),
    "L1L2": dict(kernel_regularizer=("L1L2", dict(l1=0.002, l2=0.02))),
    "max norm": dict(kernel_constraint=("MaxNorm", dict(max_value=0.4, axis=[0, 1, 2]))),
    "max norm over rows": dict(kernel_constraint=("MaxNorm", dict(max_value=0.3, axis=0))),
    "unit norm": dict(kernel_constraint=("UnitNorm", dict(axis=[0, 1, 2]))),
    "min max norm": dict(kernel_constraint=("MinMaxNorm", dict(min_value=0.5, max_value=0.8, rate=0.3, axis=[0, 1]))),
    "non neg": dict(kernel_constraint=("NonNeg", {}), bias_constraint=("NonNeg", {})),
}


def network(layer_module: Any, model_class: Any, modules: dict[str, Any], chosen: dict[str, Any]) -> Any:
    options = {name: getattr(modules[name.rpartition("_")[2]], kind)(**given) for name, (kind, given) in chosen.items()}
    return model_class(
        [
            layer_module.Input((7, 6, 3)),
            layer_module.Conv2D(5, 3, activation="tanh", **options),
            layer_module.Flatten(),
            layer_module.Dense(2),
        ]
    )


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("chosen", RULES.values(), ids=RULES)
def test_ten_steps(chosen: dict[str, Any], device: str) -> None:
    theirs = network(
        keras.layers, keras.Sequential, dict(regularizer=keras.regularizers, constraint=keras.constraints), chosen
    )
    ours = network(layers, models.Sequential, dict(regularizer=regularizers, constraint=constraints), chosen)
    ours.set_weights(theirs.get_weights())
    theirs.compile(keras.optimizers.SGD(0.02, momentum=0.9), "mse")
    ours.compile(optimizers.SGD(0.02, momentum=0.9), "mse", device=device)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in ((8, 7, 6, 3), (8, 2)))
    for _ in range(STEPS):
        expected = theirs.fit(x, y, batch_size=8, epochs=1, verbose=0).history["loss"][0]
        assert ours.fit(x, y, batch_size=8, epochs=1, verbose=0).history["loss"][0] == pytest.approx(expected, rel=1e-4)
    for want, got in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * np.abs(want).max())

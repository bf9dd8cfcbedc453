"""Activations, merging layers, normalisation and embeddings beside Keras 3 (any backend): outputs and gradients, from the same
weights. Local response normalisation, which Keras lacks, beside PyTorch."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="the comparison with Keras needs it: pip install keras torch")

import keras

from fastcnn import layers, models
from tests.keras.beside import PICTURE, SAMPLES, SEQUENCE, VOLUME, agree, network, numbers

FLAT = (16,)
ACTIVATIONS = (
    "elu", "selu", "gelu", "silu", "swish", "softplus", "softsign", "hard_sigmoid", "hard_silu", "hard_swish", "relu6", "mish",
    "exponential",
)  # fmt: skip
CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    *(("Activation", dict(activation=name), SEQUENCE) for name in ACTIVATIONS),
    ("ReLU", dict(max_value=0.75), SEQUENCE),
    ("ReLU", dict(max_value=6.0, negative_slope=0.2), SEQUENCE),
    ("ReLU", dict(max_value=1.5, negative_slope=0.2, threshold=0.5), PICTURE),
    ("ReLU", dict(threshold=0.5), PICTURE),
    ("ELU", dict(alpha=0.5), SEQUENCE),
    ("ELU", {}, SEQUENCE),
    ("PReLU", {}, SEQUENCE),
    ("PReLU", dict(shared_axes=[1, 2]), PICTURE),
    ("PReLU", dict(shared_axes=[2]), PICTURE),
    ("LayerNormalization", {}, PICTURE),
    ("LayerNormalization", dict(epsilon=1e-2, center=False), FLAT),
    ("LayerNormalization", dict(scale=False), SEQUENCE),
    ("GroupNormalization", dict(groups=4), (5, 4, 12)),
    ("GroupNormalization", dict(groups=3, scale=False), (9, 6)),
    ("Rescaling", dict(scale=0.25, offset=-1.0), PICTURE),
    ("Normalization", dict(mean=[1.0, 2.0, -1.0], variance=[4.0, 1.0, 0.5]), PICTURE),
]
MERGING = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize(
    ("name", "options", "shape"), CASES, ids=["-".join([n, *(f"{k}={v}" for k, v in o.items())]) for n, o, _ in CASES]
)
def test_outputs_and_gradients(name: str, options: dict[str, Any], shape: tuple[int, ...], device: str) -> None:
    theirs = network(keras.layers, keras.Sequential, name, options, shape)
    agree(theirs, network(layers, models.Sequential, name, options, shape), numbers(100, SAMPLES, *shape), device)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_instance_normalization(device: str) -> None:
    """Behind a layer without bias, of which nothing would be left."""
    options = dict(groups=-1)
    theirs = network(keras.layers, keras.Sequential, "GroupNormalization", options, VOLUME, bias=False)
    ours = network(layers, models.Sequential, "GroupNormalization", options, VOLUME, bias=False)
    agree(theirs, ours, numbers(100, SAMPLES, *VOLUME), device)


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("name", MERGING)
def test_merging(name: str, device: str) -> None:
    def branches(module: Any, model: Any) -> Any:
        inputs = module.Input((5, 3))
        count = 2 if name == "Subtract" else 3
        return model(inputs, getattr(module, name)()([module.Dense(4, name=f"branch{i}")(inputs) for i in range(count)]))

    agree(branches(keras.layers, keras.Model), branches(layers, models.Model), numbers(100, SAMPLES, 5, 3), device)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_embedding(device: str) -> None:
    def table(module: Any, sequential: Any) -> Any:
        return sequential([module.Input((7,)), module.Embedding(9, 5)])

    x = np.random.default_rng(0).integers(0, 9, (SAMPLES, 7)).astype(np.float32)
    agree(table(keras.layers, keras.Sequential), table(layers, models.Sequential), x, device)


def test_normalization_adapts() -> None:
    data = 3 + 2 * numbers(0, 50, 4, 3)
    theirs, ours = keras.layers.Normalization(), layers.Normalization()
    theirs.adapt(data)
    ours.adapt(data)
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    model = models.Sequential([layers.Input((4, 3)), ours])
    want = keras.ops.convert_to_numpy(theirs(data))
    np.testing.assert_allclose(model.predict(data, verbose=0), want, rtol=0, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("size", [1, 4, 5])
def test_local_response_normalization(size: int) -> None:
    torch = pytest.importorskip("torch", reason="the comparison of local response normalisation needs PyTorch")
    x = numbers(0, 2, 3, 4, 7)
    want = torch.nn.functional.local_response_norm(torch.tensor(x).movedim(-1, 1), size, size * 0.3, 0.75, 2.0).movedim(1, -1)
    layer = layers.LocalResponseNormalization(size, alpha=0.3)
    model = models.Sequential([layers.Input((3, 4, 7)), layer])
    np.testing.assert_allclose(model.predict(x, verbose=0), want.numpy(), rtol=0, atol=1e-5 * float(want.abs().max()))

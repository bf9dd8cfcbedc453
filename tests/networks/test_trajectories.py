"""Whole networks, ten optimizer steps: every backend follows the float64 reference, and that follows plain NumPy.

A gradient check can pass while a weight is never updated; ten steps show it. Momentum descent is compared in float32, each
tensor to 1e-4 of its largest element. Adam is compared in float64 to 1e-9: its first steps divide by the gradient's own size,
which amplifies float32 rounding without bound.
"""

import numpy as np
import pytest
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn import applications, layers, models, optimizers
from fastcnn.backends import resolve
from fastcnn.trajectories import NETWORKS, STEPS, follow
from fastcnn.utils import set_random_seed


@pytest.mark.parametrize("network", NETWORKS)
def test_momentum_descent_on_the_cpu_follows_the_float64_reference(network):
    assert follow(network, "cpu") <= 1


@pytest.mark.parametrize("network", NETWORKS)
def test_the_batches_have_no_ties_that_rounding_could_decide(network):
    assert follow(network, ReferenceBackend(np.float64), change=1e-6) <= 1


@pytest.mark.parametrize("network", NETWORKS)
def test_winograd_follows_the_float64_reference(network):
    assert follow(network, resolve("cpu", conv_algorithm="winograd4")) <= 1


def test_a_weight_that_is_never_updated_is_found(monkeypatch):
    assert follow("Small", "cpu") <= 1
    monkeypatch.setattr(optimizers.SGD, "emit", skipping_biases(optimizers.SGD.emit))
    with pytest.raises(AssertionError, match="differ by"):
        follow("Small", "cpu")


def skipping_biases(emit):
    def emit_weights_only(self, variable, *rest):
        if len(variable.shape) > 1:
            emit(self, variable, *rest)

    return emit_weights_only


def test_nesterov_in_float64_follows_plain_numpy():
    def step(w, g, state, t):
        state["v"] = 0.9 * state.get("v", 0.0) - 0.01 * g
        return w + 0.9 * state["v"] - 0.01 * g

    assert_follows(optimizers.SGD(0.01, momentum=0.9, nesterov=True), step)


def test_adam_in_float64_follows_plain_numpy():
    def step(w, g, state, t):
        state["m"] = 0.9 * state.get("m", 0.0) + 0.1 * g
        state["v"] = 0.999 * state.get("v", 0.0) + 0.001 * g * g
        rate = 1e-3 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return w - rate * state["m"] / (np.sqrt(state["v"]) + 1e-7)

    assert_follows(optimizers.Adam(), step)


def assert_follows(optimizer, update):
    """A dense network on the reference against its own forward, backward and update written out."""
    set_random_seed(2)
    model = models.Sequential([layers.Input((5,)), layers.Dense(7, activation="tanh"), layers.Dense(3)])
    model.compile(optimizer, "mse", device=ReferenceBackend(np.float64))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 5)).astype(np.float32), rng.standard_normal((6, 3)).astype(np.float32)
    weights = [w.astype(np.float64) for w in model.get_weights()]
    states = [{} for _ in weights]
    for t in range(1, STEPS + 1):
        w1, b1, w2, b2 = weights
        h = np.tanh(x @ w1 + b1)
        error = h @ w2 + b2 - y
        loss = model.train_on_batch(x, y)
        assert loss == pytest.approx(np.mean(error**2), rel=1e-9)
        dy = 2 * error / error.size
        dz = dy @ w2.T * (1 - h * h)
        gradients = [x.T @ dz, dz.sum(0), h.T @ dy, dy.sum(0)]
        weights = [update(w, g, s, t) for w, g, s in zip(weights, gradients, states, strict=True)]
    for ours, reference in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-9, atol=1e-12)


def test_momentum_descent_on_the_emulated_gpu_follows_the_float64_reference():
    pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    assert follow("Small", "emulated") <= 1


def test_dropout_masks_and_initial_weights_are_the_same_on_all_backends():
    pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    outputs = []
    for device in ("reference", "cpu", "emulated"):
        set_random_seed(5)
        model = models.Sequential([layers.Input((40,)), layers.Dropout(0.5), layers.Dense(4, use_bias=False)])
        model.compile(optimizers.SGD(1.0), "mse", device=device)
        start = model.get_weights()[0]
        model.train_on_batch(np.ones((3, 40), np.float32), np.ones((3, 4), np.float32))
        outputs.append((start, model.get_weights()[0] != start))
    (start, kept), *others = outputs
    for other_start, other_kept in others:
        np.testing.assert_array_equal(other_start, start)
        np.testing.assert_array_equal(other_kept, kept)
    assert 0 < kept.mean() < 1


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_thirty_two_images_can_be_learned_by_heart(device):
    set_random_seed(0)
    model = applications.Digits()
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
    rng = np.random.default_rng(3)
    x, y = rng.random((32, 8, 8, 1), dtype=np.float32), rng.integers(0, 10, 32).astype(np.int32)
    for _ in range(60):
        model.train_on_batch(x, y)
    assert model.evaluate(x, y, verbose=0)[1] == 1.0


def test_the_cpu_backend_resolves_once():
    assert resolve("cpu") is resolve("auto")

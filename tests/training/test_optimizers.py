"""Optimizers: ten steps against independent NumPy in float64, clipping, and what they refuse."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastcnn_kernels.api import RULES
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn import layers, models, optimizers

from .conftest import classifier, softmax
from .steps import Arrays, Steps, numbers

Update = Callable[[np.ndarray, np.ndarray, dict[str, Any], int], np.ndarray]


def sgd(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    return w - 0.1 * g


def momentum(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["v"] = 0.9 * s.get("v", 0) - 0.1 * g
    return w + s["v"]


def nesterov(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["v"] = 0.9 * s.get("v", 0) - 0.1 * g
    return w + 0.9 * s["v"] - 0.1 * g


def averages(g: np.ndarray, s: dict, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Adam's two averages, corrected for their beginning."""
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    return s["m"] / (1 - 0.9**t), s["v"] / (1 - 0.999**t)


def adam(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    m, v = averages(g, s, t)
    # Keras adds epsilon to the root before its correction.
    return w - 0.1 * m / (np.sqrt(v) + 1e-3 / np.sqrt(1 - 0.999**t))


def amsgrad(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    m, _ = averages(g, s, t)
    s["h"] = np.maximum(s.get("h", 0), s["v"])
    return w - 0.1 * m * np.sqrt(1 - 0.999**t) / (np.sqrt(s["h"]) + 1e-3)


def adamw(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    return adam(w - 0.1 * 0.3 * w, g, s, t)


def adamax(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["u"] = np.maximum(0.999 * s.get("u", 0), abs(g))
    return w - 0.1 / (1 - 0.9**t) * s["m"] / (s["u"] + 1e-3)


def nadam(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    _, v = averages(g, s, t)
    u = [0.9 * (1 - 0.5 * 0.96**k) for k in range(1, t + 2)]
    m = u[t] * s["m"] / (1 - math.prod(u)) + (1 - u[t - 1]) * g / (1 - math.prod(u[:t]))
    return w - 0.1 * m / (np.sqrt(v) + 1e-3)


def adagrad(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["a"] = s.get("a", 0.25) + g**2
    return w - 0.1 * g / np.sqrt(s["a"] + 1e-3)


def adadelta(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["g"] = 0.9 * s.get("g", 0) + 0.1 * g**2
    step = np.sqrt(s.get("d", 0) + 1e-3) / np.sqrt(s["g"] + 1e-3) * g
    s["d"] = 0.9 * s.get("d", 0) + 0.1 * step**2
    return w - 0.1 * step


def rmsprop(w: np.ndarray, g: np.ndarray, s: dict, t: int, centered: bool = False, momentum: float = 0.0) -> np.ndarray:
    s["v"] = 0.8 * s.get("v", 0) + 0.2 * g**2
    s["a"] = 0.8 * s.get("a", 0) + 0.2 * g
    s["m"] = momentum * s.get("m", 0) + 0.1 * g / np.sqrt(s["v"] - centered * s["a"] ** 2 + 1e-3)
    return w - s["m"]


def lion(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    old = s.get("m", np.zeros_like(g))
    s["m"] = 0.99 * old + 0.01 * g
    return w - 0.1 * np.sign(0.9 * old + 0.1 * g)


E = dict(epsilon=1e-3)
OPTIMIZERS: dict[str, tuple[Callable[..., Any], dict[str, Any], Update]] = {
    "sgd": (optimizers.SGD, {}, sgd),
    "momentum": (optimizers.SGD, dict(momentum=0.9), momentum),
    "nesterov": (optimizers.SGD, dict(momentum=0.9, nesterov=True), nesterov),
    "adam": (optimizers.Adam, E, adam),
    "amsgrad": (optimizers.Adam, dict(amsgrad=True, **E), amsgrad),
    "adamw": (optimizers.AdamW, dict(weight_decay=0.3, **E), adamw),
    "nadam": (optimizers.Nadam, E, nadam),
    "adamax": (optimizers.Adamax, E, adamax),
    "adagrad": (optimizers.Adagrad, dict(initial_accumulator_value=0.25, **E), adagrad),
    "adadelta": (optimizers.Adadelta, dict(rho=0.9, **E), adadelta),
    "rmsprop": (optimizers.RMSprop, dict(rho=0.8, **E), rmsprop),
    "rmsprop_momentum": (
        optimizers.RMSprop, dict(rho=0.8, momentum=0.5, **E), lambda *a: rmsprop(*a, momentum=0.5)
    ),
    "rmsprop_centered": (optimizers.RMSprop, dict(rho=0.8, centered=True, **E), lambda *a: rmsprop(*a, centered=True)),
    "rmsprop_centered_momentum": (
        optimizers.RMSprop, dict(rho=0.8, momentum=0.5, centered=True, **E),
        lambda *a: rmsprop(*a, centered=True, momentum=0.5),
    ),
    "lion": (optimizers.Lion, {}, lion),
}  # fmt: skip
"""By name: class, arguments besides the learning rate of 0.1, and what a step does."""


def make(name: str, **options: Any) -> Any:
    cls, arguments, _ = OPTIMIZERS[name]
    return cls(0.1, **arguments, **options)


def follow(optimizer: Any, update: Update, clip: Callable[[Arrays], Arrays] = lambda gradients: gradients) -> None:
    """Ten steps of the optimizer beside those of `update`."""
    weights, gradients = numbers()
    steps, states = Steps(optimizer, weights), [dict[str, Any]() for _ in weights]
    for t, now in enumerate(gradients, 1):
        got = steps.step(now)
        weights = [update(w, g, s, t) for w, g, s in zip(weights, clip(now), states, strict=True)]
        for ours, expected in zip(got, weights, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


def test_every_rule_is_followed() -> None:
    assert {make(name).rule for name in OPTIMIZERS} == set(RULES)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps(name: str) -> None:
    follow(make(name), OPTIMIZERS[name][2])


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_training_follows_the_formula(name: str, data: tuple) -> None:
    """Softmax regression in float64, whose gradient is x^T (p - t) / n, over four epochs of batches 10, 10, 5."""
    x, y = data
    model = classifier()
    model.compile(make(name), "sparse_categorical_crossentropy", device=ReferenceBackend(np.float64))
    weights = [weight.astype(np.float64) for weight in model.get_weights()]
    history = model.fit(x, y, batch_size=10, epochs=4, shuffle=False, verbose=0).history["loss"]

    states: tuple[dict, dict] = ({}, {})
    losses, t = [], 0
    for _ in range(4):
        total = 0.0
        for first in (0, 10, 20):
            xs, labels = x[first : first + 10].astype(np.float64), np.eye(3)[y[first : first + 10]]
            p = softmax(xs @ weights[0] + weights[1])
            total -= (labels * np.log(p)).sum()
            d, t = (p - labels) / len(xs), t + 1
            pairs = zip(weights, (xs.T @ d, d.sum(0)), states, strict=True)
            weights = [OPTIMIZERS[name][2](w, g, s, t) for w, g, s in pairs]
        losses.append(total / len(x))
    np.testing.assert_allclose(history, losses, rtol=1e-9)
    for got, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert model.optimizer.iterations == 12


# Clipping and weight decay.


def each_norm(gradients: Arrays) -> Arrays:
    return [g * min(1, 0.7 / np.linalg.norm(g)) for g in gradients]


def global_norm(gradients: Arrays) -> Arrays:
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return [g * min(1, 0.7 / norm) for g in gradients]


def each_value(gradients: Arrays) -> Arrays:
    return [np.clip(g, -0.7, 0.7) for g in gradients]


CLIPS = {"clipnorm": each_norm, "global_clipnorm": global_norm, "clipvalue": each_value}


@pytest.mark.parametrize("name", ["momentum", "adam"])
@pytest.mark.parametrize("clip", CLIPS)
def test_clipping(clip: str, name: str) -> None:
    follow(make(name, **{clip: 0.7}), OPTIMIZERS[name][2], CLIPS[clip])


def test_gradients_below_the_limit_are_left_alone() -> None:
    _, gradients = numbers()
    small = [[g / 1000 for g in step] for step in gradients]
    for clip in CLIPS:
        weights, _ = numbers()
        clipped, free = Steps(make("sgd", **{clip: 10.0}), weights), Steps(make("sgd"), weights)
        for step in small:
            for a, b in zip(clipped.step(step), free.step(step), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm"])
def test_clipping_has_the_same_bits_every_time_on_the_cpu(clip: str) -> None:
    weights, gradients = numbers(shapes=((3, 3, 40, 70), (300, 33), (33,)))
    runs = []
    for _ in range(2):
        steps = Steps(make("sgd", **{clip: 0.7}), weights, CpuBackend())
        runs.append([steps.step(g) for g in gradients][-1])
    for a, b in zip(*runs, strict=True):
        assert a.tobytes() == b.tobytes()


def test_weight_decay_shrinks_before_the_step() -> None:
    follow(make("sgd", weight_decay=0.5), lambda w, g, s, t: sgd(w * (1 - 0.1 * 0.5), g, s, t))


def test_weights_can_be_excluded_from_weight_decay() -> None:
    weights, gradients = numbers()
    still = [np.zeros_like(w) for w in weights]
    optimizer = make("sgd", weight_decay=0.5)
    steps = Steps(optimizer, weights)
    optimizer.exclude_from_weight_decay(var_list=[steps.weights[0]], var_names=["bias"])
    saved = make("sgd", weight_decay=0.5)
    saved.restore(optimizer.state())
    for one in (optimizer, saved):
        first, second, third = Steps(one, weights).step(still)
        np.testing.assert_array_equal(first, weights[0])
        np.testing.assert_allclose(second, 0.95 * weights[1])
        np.testing.assert_array_equal(third, weights[2])


def test_a_frozen_weight_does_not_count_in_the_global_norm(data: tuple) -> None:
    x, y = data
    model = models.Sequential([layers.Dense(4, input_shape=(4,), trainable=False), layers.Dense(3, activation="softmax")])
    model.compile(make("sgd", global_clipnorm=1e-3), "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.train_on_batch(x, y)
    moved = [a - b for a, b in zip(model.get_weights(), before, strict=True)]
    assert not moved[0].any()
    assert np.sqrt(sum((d**2).sum() for d in moved)) == pytest.approx(0.1 * 1e-3, rel=1e-3)


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_a_network_is_clipped_on_every_device_as_on_the_reference(device: str) -> None:
    if device == "emulated":
        pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    rng = np.random.default_rng(0)
    x, y = rng.random((5, 6, 6, 2), dtype=np.float32), rng.integers(0, 3, 5)
    start, runs = None, []
    for target in (ReferenceBackend(np.float64), device):
        convolution = layers.Conv2D(17, 3, activation="relu", input_shape=(6, 6, 2))
        model = models.Sequential([convolution, layers.Flatten(), layers.Dense(3, activation="softmax")])
        model.compile(
            optimizers.RMSprop(0.002, centered=True, momentum=0.5, epsilon=0.1, weight_decay=0.3, global_clipnorm=0.5),
            "sparse_categorical_crossentropy", device=target,
        )  # fmt: skip
        start = start or model.get_weights()
        model.set_weights(start)
        losses = [model.train_on_batch(x, y) for _ in range(4)]
        runs.append([np.array(losses), *model.get_weights()])
    for ours, expected in zip(runs[1], runs[0], strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


# The learning rate.


def test_learning_rate_can_be_changed_between_steps(data: tuple) -> None:
    x, y = data
    model = classifier()
    model.compile(optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(x, y)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.optimizer.learning_rate = 0.5
    model.train_on_batch(x, y)
    assert not np.array_equal(model.get_weights()[0], before[0])


def test_schedule(data: tuple) -> None:
    x, y = data
    model = classifier()
    model.compile(optimizers.SGD(lambda step: 0.5 if step == 0 else 0.0), "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)
    after = model.get_weights()
    model.train_on_batch(x, y)
    np.testing.assert_array_equal(model.get_weights()[0], after[0])
    assert model.optimizer.learning_rate == 0.0
    with pytest.raises(TypeError, match="follows a learning-rate schedule"):
        model.optimizer.learning_rate = 0.1


def test_a_schedule_that_fails_is_told_before_the_step(data: tuple) -> None:
    model = classifier()
    model.compile(optimizers.SGD(lambda step: float("nan")), "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="the schedule of sgd gave the rate nan for step 0"):
        model.train_on_batch(*data)


def test_nadam_s_momentum_does_not_depend_on_what_was_asked_before() -> None:
    one, other = optimizers.Nadam(), optimizers.Nadam()
    expected = [one.rates(0.1, t) for t in (1, 2, 3, 500)]
    assert other.rates(0.1, 500) == expected[3]
    assert other.rates(0.1, 2) == expected[1]
    assert other.rates(0.1, 10**7)[0] == pytest.approx(0.1 * 0.9)


# What is refused, and configurations.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Adam(use_ema=True), "Adam does not offer use_ema"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=4), "gradient_accumulation_steps"),
        (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=2.0), "one way to clip gradients, got clipnorm=1.0, clipvalue=2.0"),
        (lambda: optimizers.Adam(global_clipnorm=0.0), "global_clipnorm must be more than 0"),
        (lambda: optimizers.Adam(clipnorm="1"), "clipnorm must be a number"),
        (lambda: optimizers.SGD(weight_decay=-0.1), "weight_decay must be a number of at least 0"),
        (lambda: optimizers.AdamW(weight_decay=None), "weight_decay of AdamW"),
        (lambda: optimizers.SGD(momentun=0.9), "did you mean 'momentum'"),
        (lambda: optimizers.RMSprop(rh=0.9), "did you mean 'rho'"),
        (lambda: optimizers.SGD(-1.0), "learning_rate"),
        (lambda: optimizers.SGD(float("nan")), "learning_rate"),
        (lambda: optimizers.SGD("fast"), "learning_rate"),
        (lambda: optimizers.SGD(momentum=2), "momentum must lie"),
        (lambda: optimizers.Adam(beta_1=1.0), "beta_1 must lie"),
        (lambda: optimizers.Lion(beta_1=0.0), "beta_1 of Lion"),
        (lambda: optimizers.Adam(epsilon=-1), "epsilon"),
        (lambda: optimizers.get("adamm"), "did you mean 'adam'"),
        (lambda: optimizers.get("rmsprob"), "did you mean 'rmsprop'"),
        (lambda: optimizers.SGD({"class_name": "CosineDekay"}), "did you mean 'CosineDecay'"),
    ],
)  # fmt: skip
def test_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_switched_off_arguments_are_taken() -> None:
    optimizers.Adam(clipnorm=None, amsgrad=False, use_ema=False, ema_momentum=0.99, loss_scale_factor=None)


@pytest.mark.parametrize("options", [{}, dict(clipnorm=2.0, weight_decay=0.1), dict(global_clipnorm=3.0)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_configuration_makes_the_optimizer_again(name: str, options: dict[str, Any]) -> None:
    optimizer = make(name, **{k: v for k, v in options.items() if k not in OPTIMIZERS[name][1]})
    optimizer.learning_rate = 0.125
    again = optimizers.get(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert (again.rule, again.learning_rate) == (optimizer.rule, 0.125)


def test_names() -> None:
    for cls in (optimizers.SGD, optimizers.AdamW, optimizers.RMSprop, optimizers.Lion):
        assert type(optimizers.get(cls.__name__.lower())) is cls
        assert type(optimizers.get(cls.__name__)) is cls
        assert type(optimizers.get(cls)) is cls
    with pytest.raises(TypeError, match="an optimizer must be"):
        optimizers.get(3)

"""Optimizers, clipping and schedules beside Keras 3 (any backend), and the one-cycle schedule beside PyTorch."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="the comparison with Keras needs it: pip install keras torch")

import keras
from fastcnn_kernels.cpu import CpuBackend

from fastcnn import callbacks, optimizers
from fastcnn.optimizers import schedules
from tests.training.steps import Steps, numbers

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", dict(momentum=0.9)),
    ("SGD", dict(momentum=0.9, nesterov=True)),
    ("Adam", {}),
    ("Adam", dict(amsgrad=True)),
    ("AdamW", {}),
    ("AdamW", dict(weight_decay=0.3, beta_1=0.8)),
    ("Nadam", {}),
    ("Adamax", {}),
    ("RMSprop", {}),
    ("RMSprop", dict(rho=0.8, momentum=0.9)),
    ("RMSprop", dict(centered=True, momentum=0.9)),
    ("RMSprop", dict(centered=True)),
    ("Adagrad", {}),
    ("Adadelta", {}),
    ("Lion", {}),
    ("SGD", dict(weight_decay=0.1)),
    ("SGD", dict(clipnorm=0.7)),
    ("SGD", dict(clipvalue=0.7)),
    ("Adam", dict(global_clipnorm=0.7)),
]
IDS = ["-".join([name, *(f"{k}={v}" for k, v in options.items())]) for name, options in OPTIMIZERS]


@pytest.fixture
def float64() -> Any:
    """Keras computes in float64 meanwhile."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def keras_steps(name: str, options: dict[str, Any], weights: list, gradients: list) -> list[list[np.ndarray]]:
    """The weights after each step of Keras's optimizer."""
    optimizer = getattr(keras.optimizers, name)(**options)
    variables = [keras.Variable(w, dtype=keras.config.floatx()) for w in weights]
    after = []
    for step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g, dtype=keras.config.floatx()) for g in step], variables)
        after.append([keras.ops.convert_to_numpy(v).copy() for v in variables])
    return after


def assert_near(ours: list, theirs: list, tolerance: float) -> None:
    """Each tensor to a share of its largest element."""
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=IDS)
def test_ten_steps_in_float64(name: str, options: dict[str, Any]) -> None:
    weights, gradients = numbers()
    steps = Steps(getattr(optimizers, name)(**options), weights)
    for step, theirs in zip(gradients, keras_steps(name, options, weights, gradients), strict=True):
        # Slots begin in float32 here: Adagrad's 0.1 is 1.5e-9 off.
        assert_near(steps.step(step), theirs, 1e-8)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=IDS)
def test_ten_steps_on_the_cpu(name: str, options: dict[str, Any]) -> None:
    weights, gradients = numbers()
    steps = Steps(getattr(optimizers, name)(**options), weights, CpuBackend())
    for step, theirs in zip(gradients, keras_steps(name, options, weights, gradients), strict=True):
        assert_near(steps.step(step), theirs, 1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Lion"])
def test_defaults(name: str) -> None:
    ours, theirs = getattr(optimizers, name)().get_config(), getattr(keras.optimizers, name)().get_config()
    for argument, value in ours.items():
        if argument != "name":
            expected = theirs[argument]
            assert value == (expected if expected is None else pytest.approx(expected, rel=1e-6)), argument


SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("PiecewiseConstantDecay", dict(boundaries=[5, 30], values=[0.1, 0.05, 0.01])),
    ("ExponentialDecay", dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.9)),
    ("ExponentialDecay", dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.9, staircase=True)),
    ("InverseTimeDecay", dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.9)),
    ("InverseTimeDecay", dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.9, staircase=True)),
    ("PolynomialDecay", dict(initial_learning_rate=0.1, decay_steps=17)),
    ("PolynomialDecay", dict(initial_learning_rate=0.1, decay_steps=17, end_learning_rate=0.01, power=0.5, cycle=True)),
    ("CosineDecay", dict(initial_learning_rate=0.1, decay_steps=50)),
    ("CosineDecay", dict(initial_learning_rate=0.0, decay_steps=30, alpha=0.1, warmup_target=0.2, warmup_steps=9)),
    ("CosineDecayRestarts", dict(initial_learning_rate=0.1, first_decay_steps=9)),
    ("CosineDecayRestarts", dict(initial_learning_rate=0.1, first_decay_steps=9, t_mul=1.0, m_mul=0.8, alpha=0.1)),
    ("CosineDecayRestarts", dict(initial_learning_rate=0.1, first_decay_steps=9, t_mul=1.5, m_mul=0.8)),
]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=[f"{name}-{k}" for k, (name, _) in enumerate(SCHEDULES)])
def test_schedules(name: str, options: dict[str, Any]) -> None:
    ours, theirs = getattr(schedules, name)(**options), getattr(keras.optimizers.schedules, name)(**options)
    got = [ours(step) for step in range(80)]
    expected = [float(keras.ops.convert_to_numpy(theirs(step))) for step in range(80)]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-12)
    assert ours.get_config() == theirs.get_config()


@pytest.mark.parametrize("options", [{}, dict(pct_start=0.45, three_phase=True), dict(anneal_strategy="linear", div_factor=3)])
def test_one_cycle_is_pytorch_s(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="the comparison with PyTorch needs it: pip install torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=60, cycle_momentum=False, **options)
    ours = schedules.OneCycle(0.5, 60, **options)
    for step in range(60):
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        optimizer.step()
        if step < 59:
            theirs.step()


class Stub:
    """As much of a model as ReduceLROnPlateau and EarlyStopping look at."""

    def __init__(self) -> None:
        self.optimizer, self.stop_training, self.metrics = optimizers.SGD(1.0), False, []

    def get_weights(self) -> list:
        return []

    def set_weights(self, weights: list) -> None:
        pass

    def metric_directions(self) -> dict:
        return {}


def driven(callback: Any, values: list[float]) -> tuple[list[float], int]:
    """The rate after each epoch, and the epoch at which training stopped."""
    model = Stub()
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val_loss": value})
        rates.append(model.optimizer.learning_rate)
        if model.stop_training:
            break
    return rates, epoch


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, dict(patience=2), dict(patience=1, cooldown=2),
                                     dict(patience=0, min_delta=0.3, min_lr=0.05)])  # fmt: skip
def test_rates_fall_on_the_same_plateaus(options: dict[str, Any], seed: int) -> None:
    values = list(np.random.default_rng(seed).uniform(0, 1, 40))
    ours, _ = driven(callbacks.ReduceLROnPlateau(factor=0.5, **options), values)
    theirs, _ = driven(keras.callbacks.ReduceLROnPlateau(factor=0.5, **options), values)
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, dict(patience=3), dict(patience=2, min_delta=0.2), dict(patience=2, baseline=0.2),
                                     dict(patience=1, start_from_epoch=5)])  # fmt: skip
def test_training_stops_at_the_same_epoch(options: dict[str, Any], seed: int) -> None:
    values = list(np.random.default_rng(seed).uniform(0, 1, 40))
    assert driven(callbacks.EarlyStopping(**options), values) == driven(keras.callbacks.EarlyStopping(**options), values)

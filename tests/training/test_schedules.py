"""Schedules: values at the steps where something happens, worked by hand, and their way through configurations."""

import math
from typing import Any

import numpy as np
import pytest

from fastcnn import optimizers
from fastcnn.optimizers import schedules as sc

from .conftest import classifier

VALUES = [
    (sc.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1]), {0: 1.0, 10: 1.0, 11: 0.5, 20: 0.5, 21: 0.1, 999: 0.1}),
    (sc.ExponentialDecay(1.0, 10, 0.25), {0: 1.0, 5: 0.5, 10: 0.25, 20: 0.0625}),
    (sc.ExponentialDecay(1.0, 10, 0.25, staircase=True), {9: 1.0, 10: 0.25, 19: 0.25, 20: 0.0625}),
    (sc.InverseTimeDecay(1.0, 10, 0.5), {0: 1.0, 10: 1 / 1.5, 20: 0.5, 5: 0.8}),
    (sc.InverseTimeDecay(1.0, 10, 0.5, staircase=True), {9: 1.0, 19: 1 / 1.5, 20: 0.5}),
    (sc.PolynomialDecay(1.0, 10, 0.2, power=2), {0: 1.0, 5: 0.4, 10: 0.2, 50: 0.2}),
    (sc.PolynomialDecay(1.0, 10, 0.0, cycle=True), {0: 1.0, 10: 0.0, 11: 0.45, 20: 0.0, 21: 0.3}),
    (sc.CosineDecay(1.0, 10, alpha=0.2), {0: 1.0, 5: 0.6, 10: 0.2, 11: 0.2}),
    (sc.CosineDecay(0.1, 10, warmup_target=1.1, warmup_steps=4), {0: 0.1, 2: 0.6, 4: 1.1, 9: 0.55, 14: 0.0, 99: 0.0}),
    (sc.CosineDecayRestarts(1.0, 10), {0: 1.0, 5: 0.5, 10: 1.0, 20: 0.5, 30: 1.0, 50: 0.5, 70: 1.0}),
    (sc.CosineDecayRestarts(1.0, 10, t_mul=1.0, m_mul=0.5, alpha=0.1), {0: 1.0, 10: 0.55, 20: 0.325, 25: 0.2125}),
    # Restarts after 1 + 3 + 9 + 27 + 81 waves, where floor(log) is one too few.
    (sc.CosineDecayRestarts(1.0, 1, t_mul=3.0), {121: 1.0, 120: 0.5 + 0.5 * math.cos(math.pi * 80 / 81)}),
    (sc.OneCycle(1.0, 101, pct_start=0.5, div_factor=4), {0: 0.25, 49.5: 1.0, 24.75: 0.625, 100: 0.25 / 1e4, 999: 0.25 / 1e4}),
    (
        sc.OneCycle(1.0, 101, pct_start=0.2, anneal_strategy="linear", div_factor=2, final_div_factor=5, three_phase=True),
        {0: 0.5, 19.2: 1.0, 38.4: 0.5, 28.8: 0.75, 100: 0.1},
    ),
    (sc.LinearWarmup(0.8, 4), {0: 0.0, 1: 0.2, 4: 0.8, 50: 0.8}),
    (sc.LinearWarmup(sc.ExponentialDecay(1.0, 10, 0.25), 4, 0.2), {0: 0.2, 2: 0.6, 4: 1.0, 14: 0.25}),
]
IDS = [f"{type(schedule).__name__}-{k}" for k, (schedule, _) in enumerate(VALUES)]


@pytest.mark.parametrize(("schedule", "values"), VALUES, ids=IDS)
def test_values(schedule: Any, values: dict[int, float]) -> None:
    assert {step: schedule(step) for step in values} == pytest.approx(values, abs=1e-12)


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in VALUES], ids=IDS)
def test_configuration_of_an_optimizer_keeps_its_schedule(schedule: Any) -> None:
    optimizer = optimizers.SGD(schedule)
    again = optimizers.get(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    for step in (0, 1, 7, 12, 60):
        again.iterations = optimizer.iterations = step
        assert again.learning_rate == optimizer.learning_rate == schedule(step)
    assert type(sc.deserialize(sc.serialize(schedule))) is type(schedule)
    assert type(schedule).from_config(schedule.get_config()).get_config() == schedule.get_config()


def test_the_rate_of_each_step_reaches_the_kernels(data: tuple) -> None:
    x, y = data
    schedule = sc.CosineDecay(0.1, 5, warmup_target=0.5, warmup_steps=2)
    followed, set_by_hand = classifier(), classifier()
    set_by_hand.set_weights(followed.get_weights())
    followed.compile(optimizers.SGD(schedule), "sparse_categorical_crossentropy")
    set_by_hand.compile(optimizers.SGD(), "sparse_categorical_crossentropy")
    for step in range(8):
        set_by_hand.optimizer.learning_rate = schedule(step)
        assert followed.train_on_batch(x, y) == set_by_hand.train_on_batch(x, y)
    for a, b in zip(followed.get_weights(), set_by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sc.PiecewiseConstantDecay([1, 2], [1.0, 2.0]), "one more than boundaries, got 2 values, 2 boundaries"),
        (lambda: sc.PiecewiseConstantDecay([2, 1], [1.0, 2.0, 3.0]), "ascending"),
        (lambda: sc.ExponentialDecay(1.0, 0, 0.5), "decay_steps must be more than 0"),
        (lambda: sc.CosineDecayRestarts(1.0, 10, t_mul=0.5), "t_mul must be at least 1"),
        (lambda: sc.OneCycle(1.0, 100, anneal_strategy="cosine"), 'anneal_strategy must be "cos" or "linear"'),
        (lambda: sc.OneCycle(1.0, 3), "pct_start=0.3 of total_steps=3"),
        (lambda: sc.OneCycle(1.0, 100, pct_start=0.7, three_phase=True), "pct_start=0.7"),
        (lambda: sc.LinearWarmup(1.0, 0), "warmup_steps must be more than 0"),
    ],
)
def test_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_schedule_of_ones_own_says_what_it_needs() -> None:
    with pytest.raises(NotImplementedError, match="needs a method __call__"):
        sc.LearningRateSchedule()(0)

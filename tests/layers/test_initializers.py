"""Initializers: their widths against the formulas, seeds and streams, configurations."""

import json
import math

import numpy as np
import pytest

from fastcnn import initializers
from fastcnn.initializers import compute_fans
from fastcnn.utils import random_seed
from fastcnn.utils.random_seed import set_random_seed


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((5,), (5, 5)),
        ((3, 7), (3, 7)),
        ((3, 5, 2, 8), (30, 120)),  # a convolution
        ((3, 3, 4, 32), (36, 288)),  # a grouped one sees C_in / groups channels
        ((3, 3, 16, 1), (144, 9)),  # a depthwise kernel, as Keras counts it
        ((2, 3, 4, 5, 6), (120, 144)),
    ],
)
def test_fans(shape: tuple[int, ...], fans: tuple[int, int]) -> None:
    assert compute_fans(shape) == fans


SHAPE = (3, 3, 40, 60)
FAN_IN, FAN_OUT = 360, 540
VARIANCES = {
    "glorot_uniform": 2 / (FAN_IN + FAN_OUT),
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "he_uniform": 2 / FAN_IN,
    "he_normal": 2 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
    "lecun_normal": 1 / FAN_IN,
    "random_uniform": 0.1**2 / 12,
    "random_normal": 0.05**2,
    "truncated_normal": (0.05 * 0.87962566) ** 2,
}


@pytest.mark.parametrize("name", VARIANCES)
def test_mean_and_variance(name: str) -> None:
    set_random_seed(3)
    values = initializers.get(name)(SHAPE)
    assert values.dtype == np.float32
    assert values.shape == SHAPE
    # Of 21,600 numbers the mean lies within 4 standard errors, the variance within 4 % with room to spare.
    assert abs(values.mean()) < 4 * math.sqrt(VARIANCES[name] / values.size)
    assert values.var() == pytest.approx(VARIANCES[name], rel=0.04)


@pytest.mark.parametrize("name", [n for n in VARIANCES if "uniform" in n])
def test_uniform_fills_its_range_and_no_more(name: str) -> None:
    limit = math.sqrt(3 * VARIANCES[name])
    values = initializers.get(name)(SHAPE)
    assert limit * 0.99 < np.abs(values).max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("name", [n for n in VARIANCES if n not in ("random_normal",) and "normal" in n])
def test_truncated_normals_end_at_two_standard_deviations(name: str) -> None:
    limit = 2 * math.sqrt(VARIANCES[name]) / 0.87962566
    values = initializers.get(name)(SHAPE)
    assert limit * 0.95 < np.abs(values).max() <= limit * (1 + 1e-6)


def test_the_same_seed_gives_the_same_weights() -> None:
    drawn = []
    for _ in range(2):
        set_random_seed(7)
        drawn.append([initializers.get("he_normal")((5, 4)), initializers.get("glorot_uniform")((5, 4))])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    set_random_seed(8)
    assert not np.array_equal(initializers.get("he_normal")((5, 4)), drawn[0][0])


def test_every_variable_draws_from_its_own_stream() -> None:
    set_random_seed(7)
    initializer = initializers.GlorotUniform()
    assert not np.array_equal(initializer((5, 4)), initializer((5, 4)))


def test_constants_use_no_stream() -> None:
    set_random_seed(7)
    initializers.Zeros()((3,))
    initializers.Constant(2)((3,))
    assert random_seed.next_stream() == 0


def test_an_initializer_with_a_seed_repeats_itself() -> None:
    initializer = initializers.RandomNormal(mean=1.0, stddev=2.0, seed=5)
    np.testing.assert_array_equal(initializer((4, 4)), initializer((4, 4)))


def test_constants() -> None:
    np.testing.assert_array_equal(initializers.get("zeros")((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.get("ones")((2,)), [1, 1])
    np.testing.assert_array_equal(initializers.Constant(2.5)((2,)), [2.5, 2.5])
    np.testing.assert_array_equal(initializers.get(np.eye(2))((2, 2)), np.eye(2))


@pytest.mark.parametrize("name", [*VARIANCES, "zeros", "ones", "constant"])
def test_config_round_trip(name: str) -> None:
    initializer = initializers.get(name)
    described = initializers.serialize(initializer)
    again = initializers.get(json.loads(json.dumps(described)))
    assert type(again) is type(initializer)
    assert initializers.serialize(again) == described
    assert type(initializers.get(type(initializer).__name__)) is type(initializer)
    assert type(initializers.get(type(initializer))) is type(initializer)


def test_an_array_in_a_config() -> None:
    described = json.loads(json.dumps(initializers.serialize(initializers.get(np.eye(2)))))
    np.testing.assert_array_equal(initializers.get(described)((2, 2)), np.eye(2))


def test_errors() -> None:
    with pytest.raises(ValueError, match="unknown initializer 'glorot_unifrom'; did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrom")
    with pytest.raises(ValueError, match="an initializer is a name"):
        initializers.get(3)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", True, None])
def test_bad_seeds(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number"):
        set_random_seed(seed)  # type: ignore[arg-type]


def test_set_random_seed_reaches_python_and_numpy() -> None:
    import random

    set_random_seed(1)
    first = (random.random(), np.random.rand())
    set_random_seed(1)
    assert (random.random(), np.random.rand()) == first


def test_without_a_seed_one_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_seed, "_seed", None)
    seed = random_seed.current_seed()
    assert 0 <= seed < 2**32
    assert random_seed.current_seed() == seed

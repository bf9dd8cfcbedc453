"""The vector functions of kernels against float64, over their whole range: the bounds that host/functions.py states."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from fastcnn_kernels.api import UNARY
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.trial import run

BACKEND = CpuBackend()
SMALLEST = np.float32(2**-126)


def on_cpu(op: str, x: np.ndarray, **attributes: str) -> np.ndarray:
    """The op's outputs for one sample, as float64."""
    shapes = dict(x=(1, x.size), y=(1, x.size))
    outputs = run(BACKEND, op, dict(x=x[np.newaxis]), shapes, attributes, batch_size=1)
    return outputs["y"][0].astype(np.float64)


def exp(x: np.ndarray) -> np.ndarray:
    return on_cpu("unary_forward", x, function="exp")


def log(x: np.ndarray) -> np.ndarray:
    return on_cpu("unary_forward", x, function="log")


def spread(low: float, high: float) -> np.ndarray:
    """Evenly spaced numbers, and ones that lie close to zero."""
    small = np.geomspace(1e-30, high, 20_000)
    return np.concatenate([np.linspace(low, high, 200_000), small, np.maximum(-small, low)]).astype(np.float32)


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.max(np.abs(got / expected - 1)))


def test_exp_is_accurate_where_the_result_is_a_normal_number():
    x = spread(-86.6, 88.7)
    assert relative_error(exp(x), np.exp(x.astype(np.float64))) <= 2e-7


def test_exp_is_zero_below_its_range_and_finite_above_it():
    assert exp(np.array([-86.7, -1e3, -np.inf], np.float32)).tolist() == [0, 0, 0]
    large = exp(np.array([88.73, 1e3, np.inf], np.float32))
    assert np.isfinite(large).all()
    assert relative_error(large, np.full(3, np.exp(88.72283))) <= 2e-6
    assert np.isnan(exp(np.array([np.nan], np.float32))[0])


def test_log_is_accurate_from_the_smallest_normal_to_the_largest_number():
    x = np.concatenate([np.geomspace(SMALLEST, 3.4e38, 200_000), np.linspace(0.5, 2, 100_001)]).astype(np.float32)
    x = x[x != 1]
    assert relative_error(log(x), np.log(x.astype(np.float64))) <= 1.5e-7


def test_log_of_special_numbers():
    denormal = np.float32(2**-130)
    values = log(np.array([1, 0, -0.0, denormal, np.inf, -1, -np.inf, np.nan], np.float32))
    np.testing.assert_array_equal(values, [0, -np.inf, -np.inf, -np.inf, np.inf, np.nan, np.nan, np.nan])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


@pytest.mark.parametrize(("activation", "exact"), [("tanh", np.tanh), ("sigmoid", sigmoid)])
def test_activations_are_accurate_everywhere(activation: str, exact: Callable[[np.ndarray], np.ndarray]):
    x = np.concatenate([spread(-30, 30), np.array([-np.inf, -1e30, 1e30, np.inf], np.float32)])
    error = np.abs(on_cpu("activation_forward", x, activation=activation) - exact(x.astype(np.float64)))
    assert error.max() <= 2e-7


def test_tanh_keeps_the_digits_of_small_numbers():
    x = np.geomspace(1e-30, 0.1, 20_000).astype(np.float32)
    assert relative_error(on_cpu("activation_forward", x, activation="tanh"), np.tanh(x.astype(np.float64))) <= 4e-6


def unary(x: np.ndarray, function: str) -> np.ndarray:
    return on_cpu("unary_forward", x, function=function)


def test_the_normal_distribution_is_accurate_everywhere():
    x = spread(-8, 8)
    share = 0.5 * np.vectorize(math.erfc)(-x.astype(np.float64) / math.sqrt(2))
    assert np.abs(unary(x, "gelu") - x * share).max() <= 1.5e-6
    small = np.abs(x) < 1
    assert np.abs(unary(x, "gelu") - x * share)[small].max() <= 2e-7


def test_elu_keeps_the_digits_of_small_numbers():
    x = -np.geomspace(1e-30, 80, 20_000).astype(np.float32)
    assert relative_error(unary(x, "elu"), np.expm1(x.astype(np.float64))) <= 4e-6


def test_softplus_is_accurate_where_the_exponential_is():
    x = spread(-80, 80)
    assert relative_error(unary(x, "softplus"), np.logaddexp(0, x.astype(np.float64))) <= 5e-7


@pytest.mark.parametrize("function", UNARY)
def test_not_a_number_stays_so_among_numbers(function):
    x = np.ones(33, np.float32)
    x[[0, 17, 32]] = np.nan
    assert np.flatnonzero(np.isnan(on_cpu("unary_forward", x, function=function))).tolist() == [0, 17, 32]

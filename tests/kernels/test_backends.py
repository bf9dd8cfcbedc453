"""Every fast backend against the float64 reference, over every case."""

import numpy as np
import pytest
from fastcnn_kernels.cases import Case, cases, heavy_cases
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.reference import ReferenceBackend
from fastcnn_kernels.trial import compare, run

BACKENDS = {"cpu": CpuBackend, "reference float32": lambda: ReferenceBackend(np.float32)}


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]()


@pytest.mark.parametrize("case", cases(), ids=str)
def test_case(case: Case, backend):
    compare(case, backend)


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", heavy_cases(), ids=str)
def test_heavy_case(case: Case, backend):
    compare(case, backend)


def test_moving_statistics_ignore_channels_that_are_not_finite(backend):
    c, x = (3,), np.ones((2, 4, 3), np.float32)
    x[0, 0, 1], x[1, 2, 2] = np.nan, np.inf
    names = ("gamma", "beta", "moving_mean", "moving_variance", "mean", "rstd")
    operands = dict(x=x, gamma=np.ones(c), beta=np.ones(c), moving_mean=np.zeros(c), moving_variance=np.full(c, 2.0))
    shapes = dict(x=x.shape, y=x.shape, **dict.fromkeys(names, c))
    with np.errstate(invalid="ignore"):
        outputs = run(backend, "batch_norm_forward", operands, shapes, dict(momentum=0.5, epsilon=1e-3), batch_size=2)
    np.testing.assert_array_equal(outputs["moving_mean"], [0.5, 0, 0])
    np.testing.assert_array_equal(outputs["moving_variance"], [1, 2, 2])

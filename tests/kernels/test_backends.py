"""Every fast backend against the float64 reference, over every case."""

import numpy as np
import pytest
from fastcnn_kernels.cases import Case, cases, heavy_cases
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.reference import ReferenceBackend

from .harness import compare

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

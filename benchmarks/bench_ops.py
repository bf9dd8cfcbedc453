"""Every case of fastcnn_kernels.cases.heavy_cases, one group a case, device beside device.

    pytest benchmarks/bench_ops.py --device cpu --device reference

extra_info holds GFLOP/s and GB/s, counted as `fastcnn.program.costs` does, and the percentage of the machine's peak.
"""

import pytest
from fastcnn_kernels.cases import Case, heavy_cases
from fastcnn_kernels.trial import trial

from .costs import cost


@pytest.mark.parametrize("case", heavy_cases(), ids=str)
def bench_op(benchmark, note, backend, case: Case):
    benchmark.group = str(case)
    plan = trial(case, backend).plan
    plan.run()
    benchmark(plan.prepared_step(1, 1))
    note(*cost(case))

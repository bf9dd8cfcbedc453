"""Every op of the backend protocol on the large cases of fastcnn_kernels.cases, device beside device.

    pytest benchmarks/bench_ops.py --device cpu --device reference --benchmark-group-by=group

extra_info holds GFLOP/s and GB/s, counted as `fastcnn.program.costs` does.
"""

import numpy as np
import pytest
from fastcnn_kernels.cases import Case, heavy_cases
from fastcnn_kernels.trial import trial

from .costs import cost


@pytest.mark.parametrize("case", heavy_cases(), ids=str)
def bench_op(benchmark, backend, case: Case):
    benchmark.group = str(case)
    prepared = trial(case, backend)
    prepared.plan.run()
    benchmark(prepared.run_op)
    flops, nbytes = cost(case)
    if benchmark.stats is not None:
        median = np.median(benchmark.stats.stats.data)
        benchmark.extra_info.update({"GFLOP/s": flops / median / 1e9, "GB/s": nbytes / median / 1e9})

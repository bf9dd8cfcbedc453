"""Every op of the backend protocol on the large cases of fastcnn_kernels.cases, device beside device.

    pytest benchmarks/bench_ops.py --device cpu --device reference --benchmark-group-by=group
    pytest benchmarks/bench_ops.py --device cpu --kernels my_kernels.py --benchmark-group-by=group

extra_info holds GFLOP/s and GB/s, counted as `fastcnn.program.costs` does.
"""

import numpy as np
import pytest
from fastcnn_kernels.cases import Case, heavy_cases
from fastcnn_kernels.ranking import claimed
from fastcnn_kernels.registry import Registration, kind_of, only
from fastcnn_kernels.trial import trial
from fastcnn_kernels.verify import dry

from .costs import cost


@pytest.mark.parametrize("case", heavy_cases(), ids=str)
def bench_op(benchmark, backend, case: Case, contender: Registration | None):
    if contender and not (kind_of(backend) == contender.backend and case in claimed(contender, dry(backend), [case])):
        pytest.skip(f"{contender.name} does not claim it")
    benchmark.group = str(case)
    with only(*filter(None, [contender])):
        prepared = trial(case, backend)
    prepared.plan.run()
    benchmark(prepared.run_op)
    flops, nbytes = cost(case)
    if benchmark.stats is not None:
        median = np.median(benchmark.stats.stats.data)
        benchmark.extra_info.update({"GFLOP/s": flops / median / 1e9, "GB/s": nbytes / median / 1e9})

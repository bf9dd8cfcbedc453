"""Every case of fastcnn_kernels.cases.heavy_cases, one group a case, device beside device.

    pytest benchmarks/bench_ops.py --device cpu --device reference
    pytest benchmarks/bench_ops.py --device cpu --kernels my_kernels.py

extra_info holds GFLOP/s and GB/s, counted as `fastcnn.program.costs` does, and the percentage of the machine's peak.
"""

import pytest
from fastcnn_kernels.cases import Case, heavy_cases
from fastcnn_kernels.ranking import claimed
from fastcnn_kernels.registry import Registration, kind_of, only
from fastcnn_kernels.trial import trial
from fastcnn_kernels.verify import dry

from .costs import cost


@pytest.mark.parametrize("case", heavy_cases(), ids=str)
def bench_op(benchmark, note, backend, case: Case, contender: Registration | None):
    if contender and not (kind_of(backend) == contender.backend and case in claimed(contender, dry(backend), [case])):
        pytest.skip(f"{contender.name} does not claim it")
    benchmark.group = str(case)
    with only(*filter(None, [contender])):
        plan = trial(case, backend).plan
    plan.run()
    benchmark(plan.prepared_step(1, 1))
    note(*cost(case))

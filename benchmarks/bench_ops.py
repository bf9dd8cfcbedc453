"""Every op of the backend protocol on the large cases of fastcnn_kernels.cases, device beside device.

    pytest benchmarks/bench_ops.py --device cpu --device reference --benchmark-group-by=group

extra_info holds GFLOP/s and GB/s, counted as `fastcnn.program.costs` does.
"""

import numpy as np
import pytest
from fastcnn_kernels.api import operations
from fastcnn_kernels.cases import Case, heavy_cases
from fastcnn_kernels.trial import trial

from fastcnn.program.costs import step_cost
from fastcnn.trace import Step, Value


def cost(case: Case) -> tuple[int, int]:
    """(floating-point operations, bytes) of a case."""

    def value(name: str, shape: object) -> object:
        if isinstance(shape, list):
            return [value(name, item) for item in shape]
        return None if shape is None else Value(tuple(shape), case.dtypes.get(name, "float32"), name)

    operation = operations()[case.op]
    named = dict.fromkeys((*operation.reads, *operation.writes))
    step = Step(case.op, {name: value(name, case.shapes[name]) for name in named}, dict(case.attributes), "benchmark")
    return step_cost(step, case.batch_size)


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

"""What a case of fastcnn_kernels.cases costs, counted as `fastcnn.program.costs` does."""

from fastcnn_kernels.api import operations
from fastcnn_kernels.cases import Case

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

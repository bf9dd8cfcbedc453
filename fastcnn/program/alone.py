"""Computations outside of a model: ops on arrays of the host, on the reference backend, in float64."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from fastcnn_kernels.api import Scalars
from fastcnn_kernels.reference import ReferenceBackend
from numpy.typing import NDArray

from ..trace import Trace, Value
from .lowering import Lowered, export_values, gather
from .program import Program

Array = NDArray[Any]


def computed(
    function: Callable[..., Sequence[Value]], arrays: Sequence[Array], states: Mapping[Value, Any] | None = None
) -> list[Array]:
    """What `function` of the arrays' values returns: it composes `fastcnn.ops`, as a layer's `call` does.

    arrays   (n, ...) of float32 or int32
    states   memory of values that the function's steps add to, as ReferenceBackend.allocate makes it
    """
    trace, size = Trace(), len(arrays[0])
    with trace, trace.scope("alone"):
        lowered = Lowered(trace, "predict", Value((None,), "int64", "index", "external"))
        values = [_gathered(lowered, array) for array in arrays]
        export_values(lowered, list(function(*values)))
    program = Program("alone", lowered, size, REFERENCE, {**_scalars(trace), **(states or {})})
    outputs = [np.empty((size, *(n or 0 for n in value.shape[1:]))) for value in lowered.outputs]
    program.bind([np.ascontiguousarray(array) for array in arrays], outputs=outputs)
    program.run()
    return outputs


REFERENCE = ReferenceBackend(np.float64)


def _gathered(lowered: Lowered, array: Array) -> Value:
    shape, dtype = (None, *array.shape[1:]), array.dtype.name
    source = Value(shape, dtype, "array", "external")
    lowered.inputs.append(source)
    return gather(lowered, source, shape, dtype, "array")


def _scalars(trace: Trace) -> dict[Value, Any]:
    return {trace.scalars: REFERENCE.allocate((Scalars.COUNT,), np.int64, "plain")}

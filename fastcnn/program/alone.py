"""Computations outside of a model, such as a loss called on two arrays: ops on the reference backend, in float64."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fastcnn_kernels.api import Scalars
from fastcnn_kernels.reference import ReferenceBackend
from numpy.typing import NDArray

from ..trace import Trace, Value
from .lowering import Lowered, export_values, gather
from .program import Program

Array = NDArray[Any]


def computed(function: Callable[..., Value], arrays: Sequence[Array]) -> Array:
    """What `function` of the arrays' values returns: it composes `fastcnn.ops`, as a layer's `call` does.

    arrays   (n, ...) of float32 or int32
    """
    trace, size, backend = Trace(), len(arrays[0]), ReferenceBackend(np.float64)
    with trace, trace.scope("alone"):
        lowered = Lowered(trace, "predict", Value((None,), "int64", "index", "external"))
        result = function(*(_gathered(lowered, array) for array in arrays))
        export_values(lowered, [result])
    states = {trace.scalars: backend.allocate((Scalars.COUNT,), np.int64, "plain")}
    output = np.empty((size, *(n or 0 for n in result.shape[1:])))
    program = Program("alone", lowered, size, backend, states)
    program.bind([np.ascontiguousarray(array) for array in arrays], outputs=[output])
    program.run()
    return output


def _gathered(lowered: Lowered, array: Array) -> Value:
    shape, dtype = (None, *array.shape[1:]), array.dtype.name
    source = Value(shape, dtype, "array", "external")
    lowered.inputs.append(source)
    return gather(lowered, source, shape, dtype, "array")

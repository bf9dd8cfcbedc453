"""One op on one backend, from NumPy arrays to NumPy arrays, and its comparison with the float64 reference.

What tests, verification and benchmarks share.

    Trial                               a plan with one op in it, to be run once or many times
    trial(case, backend)                the same for a case of cases.py
    build(case, backend)                ... without numbers: to see what would be launched
    run(backend, op, operands, ...)     the op's outputs
    run_case(case, backend)             the same for a case of cases.py
    compare(case, backend)              ... held against the reference within TOLERANCE
    REDUCTION, TOLERANCE                the one table of tolerances
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .api import Tensor, operations
from .cases import Case, Operands, arrays, kind
from .reference import ReferenceBackend
from .registry import only

Shapes = Mapping[str, Any]

EPSILON = float(np.finfo(np.float32).eps)
REFERENCE = ReferenceBackend(np.float64)


class Trial:
    """A plan with one op in it: its inputs gathered from host arrays, its outputs exported to host arrays."""

    def __init__(self, backend: Any, op: str, batch_size: int, dtypes: Mapping[str, str]):
        self.backend, self.op, self.dtypes = backend, op, dtypes
        self.plan = backend.plan(batch_size)
        self.samples = self.host("samples", np.arange(batch_size, dtype=np.int64))
        self.contents: list[tuple[Any, np.ndarray]] = []
        self.outputs: list[tuple[str, Callable[[], np.ndarray]]] = []
        self.exports: list[tuple[Tensor, Tensor]] = []

    def host(self, name: str, array: np.ndarray) -> Tensor:
        slot = self.backend.external(array.dtype, array.shape[1:])
        slot.bind(array)
        return Tensor(name, array.shape, array.dtype, "external", slot)

    def dtype(self, name: str) -> np.dtype:
        return np.dtype(self.dtypes.get(name, self.backend.dtype))

    def operand(self, name: str, array: Any, shape: Any, written: bool) -> Any:
        """The tensor for an operand, or a list of them, or None."""
        if shape is None:
            return None
        if isinstance(shape, list):
            values = array if array is not None else [None] * len(shape)
            return [self.operand(name, a, s, written) for a, s in zip(values, shape, strict=True)]
        if array is None:
            array = _poison(shape, self.dtype(name))
        array = np.array(array, self.dtype(name), order="C")
        return getattr(self, kind(self.op, name))(name, array, written)

    def batch(self, name: str, array: np.ndarray, written: bool) -> Tensor:
        tensor = Tensor(name, array.shape, array.dtype, "batch")
        self.backend.gather(self.plan, self.host(f"{name} source", array), self.samples, tensor)
        if written:
            result = _poison(array.shape, array.dtype)
            self.exports.append((tensor, self.host(f"{name} result", result)))
            self.outputs.append((name, lambda: result))
        return tensor

    def external(self, name: str, array: np.ndarray, written: bool) -> Tensor:
        if written:
            self.outputs.append((name, lambda: array))
        return self.host(name, array)

    def plain(self, name: str, array: np.ndarray, written: bool) -> Tensor:
        return self.stored("plain", name, array, written)

    def parameter(self, name: str, array: np.ndarray, written: bool) -> Tensor:
        return self.stored("parameter", name, array, written)

    def stored(self, kind: Any, name: str, array: np.ndarray, written: bool) -> Tensor:
        storage = self.backend.allocate(array.shape, array.dtype, kind)
        self.contents.append((storage, array))
        if written:
            self.outputs.append((name, storage.read))
        return Tensor(name, array.shape, array.dtype, kind, storage)

    def build(self, operands: Operands, shapes: Shapes, attributes: Mapping[str, Any]) -> "Trial":
        """Put the op into the plan, between its inputs and its outputs, and finalize the plan."""
        operation = operations()[self.op]
        self.plan.begin("inputs")
        tensors = {}
        for name in dict.fromkeys((*operation.reads, *operation.writes)):
            tensors[name] = self.operand(name, operands.get(name), shapes[name], name in operation.writes)
        self.plan.begin(self.op)
        getattr(self.backend, self.op)(self.plan, **tensors, **attributes)
        self.plan.begin("outputs")
        for tensor, destination in self.exports:
            self.backend.export(self.plan, tensor, destination)
        self.plan.finalize()
        return self

    def run_op(self) -> None:
        """Run the op alone, on what the last run left in memory: for timing."""
        self.plan.run_step(1)

    def run(self) -> dict[str, Any]:
        """The outputs, after two runs that must agree bit for bit: nothing may be left over from the first."""
        first, second = self._once(), self._once()
        for (name, a), (_, b) in zip(first, second, strict=True):
            _expect(a.tobytes() == b.tobytes(), f"{self.op}: a second run changed {name}")
        return _by_name(second, operations()[self.op].lists)

    def _once(self) -> list[tuple[str, np.ndarray]]:
        for storage, array in self.contents:
            storage.write(array)
        self.plan.run()
        return [(name, read().copy()) for name, read in self.outputs]


def _poison(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What an output holds before it is written: where it is added to, or not written whole, this shows up."""
    return np.full(shape, np.nan if dtype.kind == "f" else 77, dtype)


def run(
    backend: Any, op: str, operands: Operands, shapes: Shapes, attributes: Mapping[str, Any], *,
    dtypes: Mapping[str, str] | None = None, batch_size: int,
) -> dict[str, Any]:
    """What `op` writes, by operand. `operands` are the arrays that it reads; `shapes` are of every operand."""
    return Trial(backend, op, batch_size, dtypes or {}).build(operands, shapes, attributes).run()


def _by_name(outputs: list[tuple[str, np.ndarray]], lists: frozenset[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, array in outputs:
        if name in lists:
            result.setdefault(name, []).append(array)
        else:
            result[name] = array
    return result


def trial(case: Case, backend: Any) -> Trial:
    """The case's op in a plan of its own."""
    return Trial(backend, case.op, case.batch_size, case.dtypes).build(arrays(case), case.shapes, case.attributes)


def build(case: Case, backend: Any) -> Trial:
    """The case's op in a plan of its own, not to be run: nobody has computed its operands."""
    return Trial(backend, case.op, case.batch_size, case.dtypes).build({}, case.shapes, case.attributes)


def run_case(case: Case, backend: Any, operands: Operands | None = None) -> dict[str, Any]:
    """What the case's op writes."""
    operands = arrays(case) if operands is None else operands
    return run(
        backend, case.op, operands, case.shapes, case.attributes, dtypes=case.dtypes, batch_size=case.batch_size
    )


# ------ tolerances


def _channels(case: Case) -> int:
    """Values that are summed for one channel."""
    shape = case.shapes.get("dy") or case.shapes["x"]
    return int(np.prod(shape[:-1]))


def _taps(case: Case) -> int:
    """Products that are summed for one output of a convolution or a dense layer."""
    return int(np.prod(case.shapes["w"][:-1]))


def _fan_out(case: Case) -> int:
    """Products that are summed for one element of dx."""
    *kernel, _, filters = case.shapes["w"]
    return int(np.prod(kernel)) * filters // case.attributes.get("groups", 1)


def _sample(case: Case) -> int:
    return int(np.prod((case.shapes.get("x") or case.shapes.get("y") or case.shapes["dx"])[1:]))


REDUCTION: dict[str, dict[str, Callable[[Case], int]]] = {
    "conv_transpose": {"y": _fan_out, "dx": _taps, "dw": _channels, "db": _channels},
    "conv": {"y": _taps, "dx": _fan_out, "dw": _channels, "db": _channels},
    "dense": {"y": _taps, "dx": _fan_out, "dw": _channels, "db": _channels},
    "batch_norm": dict.fromkeys(
        ("y", "mean", "rstd", "moving_mean", "moving_variance", "dx", "dgamma", "dbeta"), _channels
    ),
    "group_norm": dict.fromkeys(("y", "dx"), _sample),
    "average_pool": dict.fromkeys(("y", "dx"), lambda case: int(np.prod(case.attributes["window"]))),
    "upsample": {"dx": lambda case: int(np.prod(case.attributes["factors"]))},
    "embedding": {"dw": lambda case: int(np.prod(case.shapes["x"]))},
    "mean": {"y": _sample},
    "softmax": dict.fromkeys(("y", "dx", "loss"), _sample),
    "crossentropy": dict.fromkeys(("loss", "dy"), _sample),
    "sigmoid_crossentropy": {"loss": _sample},
    "binary_crossentropy": {"loss": _sample},
    "pointwise_loss": {"loss": _sample},
    "penalty": {"accumulator": lambda case: int(np.prod(case.shapes["w"]))},
    "constrain": {"w": lambda case: int(np.prod(case.shapes["w"][: case.attributes["axes"]]))},
    "clip_factor": {"factor": lambda case: sum(int(np.prod(x)) for x in case.shapes["xs"])},
}
"""How many terms are summed for one element of an output, by the beginning of the op's name; 1 where it is not said."""

TOLERANCE = 4
"""Allowed error in units of float32 epsilon times sqrt(terms) times the output's largest magnitude.

Rounding errors of a float32 sum of n terms grow like sqrt(n) if they are independent; 4 leaves room for the polynomials of
exp and tanh (2 epsilon) and for the tail of the distribution over all elements of an output.
"""


ROUNDED = {"float32": 0.0, "tf32": 2.0**-10, "bfloat16": 2.0**-7}
"""Allowed besides, in units of the output's largest magnitude, where operands are rounded to a precision: its epsilon.

A product of two rounded numbers is off by up to one epsilon, by 0.3 of it in the root mean square; errors of a sum's products
are independent, so they grow with sqrt(terms) as the sum itself does. Source of the fraction bits: PTX ISA 9.0, 5.2.3.
"""


def tolerance(case: Case, name: str, expected: np.ndarray, precision: str = "float32") -> float:
    """Largest allowed absolute error of the output `name`, of products computed in a precision."""
    terms = next((table[name](case) for op, table in REDUCTION.items() if case.op.startswith(op) and name in table), 1)
    # A loss is made of logarithms of probabilities: near 1 their error is that of the probability.
    least = 1 if name == "loss" else 0
    finite = np.abs(expected[np.isfinite(expected)])
    share = TOLERANCE * EPSILON * np.sqrt(terms) + ROUNDED[precision] * case.op.startswith(("conv", "dense"))
    return float(share * finite.max(initial=least))


def _expect(held: bool, otherwise: str) -> None:
    """AssertionError, in `python -O` too: verification rests on it."""
    if not held:
        raise AssertionError(otherwise)


def compare(case: Case, backend: Any) -> float:
    """Assert that every output of the case agrees with the reference in shape, dtype and value.

    Returns the largest error as a share of what is allowed.
    """
    operands = arrays(case)
    with only():
        expected = run_case(case, REFERENCE, operands)
    got = run_case(case, backend, operands)
    _expect(expected.keys() == got.keys(), f"{case}: wrote {', '.join(got)}, expected {', '.join(expected)}")
    shares = [0.0]
    for name, value in expected.items():
        listed = isinstance(value, list)
        for want, have in zip(value if listed else [value], got[name] if listed else [got[name]], strict=True):
            shares.append(_assert_close(case, name, want, have, _counts(case, name, expected), backend))
    return max(shares)


def _counts(case: Case, name: str, expected: Mapping[str, Any]) -> Any:
    """Which elements matter: where relu is 0, no gradient flows, so that any pixel of the window may have won."""
    if name == "argmax" and case.attributes.get("activation") == "relu":
        return expected["y"] > 0
    return ...


def _assert_close(case: Case, name: str, want: np.ndarray, have: np.ndarray, where: Any, backend: Any) -> float:
    _expect(have.shape == want.shape, f"{case}: {name} has shape {have.shape}, expected {want.shape}")
    dtype = np.dtype(case.dtypes.get(name, backend.dtype))
    _expect(have.dtype == dtype, f"{case}: {name} is {have.dtype}, expected {dtype}")
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(have[where], want[where], f"{case}: {name}")
        return 0.0
    limit = tolerance(case, name, want, getattr(backend, "precision", "float32"))
    np.testing.assert_allclose(have[where], want[where], rtol=0, atol=limit, err_msg=f"{case}: {name}")
    finite = np.isfinite(want[where])
    error = np.abs(have[where][finite] - want[where][finite]).max(initial=0.0)
    return float(error / limit) if limit else 0.0

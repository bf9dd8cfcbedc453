"""The GPU's kernels, but for convolutions and dense layers, on the emulated device, against the float64 reference.

The emulator raises on an access outside of an allocation, on a read of what nothing wrote (so that an output has to be written
whole), on divergent barriers and on races; `compare` runs everything twice and wants the same bits.
"""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")

from fastcnn_kernels import ptx
from fastcnn_kernels.api import Scalars, Tensor
from fastcnn_kernels.cases import Case, arrays, cases, heavy_cases, scalars
from fastcnn_kernels.cuda import CudaBackend
from fastcnn_kernels.device import reduction, tiles
from fastcnn_kernels.device.assembly import faults
from fastcnn_kernels.device.dry import DryDevice
from fastcnn_kernels.device.emulated import EmulatedDevice
from fastcnn_kernels.device.kernel import TARGETS, CudaKernel, kernel
from fastcnn_kernels.loss.cuda_head import head_kernel
from fastcnn_kernels.paths import representatives, work
from fastcnn_kernels.random.reference import uniform
from fastcnn_kernels.trial import REFERENCE, build, compare, run, run_case
from numba import cuda
from numba.cuda.types import uint32

MEMORY = 1 << 28


def ours(found: tuple[Case, ...]) -> list[Case]:
    return [case for case in found if not case.op.startswith(("conv_forward", "conv_backward", "conv_pool_", "dense_"))]


def marked() -> list[object]:
    """One case a code path; the others are for the exhaustive run."""
    chosen = set(representatives(ours(cases()), CudaBackend(DryDevice())))
    every = (*ours(cases()), *ours(heavy_cases()))
    return [pytest.param(case, id=str(case), marks=() if case in chosen else pytest.mark.exhaustive) for case in every]


@pytest.fixture
def backend() -> CudaBackend:
    return CudaBackend(EmulatedDevice(MEMORY))


@pytest.mark.parametrize("case", marked())
def test_case(case: Case, backend: CudaBackend):
    compare(case, backend)


def batch_norm(x: tuple[int, ...]) -> list[Case]:
    c = x[-1:]
    state = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance", "mean", "rstd"), c)
    forward = dict(x=x, y=x, **state)
    backward = dict(x=x, dy=x, dx=x, gamma=c, mean=c, rstd=c, dgamma=c, dbeta=c)
    return [
        Case("batch_norm_forward", f"{x}", forward, dict(momentum=0.9, epsilon=1e-3)),
        Case("batch_norm_backward", f"{x}", backward),
    ]


LONG = reduction.LONG + 3
BEYOND = [
    Case("add", "more summands than a launch takes", dict(xs=[(3, 5)] * 6, y=(3, 5))),
    Case("softmax_forward", "a block a row", dict(x=(2, LONG), y=(2, LONG))),
    Case("softmax_backward", "a block a row", dict(y=(2, LONG), dy=(2, LONG), dx=(2, LONG))),
    Case(
        "softmax_crossentropy_forward", "a block a row",
        dict(x=(2, LONG), labels=(2,), y=(2, LONG), loss=(2,)), {}, dict(labels="int32"),
    ),
    Case("mean_forward", "a block a sample", dict(x=(2, LONG), y=(2,))),
    Case(
        "accuracy", "a warp a long row", dict(y=(2, LONG), labels=(2, LONG), weight=(2,), accumulator=(2,)),
        dict(form="categorical"), dict(accumulator="float64"),
    ),
    *batch_norm((5, 1033)),  # more channels than lanes
    *batch_norm((5, 1032)),  # the same by fours: a tile that is nearly empty
    *batch_norm((4100, 1)),  # many parts of one channel
]  # fmt: skip
"""Code that the shared cases are too small to reach."""


@pytest.mark.parametrize("case", BEYOND, ids=str)
def test_large_case(case: Case, backend: CudaBackend):
    compare(case, backend)


STRIDING = (
    "activation_forward", "activation_backward", "unary_forward", "unary_backward", "binary_forward", "binary_backward",
    "affine", "add", "dropout_forward", "conv_transpose_forward", "clip_factor",
    "reshape", "concatenate_forward", "mean_backward", "export",
    "sigmoid_crossentropy_backward", "binary_crossentropy_backward",
)  # fmt: skip


@pytest.mark.parametrize("op", STRIDING)
def test_a_grid_goes_round_until_all_is_done(op, backend, monkeypatch):
    monkeypatch.setattr(tiles, "MAX_BLOCKS", 1)
    largest = max((case for case in cases() if case.op == op), key=work)
    compare(largest, backend)


def kernels_of_our_ops() -> list[CudaKernel]:
    for case in ours(cases()):
        build(case, CudaBackend(DryDevice()))
    return [k for k in CudaKernel.registry.values() if k.function.__module__.startswith("fastcnn_kernels")]


@pytest.mark.parametrize("classes", [5, 70])  # a lane each; several a lane
@pytest.mark.parametrize("form", ["sparse", "categorical"])
def test_the_first_of_equal_maxima_is_the_guess(form, classes, backend):
    equal = (1, 3, classes - 1)
    y, labels = np.zeros((3, classes)), np.array(equal)
    y[:, equal] = 2
    sparse = form == "sparse"
    labels = labels.astype(np.int32) if sparse else np.eye(classes)[labels]
    operands = dict(y=y, labels=labels, weight=np.array([1, 2, 4]), accumulator=np.zeros(2))
    shapes = dict(y=y.shape, labels=labels.shape, weight=(3,), accumulator=(2,))
    dtypes = dict(accumulator="float64", **dict(labels="int32") if sparse else {})
    outputs = run(backend, "accuracy", operands, shapes, dict(form=form), dtypes=dtypes, batch_size=3)
    assert outputs["accumulator"].tolist() == [1, 7]


# ------ random numbers


@pytest.mark.parametrize(("seed", "step", "op_id"), [(0, 0, 0), (2**40 + 7, 5, 11), (-3, 2**31 + 1, 2**32 - 1)])
@pytest.mark.parametrize("op", ["dropout_forward", "dropout_backward"])
def test_masks_are_the_reference_s_bit_for_bit(op, seed, step, op_id, backend):
    source, result = ("x", "y") if op == "dropout_forward" else ("dy", "dx")
    shape, rate = (7, 3, 11), 0.37
    operands = {source: np.ones(shape), "scalars": scalars(seed=seed, step=step)}
    shapes = {source: shape, "scalars": (Scalars.COUNT,), result: shape}
    outputs = run(
        backend, op, operands, shapes, dict(rate=rate, op_id=op_id), dtypes=dict(scalars="int64"), batch_size=shape[0]
    )
    kept = uniform(seed, step, op_id, 7 * 3 * 11).reshape(shape) >= np.float32(rate)
    np.testing.assert_array_equal(outputs[result] != 0, kept)


@pytest.mark.parametrize("rate", [0.0, 2.0**-24, 0.5, 1 - 2.0**-24])
def test_masks_are_exact_at_the_ends_of_the_interval(rate, backend):
    case = next(case for case in cases() if case.op == "dropout_forward")
    operands = arrays(case)
    attributes = dict(rate=rate, op_id=3)
    masks = [
        run(b, case.op, operands, case.shapes, attributes, dtypes=case.dtypes, batch_size=case.batch_size)["y"] == 0
        for b in (backend, REFERENCE)
    ]
    np.testing.assert_array_equal(*masks)


# ------ float64 without float64 instructions


@kernel("u64*, f32*, u32", threads=64, registers=32)
def narrow(x, y, n):
    """y[i] = the float64 with the bits x[i], i < n."""
    i = uint32(cuda.blockIdx.x * 64 + cuda.threadIdx.x)
    if i < n:
        y[i] = ptx.narrowed(x[i])


def test_narrowed_is_the_conversion_of_the_processor(backend):
    rng = np.random.default_rng(0)
    halfway = np.float64(1) + np.arange(1, 9) * 2.0**-24
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 2.0**-126, 2.0**-127, 2.0**-126 * (1 - 2.0**-30), 1e-300, 1e300]
    edges += [2.0**128, np.finfo(np.float32).max, np.nextafter(2.0**128, 0), 2.0**128 - 2.0**103, 5e-324]
    values = np.array([*edges, *halfway, *-halfway, *(rng.standard_normal(400) * 10.0 ** rng.uniform(-37, 38, 400))])
    x, y = backend.allocate(values.shape, np.float64, "plain"), backend.allocate(values.shape, np.float32, "plain")
    x.write(values)
    plan = backend.plan(1)
    plan.begin("narrow")
    tensors = [Tensor(name, values.shape, s.dtype, "plain", s) for name, s in (("x", x), ("y", y))]
    plan.launch(narrow, tiles.ceil_div(values.size, 64), (*tensors, values.size), writes=(tensors[1],))
    plan.finalize()
    plan.run()
    with np.errstate(over="ignore"):
        expected = values.astype(np.float32)
    # Numbers below float32's normal ones are 0 here, as they are on the CPU device.
    expected[np.abs(values) < 2.0**-126] *= 0
    np.testing.assert_array_equal(y.read(), expected)
    np.testing.assert_array_equal(np.signbit(y.read()[:4]), np.signbit(expected[:4]))


def test_only_totals_are_float64():
    of_whole_steps = [head_kernel(reduction.lanes_for(10), True, True)]
    allowed = {k.name.split("[")[0] for k in (*kernels_of_our_ops(), *of_whole_steps) if k.allow_f64}
    assert allowed == {"loss.weighted_loss", "loss.accumulate", "loss.head", "regularization.penalty"}


def test_sums_of_losses_keep_their_digits(backend):
    """A thousand small losses beside a large one: a plain float32 sum would lose most of them."""
    loss, n = np.full(1000, 0.1, np.float32), 1000
    loss[0] = 3e6
    operands = dict(values=loss, weight=np.ones(n), accumulator=np.zeros(2))
    shapes = dict(values=(n,), weight=(n,), accumulator=(2,))
    outputs = run(backend, "mean_metric", operands, shapes, {}, dtypes=dict(accumulator="float64"), batch_size=n)
    np.testing.assert_allclose(outputs["accumulator"], [np.sum(loss.astype(np.float64)), n], rtol=1e-12)


# ------ numbers that are not finite


def test_moving_statistics_ignore_channels_that_are_not_finite(backend):
    c, x = (3,), np.ones((2, 4, 3), np.float32)
    x[0, 0, 1], x[1, 2, 2] = np.nan, np.inf
    names = ("gamma", "beta", "moving_mean", "moving_variance", "mean", "rstd")
    operands = dict(x=x, gamma=np.ones(c), beta=np.ones(c), moving_mean=np.zeros(c), moving_variance=np.full(c, 2.0))
    shapes = dict(x=x.shape, y=x.shape, **dict.fromkeys(names, c))
    outputs = run(backend, "batch_norm_forward", operands, shapes, dict(momentum=0.5, epsilon=1e-3), batch_size=2)
    np.testing.assert_array_equal(outputs["moving_mean"], [0.5, 0, 0])
    np.testing.assert_array_equal(outputs["moving_variance"], [1, 2, 2])


@pytest.mark.parametrize("channels", [4, 3])
def test_nan_wins_its_window_and_minus_infinity_is_a_pixel(channels, backend):
    x = np.zeros((1, 2, 6, channels), np.float32)
    x[0, 1, 0], x[0, 0, 1], x[0, :, 2:4] = np.nan, 5, -np.inf
    shapes = dict(x=x.shape, y=(1, 1, 3, channels), argmax=(1, 1, 3, channels))
    attributes = dict(window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))
    outputs = run(
        backend, "max_pool_forward", dict(x=x), shapes, attributes, dtypes=dict(argmax="uint8"), batch_size=1
    )
    np.testing.assert_array_equal(outputs["y"][0, 0, :, 0], [np.nan, -np.inf, 0])
    np.testing.assert_array_equal(outputs["argmax"][0, 0, :, 0], [2, 0, 0])


@pytest.mark.parametrize("function", ["maximum", "minimum", "abs"])
def test_nan_stays_nan(function, backend):
    bad, good = np.full((1, 3), np.nan), np.ones((1, 3))
    if function == "abs":
        shapes = dict.fromkeys(("x", "y", "dy", "dx"), (1, 3))
        operands, attributes = dict(x=bad, y=bad, dy=good), dict(function=function)
        outputs = [run(backend, "unary_backward", operands, shapes, attributes, batch_size=1)["dx"]]
    else:
        shapes = dict.fromkeys(("a", "b", "y"), (1, 3))
        pairs = (dict(a=bad, b=good), dict(a=good, b=bad))
        attributes = dict(function=function)
        outputs = [run(backend, "binary_forward", pair, shapes, attributes, batch_size=1)["y"] for pair in pairs]
    assert np.all(np.isnan(outputs))


@pytest.mark.parametrize("op", ["softmax_crossentropy", "crossentropy"])
def test_a_number_that_is_no_class_costs_nothing_and_reads_nothing(op, backend):
    case = next(c for c in cases() if c.op == f"{op}_backward" and c.dtypes.get("labels") == "int32")
    operands = arrays(case)
    operands["labels"] = np.full_like(operands["labels"], 1 << 30)
    (gradient,) = run_case(case, backend, operands).values()
    assert not gradient.any()
    forward = next(c for c in cases() if c.op == f"{op}_forward" and c.dtypes.get("labels") == "int32")
    operands = arrays(forward)
    operands["labels"] = np.full_like(operands["labels"], -1)
    assert not run_case(forward, backend, operands)["loss"].any()


# ------ the compile gates, on every kernel of these ops


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", TARGETS)
def test_every_kernel_made_so_far_passes_the_gates(target):
    kernels = kernels_of_our_ops()
    assert len(kernels) > 100
    assert not [fault for k in kernels for fault in faults(k, target)]

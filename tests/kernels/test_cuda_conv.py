"""Convolution and dense kernels of the GPU on the emulated device, against the float64 reference.

The emulator raises on an access outside of an allocation, on a read of what nothing wrote (so that an output has to be
written whole) and on races, so every case here is also a test of those.
"""

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the GPU's compiler is not installed")

from fastcnn_kernels import trial
from fastcnn_kernels.api import Tensor, operations
from fastcnn_kernels.cases import Case, arrays, cases, heavy_cases
from fastcnn_kernels.conv import cuda as conv
from fastcnn_kernels.conv import cuda_product
from fastcnn_kernels.conv.geometry import Axis
from fastcnn_kernels.dense import cuda as dense
from fastcnn_kernels.device import gemm
from fastcnn_kernels.device.emulated import EmulatedDevice
from fastcnn_kernels.device.plan import CudaPlan, CudaStorage

MEMORY = 1 << 28

ONE_A_PATH = [
    "conv_forward-T3's first layer, small",  # scalar accesses
    "conv_backward-a vector of channels to a vector",  # 128-bit accesses
    "conv_forward-two slices, ragged channels",  # more columns than a tile
    "conv_backward-stride 2, asymmetric padding",  # phases, scattered
    "conv_backward-stride larger than the kernel",  # a phase without taps
    "conv_backward-dilated and strided",  # phases that skip taps
    "conv_backward-1x1 kernel",  # straight axes
    "conv_backward-three groups, strided",
    "conv_forward-depthwise",
    "conv_backward-depthwise with a multiplier",
    "conv_backward-time series",
    "conv_backward-volumes, strided and dilated",
    "conv_pool_forward-T4's layer, small",  # the fused 2x2 maximum
    "conv_pool_backward-window 3x2",
    "dense_backward-more samples than a tile",  # partial sums of db
    "dense_forward-no bias",
]


def ours() -> list[Case]:
    return [case for case in cases() if case.op.startswith(("conv_forward", "conv_backward", "conv_pool_", "dense_"))]


def chosen() -> list[Case]:
    found = {f"{case.op}-{case.reason}": case for case in ours()}
    return [found[name] for name in ONE_A_PATH]


def run(case: Case, device: EmulatedDevice | None = None, precision: str = "float32") -> tuple[dict[str, np.ndarray], CudaPlan]:
    """The outputs after two runs that must agree bit for bit, and the plan."""
    device = device or EmulatedDevice(MEMORY)
    plan, operation, operands = CudaPlan(case.batch_size, device, precision=precision), operations()[case.op], arrays(case)
    tensors: dict[str, Tensor | None] = {}
    for name in dict.fromkeys((*operation.reads, *operation.writes)):
        shape, dtype = case.shapes[name], np.dtype(case.dtypes.get(name, np.float32))
        tensors[name] = None
        if shape is not None:
            storage = CudaStorage(device, shape, dtype, name, zeroed=False)
            tensors[name] = Tensor(name, shape, dtype, "plain", storage)
            if name in operation.reads:
                storage.write(operands[name])
    plan.begin(case.op)
    getattr(dense if case.op.startswith("dense") else conv, case.op)(plan, **tensors, **case.attributes)
    plan.finalize()
    outputs = [tensors[name] for name in operation.writes if tensors[name]]
    plan.run()
    first = {tensor.name: plan.read(tensor) for tensor in outputs}
    plan.run()
    for tensor in outputs:
        assert plan.read(tensor).tobytes() == first[tensor.name].tobytes(), f"a second run changed {tensor.name}"
    return first, plan


def check(case: Case, device: EmulatedDevice | None = None, precision: str = "float32") -> CudaPlan:
    got, plan = run(case, device, precision)
    for name, want in trial.run_case(case, trial.REFERENCE).items():
        if name == "argmax":
            # Where relu is 0, no gradient flows, so that any pixel of the window may have won.
            counts = trial.run_case(case, trial.REFERENCE)["y"] > (0 if case.attributes["activation"] == "relu" else -np.inf)
            np.testing.assert_array_equal(got[name][counts], want[counts])
        else:
            np.testing.assert_allclose(got[name], want, rtol=0, atol=trial.tolerance(case, name, want, precision), err_msg=name)
    return plan


@pytest.mark.parametrize("case", chosen(), ids=str)
def test_one_case_a_path(case: Case):
    check(case)


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", [*ours(), *(c for c in heavy_cases() if c.op.startswith(("conv", "dense")))], ids=str)
def test_every_case(case: Case):
    check(case)


# ------ paths that small shapes do not choose by themselves


def tiles() -> Iterator[gemm.Tile]:
    yield from dict.fromkeys(tile for tiles in gemm.TILES.values() for tile in tiles)


def layer(channels: int, filters: int) -> dict[str, Case]:
    """A 3x3 layer with ragged rows and more filters than most tiles have columns; its two ops."""
    x, w, y = (1, 9, 8, channels), (3, 3, channels, filters), (1, 9, 8, filters)
    shapes = dict(x=x, w=w, b=(filters,), y=y, dy=y, dx=x, dw=w, db=(filters,))
    attributes = dict(strides=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1, activation="leaky_relu", alpha=0.25)
    made = {}
    for op in ("conv_forward", "conv_backward"):
        names = {*operations()[op].reads, *operations()[op].writes}
        made[op] = Case(op, "a layer", {n: s for n, s in shapes.items() if n in names}, attributes)
    return made


@pytest.mark.parametrize(
    "tile", [pytest.param(t, id=str(t), marks=[pytest.mark.exhaustive] * (t.columns < 64)) for t in tiles()]
)
@pytest.mark.parametrize("channels", [12, 7], ids=["wide", "scalar"])
def test_every_tile(tile: gemm.Tile, channels: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gemm, "TILES", {1 << 32: (tile,)})
    for case in layer(channels, 4 * channels + (channels % 4)).values():
        plan = check(case)
        assert any(str(tile) in line for line in plan.describe(0))


@pytest.mark.parametrize("op", ["conv_forward", "conv_backward"])
def test_sums_in_parts(op: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conv, "LEAST_TERMS", 30)
    monkeypatch.setattr(conv, "LEAST_PIXELS", 20)
    monkeypatch.setattr(conv, "LEAST_LINES", 1)
    plan = check(layer(12, 36)[op])
    lines = plan.describe(0)
    assert any(",split," in line for line in lines)
    assert sum("sum_parts" in line for line in lines) == (0 if op == "conv_forward" else 2)


@pytest.mark.parametrize(
    ("blocks", "terms", "most", "depth"),
    [(1, 1000, 50, 16), (100, 1000, 50, 16), (300, 1000, 50, 8), (1, 0, 1, 16), (7, 17, 2, 16)],
)
def test_parts_cover_the_sum(blocks: int, terms: int, most: int, depth: int):
    parts, span = gemm.spans(blocks, terms, most, depth)
    assert 1 <= parts <= most
    assert span % depth == 0
    assert (parts - 1) * span < max(1, terms) <= parts * span


@pytest.mark.parametrize(
    ("rows", "columns", "parts", "expected"),
    [
        (1 << 17, 64, 1, (128, 64)),  # T4's second layer
        (1 << 17, 32, 1, (128, 32)),
        (128, 1500, 16, (128, 64)),  # T4's dense layer: rows are few, but its sums are long
        (64, 64, 4, (32, 32)),
        (1 << 17, 10, 1, (64, 16)),
        (27, 32, 500, (32, 32)),  # the first layer's weight gradient: larger tiles would be half empty
    ],
)
def test_tile_for(rows: int, columns: int, parts: int, expected: tuple[int, int]):
    tile = gemm.tile_for(rows, columns, parts=parts)
    assert (tile.rows, tile.columns) == expected


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 5])
def test_phases_see_every_tap_once(kernel: int, dilation: int, stride: int):
    extent, before = 11, 2
    axis = Axis(extent, kernel, stride, dilation, before, (extent + 9 - (kernel - 1) * dilation - 1) // stride + 1)
    expected = {
        (o * stride + k * dilation - before, k, o)
        for o in range(axis.outputs) for k in range(kernel) if 0 <= o * stride + k * dilation - before < extent
    }  # fmt: skip
    found = []
    for phase in conv._phases(axis):
        for row in range(phase.walk.rows):
            for tap in range(phase.walk.taps):
                place = row * phase.walk.stride + phase.walk.first + tap * phase.walk.step
                if 0 <= place < axis.outputs:
                    found.append((phase.first + row * stride, phase.tap_0 + tap * phase.tap_step, place))
    assert sorted(found) == sorted(expected)


def test_a_nan_wins_its_window(monkeypatch: pytest.MonkeyPatch):
    case = next(c for c in ours() if str(c) == "conv_pool_forward-T4's_layer,_small")
    operands = arrays(case)
    operands["x"][0, 3, 3, 0] = np.nan
    monkeypatch.setattr(f"{__name__}.arrays", lambda case: operands)
    y = run(case)[0]["y"]
    # The 3x3 kernels that see pixel (3, 3) are those at pixels 2 to 4: windows 1 and 2.
    seen = np.zeros(y.shape, bool)
    seen[0, 1:3, 1:3] = True
    np.testing.assert_array_equal(np.isnan(y), seen)


def test_wide_layers_use_128_bit_accesses():
    wide = cuda_product.product_kernel(cuda_product.Variant(gemm.TILES[32][1], 2, True, True)).ptx()
    assert "ld.global.v4.f32" in wide
    assert "st.global.v4.f32" in wide
    assert "ld.global.f32" not in wide

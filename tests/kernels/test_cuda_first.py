"""First layers on the GPU, emulated: against the float64 reference, what they ask of memory, which shapes get the kernel, and
what ptxas makes of it."""

from math import gcd
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the GPU's compiler is not installed")

from fastcnn_kernels import trial
from fastcnn_kernels.cases import Case, cases, heavy_cases
from fastcnn_kernels.conv.cuda import Product, Walk
from fastcnn_kernels.conv.cuda_behind import Behind
from fastcnn_kernels.conv.cuda_first import NARROW, SHARED_BYTES, WIDE, Band, band_for, first_layer_kernel
from fastcnn_kernels.conv.cuda_product import Variant
from fastcnn_kernels.cuda import CudaBackend
from fastcnn_kernels.device.assembly import faults
from fastcnn_kernels.device.dry import DryDevice
from fastcnn_kernels.device.emulated import EmulatedDevice
from fastcnn_kernels.device.gemm import Tile
from fastcnn_kernels.device.kernel import TARGETS
from fastcnn_kernels.emulator import Counters, Traffic
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn import layers, models
from fastcnn.utils import set_random_seed

from .test_cuda_conv import MEMORY, check, run


def launched(case: Case, precision: str = "float32") -> list[str]:
    """The kernels of a case."""
    return [call.kernel.name for call in trial.build(case, CudaBackend(DryDevice(), precision)).plan.calls]


def first_layers() -> list[Case]:
    found = [case for case in (*cases(), *heavy_cases()) if case.op in ("conv_forward", "conv_pool_forward")]
    return [case for case in found if any("first_layer" in name for name in launched(case))]


# ------ results

PLAIN = [
    "conv_forward-two channels in bands, two tiles of filters",  # bands, the last shorter; a tile of filters that is not full
    "conv_forward-bands of a time series of one channel",  # one axis, strided
    "conv_forward-slices of a volume of four channels",  # three axes
    "conv_forward-the first layer of ResNet, small",  # scalar accesses to w and y
    "conv_pool_forward-bands of colour images",  # windows
]


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=str(c), marks=[pytest.mark.exhaustive] * (f"{c.op}-{c.reason}" not in PLAIN)) for c in first_layers()],
)
def test_against_the_reference(case: Case):
    check(case)


def test_the_plain_cases_are_cases():
    assert {f"{case.op}-{case.reason}" for case in first_layers()} >= set(PLAIN)


# ------ the rule


def layer(x: tuple[int, ...], filters: int, kernel: int = 3, stride: int = 1, pooled: bool = False, groups: int = 1) -> Case:
    """A convolution with relu, without bias, its padding that of "same" for odd kernels."""
    before = kernel // 2
    outputs = [(extent + 2 * before - kernel) // stride + 1 for extent in x[1:-1]]
    y = (x[0], *(extent // 2 if pooled else extent for extent in outputs), filters)
    rank = len(outputs)
    shapes: dict[str, Any] = dict(x=x, w=(*(kernel,) * rank, x[-1] // groups, filters), b=None, y=y)
    attributes: dict[str, Any] = dict(strides=(stride,) * rank, padding=((before, before),) * rank, dilation=(1,) * rank)
    attributes.update(groups=groups, activation="relu", alpha=0.0)
    if not pooled:
        return Case("conv_forward", "a layer", shapes, attributes)
    attributes.update(window=(2, 2))
    return Case("conv_pool_forward", "a layer", {**shapes, "argmax": y}, attributes, {"argmax": "uint8"}, "grid")


CHOSEN = {
    "one channel": (layer((2, 9, 9, 1), 8), True),
    "four channels": (layer((2, 9, 9, 4), 8), True),
    "five channels": (layer((2, 9, 9, 5), 8), False),
    "a kernel of one pixel, which shares nothing": (layer((2, 9, 9, 3), 8, kernel=1), False),
    "groups": (layer((2, 9, 9, 4), 8, groups=2), False),
    "a line of x that does not fit into shared memory": (layer((1, 9, 9000, 3), 8), False),
}


@pytest.mark.parametrize(("case", "expected"), CHOSEN.values(), ids=CHOSEN)
def test_which_layers_get_the_kernel(case: Case, expected: bool):
    assert any("first_layer" in name for name in launched(case)) == expected


def test_tensor_cores_keep_four_channels_and_the_kernel_the_rest_in_every_precision():
    for precision in ("tf32", "bfloat16"):
        assert any("first_layer" in name for name in launched(layer((2, 9, 9, 3), 8), precision))
        assert any("tensor_product" in name for name in launched(layer((2, 9, 9, 4), 8), precision))


def test_gradients_and_dense_layers_do_not_get_it():
    for case in cases():
        if case.op in ("conv_backward", "conv_pool_backward", "dense_forward", "dense_backward"):
            assert not any("first_layer" in name for name in launched(case)), case


def band(
    batch: int, x: tuple[int, int, int], filters: int, kernel: int, stride: int, before: int, pooled: bool = False
) -> Band:
    """That of a picture."""
    walks = [Walk()]
    for extent in x[:2]:
        walks.append(Walk(extent, (extent + 2 * before - kernel) // stride + 1, stride, -before, kernel, 1))
    floats = -(-kernel * kernel * x[2] // WIDE.depth) * WIDE.depth * WIDE.columns
    blocks = batch * -(-filters // WIDE.columns)
    found = band_for(walks, 2, (1, 2, 2) if pooled else (1, 1, 1), blocks, x[2], floats)
    assert found is not None
    return found


BANDS = {
    "T3's first layer: four rows of windows of thirteen": (band(64, (28, 28, 1), 32, 3, 1, 0, True), 4 * 13, 4),
    "T4's: half a picture": (band(128, (32, 32, 3), 32, 3, 1, 1), 16 * 32, 2),
    "whole samples where there are enough": (band(256, (28, 28, 1), 32, 3, 1, 0, True), 13 * 13, 1),
    "ResNet's: what fits": (band(64, (224, 224, 3), 64, 7, 2, 3), 2 * 112, 56),
    "one picture: a turn of pixels at least": (band(1, (32, 32, 3), 32, 3, 1, 1), 4 * 32, 8),
}


@pytest.mark.parametrize(("found", "units", "bands"), BANDS.values(), ids=BANDS)
def test_bands(found: Band, units: int, bands: int):
    assert (found.units, found.bands) == (units, bands)
    assert found.shared_bytes <= SHARED_BYTES


# ------ memory


def traffic(case: Case) -> tuple[list[Traffic], int]:
    """The rows of the convolution's kernel, and its blocks."""
    counters = Counters()
    _, plan = run(case, EmulatedDevice(MEMORY, counters))
    (call,) = plan.calls
    return [row for (kernel, *_), row in counters.traffic.items() if kernel == call.kernel.entry], call.grid[0]


def served(rows: list[Traffic], *beginnings: str) -> int:
    return sum(row.served for row in rows if row.text.startswith(beginnings))


def test_x_is_read_once_with_its_halo(monkeypatch: pytest.MonkeyPatch):
    """Two runs of two pictures in bands of four lines, six with their halo: w is read 16 bytes at once, so what is read
    word by word is x. Requests of 32 neighbouring floats may begin within a sector, and go on in the next line."""
    case = layer((2, 32, 32, 3), 32)
    rows, blocks = traffic(case)
    lines, sectors = blocks * 6 - 2 * 2, 32 * 3 * 4 // 32
    requests = sum(row.requests for row in rows if row.text.startswith("ld.global.f32"))
    read = served(rows, "ld.global.f32")
    assert blocks == 2 * 8
    assert 2 * lines * sectors <= read <= 2 * lines * sectors + 2 * requests
    monkeypatch.setattr(Product, "few_channels", False)
    product, _ = traffic(case)
    assert read + served(rows, "ld.global.v4") < served(product, "ld.global") / 3


def is_free_of_conflicts(case: Case) -> bool:
    """Whether eight neighbouring units are in different banks: not those that are 8 floats apart, as with four channels and a
    stride, or a window, of 2."""
    apart = case.attributes["strides"][0] * case.shapes["x"][-1] * (2 if case.op == "conv_pool_forward" else 1)
    return gcd(apart, 32) <= 4


LAYERS = [
    layer((1, 17, 18, channels), 32, stride=stride, pooled=pooled)
    for channels in (1, 2, 3, 4) for stride in (1, 2) for pooled in (False, True)
]  # fmt: skip
FREE = [case for case in LAYERS if is_free_of_conflicts(case)]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            c,
            id=f"{c.op}-{c.shapes['x'][-1]} channels-stride {c.attributes['strides'][0]}",
            marks=[pytest.mark.exhaustive] * ((c.shapes["x"][-1], c.attributes["strides"][0]) != (3, 2)),
        )
        for c in FREE
    ],
)  # fmt: skip
def test_the_main_loop_has_no_bank_conflicts(case: Case):
    """Every load of x is one wavefront, also where a warp's units go on in the next line; every load of w four, one for each
    part of the warp that 16 bytes a thread are served in. Stores of y are full sectors."""
    rows, _ = traffic(case)
    words = [row for row in rows if row.text.startswith("ld.shared.f32")]
    fours = [row for row in rows if row.text.startswith("ld.shared.v4")]
    stores = [row for row in rows if row.text.startswith("st.global.v4")]
    assert words
    assert fours
    assert stores
    assert [str(row) for row in words if row.served > row.requests] == []
    assert [str(row) for row in fours if row.served > 4 * row.requests] == []
    assert [str(row) for row in stores if row.served > row.ideal] == []


def test_most_layers_are_free_of_bank_conflicts():
    assert len(FREE) == 12


# ------ what is behind


def network() -> models.Sequential:
    """Dropout right behind a first layer; and, below a transposed convolution to three channels, whose data gradient is one
    as well, a pool with dropout, and a relu."""
    return models.Sequential(
        [
            layers.Conv2D(8, (3, 3), activation="relu", input_shape=(10, 12, 2)),
            layers.Dropout(0.25),
            layers.Conv2DTranspose(3, (2, 2)),
            layers.Conv2D(8, (2, 2), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Conv2DTranspose(3, (3, 3)),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )


def trained(backend: Any) -> tuple[float, list[np.ndarray], list[str]]:
    """Loss, weights and kernels of a step."""
    set_random_seed(3)
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", device=backend)
    rng = np.random.default_rng(0)
    x, y = rng.random((3, 10, 12, 2), dtype=np.float32), rng.integers(0, 5, 3)
    loss = model.train_on_batch(x, y)
    runtime = model._ready()
    program = runtime.programs["train"].program(3, runtime.interface.samples(x, y, None, None))
    return float(np.ravel(loss)[0]), model.get_weights(), [launch.kernel for launch in program.plan.launches]


@pytest.mark.exhaustive
def test_what_follows_a_first_layer_is_behind_it():
    loss, weights, kernels = trained(CudaBackend(EmulatedDevice(MEMORY)))
    expected, exact, _ = trained(ReferenceBackend(np.float64))
    said = " ".join(name for name in kernels if "first_layer" in name)
    assert all(word in said for word in ("2 channels", "dropped", "pooled", "unpooled", "through relu")), said
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for got, want in zip(weights, exact, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * max(0.01, np.abs(want).max()))


# ------ compile gates


KERNELS: dict[str, dict[str, Any]] = {
    "pixels": dict(axes=2, wide_out=True, bias=True, activation="relu"),
    "windows": dict(axes=2, wide_out=True, bias=True, activation="relu", pooled=True),
    "an expensive activation, scalar": dict(axes=2, wide_out=False, bias=True, activation="tanh", pooled=True),
    "time series": dict(axes=1, wide_out=False, bias=True, activation="relu"),
    "volumes": dict(axes=3, wide_out=True, bias=True, activation="relu"),
    "dropout": dict(axes=3, wide_out=True, bias=True, activation="tanh", behind=Behind(dropped=True)),
    "dropout of windows": dict(axes=2, wide_out=True, bias=True, pooled=True, behind=Behind(dropped=True)),
    "gradient": dict(axes=2, wide_out=True, behind=Behind(through="relu", unpooled=True)),
}
GATES = [(tile, channels, name) for tile in (NARROW, WIDE) for channels in (1, 2, 3, 4) for name in KERNELS]
BY_DEFAULT = [(WIDE, 1, "windows"), (WIDE, 3, "pixels"), (WIDE, 4, "dropout")]
"""T3's and T4's first layers, and the longest."""


@pytest.mark.parametrize(
    ("tile", "channels", "name"),
    [pytest.param(*g, id="-".join(map(str, g)), marks=[pytest.mark.exhaustive] * (g not in BY_DEFAULT)) for g in GATES],
)
def test_gates(tile: Tile, channels: int, name: str):
    kernel = first_layer_kernel(Variant(tile, wide_in=False, **KERNELS[name]), channels)
    assert not [fault for target in TARGETS for fault in faults(kernel, target)]

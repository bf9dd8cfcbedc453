"""Convolutions whose pixels stay in shared memory, emulated: which products are computed so, that results are exact where
numbers are, that what is behind a product works as behind cuda_tensor's, what they ask of memory, what ptxas makes of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the GPU's compiler is not installed")

from fastcnn_kernels import trial
from fastcnn_kernels.cases import Case, _conv, arrays
from fastcnn_kernels.conv import cuda as conv
from fastcnn_kernels.conv import cuda_resident
from fastcnn_kernels.conv.cuda import Walk
from fastcnn_kernels.conv.cuda_behind import Behind
from fastcnn_kernels.conv.cuda_product import Variant
from fastcnn_kernels.conv.cuda_resident import Images, Resident, resident_for, resident_kernel
from fastcnn_kernels.cuda import CudaBackend
from fastcnn_kernels.device import tensor
from fastcnn_kernels.device.assembly import disassemble, faults
from fastcnn_kernels.device.dry import DryDevice
from fastcnn_kernels.device.emulated import EmulatedDevice
from fastcnn_kernels.device.gemm import Tile
from fastcnn_kernels.device.plan import CudaPlan
from fastcnn_kernels.emulator import Counters

from fastcnn import layers, models, optimizers
from fastcnn.utils import set_random_seed

from .test_cuda_conv import MEMORY, check, run

FORWARD, BACKWARD = range(2)
PRECISIONS = ("tf32", "bfloat16")


def conv_case(op: int, x: tuple[int, ...], filters: int, kernel: tuple[int, int], **attributes: Any) -> Case:
    return list(_conv("a layer", x, filters, kernel, **attributes))[op]


def resident(plan: CudaPlan) -> list[str]:
    """The launches with resident pixels, as they are printed."""
    return [line for line in plan.describe(0) if line.startswith("conv.resident_tensor_product")]


def launched(case: Case, precision: str) -> list[str]:
    """The names of a case's kernels."""
    return [call.kernel.name for call in trial.build(case, CudaBackend(DryDevice(), precision)).plan.calls]


TILES = list(dict.fromkeys(tile for tiles in tensor.TILES.values() for tile in tiles))
SMALLER = [tile for tile in TILES if tile.columns == 32 and tile.rows > 32]
"""What the tutorials' layers get."""


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch):
    """The rule, as if a few blocks filled the GPU."""
    monkeypatch.setattr(cuda_resident, "ENOUGH", 1)
    monkeypatch.setattr(cuda_resident, "TILES", SMALLER)


# ------ the rule

T3_SECOND = dict(x=(64, 13, 13, 32), filters=64, kernel=(3, 3), activation="relu", pool=(2, 2))
T4_SECOND = dict(x=(128, 32, 32, 32), filters=64, kernel=(3, 3), padding="same", activation="relu", pool=(2, 2))
T4_THIRD = dict(x=(128, 16, 16, 64), filters=128, kernel=(3, 3), padding="same", activation="relu", pool=(2, 2))
T4_FOURTH = dict(x=(128, 8, 8, 128), filters=128, kernel=(2, 2), padding="same", activation="relu", pool=(2, 2))


@pytest.mark.parametrize(
    ("op", "shape", "expected"),
    [
        (FORWARD, T3_SECOND, "128x32"),  # a whole sample
        (BACKWARD, T3_SECOND, "64x32"),  # a third of one, with the lines around it
        (FORWARD, T4_FOURTH, "64x32"),
        (BACKWARD, T4_FOURTH, "64x32"),
        (FORWARD, {**T3_SECOND, "x": (4, 13, 13, 32)}, ""),  # too few samples to fill a GPU
        (FORWARD, {**T3_SECOND, "strides": 2}, ""),
        (FORWARD, {**T3_SECOND, "kernel": (1, 1)}, ""),  # every pixel is met once
        (FORWARD, {**T3_SECOND, "groups": 2}, ""),
        (FORWARD, {**T4_FOURTH, "x": (128, 8, 8, 192)}, ""),  # a sample has no room
        (FORWARD, T4_SECOND, ""),  # large
        (FORWARD, T4_THIRD, ""),  # tiles that have room would read more weights than is saved
        (BACKWARD, T4_THIRD, ""),
    ],
)
def test_rule(op: int, shape: dict[str, Any], expected: str):
    names = launched(conv_case(op, **shape), "tf32")
    assert [f",{expected}x16," in name for name in names if "resident" in name] == [True] * bool(expected)


def test_float32_and_narrow_channels_are_as_before():
    for shape, precision in ((T3_SECOND, "float32"), ({**T3_SECOND, "x": (64, 13, 13, 30)}, "tf32")):
        assert not [name for name in launched(conv_case(FORWARD, **shape), precision) if "resident" in name]


def shapes() -> Iterator[Images]:
    for extent in range(3, 17):
        for channels in (8, 16, 24, 32, 64):
            for rows, first, step in ((extent, -1, 1), (extent - 2, 0, 1), (extent + 2, 0, -1), (extent, -2, 2)):
                walk = Walk(extent, rows, 1, first, 3, step)
                for pooled in (False, True)[: 2 - rows % 2]:
                    yield Images(64, walk, walk, channels, 64, pooled)


@pytest.mark.parametrize("tile", TILES, ids=str)
def test_eight_rows_lie_in_different_banks_and_all_of_them_in_shared_memory(tile: Tile):
    """But for two windows over the end of a line."""
    line_of = cuda_resident.line_in
    for images in shapes():
        way = Resident(images, tile)
        windows = images.across.rows // (1 + images.pooled)
        for first in range(0, images.rows, tile.rows):
            rows = range(first, min(first + tile.rows, images.rows))
            places = [line_of(images.pooled).py_func(m, windows) for m in rows]
            top = places[0][0]
            last = max(h for h, _ in places) - top + abs(images.down.step) * 2
            assert last < way.lines
            chunks = np.array([(h - top) * way.apart + v * way.pitch for h, v in places])
            for eight in range(0, len(rows) - 7, 8):
                over_the_end = places[eight][0] // 2 != places[eight + 7][0] // 2
                if not (images.pooled and over_the_end):
                    assert len(set(chunks[eight : eight + 8] % 8)) == 8


# ------ results

LAYERS = {
    "T3's second": dict(x=(2, 13, 13, 32), filters=64, kernel=(3, 3), activation="relu", pool=(2, 2)),
    "T4's fourth": dict(x=(1, 8, 8, 128), filters=64, kernel=(2, 2), padding="same", activation="relu", pool=(2, 2)),
    "several tiles, same": dict(x=(2, 11, 12, 8), filters=64, kernel=(3, 3), padding="same", activation="relu"),
    "steps of several taps, dilated": dict(x=(3, 9, 7, 12), filters=36, kernel=(3, 2), padding="same", dilation=2),
    "one vector of channels": dict(x=(2, 10, 9, 4), filters=32, kernel=(3, 3), activation="relu"),
    "asymmetric": dict(x=(2, 6, 9, 16), filters=32, kernel=(2, 3), padding=((0, 2), (1, 0))),
    "strided, whose gradient's phases are not": dict(x=(2, 12, 12, 16), filters=32, kernel=(4, 4), strides=2, padding="same"),
    "a kernel larger than the image": dict(x=(3, 6, 7, 16), filters=32, kernel=(9, 9), padding="same"),
    "no bias": dict(x=(2, 8, 8, 16), filters=32, kernel=(3, 3), padding="same", absent=("b", "db")),
}
ONCE = {
    ("T3's second", FORWARD): "tf32",
    ("several tiles, same", BACKWARD): "tf32",
    ("one vector of channels", FORWARD): "bfloat16",
}
"""What is run by default."""
ALL = [
    pytest.param(name, op, precision, marks=[] if ONCE.get((name, op)) == precision else [pytest.mark.exhaustive])
    for name in LAYERS for op in (FORWARD, BACKWARD) for precision in PRECISIONS
]  # fmt: skip


@pytest.mark.parametrize(("name", "op", "precision"), ALL)
def test_results_are_exact_where_numbers_are(small_batches: None, name: str, op: int, precision: str):
    case = conv_case(op, **LAYERS[name], numbers="grid")
    got, plan = run(case, precision=precision)
    assert bool(resident(plan)) == (not name.startswith("strided") or op == BACKWARD)
    for output, want in trial.run_case(case, trial.REFERENCE).items():
        np.testing.assert_array_equal(got[output], want, output)


@pytest.mark.parametrize("precision", [PRECISIONS[0], pytest.param(PRECISIONS[1], marks=pytest.mark.exhaustive)])
def test_results_are_within_the_precision_s_bound(small_batches: None, precision: str):
    for op in (FORWARD, BACKWARD):
        assert resident(check(conv_case(op, (2, 8, 7, 24), 32, (3, 3), padding="same"), precision=precision))


def test_terms_beyond_the_last_change_nothing(small_batches: None):
    """They would meet the first tap: infinities times their zeros would be no numbers."""
    case = conv_case(FORWARD, **LAYERS["one vector of channels"])
    operands = arrays(case)
    operands["x"][0], operands["w"] = np.inf, np.abs(operands["w"]) + 1
    y = trial.run_case(case, CudaBackend(EmulatedDevice(MEMORY), "bfloat16"), operands)["y"]
    assert (y[0] == np.inf).all()
    assert np.isfinite(y[1]).all()


def trained(precision: str) -> tuple[list[np.ndarray], list[str]]:
    """Weights after a step with dropout, pools and activations behind products, and the names of the launches."""
    set_random_seed(3)
    model = models.Sequential(
        [
            layers.Conv2D(32, (3, 3), activation="relu", input_shape=(20, 19, 4)),
            layers.MaxPooling2D((2, 2)),  # a column of the convolution's is left over
            layers.Dropout(0.25),
            layers.Conv2D(32, (3, 3), padding="same", activation="leaky_relu"),
            layers.Conv2D(36, (2, 2), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    backend = CudaBackend(EmulatedDevice(MEMORY), precision)
    model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy", device=backend)
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 20, 19, 4), dtype=np.float32), rng.integers(0, 5, 2)
    model.train_on_batch(x, y)
    runtime = model._ready()
    plan = runtime.programs["train"].program(len(x), runtime.interface.samples(x, y, None, None)).plan
    return model.get_weights(), [launch.kernel for launch in plan.launches]


@pytest.mark.exhaustive
def test_what_is_behind_them_is_bit_for_bit_that_of_products_in_steps(monkeypatch: pytest.MonkeyPatch):
    """Terms are added in the same order, where sums are not in parts."""
    monkeypatch.setattr(conv, "LEAST_TERMS", 1 << 20)
    expected, names = trained("tf32")
    assert not [name for name in names if "resident" in name]
    monkeypatch.setattr(cuda_resident, "ENOUGH", 1)
    monkeypatch.setattr(cuda_resident, "TILES", SMALLER)
    got, names = trained("tf32")
    said = {word for name in names if "resident" in name for word in name.split(",")}
    assert {"pooled", "dropped", "unpooled", "through relu", "through leaky_relu", "transposed"} <= said
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ------ memory


def copied(case: Case, enough: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Counters]:
    """Bytes of the sectors that the product copies, and all that was counted in two runs."""
    monkeypatch.setattr(cuda_resident, "ENOUGH", enough)
    monkeypatch.setattr(cuda_resident, "TILES", SMALLER)
    counters = Counters()
    _, plan = run(case, EmulatedDevice(MEMORY, counters), "tf32")
    assert bool(resident(plan)) == (enough == 1)
    rows = [row for (kernel, *_), row in counters.traffic.items() if "gradient" not in kernel and row.space == "global"]
    return sum(32 * row.served for row in rows if row.text.startswith("cp.async")) // 2, counters


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("T3's second", FORWARD),
        pytest.param("T3's second", BACKWARD, marks=pytest.mark.exhaustive),
        pytest.param("T4's fourth", FORWARD, marks=pytest.mark.exhaustive),
        pytest.param("T4's fourth", BACKWARD, marks=pytest.mark.exhaustive),
    ],
)
def test_copies_are_counted_truly_fewer_and_free_of_conflicts(name: str, op: int, monkeypatch: pytest.MonkeyPatch):
    """Of both kernels the rule knows the bytes; in these layers every sector that is read is read whole, and every eight rows
    come without a conflict, but for two windows over the end of a line."""
    monkeypatch.setattr(conv, "LEAST_TERMS", 1 << 20)
    chosen: dict[str, Any] = {}

    def noted(images: Images, tile: Tile, parts: int) -> Resident | None:
        chosen.update(steps=images.bytes_in_steps(tile, parts), images=images, way=resident_for(images, tile, parts))
        return chosen["way"]

    monkeypatch.setattr(conv, "resident_for", noted)
    case = conv_case(op, **LAYERS[name])
    in_steps, _ = copied(case, 1 << 20, monkeypatch)
    assert in_steps == chosen["steps"]
    at_once, counters = copied(case, 1, monkeypatch)
    assert at_once <= chosen["way"].bytes < in_steps
    rows = [row for (kernel, *_), row in counters.traffic.items() if "resident" in kernel]
    reads = [row for row in rows if row.text.startswith("ldmatrix")]
    over_the_end = 5 if name == "T3's second" and op == FORWARD else 4
    assert len(reads) >= 2
    assert sum(row.served for row in reads) <= over_the_end * sum(row.requests for row in reads)
    assert [str(row) for row in rows if row.text.startswith("cp") and row.space == "global" and row.served > row.ideal] == []


@pytest.mark.parametrize("channels", [8, pytest.param(24, marks=pytest.mark.exhaustive)])
def test_no_bank_conflicts_and_full_sectors(small_batches: None, channels: int):
    """Of every access to shared memory, and of every copy and store, where lines are of eight rows."""
    for op in (FORWARD, BACKWARD):
        counters = Counters()
        run(conv_case(op, (2, 9, 8, channels), 32, (3, 3), padding="same"), EmulatedDevice(MEMORY, counters), "tf32")
        rows = [row for (kernel, *_), row in counters.traffic.items() if "resident" in kernel]
        rows = [row for row in rows if not row.text.startswith("ld.global")]
        assert {row.text.split(".")[0] for row in rows} >= {"cp", "ldmatrix", "st"}
        # Rows beyond the last are the last again: four matrices take four wavefronts, though they have fewer numbers.
        whole = {id(row): 4 * row.requests for row in rows if row.text.startswith(("ldmatrix", "ld.shared.v4", "cp."))}
        assert [str(row) for row in rows if row.served > max(row.ideal, whole.get(id(row), 0))] == []


# ------ compile gates

KERNELS: dict[str, dict[str, Any]] = {
    "forward": dict(pooled=True, bias=True, activation="relu", behind=Behind(dropped=True)),
    "expensive activation": dict(bias=True, activation="tanh"),
    "data gradient": dict(transposed=True, behind=Behind(through="relu", unpooled=True)),
    "strided data gradient": dict(transposed=True, scattered=True),
}
GATES = [(tile, precision, name) for tile in TILES for precision in PRECISIONS for name in KERNELS]


@pytest.mark.parametrize(
    ("tile", "precision", "name"),
    [
        pytest.param(*gate, id="-".join(map(str, gate)), marks=[] if (str(gate[0]), *gate[1:]) in (
            ("64x32x16", "tf32", "forward"), ("64x32x16", "bfloat16", "data gradient")) else [pytest.mark.exhaustive])
        for gate in GATES
    ],
)  # fmt: skip
def test_gates(tile: Tile, precision: str, name: str):
    variant = Variant(tile, 2, wide_in=True, wide_out=True, precision=precision, **KERNELS[name])
    kernel = resident_kernel(variant, 3)
    assert kernel.targets == ("sm_80", "sm_90a")
    assert not [fault for target in kernel.targets for fault in faults(kernel, target)]


def test_the_machine_code_multiplies_what_it_copied_asynchronously():
    tile = next(tile for tile in TILES if str(tile) == "64x32x16")
    kernel = resident_kernel(Variant(tile, 2, True, True, precision="tf32", **KERNELS["forward"]), 3)
    sass = disassemble(kernel.ptx(), "sm_80")
    assert all(word in sass for word in ("HMMA.1688.F32.TF32", "LDGSTS.E.BYPASS.128", "LDSM.16.M88.4"))


def test_a_changed_epilogue_is_another_kernel():
    variant = Variant(TILES[0], 2, True, True, precision="tf32")
    assert resident_kernel(variant, 2) is resident_kernel(replace(variant), 2) is not resident_kernel(variant, 3)

"""Augmentation: what is drawn has the same bits on every backend, follows its formulas, and is distributed as it should be.

That every backend does the same to pictures is for test_backends.py and test_cuda_ops.py; here the reference itself is held
against slow twins in float64.
"""

import math
from typing import Any

import numpy as np
import pytest
from fastcnn_kernels.api import FILL_MODES, INTERPOLATIONS, Scalars
from fastcnn_kernels.augment.geometry import LIMIT, ONE, TURN, functions
from fastcnn_kernels.augment.reference import draws
from fastcnn_kernels.cases import scalars
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.reference import ReferenceBackend
from fastcnn_kernels.trial import run

SEEDS = [(0, 0, 1), (2**40 + 7, 5, 11), (2**32 - 1, 2**31 + 1, 2)]
MANY = 4096
NUMBER, DRAWN, COMPOSED, BOX = functions(lambda function: function)
TRANSFORMS = {
    "flip": dict(transform="flip", low=(0.0, 0.0), high=(1.0, 1.0)),
    "translation": dict(transform="translation", low=(-3.2, -1.5), high=(3.2, 0.5)),
    "crop": dict(transform="crop", low=(-2.5, -2.0), high=(3.5, 3.0)),
    "rotation": dict(transform="rotation", low=(-1.0,), high=(1.0,)),
    "zoom": dict(transform="zoom", low=(0.5,), high=(2.0,)),
}


def emulated() -> Any:
    pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    from fastcnn_kernels.cuda import CudaBackend
    from fastcnn_kernels.device.emulated import EmulatedDevice

    return CudaBackend(EmulatedDevice(1 << 28))


BACKENDS = {"reference": lambda: ReferenceBackend(np.float32), "cpu": CpuBackend, "emulated": emulated}


def drawn(backend: Any, op: str, width: tuple, count: int = 300, key: tuple = SEEDS[1], **attributes: Any) -> np.ndarray:
    """What `op` draws for `count` samples: y (count, *width)."""
    seed, step, op_id = key
    before = {"before": attributes.pop("before", None)} if op == "random_affine" else {}
    operands = dict(scalars=scalars(seed=seed, step=step), **before)
    shapes = {name: None if array is None else array.shape for name, array in operands.items()} | dict(y=(count, *width))
    dtypes = dict(scalars="int64", before="int32", **({} if op == "random_uniform" else dict(y="int32")))
    options = dict(dict(op_id=op_id, seed=None), **attributes)
    return run(backend, op, operands, shapes, options, dtypes=dtypes, batch_size=count)["y"]


def affine(backend: Any, name: str, **options: Any) -> np.ndarray:
    return drawn(backend, "random_affine", (6,), **TRANSFORMS[name], **options)


def boxes(backend: Any, count: int = 300, **attributes: Any) -> np.ndarray:
    chosen = dict(size=(40, 30), scale=(0.02, 0.33), probability=(0.0, 1.0)) | attributes
    return drawn(backend, "random_box", (4,), count, **chosen)


# ------ the same bits everywhere


@pytest.mark.parametrize("key", SEEDS)
@pytest.mark.parametrize("name", ["cpu", "emulated"])
def test_what_is_decided_is_decided_alike(name, key):
    backend, reference = BACKENDS[name](), BACKENDS["reference"]()
    for seed in (None, 2**31 + 3):
        own = dict(key=key, seed=seed)
        before = affine(reference, "rotation", **own)
        for transform in TRANSFORMS:
            np.testing.assert_array_equal(affine(backend, transform, **own), affine(reference, transform, **own))
            behind = affine(backend, transform, before=before, **own)
            np.testing.assert_array_equal(behind, affine(reference, transform, before=before, **own))
        np.testing.assert_array_equal(boxes(backend, **own), boxes(reference, **own))
        numbers = [drawn(b, "random_uniform", (), low=-1.0, high=3.0, **own) for b in (backend, reference)]
        np.testing.assert_allclose(*numbers, rtol=3e-7)


@pytest.mark.parametrize("name", ["cpu", "emulated"])
def test_noise_is_drawn_alike_and_rectangles_erase_the_same_pixels(name):
    shape = (9, 12, 11, 3)
    where = boxes(BACKENDS["reference"](), 9, size=shape[1:3])
    operands = dict(x=np.full(shape, 2.0), boxes=where, scalars=scalars(seed=7, step=3))
    shapes = {key: array.shape for key, array in operands.items()} | dict(y=shape)
    attributes = dict(fill=None, low=-9.0, high=1.0, op_id=4, seed=None)
    dtypes = dict(scalars="int64", boxes="int32")
    here, there = (
        run(backend, "erase", operands, shapes, attributes, dtypes=dtypes, batch_size=9)["y"]
        for backend in (BACKENDS[name](), BACKENDS["reference"]())
    )
    np.testing.assert_array_equal(here == 2, there == 2)
    assert 0.02 < np.mean(here != 2) < 0.4
    np.testing.assert_allclose(here, there, rtol=3e-7)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_sample_has_its_numbers_whatever_the_batch_and_a_seed_replaces_that_of_the_scalars(name):
    backend = BACKENDS[name]()
    np.testing.assert_array_equal(affine(backend, "zoom", count=5), affine(backend, "zoom", count=21)[:5])
    one, other = (affine(backend, "zoom", key=(seed, 5, 11), seed=8) for seed in (1, 2))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, affine(backend, "zoom", key=(8, 5, 11)))
    assert not np.array_equal(one, affine(backend, "zoom", key=(8, 6, 11)))
    assert not np.array_equal(one, affine(backend, "zoom", key=(8, 5, 12)))


# ------ integers against the formulas


def sine(turn: np.ndarray) -> np.ndarray:
    """The sine inside of a rotation's map."""
    return np.asarray(DRAWN(3, turn, 0)[1])


def test_the_sine_is_within_a_unit_and_exact_at_quarters():
    turn = np.concatenate([np.arange(-8, 9) * (TURN // 8), np.random.default_rng(0).integers(-2 * TURN, 2 * TURN, 10_000)])
    exact = ONE * np.sin(2 * np.pi * turn / TURN)
    assert np.abs(sine(turn) - exact).max() < 1
    np.testing.assert_array_equal(sine(np.arange(-4, 5) * (TURN // 4)), ONE * np.array([0, 1, 0, -1, 0, 1, 0, -1, 0]))


def test_maps_follow_each_other_as_matrices_do():
    rng = np.random.default_rng(1)
    maps = rng.uniform(-2, 2, (2, 500, 6)) * np.tile([ONE, ONE, 20 * 2**17], 2)
    first, second = (tuple(m.T.astype(np.int64)) for m in maps)
    (a, b, s, c, d, t), (a2, b2, s2, c2, d2, t2) = first, second
    expected = [a * a2 + b * c2, a * b2 + b * d2, a * s2 + b * t2, c * a2 + d * c2, c * b2 + d * d2, c * s2 + d * t2]
    expected = [e / ONE + offset for e, offset in zip(expected, (0, 0, s, 0, 0, t), strict=True)]
    for got, wanted in zip(COMPOSED(first, second), expected, strict=True):
        assert np.abs(got - wanted).max() <= 0.5
    identity = (ONE, 0, 0, 0, ONE, 0)
    np.testing.assert_array_equal(COMPOSED(first, identity), first)
    np.testing.assert_array_equal(COMPOSED(identity, first), first)


def test_maps_stop_at_their_limit_instead_of_wrapping_round():
    large = np.array([LIMIT] * 6)
    assert max(np.max(np.abs(entry)) for entry in COMPOSED(tuple(large), tuple(-large))) <= LIMIT


def test_rectangles_are_those_of_real_arithmetic():
    u = np.random.default_rng(2).integers(0, 1 << 24, (6, 2000))
    low, high = 0.02, 0.33
    got = np.stack(BOX(40, 30, round(low * 2**32), round((high - low) * 2**32), 1 << 24, 0, *u))
    for k, extent in enumerate((40, 30)):
        length = np.sqrt(low + (high - low) * u[k] / 2**24) * extent
        start = u[2 + k] / 2**24 * (extent - length)
        # Where a side lies within a whole pixel's rounding error, either pixel is right.
        assert np.all((np.ceil(start - 1e-3) <= got[2 * k]) & (got[2 * k] <= np.ceil(start + 1e-3)))
        assert np.all((np.ceil(start + length - 1e-3) <= got[2 * k + 1]) & (got[2 * k + 1] <= np.ceil(start + length + 1e-3)))


# ------ pictures against a slow twin

PADDING = dict(constant="constant", nearest="edge", reflect="symmetric", wrap="wrap")


def twin(x: np.ndarray, matrix: np.ndarray, size: tuple[int, int], interpolation: str, fill_mode: str) -> np.ndarray:
    """x (H, W, C) through (a, b, s, c, d, t) in real numbers, pixel by pixel of a picture that is continued by NumPy."""
    border, y = 40, np.empty((*size, x.shape[-1]))
    options: Any = dict(constant_values=0.5) if fill_mode == "constant" else {}
    large = np.pad(x, ((border, border), (border, border), (0, 0)), PADDING[fill_mode], **options)
    a, b, s, c, d, t = matrix
    for row, column in np.ndindex(size):
        v, h = 2 * row + 1 - size[0], 2 * column + 1 - size[1]
        place = [(a * v + b * h + s + x.shape[0] - 1) / 2 + border, (c * v + d * h + t + x.shape[1] - 1) / 2 + border]
        if interpolation == "nearest":
            y[row, column] = large[math.floor(place[0] + 0.5), math.floor(place[1] + 0.5)]
            continue
        (i, j), (p, q) = (math.floor(n) for n in place), (n - math.floor(n) for n in place)
        y[row, column] = (1 - p) * (1 - q) * large[i, j] + (1 - p) * q * large[i, j + 1]
        y[row, column] += p * (1 - q) * large[i + 1, j] + p * q * large[i + 1, j + 1]
    return y


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_pictures_are_sampled_where_their_maps_say(interpolation, fill_mode):
    rng, count = np.random.default_rng(3), 6
    x = rng.standard_normal((count, 7, 5, 2))
    matrices = np.tile([1, 0, 0, 0, 1, 0], (count, 1)) + rng.uniform(-1, 1, (count, 6)) * np.tile([0.8, 0.8, 12], 2)
    maps = np.round(matrices * np.tile([ONE, ONE, 2**16], 2)).astype(np.int32)
    operands = dict(x=x, maps=maps)
    shapes = dict(x=x.shape, maps=maps.shape, y=(count, 6, 8, 2))
    attributes = dict(interpolation=interpolation, fill_mode=fill_mode, fill_value=0.5)
    backend, dtypes = ReferenceBackend(np.float64), dict(maps="int32")
    y = run(backend, "affine_sample", operands, shapes, attributes, dtypes=dtypes, batch_size=count)["y"]
    exact = maps / np.tile([ONE, ONE, 2**16], 2)
    for n in range(count):
        np.testing.assert_allclose(y[n], twin(x[n], exact[n], (6, 8), interpolation, fill_mode), atol=1e-6)


# ------ distributions, within four standard deviations of what independent numbers do


def test_draws_are_uniform_and_independent_of_each_other():
    u = draws(scalars(seed=3, step=1), MANY, 5, None) / 2**24
    assert u.shape == (8, MANY)
    assert np.abs(u.mean(axis=1) - 0.5).max() < 4 / np.sqrt(12 * MANY)
    correlations = np.corrcoef(u) - np.eye(8)
    assert np.abs(correlations).max() < 4.5 / np.sqrt(MANY)


def test_half_of_the_pictures_are_flipped_along_each_axis():
    maps = affine(BACKENDS["cpu"](), "flip", count=MANY)
    assert np.isin(maps[:, [0, 4]], (-ONE, ONE)).all()
    assert not maps[:, [1, 2, 3, 5]].any()
    assert np.abs((maps[:, [0, 4]] < 0).mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(MANY)


def test_every_window_is_as_likely():
    maps = affine(BACKENDS["cpu"](), "crop", count=MANY)
    for column, places in ((2, 6), (5, 5)):
        offsets, counts = np.unique(maps[:, column] / 2**17, return_counts=True)
        np.testing.assert_array_equal(offsets, np.arange(places) - (places - 1) / 2)
        assert np.abs(counts - MANY / places).max() < 4 * np.sqrt(MANY / places)


@pytest.mark.parametrize(("name", "columns"), [("translation", (2, 5)), ("zoom", (0, 4))])
def test_other_numbers_are_uniform_in_their_range(name, columns):
    maps = affine(BACKENDS["cpu"](), name, count=MANY) / np.tile([ONE, ONE, 2**17], 2)
    ranges = {"translation": [(-3.2, 3.2), (-0.5, 1.5)], "zoom": [(0.5, 2.0)] * 2}[name]
    for column, (low, high) in zip(columns, ranges, strict=True):
        values = maps[:, column]
        assert low - 1e-5 <= values.min() < low + (high - low) * 0.01
        assert high - (high - low) * 0.01 < values.max() <= high + 1e-5
        assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * MANY)


def test_a_zoom_of_one_number_keeps_the_proportions():
    maps = affine(BACKENDS["cpu"](), "zoom")
    np.testing.assert_array_equal(maps[:, 0], maps[:, 4])
    two = drawn(BACKENDS["cpu"](), "random_affine", (6,), transform="zoom", low=(0.5, 0.5), high=(2.0, 2.0))
    assert not np.array_equal(two[:, 0], two[:, 4])


def test_rectangles_come_with_their_probability_and_have_their_area():
    found = boxes(BACKENDS["cpu"](), MANY, size=(100, 100))
    there = found.any(axis=1)
    assert abs(there.mean() - 0.5) < 4 * 0.5 / np.sqrt(MANY)
    top, bottom, left, right = found[there].T
    assert (top.min() >= 0) & (left.min() >= 0) & (bottom.max() <= 100) & (right.max() <= 100)
    for sides in (bottom - top, right - left):
        assert abs(np.mean((sides / 100.0) ** 2) - (0.02 + 0.33) / 2) < 0.01
    whole = boxes(BACKENDS["cpu"](), 5, scale=(1.0, 1.0), probability=(1.0, 1.0))
    np.testing.assert_array_equal(whole, [[0, 40, 0, 30]] * 5)
    assert not boxes(BACKENDS["cpu"](), probability=(0.0, 0.0)).any()


def test_noise_is_normal():
    shape = (4, 50, 50, 3)
    operands = dict(x=np.zeros(shape), boxes=np.tile([0, 50, 0, 50], (4, 1)), scalars=scalars(seed=1))
    shapes = dict(x=shape, boxes=(4, 4), scalars=(Scalars.COUNT,), y=shape)
    attributes = dict(fill=None, low=-1000.0, high=100.0, op_id=4, seed=None)
    dtypes = dict(scalars="int64", boxes="int32")
    y = run(CpuBackend(), "erase", operands, shapes, attributes, dtypes=dtypes, batch_size=4)["y"] / 100
    for z in (-2, -1, -0.5, 0, 0.5, 0.99):
        assert abs(np.mean(y < z) - (1 + math.erf(z / math.sqrt(2))) / 2) < 0.01, z
    assert y.max() == 1
    assert abs(np.corrcoef(y[:, :, :-1].ravel(), y[:, :, 1:].ravel())[0, 1]) < 0.03


# ------ the compile gates, on the kernels for pictures of three channels


@pytest.mark.parametrize("target", ["sm_75", "sm_80", "sm_90a"])
def test_kernels_for_colour_pictures_pass_the_gates(target):
    pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")
    from fastcnn_kernels.augment import cuda
    from fastcnn_kernels.device.assembly import faults

    kernels = [
        cuda.random_affine_kernel(True), cuda.random_box_kernel(), cuda.affine_sample_kernel("bilinear", "reflect", 1),
        cuda.affine_sample_kernel("bilinear", "constant", 1), cuda.adjust_kernel(True, 1), cuda.erase_kernel(True),
    ]  # fmt: skip
    assert not [fault for kernel in kernels for fault in faults(kernel, target)]

"""Minimal filtering: its matrices, its kernels against the float64 reference wherever they are possible, its error bounds."""

import inspect
import math

import numpy as np
import pytest
from fastcnn_kernels.cases import Case, cases
from fastcnn_kernels.conv import polyphase, winograd
from fastcnn_kernels.conv.filtering import MOST, Filtering
from fastcnn_kernels.conv.geometry import convolution
from fastcnn_kernels.cpu import CONV_ALGORITHMS, CpuBackend
from fastcnn_kernels.host.guarded import GuardedBackend
from fastcnn_kernels.host.runner import kernel
from fastcnn_kernels.trial import REFERENCE, build, run, run_case

ALL = [Filtering(m, r) for r in range(1, MOST) for m in range(1, MOST + 2 - r)]
CONVOLUTIONS = [case for case in cases() if case.op.startswith("conv_")]
BOUNDS = {"winograd2": 5e-6, "winograd4": 5e-5}
"""Largest error over the largest element, of a gradient; a convolution itself stays below a fifth of it."""


@pytest.mark.parametrize("filtering", ALL, ids=str)
def test_filtering_is_correlation_and_its_adjoints_are_the_gradients(filtering: Filtering):
    rng, f = np.random.default_rng(0), filtering
    d, g, dy = (rng.normal(size=n) for n in (f.alpha, f.r, f.m))
    np.testing.assert_allclose(f.a.T @ ((f.g @ g) * (f.b.T @ d)), np.correlate(d, g), atol=1e-12)
    np.testing.assert_allclose(f.g.T @ ((f.a @ dy) * (f.b.T @ d)), np.correlate(d, dy), atol=1e-12)
    np.testing.assert_allclose(f.b @ ((f.g @ g) * (f.a @ dy)), np.convolve(dy, g), atol=1e-12)


def error(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the largest element."""
    return float(np.abs(got - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("algorithm", BOUNDS)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_forced_filtering_agrees_with_the_reference(case: Case, algorithm: str):
    expected, got = run_case(case, REFERENCE), run_case(case, CpuBackend(algorithm))
    for name, value in expected.items():
        if name == "argmax":
            # Rounding decides between values that are equal but for it.
            assert np.mean(got[name] != value) < 0.01
        elif value is not None:
            np.testing.assert_allclose(got[name], value, rtol=0, atol=BOUNDS[algorithm] * max(1e-30, np.abs(value).max()))


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_filtering_keeps_to_its_memory(case: Case):
    expected, got = run_case(case, CpuBackend("winograd4")), run_case(case, GuardedBackend("winograd4"))
    for name, value in expected.items():
        assert value is None or got[name].tobytes() == value.tobytes(), f"{name} depends on padding or on what memory held"


SHAPES = {
    "the tutorial's first network, whose tiles hang over": ((20, 13, 13, 32), (3, 3, 32, 64), 0),
    "its last layer, one tile of 3x3": ((20, 5, 5, 64), (3, 3, 64, 64), 0),
    "the tutorial's second network": ((9, 16, 16, 64), (3, 3, 64, 128), 1),
    "long sums": ((3, 14, 14, 256), (3, 3, 256, 64), 1),
    "ragged channels in both directions": ((11, 9, 17, 21), (3, 3, 21, 50), 1),
    "an even kernel": ((9, 8, 8, 32), (2, 2, 32, 48), 0),
    "a large kernel": ((9, 9, 9, 16), (5, 5, 16, 32), 2),
    "a kernel of four": ((9, 9, 9, 16), (4, 4, 16, 16), 1),
    "a kernel of seven": ((9, 12, 10, 32), (7, 7, 32, 16), 3),
    "rows only": ((9, 6, 11, 16), (1, 3, 16, 32), 0),
    "one axis": ((9, 40, 16), (3, 16, 32), 0),
    "one axis of five taps": ((9, 40, 16), (5, 16, 32), 2),
    "planes, as many channels as they see": ((3, 6, 10, 9, 16), (3, 3, 3, 16, 40), 1),
    "two planes, two panels": ((5, 5, 7, 11, 80), (2, 3, 3, 80, 20), 0),
    "a photograph, stride 2": ((4, 56, 50, 3), (7, 7, 3, 32), 3, 2),
    "a photograph, stride 4": ((4, 63, 63, 3), (11, 11, 3, 32), 2, 4),
    "a signal, stride 3": ((4, 90, 16), (8, 16, 32), 3, 3),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_errors_stay_within_their_bounds(shape):
    """Normal numbers, filters scaled as initializers scale them: 1e-5 forward, 5e-5 for gradients.

    Where there is a stride, the gradient of x is not asked for: it would be summed directly.
    """
    x_shape, w_shape, pad, stride = (*shape, 1)[:4]
    rng, rank = np.random.default_rng(1), len(w_shape) - 2
    x = rng.normal(size=x_shape)
    w = rng.normal(size=w_shape) * math.sqrt(2 / math.prod(w_shape[:-1]))
    b = rng.normal(size=w_shape[-1])
    padding = tuple((pad if k > 1 else 0,) * 2 for k in w_shape[:-2])
    attributes = dict(strides=(stride,) * rank, padding=padding, dilation=(1,) * rank, groups=1, activation="linear", alpha=0.0)
    extents = ((n + 2 * p[0] - k) // stride + 1 for n, p, k in zip(x_shape[1:-1], padding, w_shape[:-2], strict=True))
    y_shape = (x_shape[0], *extents, w_shape[-1])
    dy = rng.normal(size=y_shape)
    forward, backward = dict(x=x, w=w, b=b), dict(x=x, w=w, y=np.zeros(y_shape), dy=dy)
    shapes = dict(dx=x_shape if stride == 1 else None, dw=w_shape, db=b.shape)
    worst = {}
    for op, operands, outputs in (("conv_forward", forward, dict(y=y_shape)), ("conv_backward", backward, shapes)):
        all_shapes = {**{name: value.shape for name, value in operands.items()}, **outputs}
        want, got = (
            run(backend, op, operands, all_shapes, attributes, batch_size=x_shape[0]) for backend in (REFERENCE, CpuBackend())
        )
        worst.update({name: error(got[name], want[name]) for name, computed in outputs.items() if computed})
    assert worst.pop("y") < 1e-5
    assert max(worst.values()) < 5e-5


def geometry(size: int = 16, channels: int = 32, kernel: int = 3, **changes):
    """A square 'same' convolution."""
    pad = ((kernel // 2, kernel // 2),) * 2
    attributes = dict(strides=(1, 1), padding=pad, dilation=(1, 1), groups=1)
    return convolution((64, size, size, channels), (kernel, kernel, channels, channels), **{**attributes, **changes})


def chosen(c, algorithm: str = "auto", batch: int = 64, window=(1, 1, 1)):
    """Outputs of the chosen tile, None where products are direct."""
    tile = winograd.choose(CpuBackend(algorithm).plan(batch), c, window)
    return tile and tile.outputs


def test_the_tile_is_the_one_that_needs_the_fewest_products():
    assert chosen(geometry()) == (4, 4)
    assert chosen(geometry(3)) == (3, 3)
    assert chosen(geometry(6)) == (3, 3)
    assert chosen(geometry(6), window=(1, 2, 2)) == (2, 2)
    assert chosen(geometry(kernel=5)) == (4, 4)
    assert chosen(geometry(kernel=7)) == (2, 2)
    assert chosen(geometry(), "winograd2") == (2, 2)


@pytest.mark.parametrize(
    "c",
    [
        geometry(kernel=1), geometry(kernel=9), geometry(strides=(2, 2)), geometry(dilation=(2, 2)), geometry(channels=3),
        geometry(1),
    ],
    ids=["1x1", "9x9", "strided", "dilated", "few channels", "one pixel"],
)  # fmt: skip
def test_other_convolutions_are_direct(c):
    assert chosen(c) is None


def test_a_stride_is_taken_apart_where_that_takes_enough_fewer_products():
    plan, photograph = CpuBackend().plan(4), (4, 64, 64, 3)
    same = dict(padding=((3, 3),) * 2, dilation=(1, 1), groups=1)
    stem = polyphase.choose(plan, convolution(photograph, (7, 7, 3, 32), strides=(2, 2), **same), (1, 1, 1))
    assert stem
    assert (stem.unstrided.kernel, stem.unstrided.channels_in, stem.tile.outputs) == ((1, 4, 4), 12, (4, 4))
    assert polyphase.choose(plan, geometry(strides=(2, 2)), (1, 1, 1)) is None
    assert polyphase.choose(plan, geometry(), (1, 1, 1)) is None


def test_one_picture_is_not_worth_transforming_the_filters():
    assert chosen(geometry(8), batch=1) is None
    assert chosen(geometry(8), batch=8) == (4, 4)


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="must be one of auto, direct, winograd2, winograd4, got 'fft'"):
        CpuBackend("fft")
    assert set(BOUNDS) < set(CONV_ALGORITHMS)


def test_kernels_close_over_numbers_only():
    """What a kernel closes over is part of its key in Numba's disk cache; a function, pickled anew, is never found again."""
    for case in CONVOLUTIONS:
        build(case, CpuBackend())
    closures = {k.name: inspect.getclosurevars(k.function).nonlocals.values() for k in kernel.registry}
    assert not [name for name, cells in closures.items() if not all(isinstance(cell, int | float | str) for cell in cells)]

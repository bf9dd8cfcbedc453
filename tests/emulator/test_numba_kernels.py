"""Whole kernels, compiled by Numba for sm_80 and executed by the emulator, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from fastcnn_kernels.emulator import DeviceArray, Kernel, LaunchError, OutOfBoundsError

pytest.importorskip("numba_cuda", reason="compiling kernels needs numba-cuda: pip install 'fastcnn[test]'")

from numba import cuda

from . import numba_kernels as kernels
from .numba_kernels import Device, compiled

#: together, and warp by warp in three random orders
ORDERS = [None, 0, 1, 2]


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def launch(function, signature, grid, block, arguments, device, **options):
    compiled(function, *signature).launch(device.memory, grid, block, arguments, **options)


@pytest.mark.parametrize("order_seed", ORDERS)
@pytest.mark.parametrize(
    ("n", "grid"),
    [
        (1, 1),  # one element, 255 idle threads
        (5000, 3),  # several trips round the loop, a ragged last one
        (70000, 300),  # more lanes than a wave, blocks without work
    ],
)
def test_elementwise(device, rng, n, grid, order_seed):
    values = normal(rng, n)
    x, y = device.array(values), device.empty(n)
    launch(kernels.make_relu(), kernels.RELU, grid, 256, [x, y, n], device, order_seed=order_seed)
    assert np.array_equal(device.read(y), np.maximum(values, 0))


@pytest.mark.parametrize("order_seed", ORDERS)
@pytest.mark.parametrize(
    ("M", "K", "N"),
    [
        (1, 1, 1),  # a single element
        (16, 16, 16),  # one tile
        (33, 50, 20),  # ragged on all sides
    ],
)
def test_tiled_matmul(device, rng, M, K, N, order_seed):
    left, right = normal(rng, M, K), normal(rng, K, N)
    a, b, c = device.array(left), device.array(right), device.empty((M, N))
    grid = (-(-N // 16), -(-M // 16))
    launch(kernels.make_matmul(), kernels.MATMUL, grid, (16, 16), [a, b, c], device, order_seed=order_seed)
    np.testing.assert_allclose(device.read(c), left.astype(np.float64) @ right, atol=2e-5)


@pytest.mark.parametrize("order_seed", ORDERS)
def test_gemm_with_vector_accesses_and_register_tiles(device, rng, order_seed):
    left, right = normal(rng, 64, 24), normal(rng, 24, 128)
    a, b, c = device.array(left.reshape(-1)), device.array(right.reshape(-1)), device.empty(64 * 128)
    launch(kernels.make_gemm(), kernels.GEMM, (2, 1), 128, [a, b, c, 64, 128, 24], device, order_seed=order_seed)
    np.testing.assert_allclose(device.read(c).reshape(64, 128), left.astype(np.float64) @ right, atol=2e-5)


def as_tf32(x):
    """Rounded to 10 fraction bits, ties away from zero, by arithmetic on the fraction."""
    fraction, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.trunc(fraction * 2048 + np.copysign(0.5, fraction)) / 2048, exponent)


@pytest.mark.parametrize("order_seed", ORDERS)
def test_tensor_core_gemm_with_asynchronous_copies(device, rng, order_seed):
    left, right = normal(rng, 64, 48), normal(rng, 48, 32)
    a, b, c = device.array(left.reshape(-1)), device.array(right.reshape(-1)), device.empty(64 * 32)
    arguments = [a, b, c, 64, 32, 48]
    launch(kernels.make_tensor_gemm(), kernels.GEMM, (1, 2), 128, arguments, device, order_seed=order_seed)
    np.testing.assert_allclose(device.read(c).reshape(64, 32), as_tf32(left) @ as_tf32(right), atol=2e-5)


def test_bfloat16_gemm_with_ldmatrix_and_zero_filled_copies(device, rng):
    def bits(x):
        return (x.view(np.uint32) >> 16).astype(np.uint16)

    def values(b):
        return (b.astype(np.uint32) << 16).view(np.float32).astype(np.float64)

    left, right = bits(normal(rng, 32, 32)), bits(normal(rng, 27, 48))
    a, b, c = device.array(left.reshape(-1)), device.array(right.reshape(-1)), device.empty(32 * 48)
    arguments = [a, b, c, 32, 48, 32, 27]  # rows 27 to 31 of b lie outside its allocation
    launch(kernels.bfloat16_gemm, kernels.BFLOAT16_GEMM, (3, 2), 32, arguments, device)
    np.testing.assert_allclose(device.read(c).reshape(32, 48), values(left)[:, :27] @ values(right), atol=2e-5)


@pytest.mark.parametrize("order_seed", ORDERS)
def test_reduction_by_shuffles(device, rng, order_seed):
    values = normal(rng, 3000)
    x, sums = device.array(values), device.empty(5)
    launch(kernels.make_sum(), kernels.SUM, 5, 128, [x, sums, 3000], device, order_seed=order_seed)
    index = np.arange(3000) // 128 % 5
    np.testing.assert_allclose(device.read(sums), np.bincount(index, values), rtol=1e-5)


def test_functions_of_libdevice(device, rng):
    values = np.concatenate([normal(rng, 500) * 3, [0.0, -0.0, 80.0, -80.0]]).astype(np.float32)
    x, y = device.array(values), device.empty((len(values), 6))
    launch(kernels.functions, kernels.FUNCTIONS, 4, 128, [x, y], device)
    v = values.astype(np.float64)
    e = np.exp(v)
    large = (values * np.float32(1e6)).astype(np.float64)
    expected = np.stack([e, np.log(e + 1), np.sqrt(e), np.tanh(v), np.sin(large), 1 / (1 + np.exp(-v))], 1)
    np.testing.assert_allclose(device.read(y), expected, rtol=2e-6, atol=1e-6)


def test_philox_to_the_bit(device):
    n, keys = 700, (12345, 0xDEADBEEF)
    out = device.empty((n, 4), np.uint32)
    launch(kernels.philox, kernels.PHILOX, 3, 256, [out, *keys, n], device)
    assert np.array_equal(device.read(out), [philox(i, *keys) for i in range(n)])


def philox(counter, key0, key1):
    """The same generator on Python's integers."""
    c0, c1, c2, c3 = counter, 0, 0, 0
    for step in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        k0, k1 = (key0 + step * 0x9E3779B9) % 2**32, (key1 + step * 0xBB67AE85) % 2**32
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 % 2**32, (p0 >> 32) ^ c3 ^ k1, p0 % 2**32
    return c0, c1, c2, c3


def test_philox_gives_the_authors_numbers():
    """Known answers of Random123's kat_vectors: the counter and key of zeros."""
    assert philox(0, 0, 0) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)


@pytest.mark.parametrize("order_seed", ORDERS)
def test_atomics_return_what_was_there(device, rng, order_seed):
    values = rng.integers(0, 5, 400).astype(np.int32)
    x, zeros = device.array(values), np.zeros(5, np.int32)
    counts, largest, order = device.array(zeros), device.array(zeros), device.empty(400, np.int32)
    launch(kernels.histogram, kernels.HISTOGRAM, 4, 128, [x, counts, largest, order], device, order_seed=order_seed)
    assert device.read(counts).tolist() == np.bincount(values, minlength=5).tolist()
    assert device.read(largest).tolist() == [int(np.flatnonzero(values == v)[-1]) for v in range(5)]
    for v in range(5):
        assert sorted(device.read(order)[values == v]) == list(range((values == v).sum()))


def test_atomics_in_shared_memory(device, rng):
    values = rng.integers(0, 32, 1000).astype(np.int32)
    x, counts = device.array(values), device.array(np.zeros(32, np.int32))
    launch(kernels.shared_histogram, kernels.HISTOGRAM[:2], 16, 64, [x, counts], device)
    assert device.read(counts).tolist() == np.bincount(values, minlength=32).tolist()


def test_local_arrays_with_computed_indices(device, rng):
    values = normal(rng, 96, 8)
    x, y = device.array(values), device.empty((96, 8))
    launch(kernels.sort_eight, (kernels.MATRIX, kernels.MATRIX), 3, 32, [x, y], device)
    assert np.array_equal(device.read(y), np.sort(values, axis=1))


@pytest.mark.parametrize("order_seed", ORDERS)
def test_dynamic_shared_memory(device, rng, order_seed):
    values = normal(rng, 4 * 96)
    x, y = device.array(values), device.empty(4 * 96)
    signature = (kernels.VECTOR, kernels.VECTOR)
    launch(kernels.make_reverse(), signature, 4, 96, [x, y], device, shared_bytes=384, order_seed=order_seed)
    assert np.array_equal(device.read(y), values.reshape(4, 96)[:, ::-1].reshape(-1))


@pytest.mark.parametrize("order_seed", ORDERS)
def test_loops_of_different_length(device, order_seed):
    n = 200
    steps = device.empty(n, np.int32)
    launch(kernels.collatz, kernels.COLLATZ, 2, 128, [steps, n], device, order_seed=order_seed)
    assert device.read(steps).tolist() == [collatz(i + 1) for i in range(n)]


def collatz(value):
    return 0 if value == 1 else 1 + collatz(3 * value + 1 if value % 2 else value // 2)


def test_exchange_within_warps_through_shared_memory(device, rng):
    values = normal(rng, 64)
    x, y = device.array(values), device.empty(64)
    launch(kernels.make_neighbours(), (kernels.VECTOR, kernels.VECTOR), 1, 64, [x, y], device)
    assert np.array_equal(device.read(y), values.reshape(-1, 2)[:, ::-1].reshape(-1) + 2)


def test_shuffles_of_a_diverged_warp(device, rng):
    values = normal(rng, 64)
    x, y = device.array(values), device.empty(64)
    launch(kernels.half_warps, (kernels.VECTOR, kernels.VECTOR), 1, 64, [x, y], device)
    expected = np.repeat(values.reshape(4, 16).max(1) * [1, -1, 1, -1], 16)
    assert np.array_equal(device.read(y), expected.astype(np.float32))


def test_votes(device):
    values = np.where(np.arange(96) % 3 == 0, 1, -1).astype(np.float32)
    values[32:64], values[64:] = 1, -1
    x, y = device.array(values), device.empty(96, np.uint64)
    launch(kernels.votes, kernels.VOTES, 1, 96, [x, y], device)
    mixed = sum(1 << lane for lane in range(32) if lane % 3 == 0) | 1 << 32
    assert device.read(y)[[0, 31, 32, 63, 64, 95]].tolist() == [mixed, mixed, *(0x3FFFFFFFF,) * 2, 0, 0]


def test_bytes_to_half_precision(device):
    values = np.arange(256, dtype=np.uint8)
    x, y = device.array(values), device.empty(256, np.float16)
    launch(kernels.half_precision, kernels.HALF_PRECISION, 1, 256, [x, y, 1 / 255], device)
    assert np.array_equal(device.read(y), (values * np.float32(1 / 255)).astype(np.float16))


def test_divisions_and_negative_indices(device, rng):
    values = normal(rng, 70)
    x, y = device.array(values), device.empty((10, 7))
    launch(kernels.index_kernel, (kernels.VECTOR, kernels.MATRIX), 1, 128, [x, y], device)
    assert np.array_equal(device.read(y), values.reshape(10, 7))


def test_bare_pointers(device, rng):
    one, other = normal(rng, 100), normal(rng, 100)
    x, y = device.array(one), device.array(other)
    launch(kernels.axpy_pointers, kernels.AXPY, 1, 128, [x.address, y.address, 0.5, 100], device)
    np.testing.assert_allclose(device.read(y), other + np.float32(0.5) * one, rtol=1e-6)


# launches that cannot be


def test_wrong_number_of_arguments(device):
    kernel = compiled(kernels.make_relu(), *kernels.RELU)
    with pytest.raises(
        LaunchError, match=r"relu has 15 parameters, got 2 \(an n-dimensional array is 5 \+ 2n of them\)"
    ):
        kernel.launch(device.memory, 1, 32, [1, 2])


def test_a_float_for_an_integer_and_an_integer_that_does_not_fit(device):
    kernel = compiled(kernels.axpy_pointers, *kernels.AXPY)
    with pytest.raises(LaunchError, match=r"parameter \w+ is an integer \(u32\), got 1.5"):
        kernel.launch(device.memory, 1, 32, [0, 0, 1.0, 1.5])
    with pytest.raises(LaunchError, match=r"an integer of 32 bits \(u32\), 4294967296 does not fit"):
        kernel.launch(device.memory, 1, 32, [0, 0, 1.0, 1 << 32])


@pytest.mark.parametrize(("grid", "block"), [(0, 32), ((1, 2, 3, 4), 32), (1, (32, 0)), (1, ())])
def test_grids_and_blocks_that_are_none(device, grid, block):
    kernel = compiled(kernels.axpy_pointers, *kernels.AXPY)
    with pytest.raises(LaunchError, match="must be one to three positive integers"):
        kernel.launch(device.memory, grid, block, [0, 0, 1.0, 0])


def test_too_many_threads(device):
    kernel = compiled(kernels.axpy_pointers, *kernels.AXPY)
    with pytest.raises(LaunchError, match=r"2048 threads a block \(32, 32, 2\), at most 1024 are possible"):
        kernel.launch(device.memory, 1, (32, 32, 2), [0, 0, 1.0, 0])


def test_device_arrays_become_numbas_parameters():
    array = DeviceArray(0x100, (2, 3, 5), np.dtype("float32"))
    assert array.parameters() == [0, 0, 30, 4, 0x100, 2, 3, 5, 60, 20, 4]


def test_errors_name_the_python_line_where_the_kernel_was_compiled_with_line_information(device):
    ptx, _ = cuda.compile_ptx(kernels.make_relu(past_the_end=True), kernels.RELU, cc=(8, 0), lineinfo=True)
    x, y = device.array(np.zeros(10, np.float32)), device.empty(10)
    with pytest.raises(OutOfBoundsError, match=r"PTX line \d+: ld.global.f32 [^\n]*numba_kernels.py:\d+\n"):
        Kernel(ptx).launch(device.memory, 1, 32, [x, y, 10])

"""What a profiler would count, on kernels whose counts are known."""

from __future__ import annotations

import numpy as np
import pytest
from fastcnn_kernels.emulator import Counters

pytest.importorskip("numba_cuda", reason="compiling kernels needs numba-cuda: pip install 'fastcnn[test]'")

from numba import cuda, float32

from . import numba_kernels as kernels
from .intrinsics import load4, store4
from .numba_kernels import VECTOR, Device, compiled


@pytest.fixture
def device():
    return Device()


def traffic(counters, *parts):
    """(served, ideal) a request of the only instruction whose text holds all parts."""
    rows = [row for row in counters.traffic.values() if all(part in row.text for part in parts)]
    assert len(rows) == 1, [row.text for row in rows]
    return rows[0].served / rows[0].requests, rows[0].ideal / rows[0].requests


def count(device, function, signature, grid, block, arguments):
    counters = Counters()
    compiled(function, *signature).launch(device.memory, grid, block, arguments, counters=counters)
    return counters


@pytest.mark.parametrize(("stride", "sectors"), [(1, 4), (2, 8), (8, 32), (100, 32), (0, 1)])
def test_sectors_of_strided_reads(device, stride, sectors):
    def strided(x, y):
        y[cuda.grid(1)] = x[cuda.grid(1) * stride]

    x, y = device.array(np.zeros(6400, np.float32)), device.empty(64)
    counters = count(device, strided, (VECTOR, VECTOR), 1, 64, [x, y])
    assert traffic(counters, "ld.global") == (sectors, min(4, sectors))
    assert traffic(counters, "st.global") == (4, 4)
    assert counters.total("global").requests == 4  # two warps, a load and a store each


def test_sectors_of_vector_and_partial_requests(device):
    def copy(x, y):
        i = cuda.grid(1)
        if i < 40:
            store4(y, 4 * i, load4(x, 4 * i))

    x, y = device.array(np.zeros(160, np.float32)), device.empty(160)
    counters = count(device, copy, (VECTOR, VECTOR), 1, 64, [x, y])
    row = counters.total("global")
    assert (row.requests, row.served, row.ideal) == (4, 40, 40)  # 16 sectors for a whole warp, 4 for 8 lanes; twice


@pytest.mark.parametrize(
    ("stride", "wavefronts"),
    [
        (1, 1),  # one word from each bank
        (2, 2),
        (32, 32),  # all in one bank
        (33, 1),  # a padded column
        (0, 1),  # the same word for all
    ],
)
def test_bank_conflicts(device, stride, wavefronts):
    def strided(x, y):
        part = cuda.shared.array(33 * 32, float32)
        t = cuda.threadIdx.x
        for i in range(33):
            part[32 * i + t] = x[t]
        cuda.syncthreads()
        y[t] = part[t * stride]

    x, y = device.array(np.zeros(32, np.float32)), device.empty(32)
    counters = count(device, strided, (VECTOR, VECTOR), 1, 32, [x, y])
    assert traffic(counters, "ld.shared") == (wavefronts, 1)
    stores = [row for row in counters.traffic.values() if "st.shared" in row.text]
    assert all(row.served == row.requests for row in stores)


def test_wavefronts_of_16_byte_accesses(device):
    def vectors(x, y):
        part = cuda.shared.array(256, float32, alignment=16)
        t = cuda.threadIdx.x
        store4(part, 4 * t, load4(x, 4 * t))
        cuda.syncwarp()
        four = load4(part, 8 * (t & 15) + 4 * (t >> 4))
        y[t] = four[0] + four[1] + four[2] + four[3]

    x, y = device.array(np.zeros(128, np.float32)), device.empty(32)
    counters = count(device, vectors, (VECTOR, VECTOR), 1, 32, [x, y])
    assert traffic(counters, "st.shared.v4") == (4, 4)  # a quarter of the warp at a time
    with pytest.raises(AssertionError):
        traffic(counters, "ld.shared.v2")
    assert traffic(counters, "ld.shared.v4") == (8, 4)  # two lanes of each quarter in one bank


def test_flops_of_a_matrix_product(device):
    M, K, N = 64, 16, 64
    a, b, c = (device.array(np.zeros(extent, np.float32)) for extent in (M * K, K * N, M * N))
    counters = count(device, kernels.make_gemm(), kernels.GEMM, 1, 128, [a, b, c, M, N, K])
    assert counters.flops == 2 * M * N * K
    assert counters.threads["float"] == M * N * K
    assert counters.warps["float"] == M * N * K // 32
    assert counters.threads["barrier"] == 128 * 2 * (K // 8)


def test_flops_of_tensor_cores(device):
    M, K, N = 32, 32, 32
    a, b, c = (device.array(np.zeros(extent, np.float32)) for extent in (M * K, K * N, M * N))
    counters = count(device, kernels.make_tensor_gemm(), kernels.GEMM, 1, 128, [a, b, c, M, N, K])
    assert counters.flops == 2 * M * N * K
    assert counters.warps["tensor"] == M * N * K // (16 * 8 * 8)
    assert counters.threads["asynchronous copy"] > 0


def test_instructions_are_counted_where_they_are_executed(device):
    def half(x, y):
        i = cuda.grid(1)
        if i < 20:
            y[i] = x[i]

    x, y = device.array(np.zeros(64, np.float32)), device.empty(64)
    counters = count(device, half, (VECTOR, VECTOR), 1, 64, [x, y])
    assert (counters.threads["load global"], counters.warps["load global"]) == (20, 1)
    assert (counters.threads["store global"], counters.warps["store global"]) == (20, 1)
    assert counters.threads["control"] == 64 + 64


def test_counters_add_up_and_print(device):
    x, y = device.array(np.zeros(64, np.float32)), device.empty(64)
    counters = Counters()
    kernel = compiled(kernels.make_relu(), *kernels.RELU)
    for _ in range(3):
        kernel.launch(device.memory, 2, 32, [x, y, 64], counters=counters)
    assert counters.total("global").requests == 3 * 2 * 2
    text = str(counters)
    assert "load global" in text
    assert "4.00 sectors a request (ideal 4.00)  ld.global.f32" in text

"""Sums that the last block adds: right, the same in any order of blocks, and free of races only because of the ticket."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")

from fastcnn_kernels.device import tickets
from fastcnn_kernels.device.kernel import kernel
from fastcnn_kernels.emulator import Kernel, Memory, RaceError
from numba import cuda
from numba.cuda.types import float32, uint32

OUTPUTS, THREADS, TILES, PARTS = 3, 64, 5, 7
combine = tickets.combine(OUTPUTS, THREADS)


@kernel("f32*, f32*, u64*", threads=THREADS, registers=40)
def shared_sum(x, y, extra):
    """y[tile, i] = sum over parts of x[part, tile, i]."""
    room, total = cuda.shared.array(1, float32), cuda.local.array(OUTPUTS, float32)
    thread, tile, part = uint32(cuda.threadIdx.x), uint32(cuda.blockIdx.x), uint32(cuda.blockIdx.y)
    for i in range(OUTPUTS):
        total[i] = x[uint32(((part * TILES + tile) * OUTPUTS + i) * THREADS + thread)]
    if combine(total, room, extra, tile, part, uint32(PARTS)):
        for i in range(OUTPUTS):
            y[uint32((tile * OUTPUTS + i) * THREADS + thread)] = total[i]


def launch(ptx: str, order_seed: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    memory, x = Memory(1 << 20), np.random.default_rng(0).standard_normal((PARTS, TILES, OUTPUTS, THREADS)).astype(np.float32)
    shapes = dict(x=x.shape, y=x.shape[1:], parts=x.shape, counters=(TILES,), extra=(2,))
    at = {name: memory.allocate(int(np.prod(shape)) * 8, name) for name, shape in shapes.items()}
    memory.write(at["x"], x.reshape(-1).view(np.uint8))
    memory.write(at["counters"], np.zeros(4 * TILES, np.uint8))
    memory.write(at["extra"], np.array([at["parts"], at["counters"]], np.uint64).view(np.uint8))
    compiled = Kernel(ptx)
    for _ in range(2):
        compiled.launch(memory, (TILES, PARTS), THREADS, [at["x"], at["y"], at["extra"]], order_seed=order_seed)
    counters = np.array(memory.read(at["counters"], (TILES,), np.uint32))
    return x, np.array(memory.read(at["y"], shapes["y"], np.float32)), counters


@pytest.mark.parametrize("order_seed", [None, 1, 2])
def test_the_last_block_adds_in_order(order_seed: int | None):
    x, y, counters = launch(shared_sum.ptx(), order_seed)
    expected = np.zeros(x.shape[1:], np.float32)
    for part in x:
        expected += part
    np.testing.assert_array_equal(y, expected)
    assert not counters.any()


def test_without_release_and_acquire_it_is_a_race():
    with pytest.raises(RaceError):
        launch(shared_sum.ptx().replace("atom.acq_rel.gpu.global", "atom.global"), None)


def test_what_comes_after_the_barrier_is_not_known():
    """A store between the barrier and the ticket is not ordered by it for other threads than the one that draws."""
    ptx, barrier = shared_sum.ptx(), "bar.sync \t0;"
    assert ptx.count(barrier) == 2
    with pytest.raises(RaceError):
        launch(ptx.replace(barrier, "", 1), None)

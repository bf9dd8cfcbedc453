"""Faults planted in kernels: each is found, and the message says what, where, and who else."""

from __future__ import annotations

import numpy as np
import pytest
from fastcnn_kernels.emulator import (
    BarrierError,
    EmulatorError,
    ExecutionError,
    MisalignedError,
    OutOfBoundsError,
    RaceError,
    UninitialisedError,
)

pytest.importorskip("numba_cuda", reason="compiling kernels needs numba-cuda: pip install 'fastcnn[test]'")

from numba import cuda, float32, types

from . import numba_kernels as kernels
from .numba_kernels import MATRIX, VECTOR, Device, compiled

TWO_VECTORS = (VECTOR, VECTOR)


@pytest.fixture
def device():
    return Device()


def values(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def caught(error, device, function, signature, grid, block, arguments, **options):
    """The error that a launch raises."""
    with pytest.raises(error) as caught:
        compiled(function, *signature).launch(device.memory, grid, block, arguments, **options)
    assert type(caught.value) is error
    assert f"kernel {caught.value.kernel}: " in str(caught.value)
    return caught.value


def test_index_one_past_the_end(device):
    x, y = device.array(values(100), "x"), device.empty(100, name="y")
    error = caught(OutOfBoundsError, device, kernels.make_relu(past_the_end=True), kernels.RELU, 1, 128, [x, y, 100])
    assert (
        f"read of 4 bytes outside global memory at {x.address + 400:#x}, 0 bytes past the end of x (400 bytes at"
        in str(error)
    )
    assert f"\n  PTX line {error.line}: ld.global.f32 " in str(error)
    assert str(error).endswith("\n  block (0, 0, 0), thread (100, 0, 0)")
    assert (error.block, error.thread) == ((0, 0, 0), (100, 0, 0))
    assert error.kernel.endswith("make_relu.<locals>.relu")


def test_block_and_thread_of_a_grid_of_three_axes_are_named(device):
    def place(x):
        x[cuda.blockIdx.z, cuda.blockIdx.y * 2 + cuda.threadIdx.y, cuda.threadIdx.x] = float32(1)

    x = device.empty((2, 5, 4), name="x")
    error = caught(OutOfBoundsError, device, place, (types.Array(types.float32, 3, "C"),), (1, 3, 2), (4, 2, 1), [x])
    assert "write of 4 bytes outside global memory" in str(error)
    assert (error.block, error.thread) == ((0, 2, 1), (0, 1, 0))
    assert "(the first of 4 threads)" in str(error)


def test_memory_that_was_freed(device):
    x, y = device.array(values(10), "x"), device.empty(10)
    device.memory.free(x.address)
    error = caught(OutOfBoundsError, device, kernels.make_relu(), kernels.RELU, 1, 32, [x, y, 10])
    assert "byte 0 of x (40 bytes at" in str(error)
    assert "which was freed" in str(error)


@pytest.mark.parametrize("address", [0, 400, 0x7F0000000000 - 8, -16])
def test_an_address_that_is_none(device, address):
    y = device.array(values(10), "y")
    error = caught(OutOfBoundsError, device, kernels.axpy_pointers, kernels.AXPY, 1, 32, [address, y.address, 1.0, 10])
    assert "bytes before y" in str(error)


def test_read_of_memory_that_nothing_wrote(device):
    x, y = device.empty(10, name="x"), device.empty(10)
    error = caught(UninitialisedError, device, kernels.make_relu(), kernels.RELU, 1, 32, [x, y, 10])
    assert "read of 4 bytes in global memory that nothing has written: at 0x" in str(error)
    assert "byte 0 of x (40 bytes" in str(error)


def test_ragged_tile_that_is_not_filled(device):
    """In the first tile: a later one would still hold, and read, the values of the tile before it."""
    a, b, c = device.array(values(16, 12)), device.array(values(12, 16)), device.empty((16, 16))
    error = caught(
        UninitialisedError, device, kernels.make_matmul(zero_fill=False), kernels.MATMUL, 1, (16, 16), [a, b, c]
    )
    assert "in shared memory that nothing has written: at offset " in str(error)
    assert "byte 768 of _cudapy_smem" in str(error)  # row 12 of the tile of b


def test_slots_of_a_reduction_that_nothing_wrote(device):
    x, sums = device.array(values(64)), device.empty(1)
    error = caught(
        UninitialisedError, device, kernels.make_sum(all_slots_written=False), kernels.SUM, 1, 64, [x, sums, 64]
    )
    assert "in shared memory that nothing has written: at offset " in str(error)
    assert "byte 8 of _cudapy_smem" in str(error)
    assert error.thread == (2, 0, 0)


def test_local_index_past_the_end(device):
    def index(x, y):
        local = cuda.local.array(8, float32)
        for i in range(8):
            local[i] = x[i]
        y[0] = local[int(x[0])]

    x = device.array(np.arange(8, dtype=np.float32) + 8)
    error = caught(OutOfBoundsError, device, index, TWO_VECTORS, 1, 1, [x, device.empty(1)])
    assert "read of 4 bytes outside local memory" in str(error)
    assert "bytes past the end of __local_depot0 (32 bytes)" in str(error)


def test_dynamic_shared_memory_that_is_too_small(device):
    x, y = device.array(values(64)), device.empty(64)
    error = caught(OutOfBoundsError, device, kernels.make_reverse(), TWO_VECTORS, 1, 64, [x, y], shared_bytes=252)
    assert "write of 4 bytes outside shared memory at offset " in str(error)
    assert "0 bytes past the end of _cudapy_smem" in str(error)
    assert error.thread == (63, 0, 0)
    caught(OutOfBoundsError, device, kernels.make_reverse("one more"), TWO_VECTORS, 1, 64, [x, y], shared_bytes=256)


def test_index_from_one_shared_array_into_the_next(device):
    def neighbours(x, y):
        one, other = cuda.shared.array(32, float32), cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        one[t], other[t] = x[t], x[t]
        cuda.syncthreads()
        y[t] = one[t + 1] + other[t]

    error = caught(
        OutOfBoundsError, device, neighbours, TWO_VECTORS, 1, 32, [device.array(values(32)), device.empty(32)]
    )
    assert "read of 4 bytes outside shared memory" in str(error)
    assert "0 bytes past the end of _cudapy_smem" in str(error)
    assert error.thread == (31, 0, 0)


def test_misaligned_vector_access_to_global_memory(device):
    a, b, c = (device.array(values(64 * 64 + 1)) for _ in range(3))
    arguments = [kernels.DeviceArray(a.address + 4, (64 * 64,), a.dtype), b, c, 64, 64, 64]
    error = caught(MisalignedError, device, kernels.make_gemm(), kernels.GEMM, 1, 128, arguments)
    assert "misaligned read of 16 bytes in global memory at 0x" in str(error)
    assert ": not a multiple of 16\n" in str(error)
    assert "ld.global.v4.f32" in error.instruction


def test_shared_array_with_less_alignment_than_its_vector_accesses_need(device):
    """A compiler may happen to place the array well: the emulator never does."""
    a, b, c = (device.array(values(64 * 64)) for _ in range(3))
    error = caught(MisalignedError, device, kernels.make_gemm(alignment=8), kernels.GEMM, 1, 128, [a, b, c, 64, 64, 64])
    assert "misaligned write of 16 bytes in shared memory at offset " in str(error)


# barriers


def test_barrier_that_some_threads_do_not_reach(device):
    def early_exit(x, y):
        part = cuda.shared.array(64, float32)
        i = cuda.grid(1)
        if i >= x.shape[0]:
            return
        part[cuda.threadIdx.x] = x[i]
        cuda.syncthreads()
        y[i] = part[0]

    x, y = device.array(values(100)), device.empty(100)
    error = caught(BarrierError, device, early_exit, TWO_VECTORS, 2, 64, [x, y])
    assert "divergent barrier: 36 of the block's 64 threads wait here, the others have exited" in str(error)
    assert error.instruction == "bar.sync 0"
    assert error.block == (1, 0, 0)


def test_barriers_on_both_sides_of_a_branch(device):
    def two_barriers(x, y):
        part = cuda.shared.array(64, float32)
        t = cuda.threadIdx.x
        if x[t] > float32(0):
            part[t] = x[t]
            cuda.syncthreads()
            y[t] = part[t] + float32(1)
        else:
            part[t] = -x[t]
            cuda.syncthreads()
            y[t] = part[t] - float32(1)

    signs = np.where(np.arange(64) < 10, 1, -1).astype(np.float32)
    error = caught(BarrierError, device, two_barriers, TWO_VECTORS, 1, 64, [device.array(signs), device.empty(64)])
    assert "threads wait here, others wait at PTX line " in str(error)


def test_shuffle_whose_mask_names_absent_lanes(device):
    def absent(x, y):
        t = cuda.threadIdx.x
        v = x[t]
        if t < 16:
            v += cuda.shfl_xor_sync(0xFFFFFFFF, v, 1)
        y[t] = v

    error = caught(BarrierError, device, absent, TWO_VECTORS, 1, 32, [device.array(values(32)), device.empty(32)])
    assert "the member mask 0xffffffff of a warp names lanes that are not there" in str(error)


def test_shuffle_from_a_lane_outside_its_mask(device):
    def outside(x, y):
        t = cuda.threadIdx.x
        v = x[t]
        if t < 16:
            v += cuda.shfl_xor_sync(0x0000FFFF, v, 16)
        y[t] = v

    error = caught(BarrierError, device, outside, TWO_VECTORS, 1, 32, [device.array(values(32)), device.empty(32)])
    assert "shuffle reads from a lane that the member mask leaves out" in str(error)


# races


def test_missing_barrier_before_a_tile_is_overwritten(device):
    a, b, c = device.array(values(32, 48)), device.array(values(48, 32)), device.empty((32, 32))
    arguments = (device, kernels.make_matmul(last_barrier=False), kernels.MATMUL, (2, 2), (16, 16), [a, b, c])
    error = caught(RaceError, *arguments)
    assert "race in shared memory at offset " in str(error)
    assert ": this write and the read by block (0, 0, 0), thread (" in str(error)
    assert "(ld.shared.f32 " in str(error)
    assert error.instruction.startswith("st.shared.f32")


def test_missing_barrier_after_a_tile_is_written(device):
    a, b, c = (device.array(values(64 * 64)) for _ in range(3))
    error = caught(
        RaceError, device, kernels.make_gemm(first_barrier=False), kernels.GEMM, 1, 128, [a, b, c, 64, 64, 64]
    )
    assert ": this read and the write by block (0, 0, 0), thread (" in str(error)
    assert "with no barrier between them" in str(error)


def test_missing_barrier_before_an_asynchronous_copy(device):
    a, b, c = device.array(values(32 * 64)), device.array(values(64 * 32)), device.empty(32 * 32)
    kernel = kernels.make_tensor_gemm(last_barrier=False)
    error = caught(RaceError, device, kernel, kernels.GEMM, 1, 128, [a, b, c, 32, 32, 64])
    assert "this write and the read by block" in str(error)
    assert error.instruction.startswith("cp.async.cg.shared.global")


def test_read_of_a_copy_that_is_under_way(device):
    a, b, c = device.array(values(32 * 64)), device.array(values(64 * 32)), device.empty(32 * 32)
    kernel = kernels.make_tensor_gemm(in_flight=2)
    error = caught(UninitialisedError, device, kernel, kernels.GEMM, 1, 128, [a, b, c, 32, 32, 64])
    assert "in shared memory that a copy (cp.async) in flight will write" in str(error)


def test_exchange_within_a_warp_without_syncwarp(device):
    x, y = device.array(values(64)), device.empty(64)
    error = caught(RaceError, device, kernels.make_neighbours(syncwarp=False), TWO_VECTORS, 1, 64, [x, y])
    assert "this read and the write by block (0, 0, 0), thread (1, 0, 0)" in str(error)
    assert error.thread == (0, 0, 0)


def test_syncwarp_does_not_order_different_warps(device):
    def across(x, y):
        part = cuda.shared.array(64, float32)
        t = cuda.threadIdx.x
        part[t] = x[t]
        cuda.syncwarp()
        y[t] = part[t ^ 32]

    error = caught(RaceError, device, across, TWO_VECTORS, 1, 64, [device.array(values(64)), device.empty(64)])
    assert "thread (32, 0, 0)" in str(error)


def test_two_threads_that_write_the_same_shared_element(device):
    def collide(x, y):
        part = cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        part[t // 2] = x[t]
        cuda.syncthreads()
        y[t] = part[t // 2]

    error = caught(RaceError, device, collide, TWO_VECTORS, 1, 32, [device.array(values(32)), device.empty(32)])
    assert "this write and the write by block (0, 0, 0), thread (1, 0, 0)" in str(error)


def test_write_race_between_blocks(device):
    def overlap(y):
        i = cuda.blockIdx.x * 16 + cuda.threadIdx.x
        y[i] = float32(i)

    error = caught(RaceError, device, overlap, (VECTOR,), 2, 32, [device.empty(48, name="y")])
    assert "race in global memory at 0x" in str(error)
    assert "byte 64 of y (192 bytes" in str(error)
    assert "this write and the write by block " in str(error)


@pytest.mark.parametrize("blocks", [2, 2000], ids=["together", "in different waves"])
def test_read_write_race_between_blocks(device, blocks):
    def from_the_next_block(x):
        t, b = cuda.threadIdx.x, cuda.blockIdx.x
        following = x[(b + 1) % cuda.gridDim.x, t]
        x[b, t] = following

    x = device.array(values(blocks, 32), "x")
    error = caught(RaceError, device, from_the_next_block, (MATRIX,), blocks, 32, [x])
    assert "race in global memory at 0x" in str(error)
    assert "this write and the read by block (" in str(error)
    assert "ld.global.f32" in str(error)


def test_read_of_what_another_block_wrote(device):
    def publish(x, y):
        if cuda.blockIdx.x == 0:
            x[cuda.threadIdx.x] = float32(1)
        else:
            y[cuda.threadIdx.x] = x[cuda.threadIdx.x]

    error = caught(RaceError, device, publish, TWO_VECTORS, 2, 32, [device.array(values(32)), device.empty(32)])
    assert "this read and the write by block (0, 0, 0), thread (0, 0, 0)" in str(
        error
    ) or "this write and the read" in str(error)


def test_read_of_what_another_thread_of_the_block_wrote_to_global_memory(device):
    def publish(x, y):
        t = cuda.threadIdx.x
        x[t] = float32(t)
        y[t] = x[t ^ 1]

    error = caught(RaceError, device, publish, TWO_VECTORS, 1, 32, [device.empty(32), device.empty(32)])
    assert "this read and the write by block (0, 0, 0), thread (1, 0, 0)" in str(error)


def test_plain_read_of_a_counter_that_others_change_atomically(device):
    def tickets(counts, y):
        cuda.atomic.add(counts, 0, 1)
        y[cuda.grid(1)] = counts[0]

    integers = kernels.vector_of(types.int32)
    counts, y = device.array(np.zeros(1, np.int32)), device.empty(64, np.int32)
    error = caught(RaceError, device, tickets, (integers, integers), 2, 32, [counts, y])
    assert "this read and the atomic access by block" in str(error)


def test_in_place_updates_are_no_race(device):
    def double(x):
        i = cuda.grid(1)
        x[i] = x[i] * float32(2)

    before = values(256)
    x = device.array(before)
    compiled(double, VECTOR).launch(device.memory, 4, 64, [x])
    assert np.array_equal(device.read(x), before * 2)


def test_races_can_be_left_unsearched(device):
    def overlap(y):
        y[cuda.threadIdx.x] = float32(cuda.blockIdx.x)

    y = device.empty(32)
    compiled(overlap, VECTOR).launch(device.memory, 2, 32, [y], races=False)
    assert device.read(y).tolist() == [1.0] * 32


# lock step hides a missing barrier; a random order of warps does not


def test_a_random_order_shows_what_lock_step_hides(device):
    left, right = values(32, 48), values(48, 32)
    expected = left.astype(np.float64) @ right
    kernel = compiled(kernels.make_matmul(last_barrier=False), *kernels.MATMUL)

    def error(order_seed):
        arguments = [device.array(left), device.array(right), device.empty((32, 32))]
        kernel.launch(device.memory, (2, 2), (16, 16), arguments, races=False, order_seed=order_seed)
        return np.abs(device.read(arguments[2]) - expected).max()

    assert error(None) < 1e-5
    assert error(0) > 0.1


def test_a_random_order_can_be_repeated(device):
    integers = kernels.vector_of(types.int32)

    def arrivals(order):
        ticket = cuda.atomic.add(order, 0, 1)
        order[1 + cuda.grid(1)] = ticket

    def order(seed):
        array = device.array(np.zeros(513, np.int32))
        compiled(arrivals, integers).launch(device.memory, 4, 128, [array], order_seed=seed)
        return device.read(array)[1:].tolist()

    assert order(7) == order(7) != order(8)
    assert sorted(order(7)) == list(range(512))


def test_endless_loop(device, monkeypatch):
    def spin(x):
        while x[0] > float32(0):
            x[1] = x[0]

    monkeypatch.setattr("fastcnn_kernels.emulator.scheduler.MAX_STEPS", 1000)
    x = device.array(np.ones(2, np.float32))
    with pytest.raises(ExecutionError, match="still running after 1000 basic blocks; an endless loop?"):
        compiled(spin, VECTOR).launch(device.memory, 1, 1, [x])


def test_every_error_is_an_emulator_error():
    for error in (BarrierError, ExecutionError, MisalignedError, OutOfBoundsError, RaceError, UninitialisedError):
        assert issubclass(error, EmulatorError)

"""Global memory as the host sees it: allocation, guard zones, states, copies."""

from __future__ import annotations

import numpy as np
import pytest
from fastcnn_kernels.emulator import LaunchError, Memory, OutOfBoundsError, UninitialisedError


def test_what_was_written_is_read_back():
    memory = Memory(1 << 16)
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    address = memory.allocate(values.nbytes, "x")
    memory.write(address, values.T.copy().T)  # in Fortran order, but written as C
    assert np.array_equal(memory.read(address, (3, 4), np.int16), values)
    memory.write(address + 4, b"\xff\xff")
    assert memory.read(address + 4, 1, np.int16).tolist() == [-1]


def test_allocations_are_aligned_and_apart():
    memory = Memory(1 << 16, guard=64)
    addresses = [memory.allocate(nbytes) for nbytes in (1, 255, 256, 1000)]
    assert all(address % 256 == 0 for address in addresses)
    for (one, nbytes), other in zip(zip(addresses, (1, 255, 256), strict=False), addresses[1:], strict=False):
        assert other - one - nbytes >= 64


def test_freed_memory_is_used_again_and_is_unwritten_then():
    memory = Memory(1 << 14)
    first = memory.allocate(1000, "first")
    second = memory.allocate(1000, "second")
    memory.write(first, np.ones(250, np.float32))
    memory.free(first)
    assert memory.allocate(500, "third") == first
    with pytest.raises(
        UninitialisedError, match=r"read of 8 bytes, 8 of which nothing has written; the first is at .* byte 0 of third"
    ):
        memory.read(first, 2, np.float32)
    assert memory.allocate(1000, "fourth") > second


def test_read_of_partly_written_memory_names_the_first_missing_byte():
    memory = Memory(1 << 14)
    address = memory.allocate(16, "x")
    memory.write(address, np.zeros(3, np.float32))
    with pytest.raises(
        UninitialisedError, match=r"4 of which nothing has written; the first is .*, byte 12 of x \(16 bytes"
    ):
        memory.read(address, 4, np.float32)
    assert memory.view(address, 4, np.float32).shape == (4,)


def test_views_cannot_be_written():
    memory = Memory(1 << 14)
    view = memory.view(memory.allocate(16), 4, np.float32)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


@pytest.mark.parametrize(("offset", "count"), [(0, 5), (-4, 1), (16, 1), (300, 1)])
def test_host_accesses_outside_an_allocation(offset, count):
    memory = Memory(1 << 14)
    address = memory.allocate(16, "x")
    for access in (
        lambda: memory.view(address + offset, count, np.float32),
        lambda: memory.write(address + offset, np.zeros(count, np.float32)),
    ):
        with pytest.raises(
            OutOfBoundsError, match=f"of {4 * count} bytes: not inside one allocation; it begins at 0x.* x "
        ):
            access()


def test_free_of_what_was_not_allocated():
    memory = Memory(1 << 14)
    address = memory.allocate(16, "x")
    with pytest.raises(OutOfBoundsError, match="no allocation begins there; at 0x.*, byte 4 of x"):
        memory.free(address + 4)
    memory.free(address)
    with pytest.raises(OutOfBoundsError, match="no allocation begins there"):
        memory.free(address)


def test_out_of_memory_says_how_much_there_is():
    memory = Memory(1 << 12)
    memory.allocate(1024)
    with pytest.raises(LaunchError, match="out of memory: 4096 bytes asked for, 1024 of 4096 in use"):
        memory.allocate(4096)


def test_an_empty_allocation_has_an_address():
    memory = Memory(1 << 12)
    address = memory.allocate(0, "nothing")
    assert memory.read(address, 0, np.float32).shape == (0,)

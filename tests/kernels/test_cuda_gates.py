"""The compile gates: what ptxas makes of every kernel that the tutorials' networks use, for every target, without a GPU."""

import re

import pytest

pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")

from fastcnn_kernels.device import assembly
from fastcnn_kernels.device.assembly import LIMITS, Report, assemble, disassemble, faults, occupancy
from fastcnn_kernels.device.kernel import TARGETS, kernel
from numba import cuda
from numba.cuda.types import CPointer, float32, uint32

from fastcnn.cli.kernels import used


@pytest.mark.parametrize("target", TARGETS)
def test_every_kernel_of_the_tutorials_networks_passes_the_gates(target):
    kernels = used()
    assert len(kernels) > 20
    assert not [fault for kernel in kernels for fault in faults(kernel, target)]


@kernel("f32*, u32", threads=64, registers=32)
def scaled_in_float64(x, n):
    """x[i] *= 0.1, where the constant makes the product one of float64."""
    i = uint32(cuda.threadIdx.x)
    if i < n:
        x[i] = x[i] * 0.1


@kernel("f32*, u32", threads=64, registers=255)
def reversed_in_local_memory(x, n):
    """The last 256 numbers that a thread saw, last first: an array too large, and indexed too freely, for registers."""
    seen = cuda.local.array(256, float32)
    for i in range(256):
        seen[i] = x[uint32(i)]
    for i in range(n):
        x[uint32(i)] = seen[uint32(n - i) % uint32(256)]


@kernel("f32*, f32*", threads=64, registers=8)
def over_budget(x, y):
    """y = x over 32 numbers at once, which takes more registers than it says."""
    values = cuda.local.array(32, float32)
    for i in range(32):
        values[i] = x[uint32(cuda.threadIdx.x * 32 + i)]
    cuda.syncthreads()
    for i in range(32):
        y[uint32(cuda.threadIdx.x * 32 + i)] = values[i]


@kernel("f32*, u32", threads=64, registers=32, allow_f64="to show that it may be allowed")
def scaled_in_float64_with_leave(x, n):
    """As scaled_in_float64."""
    i = uint32(cuda.threadIdx.x)
    if i < n:
        x[i] = x[i] * 0.1


PLANTED = {
    "float64": (scaled_in_float64, r"kernels\.scaled_in_float64 computes in float64: .*\.f64"),
    "local memory": (reversed_in_local_memory, r"reversed_in_local_memory keeps 1024 bytes of every thread in local memory"),
    "registers": (over_budget, r"kernels\.over_budget uses \d\d registers, its budget is 8"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("planted", "message"), PLANTED.values(), ids=PLANTED)
def test_a_planted_fault_is_named(planted, message, target):
    found = "\n".join(faults(planted, target))
    assert re.search(message, found), found
    assert f"on {target}" in found


def test_float64_may_be_allowed_with_a_reason():
    assert faults(scaled_in_float64_with_leave, "sm_80") == []


def test_a_report_is_kept_on_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTCNN_CACHE", str(tmp_path))
    ptx = scaled_in_float64.ptx()
    first = assemble(ptx, "sm_80")
    monkeypatch.setattr(assembly, "_assemble", lambda *_: pytest.fail("assembled again"))
    assert assemble(ptx, "sm_80") == first
    assert isinstance(first, Report)
    assert first.mix["float64"] >= 1


def test_machine_code_can_be_read():
    sass = disassemble(scaled_in_float64.ptx(), "sm_80")
    assert "kernels_scaled_in_float64" in sass
    assert "DMUL" in sass


def test_ptx_that_ptxas_refuses_is_an_error_with_its_words():
    with pytest.raises(RuntimeError, match="ptxas failed"):
        disassemble(scaled_in_float64.ptx().replace("ret;", "retreat;"), "sm_80")


def test_ptx_is_one_text_for_all_targets():
    texts = {target: over_budget.ptx(target) for target in TARGETS}
    assert all(f".target {target}\n" in text for target, text in texts.items())
    assert len({text.replace(f".target {target}\n", "") for target, text in texts.items()}) == 1
    pointer = CPointer(float32)
    for_hopper, _ = cuda.compile_ptx(over_budget.function, (pointer, pointer), cc=(9, 0, "a"), launch_bounds=64)
    assert _instructions(for_hopper) == _instructions(texts["sm_90a"])


def _instructions(ptx):
    """Opcodes only: names differ from compilation to compilation."""
    lines = (line.strip().rstrip(";").split(None, 1) for line in ptx.splitlines())
    return [line[0] for line in lines if line and not line[0].startswith(("//", ".", "$", "{", "}", ")", "_"))]


# Blocks a multiprocessor as cudaOccMaxActiveBlocksPerMultiprocessor of cuda_occupancy.h (CUDA 13.0) has them.
BLOCKS = [
    ("sm_75", 152, 21504, 128, 3), ("sm_75", 32, 0, 256, 4), ("sm_75", 32, 0, 1024, 1), ("sm_75", 16, 0, 32, 16),
    ("sm_80", 152, 21504, 128, 3), ("sm_80", 64, 0, 256, 4), ("sm_80", 32, 33000, 128, 4), ("sm_80", 255, 0, 512, 0),
    ("sm_90a", 157, 21504, 128, 3), ("sm_90a", 64, 49152, 128, 4), ("sm_90a", 40, 0, 96, 16), ("sm_90a", 16, 0, 32, 32),
]  # fmt: skip


@pytest.mark.parametrize(("target", "registers", "shared", "threads", "blocks"), BLOCKS)
def test_occupancy_is_that_of_the_toolkit(target, registers, shared, threads, blocks):
    warps = -(-threads // 32)
    assert occupancy(target, registers, shared, threads) == blocks * warps / LIMITS[target].warps

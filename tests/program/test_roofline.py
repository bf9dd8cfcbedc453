"""Rooflines: measured peaks that make sense, a row for every kernel, and the reasons that a launch gives away."""

import math

import pytest
from fastcnn_kernels import peaks
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn import cli
from fastcnn.cli.roofline import prepared
from fastcnn.program.roofline import FULL_ENOUGH, _waves, rows

FEW = peaks.Peaks({"float32": 1e11}, 1e10, 1e-6)


def test_the_processor_s_peaks_are_plausible():
    found = peaks.measure(CpuBackend(), large=1 << 22)
    assert 1e9 < found.flops["float32"] < 1e14
    assert 1e8 < found.bandwidth < 1e13
    assert 0 < found.launch < 0.1


def test_a_bound_is_the_longer_of_arithmetic_and_memory():
    assert FEW.bound(int(1e11), 0) == 1
    assert FEW.bound(1, int(2e10)) == 2


def test_where_time_means_nothing_nothing_is_measured():
    assert peaks.measure(ReferenceBackend()) is None


def test_every_kernel_of_the_processor_has_a_time_and_a_bound():
    program = prepared("Digits", "train", 4, CpuBackend())
    found = rows(program, FEW)
    assert sum(row.flops for row in found) == pytest.approx(program.cost()[0], rel=0.01)
    assert all(row.seconds > 0 and math.isfinite(row.share) and row.nbytes > 0 for row in found)
    assert all(row.reasons for row in found if row.share < FULL_ENOUGH)
    assert len(found) >= len([number for number in range(len(program.steps)) if program.plan.launches_of(number)])


@pytest.mark.parametrize(
    ("blocks", "said"),
    [(1, "1 block for 100"), (99, "99 blocks for 100"), (200, ""), (250, "1.2 waves, the last 25% full"), (390, "")],
)
def test_waves(blocks, said):
    assert _waves(blocks, 100, 2).removesuffix(" multiprocessors") == said


def test_the_command_prints_times_on_the_cpu(capsys):
    assert cli.main(["roofline", "Digits", "--device", "cpu", "--batch-size", "4", "--mode", "predict"]) == 0
    shown = capsys.readouterr().out
    assert "GB/s" in shown
    assert "conv" in shown


def test_the_reference_has_no_kernels(capsys):
    assert cli.main(["roofline", "--device", "reference"]) == 1
    assert "has no kernels" in capsys.readouterr().err


class TestEmulated:
    @pytest.fixture(autouse=True)
    def packages(self):
        pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")

    def test_all_but_the_times(self, capsys):
        words = "roofline Digits --device emulated --batch-size 2 --mode predict --precision tf32"
        assert cli.main(words.split()) == 0
        shown = capsys.readouterr().out
        assert "no times" in shown
        assert "tensor_product[tf32," in shown
        assert "multiprocessors" in shown

    @pytest.mark.parametrize("name", ["float32", "bandwidth", "tf32", "bfloat16", "launch"])
    def test_the_kernels_that_measure_peaks_do_what_they_count(self, name, monkeypatch):
        """Every one runs on the emulator, spills nothing, and does as many operations as it says."""
        from fastcnn_kernels.device import peaks as of_gpu
        from fastcnn_kernels.device.assembly import faults
        from fastcnn_kernels.device.emulated import EmulatedDevice
        from fastcnn_kernels.emulator import Counters

        monkeypatch.setattr(of_gpu, "BLOCKS_EACH", 1)
        monkeypatch.setattr(of_gpu, "ROUNDS", 2)
        device = EmulatedDevice(1 << 22, Counters())
        x, y = of_gpu.memory(device, 1 << 12)
        call, amount = of_gpu.calls(device, x.address, y.address, 1 << 12)[name]
        device.launch(call)
        if name in ("float32", "tf32", "bfloat16"):
            assert device.counters.flops == amount
        assert faults(call.kernel, "sm_80") == []

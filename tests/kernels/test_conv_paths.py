"""The CPU's convolution on the paths that only large shapes take, and its geometry against counting by hand."""

import itertools

import numpy as np
import pytest
from fastcnn_kernels.cases import Case, cases
from fastcnn_kernels.conv import cpu, geometry, tables
from fastcnn_kernels.conv.geometry import Axis
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.trial import compare

PRODUCTS = [case for case in cases() if case.op.startswith(("conv_", "dense_"))]


@pytest.mark.parametrize("case", PRODUCTS, ids=str)
def test_weights_that_are_read_once(case: Case, monkeypatch):
    """Launches over panels with all samples, which pack their own weights, and over rows of the weight gradient."""
    monkeypatch.setattr(cpu, "FEW_PIXELS", 1 << 30)
    monkeypatch.setattr(cpu, "LARGE_WEIGHTS", 0)
    monkeypatch.setattr(cpu, "LARGE_PARTIALS", 0)
    compare(case, CpuBackend())


@pytest.mark.parametrize("case", PRODUCTS, ids=str)
def test_images_of_many_chunks(case: Case, monkeypatch):
    """Chunks of pixels, groups of samples and runs of rows so small that every loop goes round more than once."""
    monkeypatch.setattr(cpu, "GRADIENT_CHUNK", 5)
    monkeypatch.setattr(cpu, "GRADIENT_ROWS", 12)
    monkeypatch.setattr(cpu, "POOL_CHUNK", 10)
    monkeypatch.setattr(tables, "GROUP_PIXELS", 20)
    compare(case, CpuBackend())


AXES = [
    Axis(extent, kernel, stride, dilation, before, outputs)
    for extent, kernel, stride, dilation, before in itertools.product((1, 2, 5, 8), (1, 2, 3), (1, 2, 3), (1, 2), (0, 1, 2))
    for outputs in {(extent + 2 * before - (kernel - 1) * dilation - 1) // stride + 1, 2}
    if outputs > 0 and (outputs - 1) * stride + (kernel - 1) * dilation + 1 <= extent + 2 * before
]


@pytest.mark.parametrize("worthwhile", [0, np.inf], ids=["cut", "whole"])
def test_phases_visit_every_pixel_once_with_the_taps_that_reach_it(worthwhile: float, monkeypatch):
    monkeypatch.setattr(geometry, "WORTHWHILE", worthwhile)
    for axis in AXES:
        found: dict[int, set[tuple[int, int]]] = {}
        before, after = axis.gradient_halo
        for phase in axis.phases:
            for j in range(phase.count):
                reads = {(k, j + shift) for k, shift in phase.taps}
                assert all(-before <= o < axis.outputs + after for _, o in reads), axis
                pixel = phase.first + j * axis.stride
                assert pixel not in found, axis
                found[pixel] = {(k, o) for k, o in reads if 0 <= o < axis.outputs}
        wanted: dict[int, set[tuple[int, int]]] = {i: set() for i in range(axis.extent)}
        for o, (k, offset) in itertools.product(range(axis.outputs), enumerate(axis.offsets)):
            if o * axis.stride + offset in wanted:
                wanted[o * axis.stride + offset].add((k, o))
        assert found == wanted, axis


def test_the_halo_is_what_the_taps_read_beyond_the_image():
    for axis in AXES:
        reads = [o * axis.stride + offset for o in range(axis.outputs) for offset in axis.offsets]
        assert axis.halo == (max(0, -min(reads)), max(0, max(reads) - axis.extent + 1)), axis

"""Devices by name: which are usable, what "auto" stands for, and that nothing is chosen silently."""

import logging
from collections.abc import Iterator

import pytest
from fastcnn_kernels.device import available
from fastcnn_kernels.device.available import CudaUnavailableError

from fastcnn import backends


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    backends.automatic.cache_clear()
    yield
    backends.automatic.cache_clear()


def raising(message: str):
    def require() -> None:
        raise CudaUnavailableError(message)

    return require


def test_auto_is_cuda_where_that_is_usable(monkeypatch, caplog):
    monkeypatch.setattr(available, "require_gpu", lambda: [])
    monkeypatch.setattr(available, "require_packages", lambda: None)
    with caplog.at_level(logging.INFO, "fastcnn"):
        assert backends.automatic() == "cuda"
    assert "device 'auto' is 'cuda': a usable GPU was found" in caplog.text


def test_auto_is_cpu_where_there_is_no_driver(monkeypatch, caplog, recwarn):
    monkeypatch.setattr(available, "require_gpu", raising("no NVIDIA driver was found"))
    monkeypatch.setattr(available, "gpu_present", lambda: False)
    with caplog.at_level(logging.INFO, "fastcnn"):
        assert backends.automatic() == "cpu"
    assert "device 'auto' is 'cpu': no NVIDIA driver was found" in caplog.text
    assert not recwarn


def test_auto_warns_where_a_gpu_cannot_be_used(monkeypatch):
    monkeypatch.setattr(available, "require_gpu", lambda: [])
    monkeypatch.setattr(available, "require_packages", raising("run: pip install 'fastcnn[cuda13]'"))
    monkeypatch.setattr(available, "gpu_present", lambda: True)
    with pytest.warns(UserWarning, match="is 'cpu' here, although there is an NVIDIA driver: run: pip install"):
        assert backends.automatic() == "cpu"


@pytest.mark.parametrize("name", ["cuda", "emulated"])
def test_a_device_that_was_asked_for_is_never_replaced(name, monkeypatch):
    monkeypatch.setattr(available, "require_gpu", lambda: [])
    monkeypatch.setattr(available, "require_packages", raising("the package numba_cuda is not installed"))
    backends._make.cache_clear()
    with pytest.raises(RuntimeError, match=f"device '{name}' is not usable: the package numba_cuda is not installed"):
        backends.resolve(name)


def test_the_reference_needs_nothing(monkeypatch):
    monkeypatch.setattr(available, "require_packages", raising("missing"))
    assert [backends.why_not(name) for name in ("cpu", "reference")] == ["", ""]

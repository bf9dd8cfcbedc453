"""Devices by name: "cpu", "reference", "auto"; which one is the default, and which are usable here.

A backend is a value; the name is only looked up when a model is compiled. Each backend is made once, so that models can share
the memory of shared layers.
"""

import os
from functools import cache
from typing import Any

from .utils.suggest import unknown

DEVICES = ("cpu", "cuda", "reference")
_default: str | None = None


def set_device(name: str) -> None:
    """Make `name` the device that `compile` uses when it is given none: "auto", "cpu", "cuda" or "reference"."""
    global _default
    _check(name)
    _default = name


def get_device() -> str:
    """The default device's name: the one set, FASTCNN_DEVICE, or "auto"."""
    return _default or os.environ.get("FASTCNN_DEVICE") or "auto"


def resolve(device: Any = None) -> Any:
    """The backend for a name, or for the default device; a backend is returned as it is."""
    if device is not None and not isinstance(device, str):
        return device
    name = device or get_device()
    _check(name)
    return _make("cpu" if name == "auto" else name)


def _check(name: str) -> None:
    if name not in (*DEVICES, "auto"):
        raise unknown("device", name, (*DEVICES, "auto"))


@cache
def _make(name: str) -> Any:
    if name == "cuda":
        raise RuntimeError(f"device 'cuda' is not usable: {why_not('cuda')}. Use device='cpu' or 'auto'.")
    if name == "cpu":
        from fastcnn_kernels.cpu import CpuBackend

        return CpuBackend()
    from fastcnn_kernels.reference import ReferenceBackend

    return ReferenceBackend()


def why_not(name: str) -> str:
    """Why a device cannot be used here; empty if it can."""
    return "this version of fastcnn has no CUDA backend yet" if name == "cuda" else ""


def set_num_threads(count: int) -> None:
    """Number of threads of the "cpu" device; FASTCNN_NUM_THREADS sets it from outside. Results do not depend on it."""
    from fastcnn_kernels.host import threads

    threads.set_num_threads(count)


def get_num_threads() -> int:
    """Number of threads of the "cpu" device."""
    from fastcnn_kernels.host import threads

    return threads.get_num_threads()

"""Devices by name: which one is the default, and which are usable here.

    cpu         Numba kernels on vectors and threads
    cuda        an NVIDIA GPU
    emulated    the same kernels without a GPU: their PTX executed by NumPy, every access checked; for tests
    reference   NumPy, written for clarity
    auto        cuda where it is usable, else cpu

A backend is a value; the name is only looked up when a model is compiled. Each backend is made once, so that models can share
the memory of shared layers.
"""

import logging
import os
import warnings
from functools import cache
from typing import Any

from .utils.suggest import unknown

DEVICES = ("cpu", "cuda", "emulated", "reference")
OPTIONS = {"cpu": ("conv_algorithm",), "cuda": ("precision",), "emulated": ("precision",)}
"""What can be chosen where a device is named: see the device's backend."""
_default: str | None = None


def set_device(name: str) -> None:
    """Make `name`, one of DEVICES or "auto", the device that `compile` uses when it is given none."""
    global _default
    _check(name)
    _default = name


def get_device() -> str:
    """The default device's name: the one set, FASTCNN_DEVICE, or "auto"."""
    return _default or os.environ.get("FASTCNN_DEVICE") or "auto"


def resolve(device: Any = None, **options: Any) -> Any:
    """The backend for a name, or for the default device; a backend is returned as it is.

    `options` are the device's own: OPTIONS. RuntimeError, with the reason and what to do, where a device that was asked for by
    name cannot be used; ValueError for an option that it does not have.
    """
    if device is not None and not isinstance(device, str):
        if options:
            raise ValueError(f"{', '.join(options)} must be given to the backend itself, {device.name!r}, when it is made")
        return device
    name = device or get_device()
    _check(name)
    name = automatic() if name == "auto" else name
    for option in options:
        if option not in OPTIONS.get(name, ()):
            having = " and ".join(repr(d) for d, offered in OPTIONS.items() if option in offered) or "no device"
            raise ValueError(f"device {name!r} has no {option}: it is an option of {having}")
    return _make(name, **options)


def _check(name: str) -> None:
    if name not in (*DEVICES, "auto"):
        raise unknown("device", name, (*DEVICES, "auto"))


@cache
def automatic() -> str:
    """What "auto" stands for. Logs it, and warns where there is an NVIDIA driver that cannot be used."""
    from fastcnn_kernels.device.available import gpu_present

    reason = why_not("cuda")
    if reason and gpu_present():
        warnings.warn(f"device 'auto' is 'cpu' here, although there is an NVIDIA driver: {reason}", stacklevel=3)
    name = "cpu" if reason else "cuda"
    logging.getLogger("fastcnn").info("device 'auto' is %r: %s", name, reason or "a usable GPU was found")
    return name


@cache
def _make(name: str, **options: Any) -> Any:
    reason = why_not(name)
    if reason:
        raise RuntimeError(f"device {name!r} is not usable: {reason}. Or use device='cpu'")
    if name == "cpu":
        from fastcnn_kernels.cpu import CpuBackend

        return CpuBackend(**options)
    if name == "reference":
        from fastcnn_kernels.reference import ReferenceBackend

        return ReferenceBackend()
    return _make_cuda(name, **options)


def _make_cuda(name: str, **options: Any) -> Any:
    from fastcnn_kernels.cuda import CudaBackend

    if name == "cuda":
        from fastcnn_kernels.device.hardware import HardwareDevice

        return CudaBackend(HardwareDevice(), **options)
    from fastcnn_kernels.device.emulated import EmulatedDevice

    return CudaBackend(EmulatedDevice(), **options)


def why_not(name: str) -> str:
    """Why a device cannot be used here, and what mends it; empty if it can."""
    from fastcnn_kernels.device import available

    try:
        if name == "cuda":
            available.require_gpu()
        if name in ("cuda", "emulated"):
            available.require_packages()
    except available.CudaUnavailableError as error:
        return str(error)
    return ""


def set_num_threads(count: int) -> None:
    """Number of threads of the "cpu" device; FASTCNN_NUM_THREADS sets it from outside. Results do not depend on it."""
    from fastcnn_kernels.host import threads

    threads.set_num_threads(count)


def get_num_threads() -> int:
    """Number of threads of the "cpu" device."""
    from fastcnn_kernels.host import threads

    return threads.get_num_threads()

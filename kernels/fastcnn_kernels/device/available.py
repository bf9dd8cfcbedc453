"""Whether CUDA can be used here, and what to do where it cannot. Asks the driver itself; imports no CUDA package.

    CudaUnavailableError   what is raised where it cannot be used
    require_packages       ... for want of packages: all that compiling and emulating kernels needs
    require_gpu            ... for want of a driver or of a GPU that we know how to use; returns the GPUs there are
    gpu_present            whether there is a driver at all
    toolkit_errors         a compiler that is missing, said in these words
    check_ptx_version      PTX of a toolkit that is newer than the driver
"""

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

OLDEST = (7, 5)
"""The oldest compute capability that kernels are compiled for: Turing."""
OLDEST_DRIVER = 13000
INSTALL = "pip install 'fastcnn[cuda13]'"
PACKAGES = ("numba_cuda", "cuda.core", "cuda.bindings", "nvidia.cu13")
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR


class CudaUnavailableError(RuntimeError):
    """CUDA cannot be used: the message says why and which command mends it.

    lacking   what: a "driver", a newer "version" of it, a "gpu" that it sees, "capability", "packages"; "" for anything else
    """

    def __init__(self, message: str, lacking: str = ""):
        super().__init__(message)
        self.lacking = lacking


@dataclass(frozen=True)
class Gpu:
    """What the driver says of a GPU before anything is started on it."""

    name: str
    capability: tuple[int, int]
    memory: int


def require_packages() -> None:
    """CudaUnavailableError where a package is missing that kernels are compiled with."""
    missing = [name for name in PACKAGES if not installed(name)]
    if missing:
        raise CudaUnavailableError(f"the package {missing[0]} is not installed; run: {INSTALL}", "packages")


def installed(name: str) -> bool:
    """Whether a package can be imported; it is not."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def require_gpu() -> list[Gpu]:
    """All GPUs, the first of which can be used; CudaUnavailableError where it cannot."""
    driver = _driver()
    version = _number(driver.cuDriverGetVersion)
    if version < OLDEST_DRIVER:
        raise CudaUnavailableError(
            f"the NVIDIA driver knows CUDA {_dotted(version)}, fastcnn needs 13.0: update it to version 580 or newer "
            "(Debian and Ubuntu: apt install nvidia-driver-580)",
            "version",
        )
    status = driver.cuInit(0)
    count = 0 if status else _number(driver.cuDeviceGetCount)
    if not count:
        raise CudaUnavailableError(
            f"the NVIDIA driver sees no GPU (cuInit: {status}); check with nvidia-smi, and CUDA_VISIBLE_DEVICES; start "
            "containers with --gpus all",
            "gpu",
        )
    gpus = [_gpu(driver, number) for number in range(count)]
    if gpus[0].capability < OLDEST:
        raise CudaUnavailableError(
            f"{gpus[0].name} has compute capability {_version(gpus[0].capability)}; fastcnn needs {_version(OLDEST)} (Turing) "
            "or newer. Choose another GPU with CUDA_VISIBLE_DEVICES, or device='cpu'",
            "capability",
        )
    return gpus


def gpu_present() -> bool:
    """Whether there is an NVIDIA driver, usable or not: then not using it is worth a word."""
    try:
        _driver()
    except CudaUnavailableError:
        return False
    return True


def _driver() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise CudaUnavailableError(
            "no NVIDIA driver was found (libcuda.so.1); install one (Debian and Ubuntu: apt install nvidia-driver-580) and "
            "check with nvidia-smi",
            "driver",
        ) from None


def _number(function: "ctypes._NamedFuncPointer", *arguments: int) -> int:
    """What a driver function writes to its first argument; 0 where it fails."""
    value = ctypes.c_int(0)
    return 0 if function(ctypes.byref(value), *arguments) else value.value


def _gpu(driver: ctypes.CDLL, number: int) -> Gpu:
    handle, name, memory = _number(driver.cuDeviceGet, number), ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    driver.cuDeviceGetName(name, 256, handle)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)
    major, minor = (_number(driver.cuDeviceGetAttribute, attribute, handle) for attribute in (_MAJOR, _MINOR))
    return Gpu(name.value.decode(errors="replace"), (major, minor), memory.value)


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def _version(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


@contextmanager
def toolkit_errors() -> Iterator[None]:
    """CudaUnavailableError in place of what Numba raises where its compiler library cannot be found."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ in ("NvvmSupportError", "DynamicLibNotFoundError", "CudaSupportError"):
            raise CudaUnavailableError(f"the CUDA compiler was not found ({error}); run: {INSTALL}") from error
        raise


def check_ptx_version(ptx: str, driver_version: int) -> None:
    """CudaUnavailableError where PTX was made for a newer driver than this. CUDA 13.x brought PTX 9.x."""
    major, minor = map(int, re.search(r"^\.version (\d+)\.(\d+)", ptx, re.MULTILINE).groups())  # type: ignore[union-attr]
    if (major + 4) * 1000 + 10 * minor > driver_version:
        raise CudaUnavailableError(
            f"kernels are compiled to PTX {major}.{minor}, which the driver (CUDA {_dotted(driver_version)}) does not know: "
            "update the driver, or run: pip install 'cuda-toolkit==13.0.*' 'nvidia-nvjitlink==13.0.*'"
        )

"""The machine (FC0..): GPU, threads and compiler.

Machine   a snapshot of what the checks look at; `Machine.here()` takes one

No GPU at all is no finding: `fastcnn devices` says what can be used. A GPU that is there and cannot be used is one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import backends
from .findings import Seen, check

NVIDIA, DISPLAY = "0x10de", "0x03"
"""PCI vendor number, and how the class of a display controller begins."""
BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")
"""The variables that say how many threads NumPy's matrix products run on; the first that is set counts."""


@dataclass(frozen=True)
class Machine:
    """What this process runs on.

    environment   environment variables
    processors    how many this process may use at a time: those that it may run on, within its control group's quota
    threads       how many the CPU kernels are to run on
    blas_threads  how many NumPy's matrix products run on
    gpu_on_bus    whether an NVIDIA display controller is plugged in, or its device files are there
    lacking       what keeps the GPU from being used: "driver", "version", "gpu", "capability", "packages", or "" for nothing
    reason        ... in words
    """

    environment: Mapping[str, str]
    processors: int
    threads: int
    blas_threads: int
    gpu_on_bus: bool
    lacking: str
    reason: str

    @classmethod
    def here(cls) -> "Machine":
        """The snapshot of this process."""
        from fastcnn_kernels.host.threads import available

        environment = dict(os.environ)
        blas = next((environment[name] for name in BLAS if environment.get(name, "").isdigit()), available())
        lacking, reason = _lacking()
        processors = max(1, round(min(available(), cpu_quota())))
        threads = backends.get_num_threads()
        return cls(environment, processors, threads, int(blas), _gpu_on_bus(), lacking, reason)


# GPU. The reasons say which command mends it on this machine.


@check(
    "FC001",
    "an NVIDIA GPU without its driver",
    fix="sudo apt install nvidia-driver-580 (Debian, Ubuntu), restart, and check with nvidia-smi. In a container: install the "
    "NVIDIA Container Toolkit on the host and start it with --gpus all.",
)
def no_driver(machine: Machine) -> Seen:
    """Without libcuda.so.1 nothing can be computed on the GPU, and device "auto" is the CPU."""
    if machine.gpu_on_bus and machine.lacking == "driver":
        yield f"a GPU is plugged in, but {machine.reason}"


@check("FC002", "the NVIDIA driver is too old", fix="sudo apt install nvidia-driver-580 (Debian, Ubuntu), and restart.")
def old_driver(machine: Machine) -> Seen:
    """Kernels are compiled by CUDA 13.0, whose PTX older drivers do not read."""
    if machine.lacking == "version":
        yield machine.reason


@check(
    "FC003",
    "the NVIDIA driver sees no GPU",
    fix="Check with nvidia-smi; unset CUDA_VISIBLE_DEVICES; start containers with --gpus all.",
)
def no_visible_gpu(machine: Machine) -> Seen:
    """A driver is there, so a GPU was meant to be used."""
    if machine.lacking == "gpu":
        yield machine.reason


@check(
    "FC004",
    "the GPU's compute capability is too low",
    fix="Choose another GPU: nvidia-smi -L lists them, export CUDA_VISIBLE_DEVICES=1 chooses the second. Or use device='cpu'.",
)
def old_gpu(machine: Machine) -> Seen:
    """Kernels are compiled for compute capability 7.5 (Turing, 2018) and newer: CUDA 13.0 compiles for none that is older."""
    if machine.lacking == "capability":
        yield machine.reason


@check("FC005", "the packages that compile for the GPU are missing", fix="pip install 'fastcnn[cuda13]'")
def no_toolkit(machine: Machine) -> Seen:
    """The GPU and its driver are ready; numba-cuda and the CUDA 13.0 toolkit come as Python packages."""
    if machine.lacking == "packages":
        yield machine.reason


# Threads.


@check(
    "FC011",
    "more threads than processors",
    fix="Unset FASTCNN_NUM_THREADS, or set it to the number of processors; or give the container more (docker --cpus).",
)
def too_many_threads(machine: Machine) -> Seen:
    """Threads share out a step evenly and wait for the last: two on one processor make every step as slow as that one. In a
    control group the quota is spent early in each period, and all threads are stopped until the next."""
    if machine.threads > machine.processors:
        yield f"{machine.threads} threads on {machine.processors} processor(s)"


@check(
    "FC012",
    "Numba's pool of threads is too small",
    fix="Unset NUMBA_NUM_THREADS; choose the number of threads with FASTCNN_NUM_THREADS.",
)
def small_pool(machine: Machine) -> Seen:
    """Numba fixes its pool when it is imported; asking for more threads afterwards is an error."""
    size = machine.environment.get("NUMBA_NUM_THREADS", "")
    if size.isdigit() and int(size) < machine.threads:
        yield f"NUMBA_NUM_THREADS={size}, but {machine.threads} threads are wanted"


@check(
    "FC013",
    "NumPy's BLAS has more threads than processors",
    fix="Set OMP_NUM_THREADS (and OPENBLAS_NUM_THREADS, MKL_NUM_THREADS where they are set) to the number of processors.",
)
def large_blas_pool(machine: Machine) -> Seen:
    """Its idle threads spin for the processors that the others need. fastcnn's own kernels do not use it; device "reference",
    and what you compute with NumPy between two steps, do."""
    if machine.blas_threads > machine.processors:
        yield f"{machine.blas_threads} threads on {machine.processors} processor(s)"


# Compiler.


@check(
    "FC021",
    "Numba is not allowed to compile",
    fix="Unset NUMBA_DISABLE_JIT; to step through the arithmetic in a debugger use device='reference'.",
)
def no_compiler(machine: Machine) -> Seen:
    """The CPU kernels are made of vector instructions, which exist only when compiled."""
    if machine.environment.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        yield f"NUMBA_DISABLE_JIT={machine.environment['NUMBA_DISABLE_JIT']}"


# The snapshot.


def cpu_quota(mount: Path = Path("/sys/fs/cgroup")) -> float:
    """How many processors' time a container may use; infinite where nothing limits it. As the container sees it: the root of
    its control group's file system, of version 2 or 1."""
    words = _text(mount / "cpu.max").split() or [
        _text(mount / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
    ]
    return int(words[0]) / int(words[1]) if len(words) == 2 and all(word.isdigit() for word in words) else float("inf")


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _lacking() -> tuple[str, str]:
    from fastcnn_kernels.device import available

    try:
        available.require_gpu()
        available.require_packages()
    except available.CudaUnavailableError as error:
        return error.lacking, str(error)
    return "", ""


def _gpu_on_bus() -> bool:
    devices = Path("/sys/bus/pci/devices").glob("*")
    plugged = any(_text(d / "vendor").strip() == NVIDIA and _text(d / "class").startswith(DISPLAY) for d in devices)
    return plugged or Path("/dev/nvidia0").exists()

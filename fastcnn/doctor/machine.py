"""The machine: GPU, threads, environment variables and kernel cache (FC0..).

Machine   a snapshot of what the checks look at; `Machine.here()` takes one

No GPU at all is no finding: `fastcnn devices` says what can be used. A GPU that is there and cannot be used is one.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import backends
from .findings import ERROR, NOTE, WARNING, Seen, check

LARGE_CACHE = 2 << 30
NVIDIA, DISPLAY = "0x10de", "0x03"
"""PCI vendor number, and how the class of a display controller begins."""
OPENMP = re.compile(r"/\S*/lib(?:gomp|iomp5|omp)\b[^/\s]*\.so[^/\s]*")


@dataclass(frozen=True)
class Machine:
    """What this process runs on.

    environment   environment variables
    processors    how many this process may use
    quota         how many processors' time its control group may use, None for no limit
    threads       how many the CPU kernels are to run on
    gpu_on_bus    whether an NVIDIA display controller is plugged in, or its device files are there
    no_gpu        why no GPU can be used, "" if one can
    no_packages   why CUDA kernels cannot be compiled, "" if they can
    failures      what went wrong in a small computation, by device; only devices that were tried and failed
    vectors       bits of a vector that kernels are compiled for; None where they cannot be
    widest        bits of the processor's widest vectors
    openmp        the OpenMP runtimes that this process has loaded
    cache         the folder of compiled kernels
    cache_bytes   what lies in it; None where it cannot be written to
    """

    environment: Mapping[str, str]
    processors: int
    quota: float | None
    threads: int
    gpu_on_bus: bool
    no_gpu: str
    no_packages: str
    failures: Mapping[str, str]
    vectors: int | None
    widest: int
    openmp: tuple[str, ...]
    cache: Path
    cache_bytes: int | None
    offers: frozenset[str] = field(default=frozenset())

    @classmethod
    def here(cls) -> "Machine":
        """The snapshot of this process. Compiles and runs a few kernels."""
        from fastcnn_kernels.host.threads import available

        no_gpu, no_packages = backends.why_not("cuda"), backends.why_not("emulated")
        cache = _cache_folder()
        usable = ["cpu", *([] if no_gpu else ["cuda"])]
        return cls(
            environment=dict(os.environ),
            processors=available(),
            quota=cpu_quota(),
            threads=backends.get_num_threads(),
            gpu_on_bus=_gpu_on_bus(),
            no_gpu="" if no_gpu == no_packages else no_gpu,
            no_packages=no_packages,
            failures={device: failure for device in usable if (failure := _failure(device))},
            vectors=_vectors(),
            widest=_widest(),
            openmp=_openmp_runtimes(),
            cache=cache,
            cache_bytes=_size(cache),
        )


# GPU.


@check(
    "FC001",
    WARNING,
    "an NVIDIA GPU without its driver",
    fix="Install the driver (Debian and Ubuntu: sudo apt install nvidia-driver-580), restart, and check with nvidia-smi. In a "
    "container: install the NVIDIA Container Toolkit on the host and start it with --gpus all.",
)
def no_driver(machine: Machine) -> Seen:
    """Without libcuda.so.1 nothing can be computed on the GPU, and device "auto" is the CPU."""
    if machine.gpu_on_bus and "libcuda" in machine.no_gpu:
        yield f"a GPU is plugged in, but {machine.no_gpu}"


@check(
    "FC002",
    WARNING,
    "the NVIDIA driver finds no GPU that can be used",
    fix="Do what the line above says: a driver of version 580 or newer (CUDA 13.0), a GPU of compute capability 7.5 (Turing) or "
    "newer, one that CUDA_VISIBLE_DEVICES does not hide, and --gpus all for a container.",
)
def no_usable_gpu(machine: Machine) -> Seen:
    """A driver is there, so a GPU was meant to be used; but it is too old, hidden, or the driver is older than CUDA 13.0."""
    if machine.no_gpu and "libcuda" not in machine.no_gpu:
        yield machine.no_gpu


@check(
    "FC003",
    WARNING,
    "the packages that compile for the GPU are missing",
    fix="pip install 'fastcnn[cuda13]'",
)
def no_cuda_packages(machine: Machine) -> Seen:
    """The GPU and its driver are ready; numba-cuda and the CUDA 13.0 compiler come as Python packages."""
    if not machine.no_gpu and machine.no_packages:
        yield machine.no_packages


@check(
    "FC004",
    ERROR,
    "a small network fails on a device that should work",
    fix="Run `fastcnn verify --device NAME` to see which kernels fail. Where the message speaks of PTX or a compiler: "
    "pip install --force-reinstall 'fastcnn[cuda13]'; after an update of Python, Numba or the driver: restart the process.",
)
def small_network_fails(machine: Machine) -> Seen:
    """A dense layer was compiled, run and compared with NumPy, which needs compiler, driver, threads and cache to work."""
    for device, failure in machine.failures.items():
        yield f"{device}: {failure}"


# Threads.


@check(
    "FC010",
    WARNING,
    "more threads than processors",
    fix="Unset FASTCNN_NUM_THREADS (the default is every processor that the process may use), or lower it.",
)
def too_many_threads(machine: Machine) -> Seen:
    """Threads share out a step evenly and wait for the last: two on one processor make every step as slow as that one."""
    if machine.threads > machine.processors:
        yield f"{machine.threads} threads on {machine.processors} processor(s)"


@check(
    "FC011",
    WARNING,
    "more threads than the container may use",
    fix="Set FASTCNN_NUM_THREADS to the quota, rounded up, or give the container more (docker --cpus, Kubernetes limits.cpu).",
)
def above_quota(machine: Machine) -> Seen:
    """The control group's quota is spent early in each period, then all threads are stopped until the next one: steps stutter."""
    if machine.quota is not None and machine.threads > max(1.0, machine.quota) + 0.5:
        yield f"{machine.threads} threads in a control group with the time of {machine.quota:.3g} processor(s)"


@check(
    "FC012",
    ERROR,
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
    NOTE,
    "most processors are idle",
    fix="Unset FASTCNN_NUM_THREADS, unless the others are meant for something else.",
)
def few_threads(machine: Machine) -> Seen:
    """Results do not depend on the number of threads, only the time does."""
    usable = min(machine.processors, machine.quota or machine.processors)
    if "FASTCNN_NUM_THREADS" in machine.environment and 2 * machine.threads < usable:
        yield f"FASTCNN_NUM_THREADS={machine.threads} of {usable:.3g} processors"


@check(
    "FC014",
    NOTE,
    "NumPy's matrix products run on one thread",
    fix="Unset the variable if this process is meant to have the machine for itself.",
)
def single_blas(machine: Machine) -> Seen:
    """fastcnn's own kernels do not heed these variables; device "reference" and what you compute in NumPy do."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        if machine.environment.get(name) == "1" and machine.processors > 1:
            yield f"{name}=1 on {machine.processors} processors"


@check(
    "FC015",
    WARNING,
    "OpenMP's settings slow small steps down",
    fix="Unset OMP_WAIT_POLICY and OMP_THREAD_LIMIT: fastcnn itself sets how long an idle thread spins.",
)
def openmp_settings(machine: Machine) -> Seen:
    """PASSIVE puts threads to sleep between two kernels; ACTIVE lets them spin away the time of others; a limit takes
    threads away."""
    policy, limit = (machine.environment.get(name, "") for name in ("OMP_WAIT_POLICY", "OMP_THREAD_LIMIT"))
    if policy:
        yield f"OMP_WAIT_POLICY={policy}"
    if limit.isdigit() and int(limit) < machine.threads:
        yield f"OMP_THREAD_LIMIT={limit}, but {machine.threads} threads are wanted"


@check(
    "FC016",
    WARNING,
    "several OpenMP runtimes in one process",
    fix="Train in a process of its own, which does not import the other library (PyTorch, scikit-learn and others bring one).",
)
def two_openmp_runtimes(machine: Machine) -> Seen:
    """Each keeps a pool as large as the machine, whose idle threads spin for the processors that the other's need."""
    if len(machine.openmp) > 1:
        yield ", ".join(machine.openmp)


# Compiler.


@check(
    "FC020",
    ERROR,
    "Numba is not allowed to compile",
    fix="Unset NUMBA_DISABLE_JIT; to step through the arithmetic in a debugger use device='reference'.",
)
def no_compiler(machine: Machine) -> Seen:
    """The CPU kernels are made of vector instructions, which exist only when compiled."""
    if machine.environment.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        yield f"NUMBA_DISABLE_JIT={machine.environment['NUMBA_DISABLE_JIT']}"


@check(
    "FC021",
    WARNING,
    "Numba compiles slow code",
    fix="Unset NUMBA_OPT, NUMBA_DEBUGINFO and NUMBA_BOUNDSCHECK, and remove the cache folder, which keeps what was compiled so.",
)
def slow_code(machine: Machine) -> Seen:
    """Without optimisation a register tile lives in memory, and kernels are many times slower."""
    for name, harmless in (("NUMBA_OPT", ("", "3", "max")), ("NUMBA_DEBUGINFO", ("", "0")), ("NUMBA_BOUNDSCHECK", ("", "0"))):
        if machine.environment.get(name, "") not in harmless:
            yield f"{name}={machine.environment[name]}"


@check(
    "FC022",
    WARNING,
    "kernels use narrower vectors than the processor has",
    fix="Unset NUMBA_CPU_NAME and NUMBA_CPU_FEATURES; in a virtual machine, let it see the host's processor.",
)
def narrow_vectors(machine: Machine) -> Seen:
    """A vector instruction computes all of its lanes at once: half the width is about half the speed."""
    if machine.vectors is not None and machine.vectors < machine.widest:
        yield f"kernels are compiled for vectors of {machine.vectors} bits, the processor has {machine.widest}"


@check(
    "FC023",
    WARNING,
    "compiled kernels cannot be kept",
    fix="Make the folder writable, or let FASTCNN_CACHE name one that is.",
)
def cache_not_writable(machine: Machine) -> Seen:
    """They are then compiled again by every process, which takes about a minute."""
    if machine.cache_bytes is None:
        yield f"{machine.cache} cannot be written to"


@check(
    "FC024",
    NOTE,
    "the cache of compiled kernels is large",
    fix="Remove the folder; what is needed is compiled again (`fastcnn warmup`).",
)
def large_cache(machine: Machine) -> Seen:
    """It keeps the kernels of every version of fastcnn, Numba and Python that ever ran here."""
    if (machine.cache_bytes or 0) > LARGE_CACHE:
        yield f"{(machine.cache_bytes or 0) / 2**30:.1f} GiB in {machine.cache}"


# The snapshot.


def cpu_quota(root: Path = Path("/")) -> float | None:
    """How many processors' time the control group of this process may use: the least of its ancestors' limits."""
    limits = []
    for folder in _control_groups(root):
        for name, read in (("cpu.max", _version_2), ("cpu.cfs_quota_us", _version_1)):
            limit = read(folder / name)
            limits += [] if limit is None else [limit]
    return min(limits, default=None)


def _control_groups(root: Path) -> list[Path]:
    mount, lines = root / "sys/fs/cgroup", _text(root / "proc/self/cgroup").splitlines()
    paths = [path for line in lines for _, kinds, path in [line.split(":", 2)] if not kinds or "cpu" in kinds.split(",")]
    found = {base / parent for path in paths for base in (mount, mount / "cpu") for parent in _upwards(path)}
    return sorted({mount, mount / "cpu", *found})


def _upwards(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]


def _version_2(file: Path) -> float | None:
    quota, _, period = _text(file).strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _version_1(file: Path) -> float | None:
    quota, period = _text(file).strip(), _text(file.with_name("cpu.cfs_period_us")).strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _gpu_on_bus() -> bool:
    if Path("/dev/nvidia0").exists():
        return True
    devices = Path("/sys/bus/pci/devices").glob("*")
    return any(_text(d / "vendor").strip() == NVIDIA and _text(d / "class").startswith(DISPLAY) for d in devices)


def _cache_folder() -> Path:
    import pooch

    return Path(os.environ.get("FASTCNN_CACHE") or pooch.os_cache("fastcnn"))


def _size(folder: Path) -> int | None:
    """Bytes of the files in a folder; None where it cannot be written to, or cannot be made."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return None
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _vectors() -> int | None:
    try:
        from fastcnn_kernels import simd
    except Exception:
        return None  # FC020 and FC004 say why
    return 32 * simd.WIDTH


def _widest() -> int:
    flags = re.search(r"^flags\s*:(.*)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    words = flags[1].split() if flags else []
    return 512 if "avx512f" in words else 256 if "avx2" in words else 128


def _openmp_runtimes() -> tuple[str, ...]:
    return tuple(sorted(set(OPENMP.findall(_text(Path("/proc/self/maps"))))))


def _failure(device: str) -> str:
    """What goes wrong in a small network on a device; "" if it computes what NumPy does."""
    import numpy as np

    from .. import layers, models
    from ..utils import random_seed

    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
    try:
        with random_seed.preserved():
            model = models.Sequential([layers.Dense(3, input_shape=(6,), name="doctor")], name="doctor")
        model.compile(device=device)
        kernel, bias = model.get_weights()
        error = float(np.abs(model.predict_on_batch(x) - (x @ kernel + bias)).max())
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"
    return "" if error < 1e-5 else f"a dense layer differs from NumPy's result by {error:.2g}"


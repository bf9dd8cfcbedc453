"""What this computer is called and has, for people to read."""

import os
import platform
from importlib import metadata
from pathlib import Path

import fastcnn


def processor() -> str:
    """The processor's name, as its maker writes it where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def memory() -> int:
    """Bytes of main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def duration(seconds: float) -> str:
    """A time as the tutorials write it: 3h 30m, 8m 4s, 12.3s."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}h {minutes}m"


def versions() -> dict[str, str]:
    """Of what the bits of a result depend on."""
    packages = {name: metadata.version(name) for name in ("numba", "numpy")}
    return {"fastcnn": fastcnn.__version__, "python": platform.python_version(), **packages, "machine": processor()}

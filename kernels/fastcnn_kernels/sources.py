"""Where compiled kernels are kept on disk, and when they are out of date.

A kernel is made of more than its own file: intrinsics, inlined helpers, the order of an argument row. So its place on disk
carries a digest of all sources that kernels of its kind are made of.
"""

import hashlib
import os
import platform
import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CPU = ("api.py", "simd.py", "host/*.py", "*/cpu.py", "conv/t*.py", "*/geometry.py", "conv/filtering.py", "conv/*_kernels.py")
CUDA = ("api.py", "ptx.py", "device/*.py", "random/cuda*.py", "augment/geometry.py", "softmax_crossentropy/cuda.py")
"""What is inlined into CUDA kernels of every folder; a kernel's own folder comes to it."""
NOT_IN_KERNELS = frozenset(
    {
        "assembly.py", "available.py", "dry.py", "emulated.py", "guarded.py", "hardware.py", "interface.py", "peaks.py",
        "plan.py", "works.py",
    }
)  # fmt: skip
"""Files of device/ that may change without a kernel changing."""


@cache
def digest(patterns: tuple[str, ...], *versions: str, without: frozenset[str] = frozenset()) -> str:
    """Sixteen hexadecimal digits that change with the files that match, the interpreter and the versions named."""
    total = hashlib.sha256(f"{sys.version_info} {platform.machine()} {versions}".encode())
    for file in sorted({file for pattern in patterns for file in PACKAGE.glob(pattern)}):
        if file.name not in without:
            total.update(file.read_bytes())
    return total.hexdigest()[:16]


def cache_folder(kind: str) -> Path:
    """The folder for compiled kernels of a kind: in FASTCNN_CACHE, or in the user's cache folder."""
    import pooch

    folder = Path(os.environ.get("FASTCNN_CACHE") or pooch.os_cache("fastcnn")) / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(file: Path, text: str) -> None:
    """Write a file of a cache folder whole: other processes may be writing and reading it at this moment."""
    beside = file.with_name(f".{file.name[-100:]}.{os.getpid()}")
    beside.write_text(text)
    os.replace(beside, file)

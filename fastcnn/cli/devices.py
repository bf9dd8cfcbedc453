"""`fastcnn devices`: what can be computed on here, and why not."""

from typing import Any

from fastcnn import backends
from fastcnn.cli import machine
from fastcnn.cli.arguments import Parser


def describe(parser: Parser) -> None:
    """This command takes no arguments."""


def run(arguments: Any) -> int:
    """Print a line for each device, and one for the default."""
    for name in backends.DEVICES:
        reason = backends.why_not(name)
        state = "not usable" if reason else "usable"
        print(f"{name:10} {state:11} {reason or DESCRIPTIONS[name]()}")
    print(f"\ndefault: {_default()} (--device, or the environment variable FASTCNN_DEVICE)")
    return 0


def _default() -> str:
    name = backends.get_device()
    return f"{name}, which is {backends.automatic()} here" if name == "auto" else name


def device_name(name: str) -> str:
    """How the device is called in tables of results: its hardware and, of a processor, how much of it works."""
    if name == "cuda":
        return _gpus()[0].name
    if name in ("emulated", "reference"):
        return f"{machine.processor()} ({name})"
    threads = backends.get_num_threads()
    return f"{machine.processor()} ({threads} thread{'s' if threads > 1 else ''})"


def _cpu() -> str:
    from fastcnn_kernels import simd

    gibibytes = machine.memory() / 2**30
    return (
        f"{device_name('cpu')}, {32 * simd.WIDTH}-bit vectors, register tiles of {simd.TILE_PIXELS} pixels x "
        f"{16 * simd.TILE_BLOCKS} channels, {gibibytes:.1f} GiB of memory"
    )


def _gpus() -> Any:
    from fastcnn_kernels.device.available import require_gpu

    return require_gpu()


def _cuda() -> str:
    capabilities = (".".join(map(str, gpu.capability)) for gpu in _gpus())
    told = zip(_gpus(), capabilities, strict=True)
    return "; ".join(f"{gpu.name}, compute capability {cc}, {gpu.memory / 2**30:.1f} GiB" for gpu, cc in told)


def _emulated() -> str:
    return "the CUDA kernels' PTX executed by NumPy, every access checked: for tests, and very slow"


def _reference() -> str:
    import numpy

    return f"NumPy {numpy.__version__}, written for clarity: right, and slow"


DESCRIPTIONS = {"cpu": _cpu, "cuda": _cuda, "emulated": _emulated, "reference": _reference}

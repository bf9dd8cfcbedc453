"""`fastcnn kernels`: the CUDA kernels that the tutorials' networks use, and what compilers make of them. Needs no GPU.

    fastcnn kernels                                   the table; exit code 1 if one does not pass the compile gates
    fastcnn kernels NAME --source | --ptx | --sass    one kernel: its Python source, PTX, or machine code
    fastcnn kernels --device cpu                      the CPU's kernels: name and first line of the specification
"""

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from fastcnn.cli.arguments import Parser
from fastcnn.utils.suggest import unknown

SIZES = {"Digits": 32, "TutorialMNIST": 64, "TutorialCIFAR10": 128, "TutorialKeras": 64}
"""The networks, and the batch sizes that they are trained with."""
LABELS = (("sparse_categorical_crossentropy", "int64"), ("categorical_crossentropy", "float32"))


def describe(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a kernel's name, or a part that no other has")
    shown = parser.add_mutually_exclusive_group()
    for what in ("source", "ptx", "sass"):
        shown.add_argument(f"--{what}", dest="shown", action="store_const", const=what, help=f"show its {what}")
    parser.add_argument("--target", metavar="SM", default="sm_80", help="sm_75, sm_80 (default) or sm_90a")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="whose kernels (default: cuda)")


def run(arguments: Any) -> int:
    """Print what was asked for."""
    if arguments.device == "cpu":
        return _list_cpu_kernels()
    from fastcnn_kernels.device.available import require_packages

    require_packages()
    from fastcnn_kernels.device.kernel import TARGETS

    if arguments.target not in TARGETS:
        raise unknown("target", arguments.target, TARGETS)
    if arguments.name is None:
        if arguments.shown:
            raise ValueError(f"--{arguments.shown} shows one kernel: give its name")
        return _print_table(used())
    kernel = _find(arguments.name)
    print(_text(kernel, arguments.shown or "source", arguments.target))
    return 0


def used() -> list[Any]:
    """Every CudaKernel that training, evaluation and prediction of the tutorials' networks launch, by name. Nothing is run."""
    from fastcnn_kernels.cuda import CudaBackend
    from fastcnn_kernels.device.dry import DryDevice

    backend = CudaBackend(DryDevice())
    found = {call.kernel for program in _programs(backend) for call in program.plan.calls}
    return sorted(found, key=lambda kernel: kernel.name)


def _programs(backend: Any) -> Iterator[Any]:
    from fastcnn import applications

    for name, batch_size in SIZES.items():
        for loss, labels in LABELS:
            model = applications.get(name)()
            model.compile("adam", loss, metrics=["accuracy"], device=backend)
            for size in (batch_size, 1):
                yield from (model.program(mode, size) for mode in ("train", "test", "predict"))
            yield from _from_data(model, batch_size, loss, labels)


def _from_data(model: Any, batch_size: int, loss: str, labels: str) -> Iterator[Any]:
    """Training on arrays of the dtypes that data sets have."""
    import numpy as np

    from fastcnn import losses

    (shape,) = (output.shape for output in model.outputs)
    sample = np.zeros((1, *shape[1:]) if labels == "float32" else 1, labels)
    targets = (losses.get(loss).target(shape, sample),)
    for pixels in ("uint8", "float32"):
        yield model.executor.program("train", batch_size, (pixels, labels), targets)


def _all() -> list[Any]:
    """Every kernel of the CUDA backend that has a case, and those of the networks."""
    from fastcnn_kernels.cases import cases
    from fastcnn_kernels.cuda import CudaBackend
    from fastcnn_kernels.device.dry import DryDevice
    from fastcnn_kernels.trial import build

    backend = CudaBackend(DryDevice())
    of_cases = {call.kernel for case in cases() for call in build(case, backend).plan.calls}
    return sorted(of_cases | set(used()), key=lambda kernel: kernel.name)


def _find(name: str) -> Any:
    kernels = {kernel.name: kernel for kernel in _all()}
    matches = [name] if name in kernels else [known for known in kernels if name in known]
    if not matches:
        raise unknown("kernel", name, kernels)
    if len(matches) > 1:
        raise ValueError(f"{len(matches)} kernels are called so:\n  " + "\n  ".join(matches))
    return kernels[matches[0]]


def _text(kernel: Any, shown: str, target: str) -> str:
    from fastcnn_kernels.device.assembly import disassemble

    if shown == "source":
        return textwrap.dedent(inspect.getsource(kernel.function)).rstrip()
    return str(kernel.ptx(target) if shown == "ptx" else disassemble(kernel.ptx(target), target)).rstrip()


def _print_table(kernels: list[Any]) -> int:
    from fastcnn_kernels.device import assembly
    from fastcnn_kernels.device.kernel import TARGETS
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 300)
    table = Table("kernel", "threads", *(f"{target}\nregisters" for target in TARGETS), "shared\nbytes", box=None)
    for target in TARGETS:
        table.add_column(f"{target}\noccupancy", justify="right")
    table.add_column("instructions on sm_80, by class")
    faults = []
    for kernel in track(kernels, "compiling", console=Console(stderr=True), transient=True):
        reports = {target: assembly.assemble(kernel.ptx(target), target) for target in TARGETS}
        table.add_row(*_row(kernel, reports), style="red" if (found := _faults(kernel)) else "")
        faults += found
    console.print(table)
    print(f"\n{len(kernels)} kernels; " + (f"{len(faults)} faults:" if faults else "all pass the compile gates"))
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


def _row(kernel: Any, reports: dict[str, Any]) -> Iterable[str]:
    from fastcnn_kernels.device.assembly import occupancy

    shares = [f"{occupancy(t, r.registers, r.shared, kernel.threads):.0%}" for t, r in reports.items()]
    mix = sorted(reports["sm_80"].mix.items(), key=lambda entry: -entry[1])
    return [
        kernel.name.replace("[", r"\["), str(kernel.threads), *(str(r.registers) for r in reports.values()),
        str(reports["sm_80"].shared), *shares, ", ".join(f"{name} {count}" for name, count in mix),
    ]  # fmt: skip


def _faults(kernel: Any) -> list[str]:
    from fastcnn_kernels.device.assembly import faults
    from fastcnn_kernels.device.kernel import TARGETS

    return [fault for target in TARGETS for fault in faults(kernel, target)]


def _list_cpu_kernels() -> int:
    import fastcnn_kernels.cpu
    from fastcnn_kernels.host.runner import kernel

    assert fastcnn_kernels.cpu  # importing it registers them all
    for entry in sorted(kernel.registry, key=lambda entry: entry.name):
        specification = (entry.__doc__ or "").strip().splitlines()
        print(f"{entry.name:50} {specification[0] if specification else ''}".rstrip())
    return 0

"""`fastcnn report`: one network on every device of this machine, measured and written down as report.md, .json and .html.

fastcnn report --quick                    the bundled digits, in a minute or two
fastcnn report --network tutorial-cifar10 --epochs 6 --against torch
fastcnn report --compare A.json B.json    two machines side by side
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcnn import backends
from fastcnn.cli.arguments import Parser, positive_int
from fastcnn.cli.machine import duration
from fastcnn.utils.files import write_atomically
from fastcnn.utils.suggest import unknown

AUTOMATIC = ("cuda", "cpu", "reference")


def describe(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--devices", metavar="NAMES", default="auto", help="auto, or names with commas between (see: fastcnn devices)"
    )
    parser.add_argument(
        "--network", metavar="NAME|PATH", help="digits, tutorial-mnist, tutorial-cifar10 (default), or a saved model"
    )
    parser.add_argument("--data", metavar="DATA", help="a data set (default: the network's own)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs", type=positive_int, metavar="N", help="train N epochs; the time of a whole training is projected"
    )
    length.add_argument(
        "--quick", action="store_true", help="short measurements, and the bundled digits unless --network is given"
    )
    parser.add_argument("--against", choices=("torch",), help="measure PyTorch too: the same network, weights and data")
    parser.add_argument("--torch-python", metavar="PATH", help="a Python that has torch (default: this one)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the files go (default: report)")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A.json", "B.json"), help="set two reports side by side")


def run(arguments: Any) -> int:
    """Measure, or compare; print tables and write files."""
    if arguments.compare:
        return _compare(arguments.compare, arguments.out)
    from fastcnn.report import gathering, page, schema, setup, tables, torch_side

    python = torch_side.python_with_torch(arguments.torch_python) if arguments.against else None
    job = setup.job_for(arguments.network, arguments.data, arguments.epochs, arguments.quick)
    folder = arguments.out or Path("report")
    folder.mkdir(parents=True, exist_ok=True)
    report = gathering.gather(job, chosen(arguments.devices), _command(arguments), python, _tell)
    found = [*tables.overview(report), *tables.details(report)]
    _write(folder, {"json": schema.document(report), "md": tables.markdown(found), "html": page.page(report)})
    _print(tables.overview(report))
    print(f"{page.said(report)}\n\n{folder}/report.html, .md and .json tell the rest ({duration(report.seconds)})")
    return 0


def chosen(names: str) -> list[str]:
    """The devices: those named, or every one that is usable here and measured in reasonable time."""
    if names == "auto":
        return [name for name in AUTOMATIC if not backends.why_not(name)]
    found = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in found:
        if name not in backends.DEVICES:
            raise unknown("device", name, [*backends.DEVICES, "auto"])
        backends.resolve(name)
    return found


def _compare(paths: Sequence[Path], folder: Path | None) -> int:
    from fastcnn.report import compare, tables

    first, second = (compare.read(path) for path in paths)
    names = (paths[0].stem, paths[1].stem) if paths[0].stem != paths[1].stem else (str(paths[0].parent), str(paths[1].parent))
    found = compare.compared(first, second, names)
    _print(found)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, {"md": tables.markdown(found), "html": compare.compared_page(first, second, names)})
    return 0


def _write(folder: Path, files: dict[str, str | bytes]) -> None:
    for kind, content in files.items():
        write_atomically(folder / f"report.{kind}", content.encode() if isinstance(content, str) else content)


def _print(found: Sequence[Any]) -> None:
    from rich.console import Console

    from fastcnn.report import tables

    console = Console()
    for table in found:
        console.print(tables.console(table))
        console.print(tables.text(table.note), style="dim", highlight=False, markup=False)
        console.print()


def _tell(doing: str) -> None:
    from rich.console import Console

    Console(stderr=True).print(doing, style="dim", highlight=False)


def _command(arguments: Any) -> str:
    names = ("devices", "network", "data", "epochs", "quick", "against")
    given = {name: getattr(arguments, name) for name in names}
    words = [[f"--{name}"] if value is True else [f"--{name}", str(value)] for name, value in given.items() if value]
    return shlex.join(["fastcnn", "report", *(word for pair in words for word in pair)])

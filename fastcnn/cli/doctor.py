"""`fastcnn doctor`: what is wrong with this machine, a network or data, and how to mend it.

fastcnn doctor           the machine
fastcnn doctor DIR       a run folder too: its network, its data and how it was trained; or a saved model alone
fastcnn doctor DATA      a data set too, as `fastcnn train` takes it

For a set-up that is not of this command's making: `fastcnn.doctor.examine(model, x, y, ...)`.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcnn import doctor
from fastcnn.cli.arguments import Parser
from fastcnn.cli.pictures import divided
from fastcnn.cli.recipes import Options, options_of
from fastcnn.cli.runs import RunFolder, model_file
from fastcnn.datasets import load
from fastcnn.saving import load_model


def describe(parser: Parser) -> None:
    """Add the argument."""
    parser.add_argument("subject", nargs="?", metavar="DIR|FILE|DATA", help="a run folder, a model file, or a data set")


def run(arguments: Any) -> int:
    """Print the findings; 1 if there are any."""
    found = doctor.examine_machine()
    if arguments.subject:
        found += _examined(arguments.subject)
    _print(found)
    return 1 if found else 0


def _examined(subject: str) -> list[doctor.Finding]:
    if not _is_model(Path(subject)):
        return _examine(None, options_of({"data": subject}))
    file = model_file(Path(subject))
    model, notes = load_model(file), file.with_name("run.toml")
    if not notes.exists():
        return doctor.examine(model)
    return _examine(model, Options(**{"limit": None, **tomllib.loads(notes.read_text("utf-8"))["options"]}))


def _is_model(path: Path) -> bool:
    folder = RunFolder(path)
    return folder.checkpoint.exists() or folder.model.exists() or (path.is_file() and path.suffix != ".npz")


def _examine(model: Any, options: Options) -> list[doctor.Finding]:
    train, validation, test = divided(load(options.data), options)
    return doctor.examine(model, *train, batch_size=options.batch_size, validation_data=validation, test_data=test)


def _print(found: Sequence[doctor.Finding]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for finding in found:
        console.print(Text.assemble((finding.number, "bold red"), " ", (finding.title, "bold")))
        for part in (Text(finding.seen), Text(finding.explanation, "dim"), Text.assemble(("Fix: ", "green"), finding.fix)):
            console.print(Padding(part, (0, 0, 0, 6)))
        console.print()
    print(f"{len(found)} finding{'s' if len(found) > 1 else ''}" if found else "Nothing wrong was found.")

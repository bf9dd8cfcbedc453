"""`fastcnn summary`: shows a network's layers, shapes, parameters and costs."""

from pathlib import Path
from typing import Any

from fastcnn import applications
from fastcnn.cli.arguments import Parser
from fastcnn.cli.runs import saved_model
from fastcnn.utils.suggest import unknown


def describe(parser: Parser) -> None:
    """Add the arguments."""
    names = ", ".join(applications.MODELS)
    parser.add_argument("model", metavar="DIR|FILE|NAME", help=f"a run folder, a model file, or one of {names}")


def run(arguments: Any) -> int:
    """Print the table."""
    _model(arguments.model).summary()
    return 0


def _model(name: str) -> Any:
    if name in applications.MODELS:
        return applications.get(name)()
    if Path(name).exists() or len(Path(name).parts) > 1:
        return saved_model(name)[0]
    raise unknown("model", name, [*applications.MODELS, "a run folder", "a model file"])

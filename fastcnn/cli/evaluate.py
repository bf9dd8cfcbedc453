"""`fastcnn evaluate`: measures a trained network on the test part of a data set."""

from collections.abc import Mapping
from typing import Any

from fastcnn.cli.arguments import Parser, device_option, positive_int
from fastcnn.cli.pictures import Pictures, tested
from fastcnn.cli.runs import saved_model
from fastcnn.datasets import load


def describe(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="DIR|FILE", help="a run folder or a model file")
    parser.add_argument("data", nargs="?", help="a data set; left away, the one that the run was trained on")
    parser.add_argument("--batch-size", type=positive_int, metavar="N", default=128)
    device_option(parser)


def run(arguments: Any) -> int:
    """Print loss and accuracy."""
    model, notes = saved_model(arguments.model)
    x, y = _test_part(arguments, notes)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], device=arguments.device)
    loss, accuracy = model.evaluate(x, y, arguments.batch_size, verbose=0)
    print(f"Accuracy on the test set: {100 * accuracy:.2f}% ({round(accuracy * len(y)):,} / {len(y):,})")
    print(f"Loss on the test set: {loss:.4f}")
    return 0


def _test_part(arguments: Any, notes: Mapping[str, Any]) -> Pictures:
    if arguments.data:
        return tested(load(arguments.data), None)
    if not notes:
        raise ValueError(f"{arguments.model} does not say what it was trained on; give the data set too")
    return tested(load(notes["options"]["data"]), notes["options"].get("limit"))

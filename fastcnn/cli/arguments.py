"""Command-line arguments: the parser that every command uses, and the kinds of values that options take."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from fastcnn.utils.suggest import unknown


class Parser(argparse.ArgumentParser):
    """argparse's parser with errors like the rest of fastcnn's: ValueError, an unknown option with the nearest one.

    Positional arguments may stand before, after and between options.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise ValueError in place of argparse's own exit."""
        raise ValueError(f"{message}; see {self.prog} --help")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments in `words`; ValueError for one that is unknown."""
        arguments, rest = self.parse_known_intermixed_args(words)
        for extra in rest:
            if extra.startswith("-"):
                raise unknown("option", extra.partition("=")[0], self._option_string_actions)
            self.error(f"unexpected argument {extra!r}")
        return arguments


def device_option(parser: Parser) -> None:
    """Add --device, which `fastcnn.backends` checks."""
    parser.add_argument("--device", metavar="NAME", help="auto, cpu, cuda, emulated or reference (see: fastcnn devices)")


def kernels_option(parser: Parser) -> None:
    """Add --kernels: modules that register kernels."""
    told = "import a module, or a file, that registers kernels; may be repeated"
    parser.add_argument("--kernels", metavar="MODULE", action="append", default=[], help=told)


def load_kernels(arguments: argparse.Namespace) -> bool:
    """Import what --kernels names; whether it named anything."""
    from fastcnn_kernels.registry import load

    load(arguments.kernels)
    return bool(arguments.kernels)


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    return _number(text, int, lambda n: n >= 1, "a whole number of at least 1")


def seed(text: str) -> int:
    """A whole number of 32 bits, which is what NumPy's generators are seeded with."""
    return _number(text, int, lambda n: 0 <= n < 1 << 32, f"a whole number from 0 to {(1 << 32) - 1}")


def positive_float(text: str) -> float:
    """A finite number above 0."""
    return _number(text, float, lambda x: 0 < x < float("inf"), "a number above 0")


def share(text: str) -> float:
    """A fraction of a whole that leaves something of it."""
    return _number(text, float, lambda x: 0 <= x < 1, "a fraction from 0 to below 1")


def _number(text: str, kind: Any, valid: Any, expected: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not valid(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value

"""The command `fastcnn`: one module a command, and `main`, which finds it.

train evaluate predict explain search summary doctor devices kernels report roofline verify warmup
            the commands: each has `describe(parser)` and `run(arguments) -> exit code`
arguments   the parser that all share: its errors, its kinds of values
recipes     what is trained how where nothing else is said; `Options`, all choices of one run
pictures    a data set as a network takes it
training    a run of `train`, from its headline to its last file
runs        run folders: the checkpoint, and the files that are derived from it
toml plot   two of those files: run.toml and history.png
machine     what this computer is called and has

Exit codes: 0; 1 for an error, with one line on standard error (FASTCNN_TRACEBACK=1 shows where it arose); 130 for Ctrl-C.
Modules that take long to import are imported when a command needs them, so that `fastcnn --help` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from fastcnn.cli.arguments import Parser
from fastcnn.utils.suggest import unknown

COMMANDS = {
    "train": "train a network and leave it in a folder",
    "evaluate": "measure a trained network on test data",
    "predict": "name the class of pictures",
    "explain": "draw what a network computes, and what it looks at",
    "search": "find the pictures that are most like another",
    "summary": "show a network's layers, shapes and costs",
    "doctor": "find what is wrong with this machine, a network or data, and say how to mend it",
    "devices": "show what can be computed on here, and why not",
    "kernels": "show the CUDA kernels, and what compilers make of them",
    "report": "train and measure on every device here, and write a page about it",
    "roofline": "hold every kernel of a network against what the device can do",
    "verify": "check a device against the float64 reference",
    "warmup": "compile the CPU kernels ahead of time",
}
INTERRUPTED = 130  # 128 + SIGINT, as shells say it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (or the process's own arguments) names, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt as interrupt:
        print(f"\nfastcnn: interrupted. {interrupt}".rstrip(), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone: the interpreter's own flush at exit would fail again, and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("FASTCNN_TRACEBACK") == "1":
            raise
        print(f"fastcnn: error: {_message(error)}", file=sys.stderr)
        return 1


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help"):
        print(_help())
        return 0
    if command == "--version":
        print(f"fastcnn {import_module('fastcnn').__version__}")
        return 0
    if command not in COMMANDS:
        raise unknown("command", command, [*COMMANDS, "--help", "--version"])
    module = import_module(f"fastcnn.cli.{command}")
    parser = Parser(prog=f"fastcnn {command}", description=COMMANDS[command].capitalize() + ".")
    module.describe(parser)
    code: int = module.run(parser.parse(arguments[1:]))
    sys.stdout.flush()
    return code


def _help() -> str:
    commands = "\n".join(f"  {name:10} {meaning}" for name, meaning in COMMANDS.items())
    return (
        "usage: fastcnn COMMAND ...\n\nSmall convolutional networks on kernels written in Python.\n\n"
        f"{commands}\n\n`fastcnn COMMAND --help` shows a command's options; `fastcnn --version`, which one this is."
    )


def _message(error: Exception) -> str:
    """The error's own words and notes; its type too where those alone would say little (KeyError: 'x')."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    told = isinstance(error, (ValueError, OSError, ImportError, RuntimeError, FloatingPointError, MemoryError))
    words = str(error) if told and str(error) else f"{type(error).__name__}: {error}"
    return "; ".join([words, *getattr(error, "__notes__", ())])

"""`fastcnn roofline`: every kernel of a network's step beside what this device can do at most, measured first, in seconds.

On the emulated device there are no times, but what a profiler would count.
"""

from typing import Any

import numpy as np

from fastcnn import applications, backends
from fastcnn.cli.arguments import Parser, device_option, kernels_option, load_kernels, positive_int
from fastcnn.cli.devices import device_name
from fastcnn.cli.racing import print_ranking

MODES = ("train", "test", "predict")
DEFAULT, BATCH_SIZE = "TutorialMNIST", 64


def describe(parser: Parser) -> None:
    """Add the arguments."""
    told = f"one of {', '.join(applications.MODELS)} (default: {DEFAULT})"
    parser.add_argument("model", nargs="?", default=DEFAULT, metavar="NAME", help=told)
    parser.add_argument("--batch-size", type=positive_int, default=BATCH_SIZE, metavar="N", help=f"default: {BATCH_SIZE}")
    parser.add_argument("--mode", choices=MODES, default="train", help="what is looked at (default: train)")
    device_option(parser)
    parser.add_argument("--precision", metavar="NAME", help="of device cuda or emulated: float32 (default), tf32 or bfloat16")
    kernels_option(parser)


def run(arguments: Any) -> int:
    """Measure and print."""
    from fastcnn_kernels.peaks import measure

    from fastcnn.program.roofline import rows

    options = {} if arguments.precision is None else {"precision": arguments.precision}
    backend = backends.resolve(arguments.device, **options)
    if backend.name == "reference":
        raise ValueError("the reference is NumPy and has no kernels: choose --device cpu, cuda or emulated")
    registered, peaks = load_kernels(arguments), measure(backend)
    program = prepared(arguments.model, arguments.mode, arguments.batch_size, backend)
    print(told(backend, peaks))
    print_rows(rows(program, peaks))
    if registered:
        print_ranking(backend)
    return 0


def prepared(name: str, mode: Any, batch_size: int, backend: Any) -> Any:
    """A program bound to random data that has run once."""
    model = applications.get(name)()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device=backend)
    program, rng = model.program(mode, batch_size), np.random.default_rng(0)
    low, n = program.lowered, batch_size
    x = [rng.random((n, *value.shape[1:]), dtype=np.float32) for value in low.inputs]
    y = [np.zeros((n, *value.shape[1:]), value.dtype) for value in low.labels]
    outputs = [np.empty((n, *value.shape[1:]), value.dtype) for value in low.outputs]
    program.bind(x, y, [np.ones(n, np.float32) for _ in low.weights], outputs=outputs)
    program.run()
    return program


def told(backend: Any, peaks: Any) -> str:
    """The device and its measured peaks, in a line."""
    if peaks is None:
        return f"{device_name(backend.name)}: no times, they would mean nothing"
    flops = ", ".join(f"{rate / 1e12:.3g} TFLOP/s {precision}" for precision, rate in peaks.flops.items())
    return f"{device_name(backend.name)}: {flops}, {peaks.bandwidth / 1e9:.4g} GB/s, {1e6 * peaks.launch:.2g} us a launch"


def print_rows(rows: Any) -> None:
    """The table, and its sums."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 240)
    table = Table("step", "kernel", box=None, show_footer=any(row.seconds for row in rows))
    total, bound = sum(row.seconds or 0 for row in rows), sum(row.bound or 0 for row in rows)
    footers = ("", "", f"{1e6 * total:.1f}", f"{1e6 * bound:.1f}", f"{bound / total:.0%}" if total else "")
    for title, footer in zip(("MFLOP", "MB", "us", "bound\nus", "% of\nbound"), footers, strict=True):
        table.add_column(title, footer, justify="right")
    table.add_column("why not more")
    for row in rows:
        numbers = (f"{row.flops / 1e6:.3g}", f"{row.nbytes / 1e6:.3g}", _us(row.seconds), _us(row.bound), _percent(row.share))
        table.add_row(row.step, row.kernel.replace("[", r"\["), *numbers, "; ".join(row.reasons))
    console.print(table)


def _us(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e6 * seconds:.1f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f}"

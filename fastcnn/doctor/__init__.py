"""What is wrong with a machine, or with a network and data that are about to be trained: findings with numbers and fixes.

    from fastcnn import doctor
    for finding in doctor.examine(model, x, y, validation_split=0.1, test_data=(test_x, test_y)):
        print(finding.number, finding.title, finding.seen, finding.fix)

examine          a compiled model and the arguments of its `fit`; the model is left as it is
examine_machine  this computer

findings   `Finding`; CHECKS, the table of all checks
machine    FC0..  GPU, threads, compiler
network    FC1..  the network and its loss
data       FC2..  inputs and labels
parts      FC3..  validation and test
rehearsal  FC4..  what shows in a few steps of training on a copy
setup      what the checks ask about model and data
"""

from typing import Any

# Each module enters its checks into the table.
from . import data, network, parts, rehearsal
from .findings import CHECKS, Check, Finding, run
from .machine import Machine
from .setup import Setup

__all__ = ["CHECKS", "Check", "Finding", "Machine", "data", "examine", "examine_machine", "network", "parts", "rehearsal"]


def examine(
    model: Any = None,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int = 32,
    shuffle: bool = True,
    validation_split: float = 0.0,
    validation_data: Any = None,
    test_data: Any = None,
) -> list[Finding]:
    """What is wrong with a set-up, by number; [] where nothing is.

    model      built, and compiled as it is to be trained; None examines the data alone, one array each
    x, y       as `fit` takes them: arrays, or a utils.PyDataset; None examines the model alone
    batch_size, shuffle, validation_split, validation_data   as `fit` takes them
    test_data  (x, y) that the result is to be measured on

    Where neither network nor data show a mistake, a copy of the model is trained for a few steps; the model's weights,
    optimizer and random numbers stay as they are. ValueError, as by `fit`, for data that do not fit the model, and for a
    generator, whose batches come once only.
    """
    setup = Setup(model, x, y, batch_size, shuffle, validation_split, validation_data, test_data)
    found = run("12", setup)
    return found + run("3" if found else "34", setup)


def examine_machine(snapshot: Machine | None = None) -> list[Finding]:
    """What is wrong with this computer, by number; or with a snapshot of another."""
    return run("0", snapshot or Machine.here())

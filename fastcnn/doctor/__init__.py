"""What is wrong with a machine, or with a network and data that are about to be trained: findings with numbers and fixes.

    from fastcnn import doctor
    for finding in doctor.examine(model, x, y, validation_split=0.1, test_data=(test_x, test_y)):
        print(finding.number, finding.title, finding.seen, finding.fix)

examine          a compiled model and the arguments of its `fit`; the model is left as it is
examine_machine  this computer
show             findings for people to read

findings   `Finding`; `check`, which makes a function a check
machine    FC0..   the GPU, threads, environment variables and the kernel cache
network    FC1..   the network and its loss
data       FC2..   inputs and labels
training   FC3..   validation, test and callbacks
measured   FC4..   what shows in a few steps on a copy
setup rehearsal    what checks ask about model and data; the copy

All findings (`fastcnn doctor --list` prints each with its explanation and fix):

    FC001  warning  an NVIDIA GPU without its driver
    FC002  warning  the NVIDIA driver finds no GPU that can be used
    FC003  warning  the packages that compile for the GPU are missing
    FC004  error    a small network fails on a device that should work
    FC010  warning  more threads than processors
    FC011  warning  more threads than the container may use
    FC012  error    Numba's pool of threads is too small
    FC013  note     most processors are idle
    FC014  note     NumPy's matrix products run on one thread
    FC015  warning  OpenMP's settings slow small steps down
    FC016  warning  several OpenMP runtimes in one process
    FC020  error    Numba is not allowed to compile
    FC021  warning  Numba compiles slow code
    FC022  warning  kernels use narrower vectors than the processor has
    FC023  warning  compiled kernels cannot be kept
    FC024  note     the cache of compiled kernels is large
    FC101  error    softmax is applied twice
    FC102  error    the loss takes logits, the output gives probabilities
    FC103  error    the loss takes probabilities, the output gives logits
    FC104  error    ReLU on the output
    FC105  error    the output's activation does not fit the loss
    FC106  error    softmax over a single unit
    FC107  note     a squared or absolute difference of class probabilities
    FC108  note     more output units than classes
    FC110  error    nothing can be trained
    FC111  warning  dropout is inactive
    FC112  error    dropout on the output
    FC201  error    values that are NaN or infinite
    FC202  warning  inputs are not normalised
    FC203  warning  inputs are almost zero
    FC204  warning  channels of very different scales
    FC205  warning  inputs that never change
    FC206  error    labels out of range
    FC207  error    labels of a form that the loss does not take
    FC208  warning  label rows that do not sum to one
    FC209  error    all samples are of one class
    FC210  note     classes of very different sizes
    FC211  error    sorted labels are not shuffled
    FC212  error    the validation is split off sorted data
    FC213  error    fit would refuse the data
    FC301  error    the validation repeats training samples
    FC302  error    the network is chosen on the test data
    FC303  error    the test repeats training samples
    FC304  error    a callback follows a number of the test
    FC305  error    a callback follows a number that never comes
    FC306  note     the best epoch is chosen on the training data
    FC307  warning  the batch is larger than the data
    FC308  error    validation or test are scaled differently from the training data
    FC401  error    the learning rate is far too high
    FC402  warning  the learning rate is far too low
    FC403  warning  dead ReLUs
    FC404  error    gradients explode
    FC405  warning  gradients vanish
    FC406  warning  the device waits for its data

Which severity: an error cannot work as intended, a warning costs accuracy or time, a note is worth knowing. A set-up that is
well gives none, and what is merely unusual is not reported.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from . import data, machine, measured, network, training
from .findings import CHECKS, ERROR, NOTE, WARNING, Check, Finding, check, run
from .machine import Machine
from .printing import show, show_checks
from .setup import Setup

__all__ = [
    "CHECKS", "Check", "ERROR", "Finding", "Machine", "NOTE", "Setup", "WARNING", "check", "data", "examine", "examine_machine",
    "machine", "measured", "network", "show", "show_checks", "training",
]  # fmt: skip


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
    callbacks: Iterable[Any] = (),
) -> list[Finding]:
    """What is wrong with a set-up, the worst first; [] where nothing is.

    model       built, and compiled as it is to be trained; None examines the data alone
    x, y        as `fit` takes them: arrays, or a utils.PyDataset of batches; None examines the model alone
    batch_size, shuffle, validation_split, validation_data, callbacks   as `fit` takes them
    test_data   (x, y) that the result is to be measured on

    The more is given the more is looked at; a compiled model with data is also trained for a few steps, on a copy: the model's
    weights, optimizer and random numbers stay as they are. ValueError for a generator, whose batches come once only.
    """
    setup = Setup(model, x, y, batch_size, shuffle, validation_split, validation_data, test_data, _listed(callbacks))
    return run("1234", setup)


def examine_machine(snapshot: Machine | None = None) -> list[Finding]:
    """What is wrong with this computer, the worst first; or with a snapshot of another."""
    return run("0", snapshot or Machine.here())


def _listed(callbacks: Any) -> Sequence[Any]:
    return list(callbacks) if isinstance(callbacks, Iterable) else [] if callbacks is None else [callbacks]

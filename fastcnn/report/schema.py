"""report.json: what a report holds. These classes are its documentation, and `parse` holds a document to them.

    Report      one machine: the set-up, the tutorials' table, the devices
    Device      everything that was measured of one device
    Training Epoch Steps Spread FirstStep Memory Rate Peaks Operation LayerTime Agreement LayerError    its parts
    Row         a row of the tutorials' table
    parse       a JSON document as a Report; ValueError that names every fault
    document    a Report as JSON
    trained     a Training from its epochs

Times are in seconds, memory in bytes, rates a second, shares and accuracies from 0 to 1. What could not be measured is null,
and `missing` says why. What was projected says from what in `projected`, which is empty where it was measured.
"""

import json
import math
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

FORMAT, VERSION = "fastcnn-report", 1


@dataclass(frozen=True)
class Spread:
    """How long a call takes: the median of `count` calls, and the bounds between which 80 % of them lie."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Peaks:
    """What this machine can do at most: operations, two a multiply-add; bytes read and written; and how that was found."""

    flops: float
    bytes: float
    how: str


@dataclass(frozen=True)
class Epoch:
    """The numbers at the end of an epoch; `seconds` since training began, validation included."""

    seconds: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class Training:
    """The training that was measured, and `whole_seconds`: what all `whole_epochs` take.

    seconds          of `epochs`, which may be none: then whole_seconds was projected from single steps
    test_accuracy    after these epochs
    target_seconds   until the validation accuracy first reached the report's target
    times_fastest    whole_seconds as a multiple of the fastest device's
    """

    epochs: list[Epoch]
    whole_epochs: int
    whole_seconds: float
    times_fastest: float
    samples_per_second: float
    test_accuracy: float | None
    target_seconds: float | None
    projected: str


@dataclass(frozen=True)
class Steps:
    """Training steps: how long one takes, what it computes, counted from shapes, and its share of the peak."""

    batch_size: int
    seconds: Spread
    flops: int
    bytes: int
    flops_per_second: float
    peak_share: float | None


@dataclass(frozen=True)
class FirstStep:
    """From `compile` to the end of the first training step, in fresh processes: no kernel in the cache, and all of them."""

    cold: float
    warm: float


@dataclass(frozen=True)
class Memory:
    """The most that the process had resident, and what a training step's intermediate results take."""

    peak: int
    arenas: int | None


@dataclass(frozen=True)
class Rate:
    """Predictions of batches of one size."""

    batch_size: int
    seconds: float
    samples_per_second: float


@dataclass(frozen=True)
class Operation:
    """One step of the program of a training step, by itself.

    share            of the time of all operations
    intensity        operations a byte
    bound            "compute" or "memory": which of the peaks allows less; empty where they were not measured
    roofline_share   the time that the peaks allow, as a share of the time taken. Above 1 where operands stay in a cache, or
                     where an algorithm needs fewer multiplications than the definition, by which they are counted
    """

    number: int
    name: str
    layer: str
    seconds: float
    share: float
    flops: int
    bytes: int
    flops_per_second: float
    bytes_per_second: float
    intensity: float
    bound: str
    roofline_share: float | None


@dataclass(frozen=True)
class LayerTime:
    """The operations of one layer (or of the loss, the optimizer, ...) together: forward and backward."""

    layer: str
    seconds: float
    share: float


@dataclass(frozen=True)
class LayerError:
    """A layer's results on a batch, before training: the largest difference as a share of the largest value."""

    layer: str
    error: float


@dataclass(frozen=True)
class Agreement:
    """The device beside the float64 reference: the same weights, masks and batch, momentum SGD.

    losses             of each step, and the reference's
    loss_error         the largest difference as a share of the largest loss
    weight_error       the largest difference of a weight after the last step, as a share of its array's largest
    allowed            how much of each is rounding
    first_difference   the first layer whose results differ by more, "training" where only losses or weights do, else empty
    """

    batch_size: int
    steps: int
    losses: list[float]
    reference_losses: list[float]
    loss_error: float
    weight_error: float
    allowed: float
    layers: list[LayerError]
    first_difference: str


@dataclass(frozen=True)
class Device:
    """Everything that was measured of one device. `library`: what computed, and in which setting."""

    name: str
    hardware: str
    library: str
    training: Training
    steps: Steps
    first_step: FirstStep | None
    memory: Memory
    latency: Spread
    throughput: list[Rate]
    peaks: Peaks | None
    operations: list[Operation]
    layers: list[LayerTime]
    agreement: Agreement | None
    missing: list[str]


@dataclass(frozen=True)
class Row:
    """A row of the tutorials' table; `here` where it was measured, or projected, on this machine."""

    device: str
    network: str
    batch_size: int
    epochs: int
    seconds: float
    accuracy: float | None
    here: bool
    projected: str


@dataclass(frozen=True)
class Setup:
    """What was trained, how, on how many pictures. `target`: a validation accuracy that every device reached."""

    network: str
    parameters: int
    data: str
    train: int
    validation: int
    test: int
    batch_size: int
    epochs: int
    learning_rate: float
    seed: int
    quick: bool
    target: float | None


@dataclass(frozen=True)
class Machine:
    """The computer."""

    processor: str
    threads: int
    memory: int
    system: str
    gpus: list[str]


@dataclass(frozen=True)
class Report:
    """One machine's report.

    created   local time, ISO 8601
    command   what was asked for, without where its files go
    seconds   that it took
    table     the tutorials' rows, and this machine's
    missing   what failed
    """

    format: str
    version: int
    created: str
    command: str
    seconds: float
    machine: Machine
    versions: dict[str, str]
    setup: Setup
    table: list[Row]
    devices: list[Device]
    missing: list[str]


def trained(epochs: list[Epoch], whole: int, rate: float, accuracy: float) -> Training:
    """A training of some epochs, of which `whole` make a whole one."""
    projected = "" if len(epochs) == whole else f"{len(epochs)} epoch{'s' * (len(epochs) > 1)}"
    return Training(epochs, whole, epochs[-1].seconds * whole / len(epochs), 1.0, rate, accuracy, None, projected)


def document(report: Any) -> bytes:
    """JSON with the fields of the classes above. ValueError for a number that is not finite."""
    return (json.dumps(asdict(report), indent=1, allow_nan=False) + "\n").encode()


def parse(text: str | bytes, kind: Any = Report) -> Any:
    """The report in a document. ValueError, with every fault and where it is, for what is none."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not a JSON document: {error}") from None
    if kind is Report and (not isinstance(found, dict) or (found.get("format"), found.get("version")) != (FORMAT, VERSION)):
        raise ValueError(f"not a report: expected format {FORMAT!r}, version {VERSION}; fastcnn report writes one")
    faults: list[str] = []
    report = _read(kind, found, "", faults)
    if faults:
        raise ValueError("not a valid report: " + "; ".join(faults))
    return report


def _read(kind: Any, value: Any, where: str, faults: list[str]) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _read(next(k for k in arguments if k is not NoneType), value, where, faults)
    if is_dataclass(kind):
        return _read_fields(kind, value, where, faults)
    if origin is list and isinstance(value, list):
        return [_read(arguments[0], item, f"{where}[{k}]", faults) for k, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: _read(arguments[1], item, f"{where}.{key}", faults) for key, item in value.items()}
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        faults.append(f"{where.lstrip('.')}: expected {getattr(origin or kind, '__name__', kind)}, got {value!r}"[:200])
    return value


def _read_fields(kind: Any, value: Any, where: str, faults: list[str]) -> Any:
    names = [field.name for field in fields(kind)]
    if not isinstance(value, dict) or set(value) != set(names):
        given = sorted(value) if isinstance(value, dict) else type(value).__name__
        faults.append(f"{where.lstrip('.') or 'the document'}: expected the fields {', '.join(names)}, got {given}")
        return None
    hints = get_type_hints(kind)
    return kind(**{name: _read(hints[name], value[name], f"{where}.{name}", faults) for name in names})

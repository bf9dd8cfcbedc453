"""The roofline of a program: every kernel beside what the device could do at most, and why it does less.

    Row          one kernel, or several of the CPU that run together
    rows         the rows of a program that has run
    time_each    how long a step or a kernel takes by itself, here and in reports
    reasons      why a kernel of the GPU is slower than its bound: what can be read off its launch and its machine code

A kernel's bound is the time that its floating-point operations or its bytes take at the measured peaks, whichever is longer
(Williams, Waterman and Patterson 2009). Bytes are those of every tensor that it touches, once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..trace import Step
from .costs import PER_ELEMENT, step_cost

FULL_ENOUGH, SERVED_WELL, OCCUPIED = 0.75, 1.1, 0.25
"""Share of the last wave of blocks, traffic over the least possible, and occupancy, from which on nothing is said of them."""
UNEXPLAINED = "latency: not too few threads, nor launching, nor traffic"
TOGETHER, BRIEF = 20, 1e-3
"""Runs that are timed as one where one takes less than so many seconds: what it takes to begin it would show."""


@dataclass(frozen=True)
class Row:
    """seconds and bound are None where time means nothing; share is bound / seconds."""

    step: str
    kernel: str
    flops: int
    nbytes: int
    seconds: float | None
    bound: float | None
    reasons: tuple[str, ...]

    @property
    def share(self) -> float | None:
        """How near the kernel comes to its bound."""
        return self.bound / self.seconds if self.bound is not None and self.seconds else None


def rows(program: Any, peaks: Any = None) -> list[Row]:
    """The rows of a program that is bound to data and has run. `peaks`, of fastcnn_kernels.peaks, says what the device can do;
    without them there are no times."""
    of_gpu = hasattr(program.plan, "calls")
    return list(_of_gpu(program, peaks) if of_gpu else _of_cpu(program, peaks))


def time_each(prepared: Callable[[int], Callable[[], None]], device: Any = None) -> float:
    """Seconds of one run, where `prepared(times)` gives a function that runs `times` over. `device` is waited for."""
    from fastcnn_kernels.ranking import seconds

    times = TOGETHER if seconds(prepared(1), device, repeats=1) < BRIEF else 1
    return seconds(prepared(times), device) / times


def _flops(launch: Any, step: Step) -> int:
    """What the launch says of itself, or so many operations an element of its largest tensor as costs.py says of the op."""
    if launch.flops is not None:
        return int(launch.flops)
    sizes = [tensor.size for tensor in (*launch.reads, *launch.writes)]
    return PER_ELEMENT.get(step.op, 1) * max(sizes, default=0)


# ------ the GPU


def _of_gpu(program: Any, peaks: Any) -> Iterator[Row]:
    plan = program.plan
    for launch, call in zip(plan.launches, plan.calls, strict=True):
        flops, nbytes = _flops(launch, program.steps[launch.step]), launch.nbytes
        bound = peaks.bound(flops, nbytes, _precision(call.kernel.name)) if peaks else None
        seconds = _seconds(call, plan.device) if peaks else None
        found = reasons(call, plan.device.properties())
        if peaks and bound is not None and bound < peaks.launch:
            found = [f"launch-bound: {1e6 * peaks.launch:.1f} us a launch", *found]
        row = Row(call.label, call.kernel.name, flops, nbytes, seconds, bound, (*found, *_traffic(plan.device, call)))
        yield replace(row, reasons=(UNEXPLAINED,)) if _unexplained(row) else row


def _unexplained(row: Row) -> bool:
    return row.share is not None and row.share < FULL_ENOUGH and not row.reasons


def _precision(kernel: str) -> str:
    return next((name for name in ("tf32", "bfloat16") if f"[{name}," in kernel), "float32")


def _seconds(call: Any, device: Any) -> float:
    return time_each(lambda times: device.capture([call] * times), device)


def reasons(call: Any, properties: Any) -> list[str]:
    """What keeps a launch from filling the device: too few blocks, an emptier last wave, occupancy."""
    from fastcnn_kernels.device.assembly import LIMITS, assemble, occupancy

    target = {(9, 0): "sm_90a", (7, 5): "sm_75"}.get(properties.compute_capability, "sm_80")
    report = assemble(call.kernel.ptx(target), target)
    share = occupancy(target, report.registers, report.shared + call.shared_bytes, call.kernel.threads)
    together = max(1, round(share * LIMITS[target].warps * 32 / call.kernel.threads))
    blocks, units = call.grid[0] * call.grid[1] * call.grid[2], properties.multiprocessors
    found = [_waves(blocks, units, together)]
    if share < OCCUPIED and blocks >= units:
        found.append(f"occupancy {share:.0%} ({report.registers} registers)")
    return [reason for reason in found if reason]


def _waves(blocks: int, units: int, together: int) -> str:
    if blocks < units:
        return f"{blocks} block{'s' * (blocks > 1)} for {units} multiprocessors"
    waves = blocks / (units * together)
    full = waves % 1 or 1.0
    return f"{waves:.1f} waves, the last {full:.0%} full" if 1 < waves < 5 and full < FULL_ENOUGH else ""


def _traffic(device: Any, call: Any) -> list[str]:
    """On the emulated device: what a profiler would count."""
    if device.name != "emulated":
        return []
    from fastcnn_kernels.emulator import Counters

    before, device.counters = device.counters, Counters()
    try:
        device.launch(call)
        totals = [(space, device.counters.total(space)) for space in ("global", "shared")]
    finally:
        device.counters = before
    words = {
        "global": "times the sectors that its bytes need",
        "shared": "times the wavefronts: bank conflicts, or vectors that threads share",
    }
    return [f"{t.served / t.ideal:.2f} {words[space]}" for space, t in totals if t.ideal and t.served > SERVED_WELL * t.ideal]


# ------ the CPU


def _of_cpu(program: Any, peaks: Any) -> Iterator[Row]:
    for number, step in enumerate(program.steps):
        program.plan.run_step(number)
        pieces = program.plan.pieces(number)
        largest = max((_bytes(launches) for launches, _ in pieces), default=0)
        flops = step_cost(step, program.batch_size)[0]
        for launches, prepared in pieces:
            # The smaller ones pack operands, or add what the threads leave.
            mine, flops = (flops, 0) if _bytes(launches) == largest else (0, flops)
            yield _piece(program.plan.labels[number], launches, time_each(prepared), mine, peaks)


def _bytes(launches: Any) -> int:
    return sum(launch.nbytes for launch in launches)


def _piece(label: str, launches: Any, seconds: float, flops: int, peaks: Any) -> Row:
    names, nbytes = " + ".join(dict.fromkeys(launch.kernel for launch in launches)), _bytes(launches)
    bound = peaks.bound(flops, nbytes)
    return Row(label, names, flops, nbytes, seconds, bound, tuple(_of_piece(launches, seconds, bound, peaks)))


def _of_piece(launches: Any, seconds: float, bound: float, peaks: Any) -> Iterator[str]:
    share = bound / seconds
    if bound < peaks.launch:
        yield f"launch-bound: {1e6 * peaks.launch:.1f} us to start all threads"
    elif share < FULL_ENOUGH and seconds - bound < 2 * peaks.launch:
        yield f"launching: {1e6 * peaks.launch:.1f} us to start all threads"
    elif share > 1:
        yield "does less than is counted: Winograd's products, or bytes that are in a cache"
    elif share < FULL_ENOUGH and len(launches) == 1:
        yield UNEXPLAINED
    if len(launches) > 1:
        yield f"{len(launches)} kernels, one after the other in a core's cache"

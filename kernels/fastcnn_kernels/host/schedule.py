"""The order in which a plan's launches run: few, long segments, because all threads wait for each other between two of them.

An output launch ends a segment of batch launches: all slices of the batch must have arrived before it. Many of them are not
urgent (the sums of weight gradients are wanted by the optimizer only) or depend on nothing of the batch (packed weights), so
each launch gets a level

    -1 output launches that need nothing    0 batch launches    1 output launches that need level 0    2 batch launches ...

the least that what it depends on allows, and launches run level by level. Batch launches keep the order of the program, so
that a slice's memory is reused as it would be there. Output launches of one level run wave by wave: those of a wave need
nothing of each other and are one segment. A program may also be replayed step by step, in its own order; an output
launch then runs earlier or later than here: `spans` are these ranges, in which its operands must live.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..api import Tensor
from ..plan import Launch


@dataclass(frozen=True)
class Scheduled:
    """Launches in the order in which they run, and for each the first and last position that it could be asked to run at.

    `segments` are ranges of launches: batch launches that a slice crosses on its own, or output launches that need nothing
    of each other.
    """

    launches: list[Launch]
    spans: list[tuple[int, int]]
    segments: list[tuple[int, int]]

    def lifetimes(self) -> dict[Tensor, tuple[int, int]]:
        """First and last position at which each tensor without storage of its own must exist."""
        lives: dict[Tensor, tuple[int, int]] = {}
        for launch, (begin, end) in zip(self.launches, self.spans, strict=True):
            for tensor in (*launch.reads, *launch.writes):
                if tensor.storage is None:
                    first, last = lives.get(tensor, (begin, end))
                    lives[tensor] = (min(first, begin), max(last, end))
        return lives


def schedule(launches: Sequence[Launch]) -> Scheduled:
    """See the module's docstring."""
    ranks = _ranks(launches)
    order = sorted(range(len(launches)), key=ranks.__getitem__)
    starts = [k for k, i in enumerate(order) if k == 0 or ranks[i] != ranks[order[k - 1]]]
    segments = list(zip(starts, [*starts[1:], len(order)], strict=True))
    return Scheduled([launches[i] for i in order], _spans(launches, order), segments)


def _ranks(launches: Sequence[Launch]) -> list[tuple[int, int]]:
    """(level, wave) of each launch; batch launches are all of wave 0."""
    ranks: list[tuple[int, int]] = []
    level_of_batch = 0
    for launch, before in zip(launches, _needed(launches), strict=True):
        output = launch.parallel == "output"
        level = max((ranks[i][0] + ((launches[i].parallel == "output") != output) for i in before), default=-1)
        if not output:
            level = level_of_batch = max(level, level_of_batch)
        waves = (ranks[i][1] + 1 for i in before if output and ranks[i][0] == level)
        ranks.append((level, max(waves, default=0)))
    return ranks


def _needed(launches: Sequence[Launch]) -> Iterator[list[int]]:
    """For each launch the earlier ones that must run before it: writers of what it touches, readers of what it writes."""
    writers: dict[Any, int] = {}
    readers: dict[Any, list[int]] = {}
    for i, launch in enumerate(launches):
        reads, writes = ([t.storage or t for t in tensors] for tensors in (launch.reads, launch.writes))
        yield [writers[t] for t in (*reads, *writes) if t in writers] + [r for t in writes for r in readers.get(t, ())]
        for t in reads:
            readers.setdefault(t, []).append(i)
        for t in writes:
            writers[t], readers[t] = i, []


def _spans(launches: Sequence[Launch], order: Sequence[int]) -> list[tuple[int, int]]:
    """A batch launch's own position; of an output launch the positions of all launches that it changed places with.

    So if the spans of two launches do not meet, these launches are in the order of the program.
    """
    position = np.argsort(order)
    first = np.minimum.accumulate(position[::-1])[::-1]
    last = np.maximum.accumulate(position)
    whole = zip(launches, position.tolist(), first.tolist(), last.tolist(), strict=True)
    spans = [(begin, end) if one.parallel == "output" else (here, here) for one, here, begin, end in whole]
    return [spans[i] for i in order]

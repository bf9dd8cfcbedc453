"""cp.async: copies from global to shared memory that are under way until they are waited for.

    AsyncCopies     issue, commit, wait

The data are taken at the time of issue and land when the issuing thread waits for their group; until then their
destination counts as unwritten. Source: PTX ISA 9.0, 9.7.9.25.3, "Data movement: asynchronous copy".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .lanes import Lanes, SomeLanes
from .ptx_types import Array

if TYPE_CHECKING:
    from .wave import Wave


@dataclass(frozen=True, slots=True)
class Pending:
    """Copies of some lanes: what goes where, (n, nbytes) and (n,), and in which of its groups each lane has put it."""

    lanes: SomeLanes
    at: int
    units: Array
    octets: Array
    group: Array

    def part(self, chosen: Array) -> Pending:
        """The copies of those lanes for which `chosen`, (n,), holds."""
        return Pending(self.lanes.where(chosen), self.at, self.units[chosen], self.octets[chosen], self.group[chosen])


class AsyncCopies:
    """The copies under way in a wave."""

    def __init__(self, wave: Wave) -> None:
        self.wave = wave
        self.pending: list[Pending] = []
        #: how many groups each lane has committed
        self.committed = np.zeros(wave.lanes.count, np.int64)

    def issue(self, lanes: Lanes, at: int, target: Array, source: Array, nbytes: int, used: Array | None) -> None:
        """Begin to copy `nbytes` a lane, of which only the first `used` are read; the others become 0."""
        some = lanes.where(np.ones(lanes.count, bool))
        units = self.wave.shared_space.expect(lanes, at, target, nbytes)
        octets = np.zeros((lanes.count, nbytes), np.uint8)
        wanted = np.full(lanes.count, nbytes) if used is None else lanes.spread(used)
        whole = wanted >= nbytes
        if whole.all():
            octets[:] = self.wave.global_space.fetch(lanes, at, source, nbytes)
        else:
            self._fetch_parts(some, at, lanes.spread(source), wanted, octets)
        self.pending.append(Pending(some, at, units, octets, self.committed[some.index].copy()))

    def _fetch_parts(self, lanes: SomeLanes, at: int, source: Array, wanted: Array, octets: Array) -> None:
        """Lanes that read everything in one access; the others byte by byte."""
        nbytes = octets.shape[1]
        for size, start, chosen in [(nbytes, 0, wanted >= nbytes)] + [
            (1, byte, (wanted < nbytes) & (wanted > byte)) for byte in range(nbytes)
        ]:
            if chosen.any():
                fetched = self.wave.global_space.fetch(lanes.where(chosen), at, source[chosen] + start, size)
                octets[chosen, start : start + size] = fetched

    def commit(self, lanes: Lanes) -> None:
        """What these lanes have issued so far is a group."""
        self.committed[lanes.index] += 1

    def wait(self, lanes: Lanes, still_allowed: int) -> None:
        """Let all groups of these lanes land but the `still_allowed` latest."""
        last = np.full(self.wave.lanes.count, -1)
        last[lanes.index] = self.committed[lanes.index] - still_allowed
        self._land(last)

    def wait_all(self, lanes: Lanes) -> None:
        """Let everything land that these lanes have issued, committed or not."""
        self.commit(lanes)
        self.wait(lanes, 0)

    def _land(self, last: Array) -> None:
        """Land the copies in groups below `last` (of each lane)."""
        pending, self.pending = self.pending, []
        for copy in pending:
            done = copy.group < last[copy.lanes.index]
            if done.any():
                part = copy.part(done)
                self.wave.shared_space.land(part.lanes, part.at, part.units, part.octets)
            if not done.all():
                self.pending.append(copy.part(~done))

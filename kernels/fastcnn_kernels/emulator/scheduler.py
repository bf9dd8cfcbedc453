"""Runs a wave: which lanes execute which basic block next, and who waits at which barrier.

    Scheduler(wave, translation).run()

Lanes that are at the same block move together. Of several groups the one at the lowest block runs first: compilers
lay out code so that branches meet again further down, hence groups reconverge where a branch ends. With
`order_seed` the warps run one after the other instead, in random order, each as far as it gets; then a missing
barrier gives wrong results rather than none.
"""

from __future__ import annotations

import numpy as np

from .errors import BarrierError, ExecutionError
from .lanes import WARP, Lanes, merged
from .parser import BasicBlock, Instruction
from .ptx_types import Array
from .translate import Translation
from .wave import Wave

#: blocks executed in one wave before the kernel is taken to loop for ever
MAX_STEPS = 1 << 22


class Scheduler:
    """Groups of a wave's lanes: `ready` by the block that they execute next, `waiting` by that after their barrier."""

    def __init__(self, wave: Wave, translation: Translation) -> None:
        self.wave = wave
        self.translation = translation
        self.blocks = wave.program.blocks
        self.ready: dict[int, Lanes] = {}
        self.waiting: dict[int, Lanes] = {}
        self.steps = 0
        seed = wave.launch.order_seed
        self.random = None if seed is None else np.random.default_rng([seed, int(wave.block_ids[0])])

    def run(self) -> None:
        """Execute the wave to its end."""
        started: dict[int, Lanes] = {0: self.wave.lanes}
        while started:
            for portion in self._portions(started):
                self.ready = portion
                while self.ready:
                    self._step(min(self.ready))
            started, self.waiting = self.waiting, {}
            self._release(started)

    def _portions(self, groups: dict[int, Lanes]) -> list[dict[int, Lanes]]:
        """What runs up to the next barrier, one after the other: everything together, or the warps in random order."""
        if self.random is None:
            return [groups]
        parts = [{number: part} for number, group in groups.items() for part in self._warps_of(group)]
        return [parts[index] for index in self.random.permutation(len(parts))]

    def _warps_of(self, group: Lanes) -> list[Lanes]:
        """A group's lanes, divided by the warp's place in its block and, at random, by half of the wave's blocks."""
        assert self.random is not None
        block, thread = np.divmod(group.index, group.threads)
        half = self.random.integers(0, 2, group.blocks_count)[block]
        part = thread // WARP * 2 + half
        return [group.where(part == value) for value in np.unique(part)]

    def _step(self, number: int) -> None:
        """Let the lanes at a block execute it, and put them where they go on."""
        arrived = self.ready.pop(number)
        if number >= len(self.blocks):
            return
        self._count_step()
        block = self.blocks[number]
        lanes = arrived if block.guard is None else self._split(block, number, arrived)
        if lanes is None:
            return
        self._execute(block, number, lanes)
        if block.end == "branch":
            self._put(self.ready, block.target, lanes)
        elif block.end == "barrier":
            self._put(self.waiting, number + 1, lanes)
        elif block.end == "next":
            self._put(self.ready, number + 1, lanes)

    def _count_step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise ExecutionError(
                f"kernel {self.wave.program.name}: still running after {MAX_STEPS} basic blocks; an endless loop?"
            )

    def _split(self, block: BasicBlock, number: int, lanes: Lanes) -> Lanes | None:
        """The lanes that pass the guard; the others go on behind the block. A branch counts for both."""
        assert block.guard is not None
        if block.end == "branch":
            self._count(block, lanes)
        register = self.translation.numbers[block.guard.register]
        taken, skipped = lanes.split(lanes.load(self.wave.registers, (register,))[0], block.guard.negated)
        if skipped is not None:
            self._put(self.ready, number + 1, skipped)
        return taken

    def _execute(self, block: BasicBlock, number: int, lanes: Lanes) -> None:
        function = self.translation.functions[number]
        if function is not None:
            function(self.wave, lanes, self.wave.registers)
        if block.end != "branch" or block.guard is None:
            self._count(block, lanes)

    def _count(self, block: BasicBlock, lanes: Lanes) -> None:
        if self.wave.launch.counters is not None:
            self.wave.launch.counters.record_block(block.instructions, lanes)

    @staticmethod
    def _put(groups: dict[int, Lanes], number: int, lanes: Lanes) -> None:
        groups[number] = merged(groups[number], lanes) if number in groups else lanes

    def _release(self, groups: dict[int, Lanes]) -> None:
        """Everybody has exited or waits: BarrierError unless all threads of a block wait at the same barrier."""
        everyone = self.wave.lanes
        if len(groups) == 1 and everyone in groups.values():
            self.wave.clock.block_barrier(slice(None))
            return
        for number, lanes in groups.items():
            arrived = np.bincount(lanes.index // everyone.threads, minlength=everyone.blocks_count)
            if ((arrived > 0) & (arrived < everyone.threads)).any():
                self._fail(groups, number, lanes, arrived)
            self.wave.clock.block_barrier(np.flatnonzero(arrived))

    def _fail(self, groups: dict[int, Lanes], number: int, lanes: Lanes, arrived: Array) -> None:
        threads = self.wave.launch.threads
        row = int(np.flatnonzero((arrived > 0) & (arrived < threads))[0])
        others = [
            self._barrier(other).line
            for other, group in groups.items()
            if other != number and (group.index // threads == row).any()
        ]
        rest = f"others wait at PTX line {others[0]}" if others else "the others have exited"
        message = f"divergent barrier: {arrived[row]} of the block's {threads} threads wait here, {rest}"
        here = lanes.index // threads == row
        raise self.wave.fault(BarrierError, message, self._barrier(number).index, lanes, here.reshape(lanes.shape))

    def _barrier(self, number: int) -> Instruction:
        """The barrier at which lanes wait that go on at a block."""
        return self.blocks[number - 1].instructions[-1]

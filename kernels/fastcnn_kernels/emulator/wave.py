"""A wave: blocks of a launch that are executed together, with everything that they hold.

    Launch      what all waves of a launch share: kernel, grid, block, arguments, options
    Wave        registers, memory, special registers, and the instructions that need more than their operands

Translated code calls the methods under "operands" and "instructions", and the spaces' load, store and atomic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from . import collectives
from .copies import AsyncCopies
from .counters import Counters
from .errors import BarrierError, EmulatorError, ExecutionError
from .lanes import WARP, AllLanes, Lanes, Registers
from .memory import Memory
from .parser import Program
from .ptx_types import Array, DType
from .races import Clock, GlobalRaceTable, RaceTable
from .spaces import GenericSpace, GlobalSpace, LocalSpace, SharedSpace, SymbolLayout

Dim3 = tuple[int, int, int]
Error = TypeVar("Error", bound=EmulatorError)

_FULL_MASK = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of a kernel: `parameters` are the parameters' bytes, `constants` the addresses of tables."""

    program: Program
    memory: Memory
    grid: Dim3
    block: Dim3
    parameters: dict[str, Array]
    constants: dict[str, int]
    shared_bytes: int
    global_races: GlobalRaceTable | None
    shared_grain: int
    counters: Counters | None
    order_seed: int | None

    @property
    def threads(self) -> int:
        """Threads a block."""
        return self.block[0] * self.block[1] * self.block[2]

    @property
    def blocks(self) -> int:
        """Blocks in the grid."""
        return self.grid[0] * self.grid[1] * self.grid[2]


class Wave:
    """The blocks `block_ids` of a launch, all their threads in lock step."""

    def __init__(self, launch: Launch, block_ids: Array) -> None:
        self.launch, self.program, self.block_ids = launch, launch.program, block_ids
        self.lanes = AllLanes(block_ids, launch.threads)
        self.registers = Registers(list(self.program.registers.values()))
        self.clock = Clock(len(block_ids), launch.threads)
        self._special: dict[str, Array] = {}
        self._make_spaces()
        self.copies = AsyncCopies(self)

    def _make_spaces(self) -> None:
        launch, counters = self.launch, self.launch.counters
        layout = SymbolLayout(self.program.symbols_in("shared"), launch.shared_bytes)
        rows = len(self.block_ids)
        races = None
        if launch.global_races is not None and layout.offsets:
            races = RaceTable(layout.span, launch.shared_grain, rows)
        self.global_space = GlobalSpace(self, launch.memory, launch.global_races, counters)
        self.shared_space = SharedSpace(self, rows, layout, races, counters)
        stack = SymbolLayout(self.program.symbols_in("local"))
        self.local_space = LocalSpace(self, self.lanes.count if stack.offsets else 0, stack, None, counters)
        self.generic_space = GenericSpace(self.global_space, self.shared_space, self.local_space)

    # operands

    def special(self, lanes: Lanes, name: str) -> Array:
        """A special register such as %tid.x, uint32."""
        if name not in self._special:
            value = self._special_register(name)
            self._special[name] = value.reshape(1) if value.size == 1 else value
        return lanes.pick(self._special[name])

    def _special_register(self, name: str) -> Array:
        """Its values in the whole wave: (1,), (1, T) or (B, 1)."""
        register, _, axis = name[1:].partition(".")
        launch, thread = self.launch, np.arange(self.launch.threads, dtype=np.uint32)[None]
        lane = thread % np.uint32(WARP)
        if register.startswith("lanemask"):
            return _lane_mask(register.removeprefix("lanemask_"), lane)
        if axis:
            block = self.block_ids.astype(np.uint32)[:, None]
            indices: dict[str, Any] = {"tid": xyz(thread, launch.block), "ctaid": xyz(block, launch.grid)}
            extents = {"ntid": np.array(launch.block, np.uint32), "nctaid": np.array(launch.grid, np.uint32)}
            return np.atleast_1d((indices | extents)[register]["xyz".index(axis)])
        values = {"laneid": lane, "warpid": thread // np.uint32(WARP)}
        return values.get(register, np.array([launch.shared_bytes], np.uint32))

    def parameter(self, name: str, start: int, dtype: DType) -> Array:
        """An element of a kernel parameter at a byte offset, (1,)."""
        return self.launch.parameters[name][start : start + dtype.itemsize].view(dtype)

    def constant_address(self, name: str) -> Array:
        """The address of a table of constants, uint64 (1,)."""
        return np.array([self.launch.constants[name]], np.uint64)

    # instructions

    def meet(self, lanes: Lanes, offset: Array) -> None:
        """Lanes have met at addresses in global memory, by an atomic that acquires and releases."""
        if self.launch.global_races is not None:
            self.launch.global_races.meet(self.clock, lanes, offset)

    def require_divisor(self, lanes: Lanes, at: int, divisor: Array) -> None:
        """ExecutionError where an integer divisor is 0: the hardware's result is undefined."""
        if not divisor.all():
            raise self.fault(ExecutionError, "integer division by zero", at, lanes, divisor == 0)

    def trap(self, lanes: Lanes, at: int) -> None:
        """The trap instruction."""
        raise self.fault(ExecutionError, "the kernel executed a trap", at, lanes, np.ones(1, bool))

    def warp_barrier(self, lanes: Lanes, at: int, members: Array) -> None:
        """bar.warp.sync: orders the accesses of a warp's lanes (of all, also where the mask names only some)."""
        self._require_members(lanes, at, members)
        self.clock.warp_barrier(lanes.warps)

    def shuffle(
        self, lanes: Lanes, at: int, mode: str, value: Array, source: Array, control: Array, members: Array
    ) -> tuple[Array, Array]:
        """shfl.sync: (the value of another lane, whether it is in range). BarrierError if that lane takes no part."""
        self._require_members(lanes, at, members)
        values, source, control = (lanes.to_warps(array) for array in (value, source, control))
        lane, in_range = collectives.shuffle_source(mode, source, control)
        self._require_participants(lanes, at, members, lanes.from_warps(lane))
        return lanes.from_warps(np.take_along_axis(values, lane, 1)), lanes.from_warps(in_range)

    def _require_participants(self, lanes: Lanes, at: int, members: Array, source: Array) -> None:
        absent = (members.astype(np.int64) >> source) & 1 == 0
        if absent.any():
            message = "shuffle reads from a lane that the member mask leaves out"
            raise self.fault(BarrierError, message, at, lanes, absent)

    def vote(self, lanes: Lanes, at: int, mode: str, holds: Array, members: Array) -> Array:
        """vote.sync: a predicate (any, all, uni), or the mask of the members for which `holds` (ballot)."""
        self._require_members(lanes, at, members)
        yes, no = (self._ballot(lanes, lanes.to_warps(answer)) & members for answer in (holds, ~holds))
        return {"ballot": yes, "any": yes != 0, "all": no == 0, "uni": (yes == 0) | (no == 0)}[mode]

    @staticmethod
    def _ballot(lanes: Lanes, holds: Array) -> Array:
        """For each lane the bits of a predicate (W, 32) in its warp."""
        return lanes.from_warps(np.broadcast_to(collectives.ballot(holds), holds.shape))

    def active_mask(self, lanes: Lanes) -> Array:
        """activemask: the lanes of the warp that are here."""
        return self._ballot(lanes, lanes.active)

    def matrix_multiply(
        self, lanes: Lanes, at: int, shape: str, kind: str, a: Sequence[Array], b: Sequence[Array], c: Sequence[Array]
    ) -> list[Array]:
        """mma.sync: the accumulator registers."""
        self._require_members(lanes, at, np.array([_FULL_MASK]))
        fragments = (np.stack([lanes.to_warps(register) for register in fragment], -1) for fragment in (a, b, c))
        result = collectives.matrix_multiply(shape, kind, *fragments)
        return [lanes.from_warps(result[..., number]) for number in range(result.shape[-1])]

    def load_matrix(self, lanes: Lanes, at: int, offset: Array, count: int, transposed: bool) -> list[Array]:
        """ldmatrix: `count` registers; lanes 8i to 8i + 7 give the addresses of the rows of matrix i."""
        self._require_members(lanes, at, np.array([_FULL_MASK]))
        addressing = lanes.where(lanes.spread(self.special(lanes, "%laneid")) < 8 * count)
        rows = self.shared_space.fetch(addressing, at, lanes.spread(offset)[np.isin(lanes.index, addressing.index)], 16)
        result = collectives.matrix_rows(rows.view(np.uint16).reshape(-1, count, 8, 8), transposed)
        return [lanes.from_warps(result[..., number]) for number in range(count)]

    def _require_members(self, lanes: Lanes, at: int, members: Array) -> None:
        """BarrierError where a member mask names a lane that is not here, or leaves out the lane that executes it."""
        if lanes.whole_warps and (members == _FULL_MASK).all():
            return
        absent = (members & ~self.active_mask(lanes)) != 0
        bad = absent | ((members >> self.special(lanes, "%laneid")) & 1 == 0)
        if bad.any():
            mask = int(np.broadcast_to(members, lanes.shape)[np.broadcast_to(bad, lanes.shape)][0])
            what = "names lanes that are not there" if absent.any() else "leaves out a lane that executes it"
            raise self.fault(BarrierError, f"the member mask {mask:#010x} of a warp {what}", at, lanes, bad)

    # messages

    def first(self, lanes: Lanes, bad: Array, values: Array) -> int:
        """The value of the first lane for which `bad` holds."""
        return int(lanes.spread(values)[self._first_lane(lanes, bad)])

    def _first_lane(self, lanes: Lanes, bad: Array) -> int:
        return int(np.flatnonzero(lanes.spread(bad))[0])

    def block_xyz(self, block: int) -> Dim3:
        """%ctaid of a block of the grid."""
        x, y, z = xyz(block, self.launch.grid)
        return int(x), int(y), int(z)

    def thread_xyz(self, thread: int) -> Dim3:
        """%tid of a thread of a block."""
        x, y, z = xyz(thread, self.launch.block)
        return int(x), int(y), int(z)

    def fault(self, kind: type[Error], message: str, at: int, lanes: Lanes, bad: Array) -> Error:
        """An error that says where: kernel, instruction, and the first of the lanes for which `bad` holds."""
        instruction = self.program.instructions[at]
        position = self._first_lane(lanes, bad)
        row, thread = divmod(int(lanes.index[position]), self.launch.threads)
        block_xyz, thread_xyz = self.block_xyz(int(self.block_ids[row])), self.thread_xyz(thread)
        count = int(np.count_nonzero(lanes.spread(bad)))
        more = f" (the first of {count} threads)" if count > 1 else ""
        source = f"  {instruction.source}" if instruction.source else ""
        error = kind(
            f"kernel {self.program.name}: {message}\n  PTX line {instruction.line}: {instruction.text}{source}"
            f"\n  block {block_xyz}, thread {thread_xyz}{more}"
        )
        error.kernel, error.line, error.instruction = self.program.name, instruction.line, instruction.text
        error.block, error.thread = block_xyz, thread_xyz
        return error


def _lane_mask(relation: str, lane: Array) -> Array:
    """The lanes of a warp whose number is eq, lt, le, gt or ge each lane's own, as bits."""
    own = np.uint32(1) << lane
    below = own - np.uint32(1)
    return {"eq": own, "lt": below, "le": below | own, "gt": ~(below | own), "ge": ~below}[relation]


def xyz(number: Any, extent: Dim3) -> tuple[Any, Any, Any]:
    """The coordinates of a linear index (an int or a uint32 array), x fastest."""
    x, y, _ = (np.uint32(size) if isinstance(number, np.ndarray) else size for size in extent)
    return number % x, number // x % y, number // (x * y)

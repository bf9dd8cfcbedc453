"""The last block: sums that several blocks share, added in a fixed order inside the launch that computed them.

    meet            the intrinsic behind it: an atomic that acquires and releases
    combine         a thread's share of a sum from all parts of it, for the last block that comes to it

Each block stores its part, then draws a ticket. Whoever draws the last one knows that all parts are in memory, and adds them in
the order of their numbers: who was last does not change the result. The ticket counter ends where it began, so that
nothing has to be reset between launches.
"""

from functools import cache
from typing import Any

from llvmlite import ir
from numba import cuda
from numba.cuda import types
from numba.cuda.extending import intrinsic
from numba.cuda.types import float32, uint32

from ..ptx import inlined, pointer_to

PARTS, COUNTERS = 0, 1
"""Where in `extra` the addresses of parts and counters are."""


@intrinsic
def meet(typingctx: Any, address: Any, last: Any) -> Any:
    """The uint32 at an address in global memory, which then is 0 if it was `last`, else one more; what was written by threads
    of the block before a barrier is seen by those who come later, after a barrier (PTX ISA, atom.acq_rel)."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(64), ir.IntType(32)])
        code = ir.InlineAsm(kind, "atom.acq_rel.gpu.global.inc.u32 $0, [$1], $2;", "=r,l,r,~{memory}", side_effect=True)
        return builder.call(code, args)

    return types.uint32(types.uint64, types.uint32), codegen


@cache
def combine(outputs: int, threads: int) -> Any:
    """combine(total, room, extra, tile, part, parts): whether the block is the last of its tile; then `total`, a thread's
    `outputs` numbers, are the sums of those of all parts. `room` is a shared array of float32 that nobody needs any more."""
    floats_at = pointer_to(float32)

    def combine(total, room, extra, tile, part, parts):
        memory, thread = floats_at(extra[PARTS]), uint32(cuda.threadIdx.x)
        here = uint32((tile * parts + part) * uint32(outputs * threads) + thread)
        for i in range(outputs):
            memory[uint32(here + i * threads)] = total[i]
        cuda.syncthreads()
        if thread == 0:
            drawn = meet(extra[COUNTERS] + tile * 4, uint32(parts - 1))
            room[0] = float32(1) if drawn == uint32(parts - 1) else float32(0)
        cuda.syncthreads()
        last = room[0] == float32(1)
        if last:
            for i in range(outputs):
                total[i] = float32(0)
            here = uint32(tile * parts * uint32(outputs * threads) + thread)
            for _ in range(parts):
                for i in range(outputs):
                    total[i] += memory[uint32(here + i * threads)]
                here = uint32(here + outputs * threads)
        return last

    return inlined(combine)

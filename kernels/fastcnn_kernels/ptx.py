"""GPU instructions that Numba has no name for, and what small functions inside kernels are made of.

    inlined                  decorator: a function that kernels may call
    pointer_to               the intrinsic pointer(address) for an element type
    load4, store4            four neighbouring elements in one access
    load_quad, store_quad    the same, of fewer at the end of an array
    element, after, read4    the same as pieces of LLVM code, for intrinsics of other files
    narrowed                 float32 from the bits of a float64, by integer arithmetic
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba import cuda
from numba.cuda import types
from numba.cuda.extending import intrinsic
from numba.cuda.types import uint32, uint64

I32 = ir.IntType(32)
GLOBAL = 1
"""NVVM's number of global memory."""


def inlined(function: Callable[..., Any]) -> Any:
    """Decorator: the function's body takes the place of its calls in kernels."""
    return cuda.jit(device=True, inline="always")(function)


@cache
def pointer_to(kind: Any) -> Any:
    """The intrinsic pointer(address): a pointer to elements of a Numba type in global memory, from an address in a uint64."""

    @intrinsic
    def pointer(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            generic = context.get_value_type(sig.return_type)
            return builder.addrspacecast(builder.inttoptr(args[0], ir.PointerType(generic.pointee, GLOBAL)), generic)

        return types.CPointer(kind)(types.uint64), codegen

    return pointer


# ------ four elements at once: 128 bits a thread are what a GPU reaches its bandwidth with


@intrinsic
def load4(typingctx: Any, mine: Any, j: Any, memory: Any, i: Any) -> Any:
    """mine[j : j+4] = memory[i : i+4], one access; `memory` is a pointer or a shared array, aligned to four elements."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        target = element(context, builder, mine, args[0], args[1], j)
        for e, value in enumerate(read4(builder, element(context, builder, memory, args[2], args[3], i))):
            builder.store(value, after(builder, target, e))
        return context.get_dummy_value()

    return types.void(mine, j, memory, i), codegen


@intrinsic
def store4(typingctx: Any, memory: Any, i: Any, mine: Any, j: Any) -> Any:
    """memory[i : i+4] = mine[j : j+4], one access."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        source = element(context, builder, mine, args[2], args[3], j)
        values = [builder.load(after(builder, source, e)) for e in range(4)]
        _write4(builder, element(context, builder, memory, args[0], args[1], i), values)
        return context.get_dummy_value()

    return types.void(memory, i, mine, j), codegen


@intrinsic
def load_quad(typingctx: Any, mine: Any, memory: Any, i: Any, n: Any) -> Any:
    """mine[0:4] = memory[i : i+4], zeros from memory[n] on. i is a multiple of 4, memory aligned to four elements."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        there, here = element(context, builder, memory, args[1], args[2], i), element(context, builder, mine, args[0])
        with builder.if_else(_inside(builder, args[2], 3, args[3])) as (whole, rest):
            with whole:
                for e, value in enumerate(read4(builder, there)):
                    builder.store(value, after(builder, here, e))
            with rest:
                for e in range(4):
                    builder.store(ir.Constant(here.type.pointee, 0), after(builder, here, e))
                    with builder.if_then(_inside(builder, args[2], e, args[3])):
                        builder.store(builder.load(after(builder, there, e)), after(builder, here, e))
        return context.get_dummy_value()

    return types.void(mine, memory, types.uint32, types.uint32), codegen


@intrinsic
def store_quad(typingctx: Any, memory: Any, i: Any, n: Any, mine: Any) -> Any:
    """memory[i : i+4] = mine[0:4], nothing from memory[n] on. i is a multiple of 4, memory aligned to four elements."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        there, here = element(context, builder, memory, args[0], args[1], i), element(context, builder, mine, args[3])
        values = [builder.load(after(builder, here, e)) for e in range(4)]
        with builder.if_else(_inside(builder, args[1], 3, args[2])) as (whole, rest):
            with whole:
                _write4(builder, there, values)
            with rest:
                for e in range(4):
                    with builder.if_then(_inside(builder, args[1], e, args[2])):
                        builder.store(values[e], after(builder, there, e))
        return context.get_dummy_value()

    return types.void(memory, types.uint32, types.uint32, mine), codegen


def element(
    context: Any, builder: ir.IRBuilder, kind: Any, array: Any, index: Any = None, index_kind: Any = types.uint32
) -> ir.Value:
    """The address of an element, by default the first, of an array or a pointer."""
    data = array if isinstance(kind, types.CPointer) else context.make_array(kind)(context, builder, array).data
    return data if index is None else builder.gep(data, [context.cast(builder, index, index_kind, types.intp)])


def after(builder: ir.IRBuilder, place: ir.Value, elements: int) -> ir.Value:
    """The address so many elements further on."""
    return builder.gep(place, [ir.Constant(I32, elements)], inbounds=True)


def read4(builder: ir.IRBuilder, place: ir.Value) -> list[ir.Value]:
    """Four elements, in one load."""
    vector = builder.load(_vector(builder, place), align=_align4(place))
    return [builder.extract_element(vector, ir.Constant(I32, e)) for e in range(4)]


def _write4(builder: ir.IRBuilder, place: ir.Value, values: list[ir.Value]) -> None:
    vector = ir.Constant(ir.VectorType(place.type.pointee, 4), ir.Undefined)
    for e, value in enumerate(values):
        vector = builder.insert_element(vector, value, ir.Constant(I32, e))
    builder.store(vector, _vector(builder, place), align=_align4(place))


def _vector(builder: ir.IRBuilder, place: ir.Value) -> ir.Value:
    return builder.bitcast(place, ir.PointerType(ir.VectorType(place.type.pointee, 4)))


def _align4(place: ir.Value) -> int:
    """Bytes of four elements."""
    kind = place.type.pointee
    return 16 if isinstance(kind, ir.FloatType) else kind.width // 2


def _inside(builder: ir.IRBuilder, i: ir.Value, e: int, n: ir.Value) -> ir.Value:
    """i + e < n."""
    return builder.icmp_unsigned("<", builder.add(i, ir.Constant(I32, e)), n)


# ------ float64 without float64 instructions, of which most GPUs have few

SMALLEST, LARGEST, INFINITE = (1023 - 126) << 52, (1023 + 128) << 52, 0x7FF << 52
"""Bits of float64: 2^-126, the smallest normal number of float32; 2^128, which float32 does not reach; infinity."""


@inlined
def narrowed(bits):
    """The float32 nearest to the float64 of these 64 bits, ties to even; 0 for what is smaller than normal float32 numbers."""
    magnitude = uint64(bits & uint64(0x7FFFFFFFFFFFFFFF))
    odd = uint64((magnitude >> uint64(29)) & uint64(1))
    rounded = uint64(magnitude + uint64(0x0FFFFFFF) + odd)
    result = uint32(uint32(rounded >> uint64(29)) - uint32((1023 - 127) << 23))
    if magnitude < uint64(SMALLEST):
        result = uint32(0)
    if magnitude >= uint64(LARGEST):
        result = uint32(0x7F800000)
    if magnitude > uint64(INFINITE):
        result = uint32(0x7FC00000)
    return as_float(uint32(result | (uint32(bits >> uint64(32)) & uint32(0x80000000))))


@intrinsic
def as_float(typingctx: Any, bits: Any) -> Any:
    """The float32 with the bits of a uint32."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), codegen

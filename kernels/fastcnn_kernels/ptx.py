"""GPU instructions that Numba has no name for, and what small functions inside kernels are made of.

    inlined                  decorator: a function that kernels may call
    pointer_to               the intrinsic pointer(address) for an element type
    load4, store4, store2    four (two) neighbouring elements in one access
    load_quad, store_quad    the same, of fewer at the end of an array
    element, after, read4    the same as pieces of LLVM code, for intrinsics of other files
    narrowed                 float32 from the bits of a float64, by integer arithmetic
    choose                   one of two numbers, without a branch
    copy16, commit_copies, wait_copies       asynchronous copies to shared memory (from sm_80 on)
    load_matrices, load_word, shared_address reading shared memory by its own addresses
    rounded, multiply_matrices               numbers of a tensor core's formats; a warp's product of two small matrices
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
GLOBAL, SHARED = 1, 3
"""NVVM's numbers of global and shared memory."""


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
    return types.void(memory, i, mine, j), _storing(4)


@intrinsic
def store2(typingctx: Any, memory: Any, i: Any, mine: Any, j: Any) -> Any:
    """memory[i : i+2] = mine[j : j+2], one access."""
    return types.void(memory, i, mine, j), _storing(2)


def _storing(count: int) -> Any:
    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        memory, i, mine, j = sig.args
        source = element(context, builder, mine, args[2], args[3], j)
        values = [builder.load(after(builder, source, e)) for e in range(count)]
        _write(builder, element(context, builder, memory, args[0], args[1], i), values)
        return context.get_dummy_value()

    return codegen


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
                _write(builder, there, values)
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
    vector = builder.load(_vector(builder, place, 4), align=_bytes(place, 4))
    return [builder.extract_element(vector, ir.Constant(I32, e)) for e in range(4)]


def _write(builder: ir.IRBuilder, place: ir.Value, values: list[ir.Value]) -> None:
    count = len(values)
    vector = ir.Constant(ir.VectorType(place.type.pointee, count), ir.Undefined)
    for e, value in enumerate(values):
        vector = builder.insert_element(vector, value, ir.Constant(I32, e))
    builder.store(vector, _vector(builder, place, count), align=_bytes(place, count))


def _vector(builder: ir.IRBuilder, place: ir.Value, count: int) -> ir.Value:
    return builder.bitcast(place, ir.PointerType(ir.VectorType(place.type.pointee, count)))


def _bytes(place: ir.Value, count: int) -> int:
    """Bytes of so many elements."""
    kind = place.type.pointee
    return count * (4 if isinstance(kind, ir.FloatType) else kind.width // 8)


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
def choose(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b, of one type: an instruction, where a branch of Python's would be a branch."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return a(types.boolean, a, a), codegen


@intrinsic
def as_float(typingctx: Any, bits: Any) -> Any:
    """The float32 with the bits of a uint32."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), codegen


# ------ shared memory by its own 32-bit addresses, and copies to it that go on while the thread computes


@intrinsic
def shared_address(typingctx: Any, array: Any) -> Any:
    """Where a shared array begins."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        octets = builder.bitcast(element(context, builder, array, args[0]), ir.PointerType(ir.IntType(8)))
        return builder.ptrtoint(builder.addrspacecast(octets, ir.PointerType(ir.IntType(8), SHARED)), I32)

    return types.uint32(array), codegen


@intrinsic
def copy16(typingctx: Any, target: Any, memory: Any, i: Any, inside: Any) -> Any:
    """Begin to copy 16 bytes from memory[i] on to a shared address; where not `inside`, zeros, and nothing is read."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        source = builder.bitcast(element(context, builder, memory, args[1], args[2], i), ir.PointerType(ir.IntType(8)))
        address = builder.ptrtoint(builder.addrspacecast(source, ir.PointerType(ir.IntType(8), GLOBAL)), ir.IntType(64))
        used = builder.select(args[3], ir.Constant(I32, 16), ir.Constant(I32, 0))
        text = "cp.async.cg.shared.global [$0], [$1], 16, $2;"
        _assembly(builder, ir.VoidType(), text, "r,l,r,~{memory}", [args[0], address, used])
        return context.get_dummy_value()

    return types.void(types.uint32, memory, types.uint32, types.boolean), codegen


def _statement(text: str) -> Any:
    @intrinsic
    def emit(typingctx: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            _assembly(builder, ir.VoidType(), text, "~{memory}", [])
            return context.get_dummy_value()

        return types.void(), codegen

    return emit


commit_copies = _statement("cp.async.commit_group;")
"""The thread's copies since the last call are a group."""


@cache
def wait_copies(running: int) -> Any:
    """The intrinsic wait(): until all but the `running` latest groups of the thread's copies have landed."""
    return _statement(f"cp.async.wait_group {running};")


# ------ pieces of LLVM code for tensor cores: what a warp's 32 lanes do together


def _assembly(
    builder: ir.IRBuilder, result: ir.Type, text: str, constraints: str, args: list[ir.Value], volatile: bool = True
) -> ir.Value:
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(ir.InlineAsm(kind, text, constraints, side_effect=volatile), args)


def load_matrices(builder: ir.IRBuilder, address: ir.Value) -> list[ir.Value]:
    """ldmatrix of four matrices of 8 rows of 16 bytes: lane 8i + r addresses row r of matrix i; of each, lane l gets word
    l % 4 of row l // 4, as float32."""
    text = "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {$0,$1,$2,$3}, [$4];"
    out = _assembly(builder, ir.LiteralStructType([I32] * 4), text, "=r,=r,=r,=r,r,~{memory}", [address])
    return [builder.bitcast(builder.extract_value(out, i), ir.FloatType()) for i in range(4)]


def load_word(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """The float32 at a shared address."""
    return builder.load(builder.inttoptr(address, ir.PointerType(ir.FloatType(), SHARED)))


def rounded(builder: ir.IRBuilder, precision: str, values: list[ir.Value]) -> list[ir.Value]:
    """float32 numbers as a tensor core takes them: each in a register of its own in tf32, two and two in bfloat16."""
    if precision == "tf32":
        return [_assembly(builder, I32, "cvt.rna.tf32.f32 $0, $1;", "=r,f", [value], volatile=False) for value in values]
    text, pairs = "cvt.rn.bf16x2.f32 $0, $2, $1;", zip(values[::2], values[1::2], strict=True)
    return [_assembly(builder, I32, text, "=r,f,f", [low, high], volatile=False) for low, high in pairs]


SHAPES = {"tf32": "m16n8k8.row.col.f32.tf32.tf32.f32", "bfloat16": "m16n8k16.row.col.f32.bf16.bf16.f32"}
"""The product that one mma.sync computes."""


def multiply_matrices(
    builder: ir.IRBuilder, precision: str, a: list[ir.Value], b: list[ir.Value], c: list[ir.Value]
) -> list[ir.Value]:
    """a b + c, accumulated in float32: registers of matrices of 16 rows and 8 columns, as the PTX ISA (9.7.14.5) lays them."""
    text = f"mma.sync.aligned.{SHAPES[precision]} {{$0,$1,$2,$3}}, {{$4,$5,$6,$7}}, {{$8,$9}}, {{$10,$11,$12,$13}};"
    constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)
    out = _assembly(builder, ir.LiteralStructType([ir.FloatType()] * 4), text, constraints, [*a, *b, *c], volatile=False)
    return [builder.extract_value(out, i) for i in range(4)]

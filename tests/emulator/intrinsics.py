"""GPU instructions for the kernels of these tests, as Numba intrinsics: vector accesses, cp.async, ldmatrix, mma.sync.

Each is one LLVM operation or one line of inline PTX. An element is named by an array and its flat index.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic
from numba.cuda.typing import signature

I8, I32, I64, F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
FOUR_FLOATS = types.UniTuple(types.float32, 4)
FOUR_WORDS = types.UniTuple(types.uint32, 4)


def _pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The address of element args[1] of the array args[0]."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [context.cast(builder, args[1], signature.args[1], types.intp)])


def _address(context: Any, builder: Any, signature: Any, args: Any, space: int, integer: Any) -> Any:
    """That address as an integer in an address space (1 global, 3 shared)."""
    octets = builder.bitcast(_pointer(context, builder, signature, args), ir.PointerType(I8))
    return builder.ptrtoint(builder.addrspacecast(octets, ir.PointerType(I8, addrspace=space)), integer)


def _assembly(builder: Any, result: Any, text: str, constraints: str, args: list[Any]) -> Any:
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(ir.InlineAsm(kind, text, constraints, side_effect=True), args)


def _unpacked(builder: Any, aggregate: Any, count: int) -> list[Any]:
    return [builder.extract_value(aggregate, i) for i in range(count)]


@intrinsic
def load4(typingctx, array, index):
    """array[index : index + 4] by one 16-byte access."""

    def codegen(context, builder, signature, args):
        pointer = builder.bitcast(_pointer(context, builder, signature, args), ir.PointerType(ir.VectorType(F32, 4)))
        vector = builder.load(pointer, align=16)
        return context.make_tuple(builder, FOUR_FLOATS, [builder.extract_element(vector, I32(i)) for i in range(4)])

    return signature(FOUR_FLOATS, array, index), codegen


@intrinsic
def store4(typingctx, array, index, values):
    """array[index : index + 4] = values by one 16-byte access."""

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(F32, 4)
        vector = ir.Constant(kind, ir.Undefined)
        for i, value in enumerate(_unpacked(builder, args[2], 4)):
            vector = builder.insert_element(vector, value, I32(i))
        builder.store(
            vector, builder.bitcast(_pointer(context, builder, signature, args), ir.PointerType(kind)), align=16
        )
        return context.get_dummy_value()

    return signature(types.void, array, index, values), codegen


@intrinsic
def shared_address(typingctx, array, index):
    """Where an element of a shared array is, in bytes."""

    def codegen(context, builder, signature, args):
        return _address(context, builder, signature, args, 3, I32)

    return signature(types.uint32, array, index), codegen


@intrinsic
def global_address(typingctx, array, index):
    """Where an element of a global array is, in bytes."""

    def codegen(context, builder, signature, args):
        return _address(context, builder, signature, args, 1, I64)

    return signature(types.uint64, array, index), codegen


@intrinsic
def copy16(typingctx, target, source, used):
    """Begin to copy 16 bytes from a global to a shared address; those from `used` on become 0."""

    def codegen(context, builder, signature, args):
        text = "cp.async.cg.shared.global [$0], [$1], 16, $2;"
        _assembly(builder, ir.VoidType(), text, "r,l,r,~{memory}", list(args))
        return context.get_dummy_value()

    return signature(types.void, types.uint32, types.uint64, types.uint32), codegen


def _statement(text: str) -> Any:
    @intrinsic
    def emit(typingctx):
        def codegen(context, builder, signature, args):
            _assembly(builder, ir.VoidType(), text, "~{memory}", [])
            return context.get_dummy_value()

        return signature(types.void), codegen

    return emit


commit_copies = _statement("cp.async.commit_group;")
wait_for_all_copies = _statement("cp.async.wait_group 0;")
wait_for_all_copies_but_one = _statement("cp.async.wait_group 1;")
wait_for_all_copies_but_two = _statement("cp.async.wait_group 2;")


@intrinsic
def to_tf32(typingctx, x):
    """x rounded to tf32, as bits."""

    def codegen(context, builder, signature, args):
        return _assembly(builder, I32, "cvt.rna.tf32.f32 $0, $1;", "=r,f", list(args))

    return signature(types.uint32, types.float32), codegen


def _matrix_multiply(shape: str, kind: str) -> Any:
    registers = "{$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13}"
    text = f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 {registers};"

    @intrinsic
    def multiply(typingctx, a, b, c):
        def codegen(context, builder, signature, args):
            operands = [
                value
                for aggregate, count in zip(args, (4, 2, 4), strict=True)
                for value in _unpacked(builder, aggregate, count)
            ]
            out = _assembly(builder, ir.LiteralStructType([F32] * 4), text, "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", operands)
            return context.make_tuple(builder, FOUR_FLOATS, _unpacked(builder, out, 4))

        return signature(FOUR_FLOATS, a, b, c), codegen

    return multiply


multiply_tf32 = _matrix_multiply("m16n8k8", "tf32")
multiply_bf16 = _matrix_multiply("m16n8k16", "bf16")
multiply_f16 = _matrix_multiply("m16n8k16", "f16")


def _load_matrices(transposed: str) -> Any:
    @intrinsic
    def load(typingctx, address):
        def codegen(context, builder, signature, args):
            text = f"ldmatrix.sync.aligned.m8n8.x4{transposed}.shared.b16 {{$0,$1,$2,$3}}, [$4];"
            out = _assembly(builder, ir.LiteralStructType([I32] * 4), text, "=r,=r,=r,=r,r,~{memory}", list(args))
            return context.make_tuple(builder, FOUR_WORDS, _unpacked(builder, out, 4))

        return signature(FOUR_WORDS, types.uint32), codegen

    return load


load_matrices = _load_matrices("")
load_matrices_transposed = _load_matrices(".trans")

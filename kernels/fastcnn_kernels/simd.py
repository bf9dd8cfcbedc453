"""Vector instructions for CPU kernels: sixteen lanes as one Numba value, memory as plain addresses.

    types      f32x16, f64x16, u32x16, u8x16 and mask (the result of a comparison); POINTER-free: an address is an int64
    memory     load_f32x16 store_f32x16 load_u8x16 ...   sixteen elements;   load_f32 store_f32 load_i64 ...   one element
    values     splat (one float everywhere), splat_u32, lane_numbers, tuple_of_zeros, lane (take one out), horizontal_sum
    arithmetic + - * / > >= == & | ^ << >>  between vectors;  fma  maximum  minimum  sqrt  select  convert
    tiles      outer_product: the register tile of every matrix product here

LLVM lowers sixteen lanes to one 512-bit, two 256-bit or four 128-bit registers, so every kernel runs on every processor;
`TILE_PIXELS` and `TILE_BLOCKS` are the size of the accumulator tile that this machine's register file holds.
"""

import operator
import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

LANES = 16
_I1, _I8, _I32, _I64, _F32, _F64 = (*(ir.IntType(n) for n in (1, 8, 32, 64)), ir.FloatType(), ir.DoubleType())


def _register_file() -> tuple[int, int]:
    """(vector registers, float32 lanes of one) of the processor that Numba compiles for."""
    settings: Any = config
    features = settings.CPU_FEATURES
    if features is None:
        features = "" if settings.CPU_NAME == "generic" else llvm.get_host_cpu_features().flatten()
    if "+avx512f" in features:
        return 32, 16
    if "+avx2" in features:
        return 16, 8
    return (32, 4) if os.uname().machine in ("aarch64", "arm64") else (16, 4)


REGISTERS, WIDTH = _register_file()
# A tile of P pixels x V blocks of 16 lanes needs P*V accumulators, V weights and one broadcast pixel in registers.
TILE_PIXELS, TILE_BLOCKS = {(32, 16): (6, 4), (16, 8): (6, 1), (32, 4): (6, 1), (16, 4): (3, 1)}[REGISTERS, WIDTH]


class Vector(types.Type):
    """Sixteen lanes of one LLVM element type."""

    def __init__(self, name: str, element: ir.Type):
        self.ir = ir.VectorType(element, LANES)
        super().__init__(name)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Vector):
        super().__init__(manager, fe_type, fe_type.ir)


f32x16, u32x16, u8x16, mask = Vector("f32x16", _F32), Vector("u32x16", _I32), Vector("u8x16", _I8), Vector("mask", _I1)
f64x16, i64x16 = Vector("f64x16", _F64), Vector("i64x16", _I64)


def constant(vector: Vector, value: float) -> ir.Constant:
    """The same compile-time number in every lane."""
    return ir.Constant(vector.ir, [value] * LANES)


def address(builder: ir.IRBuilder, integer: ir.Value, element: ir.Type) -> ir.Value:
    """An int64 as a typed LLVM pointer."""
    return builder.inttoptr(integer, element.as_pointer())


def call_llvm(builder: ir.IRBuilder, name: str, *arguments: ir.Value) -> ir.Value:
    """Call the LLVM intrinsic `name` for vectors of float32 or float64, all operands of one type."""
    kind = arguments[0].type
    function_type = ir.FunctionType(kind, [kind] * len(arguments))
    suffix = "f64" if kind.element == _F64 else "f32"
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.v{LANES}{suffix}")
    return builder.call(function, arguments)


def broadcast(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    """One scalar in every lane."""
    kind = ir.VectorType(scalar.type, LANES)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))


def make_intrinsic(result: types.Type, operands: tuple[types.Type, ...], emit: Callable[..., Any]) -> Any:
    """An intrinsic of fixed signature: `emit(builder, *values)` returns the LLVM value (None for void)."""
    parameters = ", ".join(f"a{i}" for i in range(len(operands)))

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        value = emit(builder, *args)
        return context.get_dummy_value() if value is None else value

    # Numba reads the number of operands off the Python signature, so it is spelled out.
    namespace: dict[str, Any] = {"answer": (result(*operands), codegen)}
    exec(f"def typed(typingctx, {parameters}):\n    return answer\n", namespace)
    return intrinsic(namespace["typed"])


def literal_intrinsic(function: Callable[..., Any]) -> Any:
    """Decorator: an intrinsic whose typing function sees constant arguments as literals."""
    return intrinsic(prefer_literal=True)(function)


def _loader(result: types.Type, element: ir.Type, align: int) -> Any:
    return make_intrinsic(result, (types.int64,), lambda b, a: b.load(address(b, a, element), align=align))


def _storer(value: types.Type, element: ir.Type, align: int) -> Any:
    def emit(builder: ir.IRBuilder, where: ir.Value, what: ir.Value) -> None:
        builder.store(what, address(builder, where, element), align=align)

    return make_intrinsic(types.void, (types.int64, value), emit)


load_f32x16, store_f32x16 = _loader(f32x16, f32x16.ir, 4), _storer(f32x16, f32x16.ir, 4)
load_u32x16, store_u32x16 = _loader(u32x16, u32x16.ir, 4), _storer(u32x16, u32x16.ir, 4)
load_u8x16, store_u8x16 = _loader(u8x16, u8x16.ir, 1), _storer(u8x16, u8x16.ir, 1)
load_f64x16, store_f64x16 = _loader(f64x16, f64x16.ir, 8), _storer(f64x16, f64x16.ir, 8)
load_i64x16 = _loader(i64x16, i64x16.ir, 8)
load_f32, store_f32 = _loader(types.float32, _F32, 4), _storer(types.float32, _F32, 4)
load_f64, store_f64 = _loader(types.float64, _F64, 8), _storer(types.float64, _F64, 8)
load_i64, store_i64 = _loader(types.int64, _I64, 8), _storer(types.int64, _I64, 8)
load_i32, store_i32 = _loader(types.int32, _I32, 4), _storer(types.int32, _I32, 4)
load_u8, store_u8 = _loader(types.uint8, _I8, 1), _storer(types.uint8, _I8, 1)

splat = make_intrinsic(f32x16, (types.float32,), broadcast)
splat_u32 = make_intrinsic(u32x16, (types.uint32,), broadcast)
splat_u8 = make_intrinsic(u8x16, (types.uint8,), broadcast)
splat_f64 = make_intrinsic(f64x16, (types.float64,), broadcast)
load_splat = make_intrinsic(f32x16, (types.int64,), lambda b, a: broadcast(b, b.load(address(b, a, _F32), align=4)))
lane_numbers = make_intrinsic(u32x16, (types.uint32,), lambda b, first: b.add(
    broadcast(b, first), ir.Constant(u32x16.ir, list(range(LANES)))))
"""lane_numbers(first) = first, first + 1, ... first + 15."""

fma = make_intrinsic(f32x16, (f32x16,) * 3, lambda b, x, y, z: call_llvm(b, "fmuladd", x, y, z))
"""x * y + z, in one rounding where the processor can."""
sqrt = make_intrinsic(f32x16, (f32x16,), lambda b, x: call_llvm(b, "sqrt", x))
sqrt_f64 = make_intrinsic(f64x16, (f64x16,), lambda b, x: call_llvm(b, "sqrt", x))
absolute = make_intrinsic(f32x16, (f32x16,), lambda b, x: call_llvm(b, "fabs", x))
round_even = make_intrinsic(f32x16, (f32x16,), lambda b, x: call_llvm(b, "rint", x))
maximum = make_intrinsic(f32x16, (f32x16,) * 2, lambda b, x, y: b.select(b.fcmp_unordered(">", x, y), x, y))
"""x where x > y or either is NaN, else y: a NaN in x is kept."""
minimum = make_intrinsic(f32x16, (f32x16,) * 2, lambda b, x, y: b.select(b.fcmp_unordered("<", x, y), x, y))
select = make_intrinsic(f32x16, (mask, f32x16, f32x16), lambda b, m, x, y: b.select(m, x, y))
"""x where the mask is set, else y."""
select_u8 = make_intrinsic(u8x16, (mask, u8x16, u8x16), lambda b, m, x, y: b.select(m, x, y))
select_u32 = make_intrinsic(u32x16, (mask, u32x16, u32x16), lambda b, m, x, y: b.select(m, x, y))
is_nan = make_intrinsic(mask, (f32x16,), lambda b, x: b.fcmp_unordered("uno", x, x))
u32_to_f32 = make_intrinsic(f32x16, (u32x16,), lambda b, x: b.uitofp(x, f32x16.ir))
u8_to_u32 = make_intrinsic(u32x16, (u8x16,), lambda b, x: b.zext(x, u32x16.ir))
u32_to_u8 = make_intrinsic(u8x16, (u32x16,), lambda b, x: b.trunc(x, u8x16.ir))
"""The lowest eight bits."""
f32_to_f64 = make_intrinsic(f64x16, (f32x16,), lambda b, x: b.fpext(x, f64x16.ir))
f64_to_f32 = make_intrinsic(f32x16, (f64x16,), lambda b, x: b.fptrunc(x, f32x16.ir))
i32_to_f64 = make_intrinsic(f64x16, (u32x16,), lambda b, x: b.sitofp(x, f64x16.ir))
i64_to_f64 = make_intrinsic(f64x16, (i64x16,), lambda b, x: b.sitofp(x, f64x16.ir))
f64_to_i32 = make_intrinsic(u32x16, (f64x16,), lambda b, x: b.fptosi(x, u32x16.ir))
f32_to_i32_bits = make_intrinsic(u32x16, (f32x16,), lambda b, x: b.fptosi(x, u32x16.ir))
u32_as_f32 = make_intrinsic(f32x16, (u32x16,), lambda b, x: b.bitcast(x, f32x16.ir))
f32_as_u32 = make_intrinsic(u32x16, (f32x16,), lambda b, x: b.bitcast(x, u32x16.ir))


def _first_lanes(builder: ir.IRBuilder, count: ir.Value) -> ir.Value:
    numbers = ir.Constant(u32x16.ir, list(range(LANES)))
    return builder.icmp_signed("<", numbers, broadcast(builder, builder.trunc(count, _I32)))


first_lanes = make_intrinsic(mask, (types.int64,), _first_lanes)
"""first_lanes(n): a mask with the first n lanes set."""
lane = make_intrinsic(types.float32, (f32x16, types.int64), lambda b, x, i: b.extract_element(x, i))
lane_u32 = make_intrinsic(types.uint32, (u32x16, types.int64), lambda b, x, i: b.extract_element(x, i))
insert = make_intrinsic(f64x16, (f64x16, types.int64, types.float64), lambda b, x, i, y: b.insert_element(x, y, i))
"""x with y in lane i."""


def _multiply_high(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    wide = ir.VectorType(_I64, LANES)
    product = builder.mul(builder.zext(x, wide), builder.zext(y, wide))
    return builder.trunc(builder.lshr(product, ir.Constant(wide, [32] * LANES)), u32x16.ir)


multiply_high = make_intrinsic(u32x16, (u32x16,) * 2, _multiply_high)
"""The upper 32 bits of the 64-bit products."""


def _masked_load(builder: ir.IRBuilder, where: ir.Value, count: ir.Value) -> ir.Value:
    lanes = _first_lanes(builder, count)
    pointer = f32x16.ir.as_pointer()
    kind = ir.FunctionType(f32x16.ir, [pointer, _I32, mask.ir, f32x16.ir])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LANES}f32.p0")
    return builder.call(function, [address(builder, where, f32x16.ir), ir.Constant(_I32, 4), lanes, constant(f32x16, 0.0)])


def _masked_store(builder: ir.IRBuilder, where: ir.Value, count: ir.Value, what: ir.Value) -> None:
    lanes = _first_lanes(builder, count)
    pointer = f32x16.ir.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [f32x16.ir, pointer, _I32, mask.ir])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.store.v{LANES}f32.p0")
    builder.call(function, [what, address(builder, where, f32x16.ir), ir.Constant(_I32, 4), lanes])


load_first = make_intrinsic(f32x16, (types.int64, types.int64), _masked_load)
"""load_first(address, n): the first n lanes from memory, the others zero and untouched."""
store_first = make_intrinsic(types.void, (types.int64, types.int64, f32x16), _masked_store)
"""store_first(address, n, value): the first n lanes to memory, the rest of which stays as it is."""


def _horizontal(combine: Callable[..., ir.Value]) -> Callable[..., ir.Value]:
    def emit(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
        step = LANES // 2
        while step:
            order = ir.Constant(ir.VectorType(_I32, LANES), [(i + step) % LANES for i in range(LANES)])
            x = combine(builder, x, builder.shuffle_vector(x, x, order))
            step //= 2
        return builder.extract_element(x, ir.Constant(_I32, 0))

    return emit


horizontal_sum = make_intrinsic(types.float32, (f32x16,), _horizontal(lambda b, x, y: b.fadd(x, y)))
"""The sum of the lanes, added as a tree of halves."""
horizontal_sum_f64 = make_intrinsic(types.float64, (f64x16,), _horizontal(lambda b, x, y: b.fadd(x, y)))
horizontal_maximum = make_intrinsic(
    types.float32, (f32x16,), _horizontal(lambda b, x, y: b.select(b.fcmp_unordered(">", x, y), x, y)))
horizontal_minimum_u32 = make_intrinsic(
    types.uint32, (u32x16,), _horizontal(lambda b, x, y: b.select(b.icmp_unsigned("<", x, y), x, y)))

bits_as_f64 = make_intrinsic(types.float64, (types.int64,), lambda b, x: b.bitcast(x, _F64))
quotient = make_intrinsic(types.int64, (types.int64,) * 2, lambda b, x, y: b.udiv(x, y))
"""x // y of non-negative integers, without the checks of Python's."""
remainder = make_intrinsic(types.int64, (types.int64,) * 2, lambda b, x, y: b.urem(x, y))


def _interleave(builder: ir.IRBuilder, *words: ir.Value) -> ir.Value:
    pairs = ir.Constant(ir.VectorType(_I32, 2 * LANES), [i // 2 + i % 2 * LANES for i in range(2 * LANES)])
    halves = [builder.shuffle_vector(words[k], words[k + 1], pairs) for k in (0, 2)]
    # Lane 4k + w is pair k of words (0, 1) for w < 2, of words (2, 3) for the others.
    order = [i // 4 * 2 + i % 2 + (i % 4 // 2) * 2 * LANES for i in range(4 * LANES)]
    result = ir.Constant(ir.ArrayType(words[0].type, 4), ir.Undefined)
    for part in range(4):
        lanes = ir.Constant(ir.VectorType(_I32, LANES), order[part * LANES : (part + 1) * LANES])
        result = builder.insert_value(result, builder.shuffle_vector(*halves, lanes), part)
    return result


interleave = make_intrinsic(types.UniTuple(u32x16, 4), (u32x16,) * 4, _interleave)
"""Four vectors lane by lane: the 64 lanes a0 b0 c0 d0 a1 b1 ... as four vectors."""


def _operator(symbol: Any, kind: Vector, result: Vector, emit: Callable[..., ir.Value]) -> None:
    """Give a Python operator a meaning between two vectors of one type."""

    class Template(AbstractTemplate):
        def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
            return signature(result, kind, kind) if args == (kind, kind) else None

    infer_global(symbol)(Template)
    lower_builtin(symbol, kind, kind)(lambda context, builder, sig, args: emit(builder, *args))


for _symbol, _name in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")
):
    _operator(_symbol, f32x16, f32x16, lambda b, x, y, name=_name: getattr(b, name)(x, y))
    _operator(_symbol, f64x16, f64x16, lambda b, x, y, name=_name: getattr(b, name)(x, y))
for _symbol, _name in (
    (operator.add, "add"), (operator.sub, "sub"), (operator.mul, "mul"), (operator.xor, "xor"), (operator.and_, "and_"),
    (operator.or_, "or_"), (operator.lshift, "shl"), (operator.rshift, "lshr"),
):
    _operator(_symbol, u32x16, u32x16, lambda b, x, y, name=_name: getattr(b, name)(x, y))
for _symbol, _sign in (
    (operator.gt, ">"), (operator.ge, ">="), (operator.lt, "<"), (operator.le, "<="), (operator.eq, "==")
):
    _operator(_symbol, f32x16, mask, lambda b, x, y, sign=_sign: b.fcmp_ordered(sign, x, y))
    _operator(_symbol, u32x16, mask, lambda b, x, y, sign=_sign: b.icmp_unsigned(sign, x, y))
    _operator(_symbol, u8x16, mask, lambda b, x, y, sign=_sign: b.icmp_unsigned(sign, x, y))
for _symbol, _name in ((operator.and_, "and_"), (operator.or_, "or_")):
    _operator(_symbol, mask, mask, lambda b, x, y, name=_name: getattr(b, name)(x, y))


@literal_intrinsic
def tuple_of_zeros(typingctx: Any, count: Any) -> Any:
    """`count` vectors of zeros: the accumulators of a tile."""
    n = count.literal_value

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return ir.Constant(ir.ArrayType(f32x16.ir, n), [constant(f32x16, 0.0)] * n)

    return types.UniTuple(f32x16, n)(types.literal(n)), codegen


@literal_intrinsic
def outer_product(
    typingctx: Any, accumulators: Any, rows: Any, offset: Any, vectors: Any, block: Any, step: Any, unroll: Any, apart: Any
) -> Any:
    """The tile of every matrix product: `unroll` rank-1 updates of P rows x V vectors of 16 lanes.

    accumulators[p*V + v] += f32 at rows[p] + offset + u*apart  *  f32x16 at vectors + u*step + v*block, for u < unroll.

    rows are P addresses of scalars, V = len(accumulators) // P. P*V fma, P broadcasts and V loads an update: with
    V + 1 + P*V vector registers nothing is spilled.
    """
    rows_count, updates, floats = rows.count, unroll.literal_value, apart.literal_value // 4
    blocks = accumulators.count // rows_count

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        tile, addresses, shift, vector, block_bytes, step_bytes, _, _ = args
        sums = [builder.extract_value(tile, i) for i in range(accumulators.count)]
        scalars = [
            address(builder, builder.add(builder.extract_value(addresses, p), shift), _F32) for p in range(rows_count)
        ]
        for u in range(updates):
            where, loaded = vector, []
            for _ in range(blocks):
                loaded.append(builder.load(address(builder, where, f32x16.ir), align=4))
                where = builder.add(where, block_bytes)
            for p in range(rows_count):
                scalar = broadcast(builder, builder.load(builder.gep(scalars[p], [ir.Constant(_I64, u * floats)]), align=4))
                for v in range(blocks):
                    sums[p * blocks + v] = call_llvm(builder, "fmuladd", scalar, loaded[v], sums[p * blocks + v])
            vector = builder.add(vector, step_bytes)
        for i, value in enumerate(sums):
            tile = builder.insert_value(tile, value, i)
        return tile

    integers = (types.int64,) * 4
    return accumulators(accumulators, rows, *integers, types.literal(updates), types.literal(4 * floats)), codegen

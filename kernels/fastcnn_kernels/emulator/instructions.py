"""One rule an opcode: how an instruction becomes lines of NumPy code.

    translate(emitter, instruction)     emit the code of one instruction
    rule(opcodes, allows=...)           registers a rule and the modifiers that it understands

A rule reads operands as expressions (`emitter.value`), and sets registers (`emitter.set`) or calls the wave
(`emitter.line`). Opcodes and modifiers without a rule are errors: nothing is ignored silently, except the cache and
memory-order hints in _HINTS, which do not matter where all of memory is one array. Functions called in emitted code
are those of arithmetic.py. Source: PTX ISA 9.0, chapter 9.7.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from . import atomics, collectives
from .errors import UnsupportedError
from .parser import Instruction, split_operands
from .ptx_types import ELEMENT, DType, unsigned, widened

if TYPE_CHECKING:
    from .translate import Emitter

Rule = Callable[["Emitter", Instruction], None]

_RULES: dict[str, tuple[Rule, frozenset[str]]] = {}
_HINTS = "ca cg cs lu cv wb wt nc volatile weak relaxed acquire release acq_rel gpu cta sys cluster mmio"
_ROUNDINGS = ("rz", "rm", "rp")
_SPACES = ("global", "shared", "local")

U32 = np.dtype("uint32")
F32 = np.dtype("float32")


def rule(*opcodes: str, allows: str = "") -> Callable[[Rule], Rule]:
    """Register a rule for these opcodes, which may carry any type and the modifiers that `allows` lists."""

    def register(function: Rule) -> Rule:
        for opcode in opcodes:
            _RULES[opcode] = function, frozenset(allows.split())
        return function

    return register


def translate(emitter: Emitter, instruction: Instruction) -> None:
    """Emit the code of one instruction; UnsupportedError names the instruction for which there is no rule."""
    try:
        function, allowed = _RULES[instruction.opcode]
    except KeyError:
        raise UnsupportedError(f"no rule for the instruction {instruction.opcode!r}") from None
    for modifier in instruction.modifiers:
        if modifier not in allowed and modifier not in ELEMENT and not modifier.startswith(("L1::", "L2::")):
            raise UnsupportedError(f"no rule for {instruction.opcode!r} with the modifier {modifier!r}")
    function(emitter, instruction)


# floats and integers alike


def _float(e: Emitter, i: Instruction, operand: str) -> str:
    value = e.value(operand, i.dtype)
    return f"flush({value})" if i.has("ftz") else value


def _set_float(e: Emitter, i: Instruction, expression: str) -> None:
    if i.has("ftz"):
        expression = f"flush({expression})"
    if i.has("sat"):
        expression = f"saturate({expression})"
    e.set(i.operands[0], expression, i.dtype)


def _is_float(i: Instruction) -> bool:
    return i.dtype.kind == "f"


def _direction(i: Instruction) -> str:
    """The directed rounding mode, "" for round to nearest even."""
    mode = i.one_of(_ROUNDINGS)
    if mode and i.dtype != F32:
        raise UnsupportedError(f"no rule for {i.opcode!r} of {i.dtype} with the modifier {mode!r}")
    return mode


@rule("add", "sub", allows="rn rz rm rp ftz sat cc")
def _add_sub(e: Emitter, i: Instruction) -> None:
    sign = "+" if i.opcode == "add" else "-"
    if not _is_float(i):
        _integer_add_sub(e, i, sign)
        return
    a, b = _float(e, i, i.operands[1]), _float(e, i, i.operands[2])
    mode = _direction(i)
    _set_float(e, i, f"directed({a}, None, {sign}({b}), {mode!r})" if mode else f"{a} {sign} {b}")


def _integer_add_sub(e: Emitter, i: Instruction, sign: str) -> None:
    if i.has("sat"):
        raise UnsupportedError(f"no rule for {i.opcode!r} of integers with the modifier 'sat'")
    a, b = (e.value(operand, unsigned(i.dtype)) for operand in i.operands[1:])
    if not i.has("cc"):
        e.set(i.operands[0], f"{a} {sign} {b}", i.dtype)
        return
    function = "add_with_carry" if sign == "+" else "subtract_with_borrow"
    _set_with_carry(e, i, f"{function}({a}, {b})")


@rule("addc", "subc", allows="cc")
def _add_sub_carry(e: Emitter, i: Instruction) -> None:
    a, b = (e.value(operand, unsigned(i.dtype)) for operand in i.operands[1:])
    function = "add_with_carry" if i.opcode == "addc" else "subtract_with_borrow"
    _set_with_carry(e, i, f"{function}({a}, {b}, {e.carry()})")


def _set_with_carry(e: Emitter, i: Instruction, expression: str) -> None:
    """Set the destination from a pair (value, carry); the carry register only changes with `.cc`."""
    pair = e.temporary()
    e.line(f"{pair} = {expression}")
    e.set(i.operands[0], f"{pair}[0]", unsigned(i.dtype))
    if i.has("cc"):
        e.set_carry(f"{pair}[1]")


@rule("mul", allows="lo hi wide rn rz rm rp ftz sat")
def _mul(e: Emitter, i: Instruction) -> None:
    if not _is_float(i):
        e.set(i.operands[0], *_product(e, i))
        return
    a, b = _float(e, i, i.operands[1]), _float(e, i, i.operands[2])
    mode = _direction(i)
    _set_float(e, i, f"directed({a}, {b}, None, {mode!r})" if mode else f"{a} * {b}")


def _product(e: Emitter, i: Instruction) -> tuple[str, DType]:
    """The integer product that `.lo`, `.hi` or `.wide` asks for, and its type."""
    if i.has("lo"):
        a, b = (e.value(operand, unsigned(i.dtype)) for operand in i.operands[1:3])
        return f"{a} * {b}", unsigned(i.dtype)
    a, b = (e.value(operand, i.dtype) for operand in i.operands[1:3])
    if i.has("hi"):
        return f"multiply_high({a}, {b})", i.dtype
    if not i.has("wide"):
        raise UnsupportedError(f"{i.opcode!r} of integers needs .lo, .hi or .wide")
    wide = widened(i.dtype)
    return f"{a}.astype({wide}) * {b}.astype({wide})", wide


@rule("mad", allows="lo hi wide cc rn rz rm rp ftz sat")
def _mad(e: Emitter, i: Instruction) -> None:
    if _is_float(i):
        _fma(e, i)
        return
    product, dtype = _product(e, i)
    bits = unsigned(dtype)
    product = product if dtype == bits else f"({product}).view({bits})"
    addend = e.value(i.operands[3], bits)
    if i.has("cc"):
        _set_with_carry(e, i, f"add_with_carry({product}, {addend})")
    else:
        e.set(i.operands[0], f"{product} + {addend}", bits)


@rule("madc", allows="lo hi cc")
def _madc(e: Emitter, i: Instruction) -> None:
    product, dtype = _product(e, i)
    bits = unsigned(dtype)
    _set_with_carry(e, i, f"add_with_carry(({product}).view({bits}), {e.value(i.operands[3], bits)}, {e.carry()})")


@rule("fma", allows="rn rz rm rp ftz sat")
def _fma(e: Emitter, i: Instruction) -> None:
    a, b, c = (_float(e, i, operand) for operand in i.operands[1:])
    mode = _direction(i)
    _set_float(e, i, f"directed({a}, {b}, {c}, {mode!r})" if mode else f"fma({a}, {b}, {c})")


@rule("div", "rem", allows="rn full approx ftz")
def _div(e: Emitter, i: Instruction) -> None:
    if _is_float(i):
        _set_float(e, i, f"{_float(e, i, i.operands[1])} / {_float(e, i, i.operands[2])}")
        return
    a, b = (e.value(operand, i.dtype) for operand in i.operands[1:])
    e.line(f"wave.require_divisor(lanes, {i.index}, {b})")
    e.set(i.operands[0], f"{'divide' if i.opcode == 'div' else 'remainder'}({a}, {b})", i.dtype)


@rule("min", "max", allows="ftz NaN")
def _min_max(e: Emitter, i: Instruction) -> None:
    if not _is_float(i):
        a, b = (e.value(operand, i.dtype) for operand in i.operands[1:])
        e.set(i.operands[0], f"np.{i.opcode}imum({a}, {b})", i.dtype)
        return
    function = f"np.{i.opcode}imum" if i.has("NaN") else f"np.f{i.opcode}"  # fmin and fmax prefer a number to NaN
    _set_float(e, i, f"{function}({', '.join(_float(e, i, operand) for operand in i.operands[1:])})")


@rule("neg", allows="ftz")
def _neg(e: Emitter, i: Instruction) -> None:
    if _is_float(i):
        _set_float(e, i, f"-{_float(e, i, i.operands[1])}")
    else:
        e.set(i.operands[0], f"-{e.value(i.operands[1], unsigned(i.dtype))}", unsigned(i.dtype))


@rule("abs", allows="ftz")
def _abs(e: Emitter, i: Instruction) -> None:
    if _is_float(i):
        _set_float(e, i, f"np.abs({_float(e, i, i.operands[1])})")
    else:
        e.set(i.operands[0], f"np.abs({e.value(i.operands[1], i.dtype)})", i.dtype)


@rule("copysign")
def _copysign(e: Emitter, i: Instruction) -> None:
    e.set(i.operands[0], f"np.copysign({e.value(i.operands[2], i.dtype)}, {e.value(i.operands[1], i.dtype)})", i.dtype)


_FUNCTIONS = {
    "ex2": "np.exp2",
    "lg2": "np.log2",
    "sin": "np.sin",
    "cos": "np.cos",
    "tanh": "np.tanh",
    "sqrt": "np.sqrt",
    "rsqrt": "reciprocal_root",
    "rcp": "reciprocal",
}


@rule(*_FUNCTIONS, allows="approx rn ftz")
def _special_function(e: Emitter, i: Instruction) -> None:
    _set_float(e, i, f"{_FUNCTIONS[i.opcode]}({_float(e, i, i.operands[1])})")


# bits


@rule("and", "or", "xor")
def _logic(e: Emitter, i: Instruction) -> None:
    a, b = (e.value(operand, unsigned(i.dtype) if i.dtype.kind != "b" else i.dtype) for operand in i.operands[1:])
    e.set(i.operands[0], f"{a} {dict(zip(('and', 'or', 'xor'), '&|^', strict=True))[i.opcode]} {b}", i.dtype)


@rule("not")
def _not(e: Emitter, i: Instruction) -> None:
    e.set(i.operands[0], f"~{e.value(i.operands[1], i.dtype)}", i.dtype)


@rule("shl", "shr")
def _shift(e: Emitter, i: Instruction) -> None:
    function = "shift_left" if i.opcode == "shl" else "shift_right"
    e.set(i.operands[0], f"{function}({e.value(i.operands[1], i.dtype)}, {e.value(i.operands[2], U32)})", i.dtype)


@rule("shf", allows="l r wrap clamp")
def _funnel_shift(e: Emitter, i: Instruction) -> None:
    a, b, amount = (e.value(operand, U32) for operand in i.operands[1:])
    e.set(i.operands[0], f"funnel_shift({i.modifiers[0]!r}, {i.has('wrap')}, {a}, {b}, {amount})", U32)


@rule("bfi")
def _bfi(e: Emitter, i: Instruction) -> None:
    a, b = (e.value(operand, i.dtype) for operand in i.operands[1:3])
    position, length = (e.value(operand, U32) for operand in i.operands[3:])
    e.set(i.operands[0], f"bit_field_insert({a}, {b}, {position}, {length})", i.dtype)


@rule("bfe")
def _bfe(e: Emitter, i: Instruction) -> None:
    position, length = (e.value(operand, U32) for operand in i.operands[2:])
    e.set(i.operands[0], f"bit_field_extract({e.value(i.operands[1], i.dtype)}, {position}, {length})", i.dtype)


@rule("prmt")
def _prmt(e: Emitter, i: Instruction) -> None:
    e.set(i.operands[0], f"permute_bytes({', '.join(e.value(operand, U32) for operand in i.operands[1:])})", U32)


_BIT_FUNCTIONS = {"popc": "count_ones", "clz": "leading_zeros", "bfind": "find_highest"}


@rule(*_BIT_FUNCTIONS)
def _bit_function(e: Emitter, i: Instruction) -> None:
    e.set(i.operands[0], f"{_BIT_FUNCTIONS[i.opcode]}({e.value(i.operands[1], i.dtype)})", U32)


@rule("brev")
def _brev(e: Emitter, i: Instruction) -> None:
    e.set(i.operands[0], f"reverse_bits({e.value(i.operands[1], i.dtype)})", i.dtype)


# comparisons and choices

_COMPARISONS = {
    "eq": "{a} == {b}",
    "ne": "{a} != {b}",
    "lt": "{a} < {b}",
    "le": "{a} <= {b}",
    "gt": "{a} > {b}",
    "ge": "{a} >= {b}",
    "lo": "{a} < {b}",
    "ls": "{a} <= {b}",
    "hi": "{a} > {b}",
    "hs": "{a} >= {b}",
}

#: where NaN matters: the plain comparisons are false with NaN, those with u are true
_FLOAT_COMPARISONS = {
    "ne": "({a} < {b}) | ({a} > {b})",
    "equ": "~(({a} < {b}) | ({a} > {b}))",
    "neu": "{a} != {b}",
    "ltu": "~({a} >= {b})",
    "leu": "~({a} > {b})",
    "gtu": "~({a} <= {b})",
    "geu": "~({a} < {b})",
    "num": "~is_nan({a}, {b})",
    "nan": "is_nan({a}, {b})",
}


@rule("setp", allows="and or xor ftz " + " ".join({**_COMPARISONS, **_FLOAT_COMPARISONS}))
def _setp(e: Emitter, i: Instruction) -> None:
    table = {**_COMPARISONS, **_FLOAT_COMPARISONS} if _is_float(i) else _COMPARISONS
    if i.modifiers[0] not in table:
        raise UnsupportedError(f"no rule for the comparison {i.modifiers[0]!r} of {i.dtype}")
    a, b = (_float(e, i, operand) if _is_float(i) else e.value(operand, i.dtype) for operand in i.operands[1:3])
    holds = "(" + table[i.modifiers[0]].format(a=a, b=b) + ")"
    joined = "{}"
    if len(i.operands) == 4:
        symbol = {"and": "&", "or": "|", "xor": "^"}[i.modifiers[1]]
        joined = "{} " + f"{symbol} {e.predicate(i.operands[3])}"
    first, _, second = i.operands[0].partition("|")
    temporary = e.temporary()
    e.line(f"{temporary} = {holds}")
    e.set(first, joined.format(temporary), ELEMENT["pred"])
    if second:
        e.set(second, joined.format(f"~{temporary}"), ELEMENT["pred"])


@rule("selp")
def _selp(e: Emitter, i: Instruction) -> None:
    a, b = (e.value(operand, i.dtype) for operand in i.operands[1:3])
    e.set(i.operands[0], f"np.where({e.predicate(i.operands[3])}, {a}, {b})", i.dtype)


# moves and conversions


@rule("mov")
def _mov(e: Emitter, i: Instruction) -> None:
    target, source = i.operands
    if target.startswith("{"):
        _unpack(e, i, _items(target), source)
    elif source.startswith("{"):
        _pack(e, i, target, _items(source))
    else:
        e.set(target, e.value(source, i.dtype), i.dtype)


def _items(operand: str) -> tuple[str, ...]:
    """`{%f1,%f2}` -> its parts; a single operand is one part."""
    return split_operands(operand[1:-1]) if operand.startswith("{") else (operand,)


def _unpack(e: Emitter, i: Instruction, targets: tuple[str, ...], source: str) -> None:
    bits = 8 * i.dtype.itemsize // len(targets)
    value = e.value(source, unsigned(i.dtype))
    for part, target in enumerate(targets):
        if target != "_":
            e.set(target, f"({value} >> {part * bits}).astype(uint{bits})", np.dtype(f"uint{bits}"))


def _pack(e: Emitter, i: Instruction, target: str, sources: tuple[str, ...]) -> None:
    whole = unsigned(i.dtype)
    bits = 8 * whole.itemsize // len(sources)
    parts = [e.value(source, np.dtype(f"uint{bits}")) for source in sources]
    shifted = (f"({part}.astype({whole}) << {number * bits})" for number, part in enumerate(parts))
    e.set(target, " | ".join(shifted), whole)


@rule("cvta", allows="to global shared local param const")
def _cvta(e: Emitter, i: Instruction) -> None:
    base = e.window(i.one_of((*_SPACES, "param", "const"), "global"))
    value = e.value(i.operands[1], ELEMENT["u64"])
    if base:
        value = f"{value} {'-' if i.has('to') else '+'} {e.constant(np.array([base], np.uint64))}"
    e.set(i.operands[0], value, ELEMENT["u64"])


@rule("cvt", allows="rn rna rz rm rp rni rzi rmi rpi ftz sat tf32 bf16 bf16x2")
def _cvt(e: Emitter, i: Instruction) -> None:
    target, source = (
        modifier for modifier in i.modifiers if modifier in ELEMENT or modifier in ("tf32", "bf16", "bf16x2")
    )
    if target in ("tf32", "bf16", "bf16x2") or source == "bf16":
        _convert_short_float(e, i, target, source)
    elif ELEMENT[source].kind == "f":
        _convert_float(e, i, ELEMENT[target], ELEMENT[source])
    else:
        _convert_integer(e, i, ELEMENT[target], ELEMENT[source])


def _convert_short_float(e: Emitter, i: Instruction, target: str, source: str) -> None:
    if (target, source) == ("f32", "bf16"):
        e.set(i.operands[0], f"from_bfloat16({e.value(i.operands[1], ELEMENT['u16'])})", F32)
        return
    expected = {"tf32": "rna", "bf16": "rn", "bf16x2": "rn"}.get(target)
    if source != "f32" or i.modifiers != (expected, target, "f32"):
        raise UnsupportedError(f"no rule for the conversion {'.'.join(i.modifiers)}")
    values = [e.value(operand, F32) for operand in i.operands[1:]]
    if target == "bf16x2":
        e.set(i.operands[0], f"(to_bfloat16({values[0]}) << 16) | to_bfloat16({values[1]})", U32)
    elif target == "bf16":
        e.set(i.operands[0], f"to_bfloat16({values[0]}).astype(uint16)", ELEMENT["u16"])
    else:
        e.set(i.operands[0], f"to_tf32({values[0]})", U32)


def _convert_float(e: Emitter, i: Instruction, target: DType, source: DType) -> None:
    value = e.value(i.operands[1], source)
    value = f"flush({value})" if i.has("ftz") and source == F32 else value
    integral = i.one_of(("rni", "rzi", "rmi", "rpi"))
    if target.kind != "f":
        e.set(i.operands[0], f"float_to_integer({value}, {integral!r}, {target})", target)
        return
    value = f"INTEGRAL[{integral!r}]({value})" if integral else value
    if source != target:
        value = _to_float(i, value, target)
    value = f"saturate({value})" if i.has("sat") else value
    e.set(i.operands[0], f"flush({value})" if i.has("ftz") and target == F32 else value, target)


def _to_float(i: Instruction, value: str, target: DType) -> str:
    mode = i.one_of(_ROUNDINGS)
    if mode and (target != F32 or (i.dtype.itemsize == 8 and i.dtype.kind != "f")):
        raise UnsupportedError(f"no rule for the conversion {'.'.join(i.modifiers)}")
    return f"to_float({value}, {mode!r}, {target})"


def _convert_integer(e: Emitter, i: Instruction, target: DType, source: DType) -> None:
    value = e.value(i.operands[1], source)
    if target.kind == "f":
        expression = _to_float(i, value, target)
    elif i.has("sat"):
        expression = f"saturate_integer({value}, {target})"
    else:
        expression = f"{value}.astype({target})"
    e.set(i.operands[0], expression, target)


# memory


def _space(i: Instruction) -> str:
    return "global" if i.has("const") else i.one_of(_SPACES, "generic")


@rule("ld", "ldu", allows=f"param const v2 v4 {' '.join(_SPACES)} {_HINTS}")
def _ld(e: Emitter, i: Instruction) -> None:
    targets = _items(i.operands[0])
    if i.has("param"):
        _load_parameter(e, i, targets)
        return
    results = [e.temporary() for _ in targets]
    offset = e.offset(i.operands[1], _space(i))
    e.line(
        f"{', '.join(results)}, = wave.{_space(i)}_space.load(lanes, {i.index}, {offset}, {i.dtype}, {len(targets)})"
    )
    for target, result in zip(targets, results, strict=True):
        e.set(target, result, i.dtype)


def _load_parameter(e: Emitter, i: Instruction, targets: tuple[str, ...]) -> None:
    match = re.fullmatch(r"\[\s*([\w$]+)\s*(?:\+\s*(\d+))?\s*\]", i.operands[1])
    if match is None:
        raise UnsupportedError("a kernel parameter whose address is computed")
    for number, target in enumerate(targets):
        start = int(match[2] or 0) + number * i.dtype.itemsize
        e.set(target, f"wave.parameter({match[1]!r}, {start}, {i.dtype})", i.dtype)


@rule("st", allows=f"v2 v4 {' '.join(_SPACES)} {_HINTS}")
def _st(e: Emitter, i: Instruction) -> None:
    values = ", ".join(e.value(source, i.dtype) for source in _items(i.operands[1]))
    e.line(
        f"wave.{_space(i)}_space.store(lanes, {i.index}, {e.offset(i.operands[0], _space(i))}, {i.dtype}, ({values},))"
    )


@rule("atom", "red", allows=f"{' '.join((*_SPACES, *atomics.OPERATIONS))} {_HINTS}")
def _atom(e: Emitter, i: Instruction) -> None:
    operation = i.one_of(atomics.OPERATIONS)
    target, address, *operands = i.operands if i.opcode == "atom" else ("_", *i.operands)
    values = ", ".join(e.value(operand, i.dtype) for operand in operands)
    offset = e.offset(address, _space(i))
    found = e.temporary()
    e.line(
        f"{found} = wave.{_space(i)}_space.atomic(lanes, {i.index}, {offset}, {i.dtype}, {operation!r}, ({values},))"
    )
    if i.has("acq_rel") and i.has("global"):
        e.line(f"wave.meet(lanes, {offset})")
    if target != "_":
        e.set(target, found, i.dtype)


@rule("membar", "fence", allows="gl cta sys gpu sc acq_rel acquire release cluster")
def _fence(e: Emitter, i: Instruction) -> None:
    """Memory is always up to date here; what orders threads is barriers and atomics with .acq_rel (see races.py)."""


@rule("cp", allows="async shared global cta ca cg commit_group wait_group wait_all")
def _cp_async(e: Emitter, i: Instruction) -> None:
    if not i.has("async"):
        raise UnsupportedError("cp that is not cp.async")
    if i.has("commit_group"):
        e.line("wave.copies.commit(lanes)")
    elif i.has("wait_group"):
        e.line(f"wave.copies.wait(lanes, {int(i.operands[0])})")
    elif i.has("wait_all"):
        e.line("wave.copies.wait_all(lanes)")
    else:
        target, source = e.offset(i.operands[0], "shared"), e.offset(i.operands[1], "global")
        used = e.value(i.operands[3], U32) if len(i.operands) > 3 else "None"
        e.line(f"wave.copies.issue(lanes, {i.index}, {target}, {source}, {int(i.operands[2])}, {used})")


# warps


@rule("bar", "barrier", allows="warp sync")
def _warp_barrier(e: Emitter, i: Instruction) -> None:
    """bar.warp.sync; bar.sync ends its basic block and is the scheduler's."""
    e.line(f"wave.warp_barrier(lanes, {i.index}, {e.value(i.operands[0], U32)})")


@rule("shfl", allows="sync up down bfly idx")
def _shfl(e: Emitter, i: Instruction) -> None:
    mode = i.one_of(("up", "down", "bfly", "idx"))
    value, source, control, members = (e.value(operand, U32) for operand in i.operands[1:])
    target, _, in_range = i.operands[0].partition("|")
    result = e.temporary()
    e.line(f"{result} = wave.shuffle(lanes, {i.index}, {mode!r}, {value}, {source}, {control}, {members})")
    e.set(target, f"{result}[0]", U32)
    if in_range:
        e.set(in_range, f"{result}[1]", ELEMENT["pred"])


@rule("vote", allows="sync any all uni ballot")
def _vote(e: Emitter, i: Instruction) -> None:
    mode = i.one_of(("any", "all", "uni", "ballot"))
    result = e.temporary()
    e.line(
        f"{result} = wave.vote(lanes, {i.index}, {mode!r}, {e.predicate(i.operands[1])}, {e.value(i.operands[2], U32)})"
    )
    e.set(i.operands[0], result, i.dtype)


@rule("activemask")
def _activemask(e: Emitter, i: Instruction) -> None:
    e.set(i.operands[0], "wave.active_mask(lanes)", U32)


@rule("mma", allows="sync aligned row col tf32 bf16 m16n8k8 m16n8k16")
def _mma(e: Emitter, i: Instruction) -> None:
    shape, kind = i.modifiers[2], i.modifiers[-2]
    if not collectives.has_matrix_multiply(shape, kind) or i.modifiers[3:] != ("row", "col", "f32", kind, kind, "f32"):
        raise UnsupportedError(f"no rule for the matrix product {'.'.join(i.modifiers)}")
    d, a, b, c = (_items(operand) for operand in i.operands)
    fragments = ", ".join(_tuple(e, registers, dtype) for registers, dtype in ((a, U32), (b, U32), (c, F32)))
    result = e.temporary()
    e.line(f"{result} = wave.matrix_multiply(lanes, {i.index}, {shape!r}, {kind!r}, {fragments})")
    for number, target in enumerate(d):
        e.set(target, f"{result}[{number}]", F32)


def _tuple(e: Emitter, operands: tuple[str, ...], dtype: DType) -> str:
    return f"({', '.join(e.value(operand, dtype) for operand in operands)},)"


@rule("ldmatrix", allows="sync aligned m8n8 x1 x2 x4 trans shared cta")
def _ldmatrix(e: Emitter, i: Instruction) -> None:
    targets = _items(i.operands[0])
    result = e.temporary()
    offset = e.offset(i.operands[1], "shared")
    e.line(f"{result} = wave.load_matrix(lanes, {i.index}, {offset}, {len(targets)}, {i.has('trans')})")
    for number, target in enumerate(targets):
        e.set(target, f"{result}[{number}]", U32)


# control


def check_control(i: Instruction) -> None:
    """UnsupportedError for a branch or barrier of a kind that the scheduler does not know."""
    barrier = i.opcode in ("bar", "barrier")
    if set(i.modifiers) - ({"sync", "cta", "aligned"} if barrier else {"uni"}) or (barrier and len(i.operands) != 1):
        raise UnsupportedError(f"no rule for {i.opcode!r} with the modifiers and operands of this instruction")


@rule("trap")
def _trap(e: Emitter, i: Instruction) -> None:
    e.line(f"wave.trap(lanes, {i.index})")


@rule("prefetch", "prefetchu", "nanosleep", allows=f"L1 L2 {' '.join(_SPACES)}")
def _nothing(e: Emitter, i: Instruction) -> None:
    """Hints that change no result."""

"""Single instructions on adversarial operands, against Python's integers and exact fractions. Source of what is
expected: the PTX ISA, 9.7."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from fastcnn_kernels.emulator import ExecutionError, Kernel, UnsupportedError

from .snippets import evaluate, module

U32 = [0, 1, 2, 31, 32, 33, 63, 64, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xDEADBEEF]
S32 = [-(1 << 31), -(1 << 31) + 1, -7, -2, -1, 0, 1, 2, 7, (1 << 31) - 1]
U64 = [0, 1, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 0x123456789ABCDEF0]
S64 = [-(1 << 63), -(1 << 32), -3, -1, 0, 1, 5, 1 << 40, (1 << 63) - 1]
F32 = [0.0, -0.0, 1.0, -1.5, 3.4e38, -3.4e38, 1e-45, 1.1754944e-38, math.inf, -math.inf, math.nan, 0.1, 16777217.0]


def pairs(values: list) -> tuple[list, list]:
    """All pairs of values, as two lists."""
    return [a for a in values for _ in values], [b for _ in values for b in values]


def wrapped(value: int, bits: int, signed: bool) -> int:
    value %= 1 << bits
    return value - (1 << bits) if signed and value >> (bits - 1) else value


INTEGERS = [("u32", U32, 32, False), ("s32", S32, 32, True), ("u64", U64, 64, False), ("s64", S64, 64, True)]


def truncating_division(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


@pytest.mark.parametrize(("kind", "values", "bits", "signed"), INTEGERS)
@pytest.mark.parametrize(
    ("opcode", "expected"),
    [
        ("add", lambda a, b: a + b),
        ("sub", lambda a, b: a - b),
        ("mul.lo", lambda a, b: a * b),
        ("min", min),
        ("max", max),
    ],
)
def test_integer_arithmetic_wraps(opcode, expected, kind, values, bits, signed):
    a, b = pairs(values)
    got = evaluate(f"{opcode}.{kind} %d, %a, %b;", kind, a=(kind, a), b=(kind, b))
    assert got.tolist() == [wrapped(expected(x, y), bits, signed) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize(("kind", "values", "bits", "signed"), INTEGERS)
def test_upper_half_of_a_product(kind, values, bits, signed):
    a, b = pairs(values)
    got = evaluate(f"mul.hi.{kind} %d, %a, %b;", kind, a=(kind, a), b=(kind, b))
    assert got.tolist() == [wrapped((x * y) >> bits, bits, signed) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize(
    ("kind", "wide", "values"), [("u32", "u64", U32), ("s32", "s64", S32), ("s16", "s32", [-32768, -1, 3, 32767])]
)
def test_wide_product_and_multiply_add(kind, wide, values):
    a, b = pairs(values)
    product = [x * y for x, y in zip(a, b, strict=True)]
    assert evaluate(f"mul.wide.{kind} %d, %a, %b;", wide, a=(kind, a), b=(kind, b)).tolist() == product
    got = evaluate(f"mad.wide.{kind} %d, %a, %b, %c;", wide, a=(kind, a), b=(kind, b), c=(wide, [9] * len(a)))
    bits = 16 * int(kind[1:]) // 8
    assert got.tolist() == [wrapped(value + 9, bits, kind[0] == "s") for value in product]


@pytest.mark.parametrize(("kind", "values", "bits", "signed"), INTEGERS)
def test_division_rounds_to_zero_and_the_remainder_has_the_dividends_sign(kind, values, bits, signed):
    a, b = pairs(values)
    a, b = zip(*[(x, y) for x, y in zip(a, b, strict=True) if y], strict=True)
    quotient = evaluate(f"div.{kind} %d, %a, %b;", kind, a=(kind, a), b=(kind, b))
    rest = evaluate(f"rem.{kind} %d, %a, %b;", kind, a=(kind, a), b=(kind, b))
    expected = [truncating_division(x, y) for x, y in zip(a, b, strict=True)]
    assert quotient.tolist() == [wrapped(value, bits, signed) for value in expected]
    assert rest.tolist() == [x - y * q for x, y, q in zip(a, b, expected, strict=True)]


def test_integer_division_by_zero_is_an_error():
    with pytest.raises(
        ExecutionError,
        match=r"division by zero\n  PTX line \d+: div.s32 %d, %a, %b\n  block \(0, 0, 0\), thread \(1, 0, 0\)",
    ):
        evaluate("div.s32 %d, %a, %b;", "s32", a=("s32", [4, 4]), b=("s32", [2, 0]))


@pytest.mark.parametrize("kind", ["b32", "b64", "b16"])
def test_left_shift_by_the_width_or_more_gives_zero(kind):
    bits = int(kind[1:])
    values, amounts = [1, 3, (1 << bits) - 1], [0, 1, bits - 1, bits, bits + 1, 65536 + 1, 0xFFFFFFFF]
    a = [value for value in values for _ in amounts]
    n = amounts * len(values)
    got = evaluate(f"shl.{kind} %d, %a, %b;", kind, a=(kind, a), b=("u32", n))
    assert got.tolist() == [(x << k) % (1 << bits) if k < bits else 0 for x, k in zip(a, n, strict=True)]


@pytest.mark.parametrize(
    ("kind", "values"), [("u32", U32), ("s32", S32), ("u64", U64), ("s64", S64), ("s16", [-32768, -1, 5])]
)
def test_right_shift_by_the_width_or_more_leaves_only_the_sign(kind, values):
    amounts = [0, 1, 31, 32, 63, 64, 256, 0xFFFFFFFF]
    a = [value for value in values for _ in amounts]
    n = amounts * len(values)
    got = evaluate(f"shr.{kind} %d, %a, %b;", kind, a=(kind, a), b=("u32", n))
    assert got.tolist() == [x >> min(k, 64) for x, k in zip(a, n, strict=True)]


@pytest.mark.parametrize(("mode", "clamp"), [("wrap", lambda n: n % 32), ("clamp", lambda n: min(n, 32))])
def test_funnel_shift(mode, clamp):
    n = [0, 1, 31, 32, 33, 255]
    low, high = 0x89ABCDEF, 0x01234567
    operands = {"a": ("u32", [low] * 6), "b": ("u32", [high] * 6), "c": ("u32", n)}
    both = (high << 32) | low
    left = evaluate(f"shf.l.{mode}.b32 %d, %a, %b, %c;", "u32", **operands)
    right = evaluate(f"shf.r.{mode}.b32 %d, %a, %b, %c;", "u32", **operands)
    assert left.tolist() == [((both << clamp(k)) >> 32) % (1 << 32) for k in n]
    assert right.tolist() == [(both >> clamp(k)) % (1 << 32) for k in n]


def test_carries_run_through_128_bit_sums_and_differences():
    a_low, b_low = pairs(U64)
    a_high, b_high = pairs(U64[::-1])
    operands = {"a": ("u64", a_low), "b": ("u64", b_low), "x": ("u64", a_high), "y": ("u64", b_high)}
    one = [(h << 64) | low for h, low in zip(a_high, a_low, strict=True)]
    other = [(h << 64) | low for h, low in zip(b_high, b_low, strict=True)]
    for opcode, carry, operation in (("add", "addc", int.__add__), ("sub", "subc", int.__sub__)):
        code = f"{opcode}.cc.u64 %d, %a, %b; {carry}.u64 %e, %x, %y;"
        got = evaluate(code, {"d": "u64", "e": "u64"}, **operands)
        expected = [operation(p, q) % (1 << 128) for p, q in zip(one, other, strict=True)]
        assert [int(h) << 64 | int(low) for h, low in zip(got["e"], got["d"], strict=True)] == expected


def test_multiply_add_with_carry_is_a_64_bit_product_plus_addend():
    a, b = pairs(U32)
    c = [0xFFFFFFFF] * len(a)
    code = "mad.lo.cc.u32 %d, %a, %b, %c; madc.hi.u32 %e, %a, %b, 0;"
    got = evaluate(code, {"d": "u32", "e": "u32"}, a=("u32", a), b=("u32", b), c=("u32", c))
    expected = [x * y + z for x, y, z in zip(a, b, c, strict=True)]
    assert [int(h) << 32 | int(low) for h, low in zip(got["e"], got["d"], strict=True)] == expected


def test_bit_field_insert():
    for position in (0, 5, 31, 32, 200):
        for length in (0, 1, 8, 32, 33, 255):
            mask = ((1 << min(length, 32)) - 1) << position & 0xFFFFFFFF
            expected = [(0xAAAAAAAA & ~mask) | ((value << position) & mask) for value in U32]
            code = f"bfi.b32 %d, %a, %b, {position}, {length};"
            assert evaluate(code, "b32", a=("b32", U32), b=("b32", [0xAAAAAAAA] * len(U32))).tolist() == expected


@pytest.mark.parametrize(("kind", "values", "bits", "signed"), INTEGERS)
def test_bit_field_extract(kind, values, bits, signed):
    for position in (0, 3, bits - 1, bits, 255):
        for length in (0, 1, 7, bits, 255):
            expected = [_extracted(value, position, length, bits, signed) for value in values]
            got = evaluate(f"bfe.{kind} %d, %a, {position}, {length};", kind, a=(kind, values))
            assert got.tolist() == expected, (position, length)


def _extracted(value: int, position: int, length: int, bits: int, signed: bool) -> int:
    """The pseudo-code of bfe: bit by bit, beyond the field and the width the sign bit."""
    unsigned = value % (1 << bits)
    sign = 0 if not signed or length == 0 else unsigned >> min(position + length - 1, bits - 1) & 1
    field = 0
    for i in range(bits):
        inside = i < length and position + i < bits
        field |= (unsigned >> (position + i) & 1 if inside else sign) << i
    return wrapped(field, bits, signed)


def test_counting_and_reversing_bits():
    for kind, values, bits in (("b32", U32, 32), ("b64", U64, 64)):
        text = [f"{value:0{bits}b}" for value in values]
        assert evaluate(f"popc.{kind} %d, %a;", "u32", a=(kind, values)).tolist() == [row.count("1") for row in text]
        zeros = [bits - len(row.lstrip("0")) for row in text]
        assert evaluate(f"clz.{kind} %d, %a;", "u32", a=(kind, values)).tolist() == zeros
        assert evaluate(f"brev.{kind} %d, %a;", kind, a=(kind, values)).tolist() == [int(row[::-1], 2) for row in text]
    assert evaluate("bfind.u32 %d, %a;", "s32", a=("u32", U32)).tolist() == [value.bit_length() - 1 for value in U32]
    highest = [(value if value >= 0 else ~value).bit_length() - 1 for value in S32]
    assert evaluate("bfind.s32 %d, %a;", "s32", a=("s32", S32)).tolist() == highest


def test_permute_bytes_selects_and_spreads_signs():
    selectors = [0x3210, 0x7654, 0x0123, 0xFEDC, 0xBA98, 0x8080]
    octets = [0x80, 0x01, 0xFF, 0x7F, 0x10, 0x90, 0x20, 0xA0]
    low, high = (int.from_bytes(octets[k : k + 4], "little") for k in (0, 4))

    def byte(digit: int) -> int:
        return (255 if octets[digit & 7] & 128 else 0) if digit & 8 else octets[digit & 7]

    expected = [sum(byte(selector >> 4 * i & 15) << 8 * i for i in range(4)) for selector in selectors]
    got = evaluate("prmt.b32 %d, %a, %b, %c;", "u32", a=("u32", [low] * 6), b=("u32", [high] * 6), c=("u32", selectors))
    assert got.tolist() == expected


def test_logic_on_predicates_and_bits():
    a, b = pairs(U32)
    for opcode, operation in (("and", int.__and__), ("or", int.__or__), ("xor", int.__xor__)):
        expected = [operation(x, y) for x, y in zip(a, b, strict=True)]
        assert evaluate(f"{opcode}.b32 %d, %a, %b;", "b32", a=("b32", a), b=("b32", b)).tolist() == expected
        code = f"setp.lt.u32 %p1, %a, 32; setp.lt.u32 %p2, %b, 32; {opcode}.pred %d, %p1, %p2;"
        expected = [operation(int(x < 32), int(y < 32)) for x, y in zip(a, b, strict=True)]
        assert evaluate(code, "pred", a=("u32", a), b=("u32", b)).tolist() == expected
    assert evaluate("not.b32 %d, %a;", "b32", a=("b32", U32)).tolist() == [value ^ 0xFFFFFFFF for value in U32]
    assert evaluate("setp.lt.u32 %p1, %a, 32; not.pred %d, %p1;", "pred", a=("u32", U32)).tolist() == [
        int(v >= 32) for v in U32
    ]


def test_predicates_have_literals_too():
    assert evaluate("mov.pred %p1, 1; setp.eq.and.u32 %d, %a, 3, %p1;", "pred", a=("u32", [3, 4])).tolist() == [1, 0]


def test_negation_and_absolute_value_of_the_smallest_integer():
    assert evaluate("neg.s32 %d, %a;", "s32", a=("s32", S32)).tolist() == [wrapped(-value, 32, True) for value in S32]
    assert evaluate("abs.s64 %d, %a;", "s64", a=("s64", S64)).tolist() == [
        wrapped(abs(value), 64, True) for value in S64
    ]


# floats


def same(got: np.ndarray, expected: list) -> None:
    expected = np.array(expected, got.dtype)
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    number = ~np.isnan(got)
    assert np.array_equal(got[number], expected[number])
    assert np.array_equal(np.signbit(got[number]), np.signbit(expected[number]))


def test_min_and_max_prefer_a_number_to_nan():
    a, b = [1.0, math.nan, math.nan, -2.0, math.inf], [math.nan, 2.0, math.nan, 3.0, -math.inf]
    operands = {"a": ("f32", a), "b": ("f32", b)}
    same(evaluate("max.f32 %d, %a, %b;", "f32", **operands), [1.0, 2.0, math.nan, 3.0, math.inf])
    same(evaluate("min.f32 %d, %a, %b;", "f32", **operands), [1.0, 2.0, math.nan, -2.0, -math.inf])
    same(evaluate("max.NaN.f32 %d, %a, %b;", "f32", **operands), [math.nan, math.nan, math.nan, 3.0, math.inf])


def rounded(exact: Fraction, mode: str) -> np.float32:
    """An exact value rounded to float32 by comparison with its neighbours."""
    near = np.float32(float(exact))
    if Fraction(float(near)) == exact:
        return near
    below = near if Fraction(float(near)) < exact else np.nextafter(near, np.float32(-np.inf))
    above = np.nextafter(below, np.float32(np.inf))
    if mode == "rz":
        mode = "rm" if exact > 0 else "rp"
    if mode in ("rm", "rp"):
        return below if mode == "rm" else above
    low, high = exact - Fraction(float(below)), Fraction(float(above)) - exact
    if low == high:
        return below if int(below.view(np.uint32)) % 2 == 0 else above
    return below if low < high else above


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_rounding_modes_are_exact(mode):
    rng = np.random.default_rng(5)
    a, b = (
        rng.standard_normal(400).astype(np.float32) * np.float32(2.0) ** rng.integers(-12, 12, 400) for _ in range(2)
    )
    c = np.concatenate([rng.standard_normal(200), np.full(200, 12582912.0)]).astype(np.float32)
    a, b = a.astype(np.float32), b.astype(np.float32)
    a[:3], b[:3], c[:3] = [1.0, 1.0, -1.0], [2.0**-30, -(2.0**-30), 2.0**-60], [1.0, 1.0, -1.0]  # far below half a unit
    exact = [[Fraction(float(x)) for x in values] for values in (a, b, c)]
    operands = {"a": ("f32", a), "b": ("f32", b), "c": ("f32", c)}
    for code, operation in (
        (f"fma.{mode}.f32 %d, %a, %b, %c;", lambda x, y, z: x * y + z),
        (f"add.{mode}.f32 %d, %a, %c;", lambda x, y, z: x + z),
        (f"sub.{mode}.f32 %d, %a, %c;", lambda x, y, z: x - z),
        (f"mul.{mode}.f32 %d, %a, %b;", lambda x, y, z: x * y),
    ):
        same(
            evaluate(code, "f32", **operands),
            [rounded(operation(*values), mode) for values in zip(*exact, strict=True)],
        )


def test_fused_multiply_add_does_not_round_the_product():
    a = np.float32(1 + 2**-12)
    got = evaluate("fma.rn.f32 %d, %a, %a, %c;", "f32", a=("f32", [a]), c=("f32", [-(1 + 2**-11)]))
    assert got.tolist() == [2.0**-24]  # with a rounded product it would be 0


def test_mad_of_floats_is_fma():
    got = evaluate("mad.rn.f32 %d, %a, %b, %c;", "f32", a=("f32", [3.0]), b=("f32", [0.5]), c=("f32", [2.0**-24]))
    assert got.tolist() == [1.5]


def test_saturation_and_flushing():
    x = [-1.0, -0.0, 0.25, 1.5, math.nan, math.inf]
    same(evaluate("add.sat.f32 %d, %a, 0f00000000;", "f32", a=("f32", x)), [0.0, 0.0, 0.25, 1.0, 0.0, 1.0])
    same(evaluate("cvt.sat.f32.f32 %d, %a;", "f32", a=("f32", x)), [0.0, 0.0, 0.25, 1.0, 0.0, 1.0])
    tiny = [1e-40, -1e-40, 1.1754944e-38]
    same(evaluate("add.ftz.f32 %d, %a, 0f80000000;", "f32", a=("f32", tiny)), [0.0, -0.0, 1.1754944e-38])
    same(evaluate("mul.ftz.f32 %d, %a, 0f3F000000;", "f32", a=("f32", [1.1754944e-38, -1.1754944e-38])), [0.0, -0.0])


def test_division_root_and_reciprocal_are_correctly_rounded():
    rng = np.random.default_rng(1)
    a, b = (np.exp(rng.standard_normal(200) * 5).astype(np.float32) for _ in range(2))
    exact = a.astype(np.float64) / b
    same(evaluate("div.rn.f32 %d, %a, %b;", "f32", a=("f32", a), b=("f32", b)), exact.astype(np.float32))
    same(evaluate("rcp.rn.f32 %d, %a;", "f32", a=("f32", a)), (1 / a.astype(np.float64)).astype(np.float32))
    same(evaluate("sqrt.rn.f32 %d, %a;", "f32", a=("f32", a)), np.sqrt(a.astype(np.float64)).astype(np.float32))


@pytest.mark.parametrize(
    ("code", "function"),
    [
        ("ex2.approx.f32", np.exp2),
        ("lg2.approx.f32", lambda x: np.log2(np.abs(x))),
        ("sin.approx.f32", np.sin),
        ("cos.approx.f32", np.cos),
        ("tanh.approx.f32", np.tanh),
        ("rsqrt.approx.f32", lambda x: 1 / np.sqrt(np.abs(x))),
        ("rcp.approx.ftz.f32", lambda x: 1 / x),
    ],
)
def test_approximations_are_accurate(code, function):
    x = np.linspace(-3, 3, 100, dtype=np.float32)
    x = np.abs(x) if "lg2" in code or "rsqrt" in code else x
    expected = function(x.astype(np.float64))
    assert evaluate(f"{code} %d, %a;", "f32", a=("f32", x)) == pytest.approx(expected, rel=3e-7, abs=1e-7)


def test_sign_operations():
    same(evaluate("copysign.f32 %d, %a, %b;", "f32", a=("f32", [-0.0, 2.0]), b=("f32", [3.0, -5.0])), [-3.0, 5.0])
    same(evaluate("neg.f32 %d, %a;", "f32", a=("f32", [0.0, -2.0])), [-0.0, 2.0])
    same(evaluate("abs.f32 %d, %a;", "f32", a=("f32", [-0.0, -math.inf])), [0.0, math.inf])


def test_float64_registers_keep_float64():
    a, b = [1.0, 1e300], [2.0**-52, 1e-300]
    assert evaluate("fma.rn.f64 %d, %a, %b, %a;", "f64", a=("f64", a), b=("f64", b)).tolist() == [1 + 2.0**-52, 1e300]
    assert evaluate("mov.f64 %d, 0d3FF0000000000001;", "f64").tolist() == [1 + 2.0**-52] * 32


# comparisons


@pytest.mark.parametrize(("kind", "values"), [("s32", S32), ("u32", U32), ("s64", S64), ("u64", U64)])
def test_integer_comparisons(kind, values):
    a, b = pairs(values)
    names = ["eq", "ne", "lt", "le", "gt", "ge"] + (["lo", "ls", "hi", "hs"] if kind[0] == "u" else [])
    python = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
    for name in names:
        compare = getattr(int, f"__{python.get(name, name)}__")
        got = evaluate(f"setp.{name}.{kind} %d, %a, %b;", "pred", a=(kind, a), b=(kind, b))
        assert got.tolist() == [int(compare(x, y)) for x, y in zip(a, b, strict=True)], name


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_float_comparisons_with_nan(name):
    a, b = pairs(F32)
    compare = getattr(float, f"__{name}__")
    nan = [math.isnan(x) or math.isnan(y) for x, y in zip(a, b, strict=True)]
    a32, b32 = ([float(np.float32(value)) for value in values] for values in (a, b))
    holds = [compare(x, y) for x, y in zip(a32, b32, strict=True)]
    operands = {"a": ("f32", a), "b": ("f32", b)}
    ordered = evaluate(f"setp.{name}.f32 %d, %a, %b;", "pred", **operands)
    unordered = evaluate(f"setp.{name}u.f32 %d, %a, %b;", "pred", **operands)
    assert ordered.tolist() == [int(h and not n) for h, n in zip(holds, nan, strict=True)]
    assert unordered.tolist() == [int(h or n) for h, n in zip(holds, nan, strict=True)]
    assert evaluate("setp.num.f32 %d, %a, %b;", "pred", **operands).tolist() == [int(not n) for n in nan]
    assert evaluate("setp.nan.f32 %d, %a, %b;", "pred", **operands).tolist() == [int(n) for n in nan]


def test_comparison_joined_with_a_predicate_and_its_complement():
    a = [0, 1, 2, 3]
    code = "setp.eq.u32 %p1, %a, 2; setp.lt.or.u32 %d|%e, %a, 1, %p1;"
    got = evaluate(code, {"d": "pred", "e": "pred"}, a=("u32", a))
    assert got["d"].tolist() == [1, 0, 1, 0]
    assert got["e"].tolist() == [0, 1, 1, 1]  # (not a < 1) or p
    code = "setp.eq.u32 %p1, %a, 2; setp.lt.and.u32 %d, %a, 3, !%p1;"
    assert evaluate(code, "pred", a=("u32", a)).tolist() == [1, 1, 0, 0]


def test_selection():
    got = evaluate("setp.lt.s32 %p1, %a, 0; selp.b32 %d, %a, 7, %p1;", "s32", a=("s32", S32))
    assert got.tolist() == [min(value, 7) if value < 0 else 7 for value in S32]


# conversions


def test_float_to_integer_rounds_clamps_and_maps_nan():
    x = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3e9, -3e9, 5e9, math.inf, -math.inf, math.nan]
    rounding = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}
    for mode, function in rounding.items():
        for kind in ("s32", "u32", "s64", "u64", "s16", "u8"):
            limits = np.iinfo(kind.replace("s", "int").replace("u", "uint"))
            nan = 0 if kind[1:] != "64" else (limits.min if kind[0] == "s" else 1 << 63)
            expected = [
                nan
                if math.isnan(v)
                else max(limits.min, min(limits.max, function(v) if math.isfinite(v) else int(np.sign(v)) << 70))
                for v in np.float32(x).astype(float).tolist()
            ]
            got = evaluate(f"cvt.{mode}.{kind}.f32 %d, %a;", kind, a=("f32", x))
            assert got.tolist() == expected, (mode, kind)


def test_float64_nan_becomes_the_highest_bit_of_a_32_bit_integer():
    got = evaluate("cvt.rzi.s32.f64 %d, %a;", "s32", a=("f64", [math.nan, -1.9, 1e10]))
    assert got.tolist() == [-(1 << 31), -1, (1 << 31) - 1]


def test_integers_are_truncated_extended_and_saturated():
    assert evaluate("cvt.s8.s32 %d, %a;", "s32", a=("s32", [200, -129, 5])).tolist() == [-56, 127, 5]
    assert evaluate("cvt.u8.s32 %d, %a;", "u32", a=("s32", [-1, 256, 5])).tolist() == [255, 0, 5]
    assert evaluate("cvt.s64.s32 %d, %a;", "s64", a=("s32", S32)).tolist() == S32
    assert evaluate("cvt.u64.u32 %d, %a;", "u64", a=("u32", U32)).tolist() == U32
    assert evaluate("cvt.s64.u32 %d, %a;", "s64", a=("u32", U32)).tolist() == U32
    assert evaluate("cvt.u32.u64 %d, %a;", "u32", a=("u64", U64)).tolist() == [value % (1 << 32) for value in U64]
    assert evaluate("cvt.sat.s8.s32 %d, %a;", "s32", a=("s32", [200, -129, 5])).tolist() == [127, -128, 5]
    assert evaluate("cvt.sat.u8.s32 %d, %a;", "u32", a=("s32", [-1, 256, 5])).tolist() == [0, 255, 5]


def test_integer_to_float_rounds_to_nearest_even():
    values = [16777217, 16777219, -16777217, (1 << 31) - 1]
    assert evaluate("cvt.rn.f32.s32 %d, %a;", "f32", a=("s32", values)).tolist() == [
        16777216,
        16777220,
        -16777216,
        1 << 31,
    ]
    assert evaluate("cvt.rz.f32.s32 %d, %a;", "f32", a=("s32", values)).tolist() == [
        16777216,
        16777218,
        -16777216,
        (1 << 31) - 128,
    ]
    got = evaluate("cvt.rn.f32.u64 %d, %a;", "f32", a=("u64", [(1 << 64) - 1, (1 << 40) + 1]))
    assert got.tolist() == [2.0**64, 2.0**40]


def test_float_formats():
    x = np.float32([1.0, 1.0 + 2**-11, 1 + 3 * 2**-11, 65519.0, 65520.0, 1e-8, math.nan])
    same(
        evaluate("cvt.rn.f16.f32 %d, %a;", "f16", a=("f32", x)), [1.0, 1.0, 1 + 2**-9, 65504.0, math.inf, 0.0, math.nan]
    )
    same(
        evaluate("cvt.f32.f16 %d, %a;", "f32", a=("f16", [1.5, 65504.0, 6e-8])),
        np.float16([1.5, 65504.0, 6e-8]).astype(np.float32),
    )
    same(evaluate("cvt.rn.f32.f64 %d, %a;", "f32", a=("f64", [0.1, 1 + 2**-24, 1e300])), [0.1, 1.0, math.inf])
    got = evaluate("cvt.rm.f32.f64 %d, %a;", "f32", a=("f64", [0.1, -0.1]))
    assert got.tolist() == [np.nextafter(np.float32(0.1), np.float32(0)), np.float32(-0.1)]


def test_rounding_to_integral_floats():
    x = [-2.5, -0.5, 0.5, 1.5, 2.5, 1e30, math.nan]
    same(evaluate("cvt.rni.f32.f32 %d, %a;", "f32", a=("f32", x)), np.rint(np.float32(x)))
    same(evaluate("cvt.rmi.f32.f32 %d, %a;", "f32", a=("f32", x)), np.floor(np.float32(x)))


def test_bfloat16_rounds_to_even_and_tf32_away_from_zero():
    bits = [0x3F808000, 0x3F818000, 0x3F808001, 0xBF808000, 0x7F7FFFFF, 0x7F800000]
    x = np.array(bits, np.uint32).view(np.float32)
    expected = [0x3F80, 0x3F82, 0x3F81, 0xBF80, 0x7F80, 0x7F80]
    assert evaluate("cvt.rn.bf16.f32 %d, %a;", "b16", a=("f32", x)).tolist() == expected
    packed = evaluate("cvt.rn.bf16x2.f32 %d, %a, %b;", "b32", a=("f32", x), b=("f32", np.float32([1.0] * 6)))
    assert packed.tolist() == [(value << 16) | 0x3F80 for value in expected]
    assert evaluate("cvt.f32.bf16 %d, %a;", "f32", a=("b16", [0x3FC0, 0xFF80])).tolist() == [1.5, -math.inf]
    ties = np.array([0x3F801000, 0x3F803000, 0x3F800FFF, 0xBF801000], np.uint32).view(np.float32)
    got = evaluate("cvt.rna.tf32.f32 %d, %a;", "b32", a=("f32", ties))
    assert got.tolist() == [0x3F802000, 0x3F804000, 0x3F800000, 0xBF802000]


# moves, loads and widths


def test_packing_and_unpacking():
    got = evaluate("mov.b64 {%d, %e}, %a;", {"d": "u32", "e": "u32"}, a=("u64", U64))
    assert got["d"].tolist() == [value % (1 << 32) for value in U64]
    assert got["e"].tolist() == [value >> 32 for value in U64]
    got = evaluate("mov.b64 %d, {%a, %b};", "u64", a=("u32", [1, 2]), b=("u32", [3, 0x80000000]))
    assert got.tolist() == [(3 << 32) | 1, (0x80000000 << 32) | 2]
    got = evaluate("mov.b32 {%h1, %h2}, %a; mov.b32 %d, {%h2, %h1};", "u32", a=("u32", [0x12345678]))
    assert got.tolist() == [0x56781234]


def test_a_float_register_is_bits():
    assert evaluate("mov.b32 %d, %a;", "u32", a=("f32", [1.0, -0.0])).tolist() == [0x3F800000, 0x80000000]
    assert evaluate("add.f32 %d, %a, 0f3FC00000;", "f32", a=("f32", [0.25])).tolist() == [1.75]


def test_narrow_loads_extend_into_wide_registers():
    memory = np.array([-1, 127, -128, 3], np.int8)
    code = "ld.global.s8 %rd1, [%rd0]; ld.global.u8 %rd2, [%rd0];"
    prologue = "ld.param.u64 %rd0, [p_a]; cvt.u64.u32 %rd3, %lane; add.u64 %rd0, %rd0, %rd3;"
    got = evaluate(f"{prologue} {code} mov.b64 %d, %rd1; mov.b64 %e, %rd2;", {"d": "s64", "e": "s64"}, a=("s8", memory))
    assert got["d"].tolist() == [-1, 127, -128, 3]
    assert got["e"].tolist() == [255, 127, 128, 3]


def test_special_registers_of_a_warp():
    lanes = np.arange(32)
    assert evaluate("mov.u32 %d, %laneid;", "u32").tolist() == lanes.tolist()
    assert evaluate("mov.u32 %d, %lanemask_lt;", "u32").tolist() == [(1 << k) - 1 for k in lanes]
    assert evaluate("mov.u32 %d, %lanemask_ge;", "u32").tolist() == [0xFFFFFFFF & ~((1 << k) - 1) for k in lanes]
    assert evaluate("mov.u32 %d, %ntid.x;", "u32").tolist() == [32] * 32


def test_scoped_registers_hide_outer_ones():
    code = "mov.u32 %r0, 5; { .reg .b32 %r0; mov.u32 %r0, 9; add.u32 %d, %r0, %a; } add.u32 %d, %d, %r0;"
    assert evaluate(code, "u32", a=("u32", [1, 2])).tolist() == [15, 16]


# what is not known


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("dp4a.u32.u32 %d, %a, %a, %a;", "no rule for the instruction 'dp4a'"),
        ("add.sat.s32 %d, %a, %a;", "no rule for 'add' of integers with the modifier 'sat'"),
        ("mul.rn.f32x2 %d, %a, %a;", "no rule for 'mul' with the modifier 'f32x2'"),
        ("fma.rn.relu.f32 %d, %a, %a, %a;", "no rule for 'fma' with the modifier 'relu'"),
        ("mov.u32 %d, %clock;", "unknown operand '%clock'"),
        ("sub.rm.f16 %h1, %h1, %h1;", "no rule for 'sub' of float16 with the modifier 'rm'"),
        ("mul.s32 %d, %a, %a;", "'mul' of integers needs .lo, .hi or .wide"),
        ("setp.ltu.s32 %p1, %a, %a;", "no rule for the comparison 'ltu' of int32"),
        ("cvt.rz.f16.f32 %h1, %a;", "no rule for the conversion rz.f16.f32"),
        ("cvt.rz.bf16.f32 %h1, %a;", "no rule for the conversion rz.bf16.f32"),
        ("ld.param.u32 %d, [%a];", "a kernel parameter whose address is computed"),
        ("ld.global.u32 %d, %a;", "no rule for the address '%a'"),
        ("cp.async.bulk.commit_group;", "no rule for 'cp' with the modifier 'bulk'"),
        ("mov.b64 %d, %p1;", "a bool register used as uint64"),
        ("add.f16x2 %d, %a, %a;", "no rule for 'add' with the modifier 'f16x2'"),
        ("shl %d, %a, 1;", "PTX line"),
        ("bar.red.popc.u32 %d, 0, %p1;", "no rule for 'bar'"),
        ("bar.sync 0, 32;", "no rule for 'bar'"),
        (
            "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%d}, {%a}, {%a}, {%a};",
            "no rule for 'mma' with the modifier 'm8n8k4'",
        ),
    ],
)
def test_what_has_no_rule_is_an_error_that_names_it(code, message):
    with pytest.raises(UnsupportedError, match=f"kernel snippet: {message}.*\n  PTX line \\d+: ") as caught:
        evaluate(code, "u32", a=("u32", [1]))
    assert caught.value.instruction == code.rstrip(";")


def test_device_functions_are_refused():
    with pytest.raises(UnsupportedError, match="device function"):
        Kernel(module(".func helper() { ret; }\n.visible .entry k() { ret; }"))

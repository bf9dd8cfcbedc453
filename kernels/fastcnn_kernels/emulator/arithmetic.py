"""What single PTX instructions compute, as functions of NumPy arrays.

    floats         fma, directed rounding, flush, saturate, minimum and maximum, sign
    integers       multiply_high, divide, remainder, carries, shifts, bit fields, counts
    conversions    float to integer, integer to integer with saturation, tf32, bfloat16, float to float

Addition, multiplication, division and square root of floats are NumPy's, hence IEEE's. A fused multiply-add of
float32 goes through float64: the product is exact, the sum is rounded twice, which differs from the hardware's
single rounding in about one of 2^29 results, by one unit in the last place. Approximations (ex2, lg2, sin, ...) are
computed accurately. The sign of a zero that min or max returns is not modelled. Source: PTX ISA 9.0, chapter 9.7.
"""

from __future__ import annotations

import numpy as np

from .ptx_types import Array, DType, unsigned, widened

F32 = np.dtype("float32")
F64 = np.dtype("float64")


# floats


def fma(a: Array, b: Array, c: Array) -> Array:
    """a * b + c."""
    if a.dtype == F64:
        return a * b + c
    return (np.multiply(a, b, dtype=F64) + c).astype(a.dtype)


def directed(a: Array, b: Array | None, c: Array | None, toward: str) -> Array:
    """a * b + c in float32, rounded down (`rm`), up (`rp`) or to zero (`rz`); b is 1 and c is 0 where they are None.

    The product is exact in float64; the error of the sum is exact by Knuth's TwoSum (TAOCP 2, 4.2.2, theorem B), so
    the direction is always right.
    """
    product = a.astype(F64) if b is None else np.multiply(a, b, dtype=F64)
    addend = np.zeros(1) if c is None else c.astype(F64)
    total = product + addend
    virtual = total - product
    error = (product - (total - virtual)) + (addend - virtual)
    return round_directed(total, error, toward)


def round_directed(value: Array, error: Array | float, toward: str) -> Array:
    """The float32 next to value + error in the direction `rm`, `rp` or `rz`.

    |error| is below half a unit in the last place of the float64 value.
    """
    result = value.astype(F32)
    above = (result > value) | ((result == value) & (error < 0))
    below = (result < value) | ((result == value) & (error > 0))
    down = np.where(above, np.nextafter(result, F32.type(-np.inf)), result)
    up = np.where(below, np.nextafter(result, F32.type(np.inf)), result)
    return {"rm": lambda: down, "rp": lambda: up, "rz": lambda: np.where(value > 0, down, up)}[toward]()


def flush(x: Array) -> Array:
    """Subnormal float32 become zeros of the same sign (`.ftz`)."""
    return np.where(np.abs(x) < np.finfo(F32).tiny, np.copysign(F32.type(0), x), x)


def saturate(x: Array) -> Array:
    """Clamped to [0, 1]; NaN becomes 0 (`.sat`)."""
    return np.where(x > 0, np.fmin(x, x.dtype.type(1)), x.dtype.type(0))


def reciprocal(x: Array) -> Array:
    """1 / x."""
    return x.dtype.type(1) / x


def reciprocal_root(x: Array) -> Array:
    """1 / sqrt(x), rounded once for float32."""
    return (1 / np.sqrt(x.astype(F64))).astype(x.dtype)


def is_nan(a: Array, b: Array) -> Array:
    """Whether either is NaN (setp.nan)."""
    return np.isnan(a) | np.isnan(b)


# integers


def multiply_high(a: Array, b: Array) -> Array:
    """The upper half of the product of two integers of the same type."""
    if a.dtype.itemsize < 8:
        wide = widened(a.dtype)
        return ((a.astype(wide) * b.astype(wide)) >> (8 * a.dtype.itemsize)).astype(a.dtype)
    high = _multiply_high_u64(a.view(np.uint64), b.view(np.uint64))
    if a.dtype.kind == "i":
        high = high - np.where(a < 0, b.view(np.uint64), 0) - np.where(b < 0, a.view(np.uint64), 0)
    return high.view(a.dtype)


def _multiply_high_u64(a: Array, b: Array) -> Array:
    low = np.uint64(0xFFFFFFFF)
    a_low, a_high, b_low, b_high = a & low, a >> 32, b & low, b >> 32
    middle = a_high * b_low + ((a_low * b_low) >> 32)
    other = a_low * b_high + (middle & low)
    return a_high * b_high + (middle >> 32) + (other >> 32)


def divide(a: Array, b: Array) -> Array:
    """Integer quotient, rounded to zero."""
    quotient = a // b
    if a.dtype.kind == "u":
        return quotient
    return quotient + ((quotient * b != a) & ((a < 0) != (b < 0)))


def remainder(a: Array, b: Array) -> Array:
    """a - b * divide(a, b): it has the sign of a."""
    return a % b if a.dtype.kind == "u" else a - b * divide(a, b)


def add_with_carry(a: Array, b: Array, carry: Array | None = None) -> tuple[Array, Array]:
    """(a + b + carry, carry out) of unsigned integers."""
    total = a + b
    out = total < a
    if carry is None:
        return total, out
    result = total + carry
    return result, out | (result < total)


def subtract_with_borrow(a: Array, b: Array, borrow: Array | None = None) -> tuple[Array, Array]:
    """(a - b - borrow, borrow out) of unsigned integers."""
    difference = a - b
    out = a < b
    if borrow is None:
        return difference, out
    return difference - borrow, out | (difference < borrow)


def _clamped(amount: Array, a: Array) -> Array:
    return np.minimum(amount, 8 * a.dtype.itemsize).astype(a.dtype)


def shift_left(a: Array, amount: Array) -> Array:
    """a << amount; 0 where the amount (u32) is the width or more."""
    return np.left_shift(a, _clamped(amount, a))


def shift_right(a: Array, amount: Array) -> Array:
    """a >> amount; 0, or -1 for negative signed integers, where the amount (u32) is the width or more."""
    return np.right_shift(a, _clamped(amount, a))


def funnel_shift(direction: str, wrap: bool, a: Array, b: Array, amount: Array) -> Array:
    """The 64 bits b:a shifted by amount (modulo 32, or at most 32): the upper half for "l", the lower half for "r"."""
    amount = (amount & 31 if wrap else np.minimum(amount, 32)).astype(np.uint64)
    both = (b.astype(np.uint64) << 32) | a
    return ((both << amount) >> 32 if direction == "l" else both >> amount).astype(np.uint32)


def bit_field_insert(a: Array, b: Array, position: Array, length: Array) -> Array:
    """b with its bits position ... position + length - 1 replaced by the lowest bits of a."""
    position, length = _clamped(position & 255, a), _clamped(length & 255, a)
    mask = np.left_shift(np.left_shift(a.dtype.type(1), length) - a.dtype.type(1), position)
    return (b & ~mask) | (np.left_shift(a, position) & mask)


def bit_field_extract(a: Array, position: Array, length: Array) -> Array:
    """The bits position ... position + length - 1 of a, sign-extended for signed types.

    Bits beyond the width are copies of the sign, or 0.
    """
    rest = _clamped(8 * a.dtype.itemsize - np.minimum(length & 255, 8 * a.dtype.itemsize), a)
    field = np.right_shift(np.left_shift(shift_right(a, position & 255), rest), rest)
    return np.where(length & 255, field, a.dtype.type(0))


def permute_bytes(a: Array, b: Array, selector: Array) -> Array:
    """Byte i of the result is the byte of b:a that the selector's i-th hexadecimal digit names (prmt).

    A digit from 8 on names the same bytes, and spreads the byte's sign bit over all eight bits.
    """
    source = (b.astype(np.uint64) << 32) | a
    result: Array = np.zeros(1, np.uint64)
    for i in range(4):
        digit = (selector >> (4 * i)) & 15
        byte = (source >> ((digit & 7) * 8).astype(np.uint64)) & np.uint64(255)
        byte = np.where(digit & 8, (byte >> 7) * np.uint64(255), byte)
        result = result | (byte << np.uint64(8 * i))
    return result.astype(np.uint32)


def count_ones(a: Array) -> Array:
    """The number of bits set."""
    return np.bitwise_count(a).astype(np.uint32)


def bit_length(a: Array) -> Array:
    """The position of the highest bit set, from 1; 0 for 0."""
    if a.dtype.itemsize == 8:
        high = (a >> 32).astype(np.uint32)
        return np.where(high != 0, bit_length(high) + np.uint32(32), bit_length(a.astype(np.uint32)))
    return np.frexp(a.astype(F64))[1].astype(np.uint32)


def leading_zeros(a: Array) -> Array:
    """The number of zeros above the highest bit set."""
    return np.uint32(8 * a.dtype.itemsize) - bit_length(a)


def find_highest(a: Array) -> Array:
    """The position of the highest bit that differs from the sign, from 0; 0xffffffff where there is none (bfind)."""
    magnitude = np.where(a < 0, ~a, a) if a.dtype.kind == "i" else a
    return bit_length(magnitude.astype(unsigned(a.dtype))) - np.uint32(1)


def reverse_bits(a: Array) -> Array:
    """The bits in reverse order."""
    octets = np.ascontiguousarray(a)[..., None].view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, bitorder="little")[..., ::-1]
    return np.packbits(bits, axis=-1, bitorder="little").view(a.dtype)[..., 0]


# conversions

INTEGRAL = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def float_to_integer(x: Array, rounding: str, dtype: DType) -> Array:
    """Rounded (`rni`, `rzi`, `rmi`, `rpi`) and clamped to the range of dtype.

    NaN becomes 0, or the highest bit alone where either type has 64 bits.
    """
    limits = np.iinfo(dtype)
    rounded = INTEGRAL[rounding](x.astype(F64))
    wide = 8 in (dtype.itemsize, x.dtype.itemsize)
    nan = dtype.type(limits.min if dtype.kind == "i" else limits.max // 2 + 1) if wide else dtype.type(0)
    inside = np.where((rounded > float(limits.min)) & (rounded < float(limits.max)), rounded, 0).astype(dtype)
    result = np.where(rounded >= float(limits.max), dtype.type(limits.max), inside)
    result = np.where(rounded <= float(limits.min), dtype.type(limits.min), result)
    return np.where(np.isnan(rounded), nan, result)


def saturate_integer(a: Array, dtype: DType) -> Array:
    """Clamped to the range of another integer type (cvt.sat)."""
    limits, own = np.iinfo(dtype), np.iinfo(a.dtype)
    return np.clip(a, max(limits.min, own.min), min(limits.max, own.max)).astype(dtype)


def to_tf32(x: Array) -> Array:
    """The bits of x rounded to 10 fraction bits, ties away from zero (cvt.rna.tf32.f32)."""
    bits = x.view(np.uint32)
    return np.where(np.isfinite(x), (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000), bits)


def to_bfloat16(x: Array) -> Array:
    """The bits of x rounded to bfloat16, ties to even, as uint32; NaN becomes 0x7fff."""
    bits = x.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16
    return np.where(np.isnan(x), np.uint32(0x7FFF), rounded)


def from_bfloat16(bits: Array) -> Array:
    """bfloat16 bits as float32."""
    return (bits.astype(np.uint32) << 16).view(F32)


def to_float(x: Array, rounding: str, dtype: DType) -> Array:
    """Converted to a float type; `rz`, `rm` and `rp` only to float32."""
    if rounding in ("rz", "rm", "rp"):
        return round_directed(x.astype(F64), 0.0, rounding)
    return x.astype(dtype)

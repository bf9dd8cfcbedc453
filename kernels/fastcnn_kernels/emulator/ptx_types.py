"""PTX's fundamental types as NumPy types.

A register is held as the bits of its width (unsigned), as a float, or as a bool; an instruction's type then says
how these bits are read. So `add.s32` and `add.u32` on `.b32` registers are the same addition, and only where the
sign matters is an array viewed as signed.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
DType: TypeAlias = np.dtype[Any]

#: what an instruction's type modifier means
ELEMENT: dict[str, DType] = {
    name: np.dtype(numpy_name)
    for name, numpy_name in {
        "u8": "uint8",
        "u16": "uint16",
        "u32": "uint32",
        "u64": "uint64",
        "s8": "int8",
        "s16": "int16",
        "s32": "int32",
        "s64": "int64",
        "b8": "uint8",
        "b16": "uint16",
        "b32": "uint32",
        "b64": "uint64",
        "f16": "float16",
        "f32": "float32",
        "f64": "float64",
        "pred": "bool",
    }.items()
}

#: how a register that is declared with this type is held
REGISTER: dict[str, DType] = {
    name: np.dtype(f"uint{8 * dtype.itemsize}") if dtype.kind == "i" or name == "f16" else dtype
    for name, dtype in ELEMENT.items()
}


def unsigned(dtype: DType) -> DType:
    """The unsigned type of the same width."""
    return np.dtype(f"uint{8 * dtype.itemsize}")


def widened(dtype: DType) -> DType:
    """The integer type of the same sign and twice the width."""
    return np.dtype(f"{'int' if dtype.kind == 'i' else 'uint'}{16 * dtype.itemsize}")

"""Hand-written PTX for tests of single instructions.

evaluate(code, result, **operands)      run code on many operands at once, one thread each
run(ptx_body, ...)                      launch a kernel written out in full
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastcnn_kernels.emulator import Kernel, Memory

SIZES = {"8": 1, "16": 2, "32": 4, "64": 8}
DTYPES = {
    **{f"{letter}{bits}": f"uint{bits}" for letter in "ub" for bits in SIZES},
    **{f"s{bits}": f"int{bits}" for bits in SIZES},
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
}


def dtype_of(ptx_type: str) -> np.dtype[Any]:
    return np.dtype(DTYPES["u32" if ptx_type == "pred" else ptx_type])


def module(entry: str) -> str:
    """A PTX module around one entry."""
    return f".version 8.0\n.target sm_80\n.address_size 64\n{entry}\n"


def evaluate(code: str, result: str | Mapping[str, str], **operands: tuple[str, Sequence[Any] | np.ndarray]) -> Any:
    """Execute `code` once for each element of the operands, which it finds in %a, %b, ... as named; what it leaves
    in %d.

    `result` is the type of %d, or the types of several registers (then a dict is returned). The code runs twice: in
    threads that are together, and in threads that a branch has divided; both must agree to the bit.
    """
    results = {"d": result} if isinstance(result, str) else dict(result)
    arrays = {name: np.asarray(values, dtype_of(kind)) for name, (kind, values) in operands.items()}
    together = _run(code, results, operands, arrays, divided=False)
    divided = _run(code, results, operands, arrays, divided=True)
    for name in results:
        assert together[name].tobytes() == divided[name].tobytes(), f"%{name} depends on divergence"
    return together["d"] if isinstance(result, str) else together


def _run(
    code: str, results: Mapping[str, str], operands: Mapping[str, Any], arrays: Mapping[str, Any], divided: bool
) -> dict[str, Any]:
    count = max([len(array) for array in arrays.values()], default=32)
    ptx = program(code, results, {name: kind for name, (kind, _) in operands.items()}, divided)
    memory = Memory(1 << 16)
    addresses = []
    for name, array in arrays.items():
        addresses.append(memory.allocate(array.nbytes, name))
        memory.write(addresses[-1], array)
    outputs = {name: memory.allocate(count * dtype_of(kind).itemsize, name) for name, kind in results.items()}
    Kernel(ptx).launch(memory, 1, count, [*addresses, *outputs.values()])
    return {name: memory.read(address, count, dtype_of(results[name])) for name, address in outputs.items()}


def program(code: str, results: Mapping[str, str], operands: Mapping[str, str], divided: bool) -> str:
    """The PTX of a kernel that loads the operands of its thread, executes `code` and stores the results."""
    everything = {**operands, **results}
    lines = ["mov.u32 %lane, %tid.x;", "and.b32 %odd, %lane, 1;", "setp.eq.u32 %is_odd, %odd, 1;"]
    for name, kind in operands.items():
        lines += _address(name, kind)
        lines.append(f"ld.global.{_memory_type(kind)} %{name}, [%address];")
    lines += ["@%is_odd bra ODD;", code, "bra DONE;", "ODD:", code, "DONE:"] if divided else [code]
    for name, kind in results.items():
        lines += _address(name, kind)
        if kind == "pred":
            lines.append(f"selp.u32 %bit, 1, 0, %{name}; st.global.u32 [%address], %bit;")
        else:
            lines.append(f"st.global.{_memory_type(kind)} [%address], %{name};")
    parameters = ", ".join(f".param .u64 p_{name}" for name in everything)
    declarations = "\n".join(f".reg .{_register_type(kind)} %{name};" for name, kind in everything.items())
    return module(
        f".visible .entry snippet({parameters})\n{{\n{declarations}\n"
        ".reg .b64 %address;\n.reg .b32 %lane, %odd, %bit;\n.reg .pred %is_odd;\n"
        ".reg .pred %p<4>;\n.reg .b16 %h<4>;\n.reg .b32 %r<8>;\n.reg .b64 %rd<8>;\n.reg .f32 %f<8>;\n"
        + "\n".join(lines)
        + "\nret;\n}"
    )


def _address(name: str, kind: str) -> list[str]:
    size = dtype_of(kind).itemsize
    return [f"ld.param.u64 %address, [p_{name}];", f"mad.wide.u32 %address, %lane, {size}, %address;"]


def _memory_type(kind: str) -> str:
    return "b16" if kind == "f16" else kind


def _register_type(kind: str) -> str:
    return {"f16": "b16", "u8": "b16", "s8": "b16", "b8": "b16"}.get(kind, kind)

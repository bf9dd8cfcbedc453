"""What the assembler makes of a kernel, without a GPU: registers, spills, shared memory, instructions; and the compile gates.

    assemble(ptx, target)       a Report, from the disk cache if this PTX was assembled before
    disassemble(ptx, target)    the machine code as text (SASS)
    faults(kernel, target)      what the compile gates find wrong with a kernel: nothing, it is hoped
    occupancy(...)              how much of a multiprocessor a kernel can fill
    CLASSES                     which instructions belong together

ptxas and nvdisasm come with the packages of the extra `test`, or are found on PATH.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ..sources import cache_folder, keep
from .available import CudaUnavailableError
from .kernel import CudaKernel
from .tiles import ceil_div

TOOLS = "pip install 'nvidia-cuda-nvcc==13.0.*' 'nvidia-cuda-nvdisasm==13.*'"
CLASSES: dict[str, tuple[str, ...]] = {
    "float64": ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX", "DMMA"),
    "tensor": ("HMMA", "IMMA", "BMMA", "HGMMA", "IGMMA", "LDSM", "LDGSTS"),
    "fma": ("FFMA",),
    "float": ("FADD", "FMUL", "FMNMX", "FSET", "FSETP", "FSEL", "FCHK", "FSWZADD"),
    "special": ("MUFU",),
    "convert": ("F2F", "F2I", "I2F", "I2I", "FRND"),
    "global": ("LDG", "STG", "LD", "ST", "RED", "ATOM", "ATOMG"),
    "shared": ("LDS", "STS", "ATOMS"),
    "local": ("LDL", "STL"),
    "constant": ("LDC", "ULDC"),
    "barrier": ("BAR", "DEPBAR", "LDGDEPBAR", "MEMBAR", "ERRBAR"),
    "warp": ("SHFL", "VOTE", "VOTEU", "MATCH", "REDUX", "WARPSYNC"),
    "control": ("BRA", "BRX", "JMP", "EXIT", "CALL", "RET", "BSSY", "BSYNC", "BREAK", "BMOV", "YIELD", "NOP", "KILL", "BPT"),
}
"""Opcodes of the SASS of sm_75 to sm_90 by what they do; "integer" are all others: address arithmetic, logic, moves.
Source: CUDA Binary Utilities, "Instruction Set Reference"."""


@dataclass(frozen=True)
class Report:
    """What ptxas says of a kernel, and its instructions counted by class, as they stand in the code."""

    target: str
    registers: int
    stack: int
    spilled: int
    shared: int
    mix: dict[str, int]

    @property
    def instructions(self) -> int:
        """Number of instructions in the code."""
        return sum(self.mix.values())


def assemble(ptx: str, target: str) -> Report:
    """Assemble for a target. RuntimeError with ptxas's words where it cannot; CudaUnavailableError where there is no ptxas."""
    file = cache_folder("sass") / f"{_digest(ptx)}-{target}.json"
    if file.exists():
        return Report(**json.loads(file.read_text()))
    messages, sass = _assemble(ptx, target)
    report = _report(target, messages, sass)
    keep(file, json.dumps(asdict(report)))
    return report


def disassemble(ptx: str, target: str) -> str:
    """The machine code for a target, as nvdisasm writes it."""
    return _assemble(ptx, target)[1]


def _assemble(ptx: str, target: str) -> tuple[str, str]:
    """ptxas's remarks, and the code."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(re.sub(r"^\.target .*$", f".target {target}", ptx, count=1, flags=re.MULTILINE))
        remarks = _run("ptxas", "-v", f"-arch={target}", str(source), "-o", str(binary)).stderr
        return remarks, _run("nvdisasm", "-c", str(binary)).stdout


def _run(tool: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([_tool(tool), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{tool} failed:\n{done.stderr.strip() or done.stdout.strip()}")
    return done


@cache
def _tool(name: str) -> str:
    """Where a program of the CUDA toolkit is: among the packages of this interpreter, or on PATH."""
    package = find_spec("nvidia")
    folders = package.submodule_search_locations or () if package else ()
    beside = [str(file) for folder in folders if (file := Path(folder, "cu13", "bin", name)).exists()]
    found = beside[0] if beside else shutil.which(name)
    if not found:
        raise CudaUnavailableError(f"{name}, with which kernels are assembled and read, was not found; run: {TOOLS}")
    return found


@cache
def _digest(ptx: str) -> str:
    tools = [Path(_tool(name)).stat() for name in ("ptxas", "nvdisasm")]
    versions = [(tool.st_size, tool.st_mtime_ns) for tool in tools]
    return hashlib.sha256(f"{ptx} {versions} {sorted(CLASSES.items())}".encode()).hexdigest()[:32]


def _report(target: str, remarks: str, sass: str) -> Report:
    def number(pattern: str) -> int:
        return sum(map(int, re.findall(pattern, remarks)))

    spilled = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
    stack, registers = number(r"(\d+) bytes stack frame"), number(r"Used (\d+) registers")
    return Report(target, registers, stack, spilled, number(r"(\d+) bytes smem"), dict(Counter(map(_class, _opcodes(sass)))))


def _opcodes(sass: str) -> Iterator[str]:
    """Opcodes with their modifiers: FFMA, LDG.E.128, F2F.F64.F32."""
    for line in re.findall(r"^\s*/\*[0-9a-f]{4,}\*/\s+(.*)$", sass, re.MULTILINE):
        words = line.replace("{", " ").split()
        yield next(word for word in words if not word.startswith("@")).rstrip(";")


def _class(opcode: str) -> str:
    base, *modifiers = opcode.split(".")
    if "F64" in modifiers or "RCP64H" in modifiers or "RSQ64H" in modifiers:
        return "float64"
    return next((name for name, opcodes in CLASSES.items() if base in opcodes), "integer")


# ------ the gates


def faults(kernel: CudaKernel, target: str) -> list[str]:
    """What is wrong with a kernel for a target, a line each: spills, local memory, float64, more registers than its budget."""
    ptx = kernel.ptx(target)
    report = assemble(ptx, target)
    found = {
        f"spills {report.spilled} bytes of registers": report.spilled,
        f"keeps {report.stack} bytes of every thread in local memory": report.stack,
        f"has {report.mix.get('local', 0)} loads and stores of local memory": report.mix.get("local", 0),
        f"uses {report.registers} registers, its budget is {kernel.registers}": report.registers > kernel.registers,
        f"computes in float64: {_first_f64(ptx)}": not kernel.allow_f64 and (report.mix.get("float64") or _first_f64(ptx)),
    }
    return [f"{kernel.name} {fault} on {target}" for fault, present in found.items() if present]


def _first_f64(ptx: str) -> str:
    """The first float64 instruction, if there is one."""
    found = re.search(r"^\s*(?!\.reg)(.*\.f64.*;)", ptx, re.MULTILINE)
    return found.group(1).strip() if found else ""


# ------ occupancy


@dataclass(frozen=True)
class Limits:
    """What a multiprocessor has, and how it is dealt out.

    shared_unit, shared_reserved: bytes that a block's shared memory is rounded up to, and that the system takes of each block.
    """

    warps: int
    blocks: int
    shared: int
    shared_unit: int
    shared_reserved: int
    registers: int = 65536
    register_unit: int = 256
    partitions: int = 4


LIMITS = {
    "sm_75": Limits(32, 16, 64 << 10, 256, 0),
    "sm_80": Limits(64, 32, 164 << 10, 128, 1 << 10),
    "sm_90a": Limits(64, 32, 228 << 10, 128, 1 << 10),
}
"""Sources: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; units and reserves, which it does
not give: cuda_occupancy.h of the CUDA toolkit."""


def occupancy(target: str, registers: int, shared: int, threads: int) -> float:
    """Share of a multiprocessor's warps that blocks of `threads` threads can fill, each block with `shared` bytes."""
    limits, warps = LIMITS[target], ceil_div(threads, 32)
    by_warps = limits.warps // warps
    of_warp = ceil_div(registers * 32, limits.register_unit) * limits.register_unit
    by_registers = limits.registers // limits.partitions // of_warp * limits.partitions // warps
    of_block = ceil_div(shared + limits.shared_reserved, limits.shared_unit) * limits.shared_unit
    by_shared = limits.shared // of_block if of_block else limits.blocks
    return min(limits.blocks, by_warps, by_registers, by_shared) * warps / limits.warps

"""Reading PTX: declarations, operands, blocks, names."""

from __future__ import annotations

import pytest
from fastcnn_kernels.emulator import Kernel, PtxError, UnsupportedError
from fastcnn_kernels.emulator.parser import parse, readable_name, split_operands

from .snippets import module

KERNEL = module("""
.visible .shared .align 16 .b8 tile[64];
.extern .shared .align 8 .b8 dynamic[];
.global .align 4 .b8 table[4] = {1, 2};
.common .global .align 8 .u64 environment;
.visible .entry k(   // a comment; with a semicolon
    .param .u64 k_param_0,
    .param .f32 k_param_1
) .maxntid 128, 2, 1
{
    .local .align 8 .b8 stack[12];
    .reg .pred %p<3>;
    .reg .b32 %r<4>, %other;   /* a comment
    of two lines */
    mov.u32 %r1, %tid.x;
$L_1:
    .pragma "nounroll";
    setp.lt.s32 %p1, %r1, 5;
    @!%p1 bra $L_2;
    { .reg .b32 %r1; mov.u32 %r1, 9; { .reg .b32 inner; mov.u32 inner, %r1; } }
    st.shared.v2.u32 [tile+8], {%r1, %r2};
    bar.sync 0;
    bra.uni $L_1;
$L_2:
    ret;
}
""")


def test_declarations():
    program = parse(KERNEL)
    assert program.name == "k"
    assert program.max_threads == 256
    assert [(p.name, p.type, p.nbytes) for p in program.parameters] == [
        ("k_param_0", "u64", 8),
        ("k_param_1", "f32", 4),
    ]
    assert {"%p0", "%p2", "%r3", "%other"} <= set(program.registers)
    assert [(s.name, s.align, s.size) for s in program.symbols_in("shared")] == [("tile", 16, 64), ("dynamic", 8, 0)]
    assert [(s.name, s.size) for s in program.symbols_in("local")] == [("stack", 12)]
    assert program.symbols["table"].initial == b"\1\2\0\0"
    assert program.symbols["environment"].initial is None


def test_instructions_know_their_line_and_their_scope():
    program = parse(KERNEL)
    lines = KERNEL.split("\n")
    for instruction in program.instructions:
        assert instruction.text in " ".join(lines[instruction.line - 1].split())
    outer, hidden, inner = (i for i in program.instructions if i.opcode == "mov")
    assert outer.operands[0] == "%r1"
    assert hidden.operands[0] != "%r1"
    assert inner.operands[1] == hidden.operands[0]
    store = next(i for i in program.instructions if i.opcode == "st")
    assert store.modifiers == ("shared", "v2", "u32")
    assert store.operands == ("[tile+8]", "{%r1, %r2}")


def test_basic_blocks():
    program = parse(KERNEL)
    ends = [block.end for block in program.blocks]
    assert ends == ["next", "next", "branch", "barrier", "branch", "exit"]
    loop, leave = program.blocks[4], program.blocks[2]
    assert loop.target == 1
    assert leave.target == 5
    assert leave.guard is not None
    assert (leave.guard.register, leave.guard.negated) == ("%p1", True)


def test_source_lines_are_kept():
    ptx = module(
        '.file 1 "/a/kernel.py"\n.entry k() { .reg .b32 %r1;\n.loc 1 12 0\nmov.u32 %r1, 1;\n'
        ".loc 1 13 4, function_name $x, inlined_at 1 2 3\nret; }"
    )
    assert [instruction.source for instruction in parse(ptx).instructions] == ["/a/kernel.py:12", "/a/kernel.py:13"]


def test_operands_are_split_outside_braces_and_brackets():
    assert split_operands("{%f1, %f2}, [%rd1+4], 5") == ("{%f1, %f2}", "[%rd1+4]", "5")
    assert split_operands("") == ()


@pytest.mark.parametrize(
    ("mangled", "name"),
    [
        ("_ZN7kernels4reluB2v1B92cw51cXTLSUw", "kernels.relu"),
        ("_ZN1m11make_conv3212_3clocals_3e6conv32B2v8", "m.make_conv32.<locals>.conv32"),
        ("_Z3foo", "_Z3foo"),
        ("plain", "plain"),
    ],
)
def test_names(mangled, name):
    assert readable_name(mangled) == name


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", PtxError, "expected PTX text with one .entry, found 0"),
        (module(".entry a() { ret; }\n.entry b() { ret; }"), PtxError, "found 2"),
        (module(".entry a() { bra nowhere; }"), PtxError, "no such label: bra nowhere"),
        (module(".entry a() { ret;"), PtxError, "kernel a: cannot read PTX line"),
        (
            module(".entry a(.param .texref t) { ret; }"),
            UnsupportedError,
            "kernel parameter that the emulator does not know: .param .texref t",
        ),
        (module(".entry a() { .reg .v4 .f32 %v; ret; }"), UnsupportedError, "registers of this kind: .reg .v4 .f32 %v"),
        (
            module(".entry a() { .reg .b32 %r; mov.u32 %r, %x; }"),
            UnsupportedError,
            "unknown operand '%x'\n  PTX line 4: mov.u32 %r, %x",
        ),
        (module(".entry a() { .reg .b32 %r; mov.u32 %x, %r; }"), UnsupportedError, "unknown register '%x'"),
        (module(".entry a() { .reg .b32 %r; @%q mov.u32 %r, 1; }"), UnsupportedError, "unknown guard"),
        (
            module(".entry a() { .reg .b64 %r; call (%r), f, (%r); }"),
            UnsupportedError,
            "no rule for the instruction 'call'",
        ),
    ],
)
def test_text_that_cannot_be_read(text, error, message):
    with pytest.raises(error) as caught:
        Kernel(text)
    assert message in str(caught.value)


def test_a_kernel_is_translated_once():
    assert Kernel(KERNEL)._compiled is Kernel(KERNEL)._compiled
    assert "def block_0(wave, lanes, registers):" in Kernel(KERNEL).source

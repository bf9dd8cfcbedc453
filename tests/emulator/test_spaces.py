"""Address spaces and control flow that Numba seldom emits, in PTX written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fastcnn_kernels.emulator import (
    BarrierError,
    ExecutionError,
    Kernel,
    LaunchError,
    Memory,
    MisalignedError,
    OutOfBoundsError,
    RaceError,
    UninitialisedError,
    UnsupportedError,
)

from .snippets import module


def launch(body, threads=32, blocks=1, size=4, before="", dtype=np.uint32, **options):
    """Run a body that leaves a result for each thread in %d, as `dtype`; the results."""
    ptx = module(
        f"{before}\n.visible .entry k(.param .u64 out) {{\n.reg .b32 %t, %b, %n, %i, %d, %r<9>; "
        ".reg .b64 %o, %rd<9>; .reg .pred %p<4>; "
        ".reg .f32 %f<9>; .reg .b16 %h<4>; \nmov.u32 %t, %tid.x; mov.u32 %b, %ctaid.x; "
        "mov.u32 %n, %ntid.x; mad.lo.u32 %i, %b, %n, %t; \n"
        f"ld.param.u64 %o, [out]; mad.wide.u32 %o, %i, {size}, %o;\n{body}\nst.global.u32 [%o], %d;\nret;\n}}"
    )
    memory = Memory(1 << 20)
    out = memory.allocate(threads * blocks * size, "out")
    Kernel(ptx).launch(memory, blocks, threads, [out], **options)
    return memory.read(out, threads * blocks, dtype)


SHARED = ".shared .align 4 .b8 buffer[128];"


def test_local_memory_is_private_and_unwritten_at_first():
    body = ".local .align 8 .b8 stack[16]; mov.u64 %rd1, stack; st.local.u32 [%rd1+4], %t; ld.local.u32 %d, [%rd1+4];"
    assert launch(body).tolist() == list(range(32))
    with pytest.raises(
        UninitialisedError,
        match=r"read of 4 bytes in local memory that nothing has written: at offset \d+, byte 8 of stack",
    ):
        launch(body.replace("ld.local.u32 %d, [%rd1+4]", "ld.local.u32 %d, [%rd1+8]"))
    with pytest.raises(
        OutOfBoundsError, match=r"outside local memory at offset \d+, 0 bytes past the end of stack \(16 bytes\)"
    ):
        launch(body.replace("ld.local.u32 %d, [%rd1+4]", "ld.local.u32 %d, [%rd1+16]"))
    with pytest.raises(MisalignedError, match="misaligned write of 4 bytes in local memory"):
        launch(body.replace("st.local.u32 [%rd1+4]", "st.local.u32 [%rd1+2]"))


def test_generic_addresses_find_their_space():
    body = (
        ".local .align 4 .b8 stack[4]; shl.b32 %r1, %t, 2; cvt.u64.u32 %rd2, %r1;"
        "mov.u64 %rd1, stack; cvta.local.u64 %rd1, %rd1; st.u32 [%rd1], %t; ld.u32 %r2, [%rd1];"
        "mov.u64 %rd3, buffer; cvta.shared.u64 %rd3, %rd3; add.u64 %rd3, %rd3, %rd2; st.u32 [%rd3], %r2; "
        "ld.u32 %r3, [%rd3];"
        "cvta.to.shared.u64 %rd4, %rd3; ld.shared.u32 %r4, [%rd4];"
        "st.u32 [%o], %r4; ld.u32 %d, [%o]; add.u32 %d, %d, %r3;"
    )
    assert launch(body, before=SHARED).tolist() == [2 * t for t in range(32)]


def test_generic_addresses_in_different_spaces_are_refused():
    body = (
        "mov.u64 %rd1, buffer; cvta.shared.u64 %rd1, %rd1; setp.eq.u32 %p1, %t, 0; "
        "selp.b64 %rd2, %rd1, %o, %p1; st.u32 [%rd2], %t; mov.u32 %d, %t;"
    )
    with pytest.raises(UnsupportedError, match="different state spaces"):
        launch(body, before=SHARED)


@pytest.mark.parametrize(
    ("offset", "error"),
    [(-4, OutOfBoundsError), (128, OutOfBoundsError), (2, MisalignedError), (1 << 33, OutOfBoundsError)],
)
def test_shared_accesses_outside_or_misaligned(offset, error):
    with pytest.raises(error, match=r"in shared memory|outside shared memory"):
        launch(f"mov.u64 %rd1, buffer; st.shared.u32 [%rd1+{offset}], %t; mov.u32 %d, 0;", threads=1, before=SHARED)


def test_a_symbol_is_placed_at_no_better_alignment_than_it_declares():
    for align in (4, 8, 16, 128):
        offset = launch("mov.u32 %d, buffer;", 1, before=f".shared .align {align} .b8 buffer[128];")[0]
        assert offset % align == 0
        assert offset % (2 * align) != 0


def test_dynamic_shared_arrays_share_their_start():
    before = ".extern .shared .align 4 .b8 one[]; .extern .shared .align 16 .b8 two[]; .shared .align 4 .b8 fixed[12];"
    body = (
        "mov.u32 %r1, one; mov.u32 %r2, two; sub.u32 %r3, %r1, %r2; st.shared.u32 [one], %t; "
        "ld.shared.u32 %r4, [two]; add.u32 %d, %r3, %r4;"
    )
    assert launch(body, threads=1, before=before, shared_bytes=16).tolist() == [0]
    with pytest.raises(OutOfBoundsError, match="outside shared memory"):
        launch(body, threads=1, before=before)


def test_vector_accesses_of_all_widths():
    body = (
        "shl.b32 %r1, %t, 3; cvt.u64.u32 %rd2, %r1; mov.u64 %rd1, buffer; add.u64 %rd1, %rd1, %rd2; "
        "add.u32 %r2, %t, 100;"
        "st.shared.v2.u32 [%rd1], {%t, %r2}; ld.shared.v2.u32 {%r3, %r4}, [%rd1]; ld.shared.u64 %rd3, [%rd1];"
        "cvt.u16.u32 %h1, %t; st.shared.v4.u16 [%rd1], {%h1, %h1, %h1, %h1}; ld.shared.u16 %h2, [%rd1+6]; "
        "cvt.u32.u16 %r5, %h2;"
        "mov.b64 {%r6, %r7}, %rd3; add.u32 %d, %r3, %r4; add.u32 %d, %d, %r5; add.u32 %d, %d, %r6; add.u32 %d, %d, %r7;"
    )
    got = launch(body, threads=16, before=".shared .align 8 .b8 buffer[128];")
    assert got.tolist() == [2 * (t + t + 100) + t for t in range(16)]


def test_neighbouring_bytes_are_no_race_but_the_same_byte_is():
    def body(shift):
        return (
            f"shr.u32 %r1, %t, {shift}; cvt.u64.u32 %rd2, %r1; mov.u64 %rd1, buffer; add.u64 %rd1, %rd1, %rd2; "
            "st.shared.u8 [%rd1], %t; mov.u32 %d, %t;"
        )

    assert launch(body(0), before=SHARED).tolist() == list(range(32))
    with pytest.raises(
        RaceError, match=r"race in shared memory .*: this write and the write by block \(0, 0, 0\), thread \(1, 0, 0\)"
    ):
        launch(body(1), before=SHARED)


def test_a_wide_read_of_bytes_that_others_wrote_is_a_race():
    body = (
        "cvt.u64.u32 %rd2, %t; mov.u64 %rd1, buffer; add.u64 %rd1, %rd1, %rd2; st.shared.u8 [%rd1], %t; "
        "{} ld.shared.u32 %d, [buffer+28];"
    )
    assert launch(body.format("bar.sync 0;"), before=SHARED).tolist() == [0x1F1E1D1C] * 32
    with pytest.raises(RaceError, match="this read and the write"):
        launch(body.format(""), before=SHARED)


def test_guarded_instructions_leave_the_other_lanes_values():
    body = "mov.u32 %d, 7; setp.lt.u32 %p1, %t, 10; @%p1 mov.u32 %d, %t; @!%p1 add.u32 %d, %d, 1;"
    assert launch(body).tolist() == [t if t < 10 else 8 for t in range(32)]


def test_a_guarded_write_does_not_end_the_life_of_the_value_before():
    body = (
        "mov.u32 %r1, 5; setp.eq.u32 %p1, %t, 3; bra NEXT; NEXT: @%p1 mov.u32 %r1, 6; bra LAST; LAST: mov.u32 %d, %r1;"
    )
    assert launch(body).tolist() == [6 if t == 3 else 5 for t in range(32)]


def test_guarded_stores_touch_memory_only_where_the_guard_holds():
    body = "setp.lt.u32 %p1, %t, 4; mov.u64 %rd1, buffer; @%p1 st.shared.u32 [%rd1+512], %t; mov.u32 %d, 0;"
    with pytest.raises(OutOfBoundsError) as caught:
        launch(body, before=SHARED)
    assert caught.value.thread == (0, 0, 0)
    assert "(the first of 4 threads)" in str(caught.value)
    assert launch(body.replace("%t, 4", "%t, 0"), before=SHARED).tolist() == [0] * 32


def test_lanes_that_leave_a_loop_at_different_times_meet_again():
    body = (
        "mov.u32 %r1, 0; LOOP: setp.ge.u32 %p1, %r1, %t; @%p1 bra OUT; add.u32 %r1, %r1, 1; bra LOOP;"
        "OUT: bar.warp.sync 0xffffffff; activemask.b32 %r2; add.u32 %d, %r1, %r2;"
    )
    assert launch(body).tolist() == [(t + 0xFFFFFFFF) % 2**32 for t in range(32)]


def test_early_return_of_some_lanes():
    body = "mov.u32 %d, 1; setp.lt.u32 %p1, %t, 5; @!%p1 bra GO; st.global.u32 [%o], %t; ret; GO:"
    assert launch(body, threads=48).tolist() == [t if t < 5 else 1 for t in range(48)]


def test_blocks_that_are_no_multiple_of_a_warp():
    assert launch("setp.eq.u32 %p1, %t, %t; vote.sync.ballot.b32 %d, %p1, 0xff;", threads=8).tolist() == [255] * 8
    with pytest.raises(BarrierError, match="names lanes that are not there"):
        launch("setp.eq.u32 %p1, %t, %t; vote.sync.ballot.b32 %d, %p1, 0xffffffff;", threads=8)


@pytest.mark.parametrize(
    ("mode", "operand", "control", "source"),
    [
        ("up", 3, 0, lambda t: t - 3 if t >= 3 else t),
        ("down", 5, 31, lambda t: t + 5 if t + 5 < 32 else t),
        ("bfly", 7, 31, lambda t: t ^ 7),
        ("idx", 40, 31, lambda t: 8),
        ("down", 1, 0x1807, lambda t: t + 1 if t % 8 < 7 else t),  # segments of 8 lanes
        ("idx", 2, 0x1807, lambda t: t // 8 * 8 + 2),
    ],
)
def test_shuffle_modes(mode, operand, control, source):
    got = launch(f"mul.lo.u32 %r1, %t, 10; shfl.sync.{mode}.b32 %d|%p1, %r1, {operand}, {control}, 0xffffffff;")
    assert got.tolist() == [10 * source(t) for t in range(32)]
    in_range = launch(f"shfl.sync.{mode}.b32 %r1|%p1, %t, {operand}, {control}, 0xffffffff; selp.u32 %d, 1, 0, %p1;")
    inside = [source(t) != t or mode in ("bfly", "idx") for t in range(32)]
    assert in_range.tolist() == [int(value) for value in inside]


def test_votes_of_two_groups_of_one_warp_that_are_at_the_same_instruction():
    body = (
        "setp.lt.u32 %p1, %t, 16; selp.b32 %r1, 0x0000ffff, 0xffff0000, %p1; setp.eq.u32 %p2, %t, 20; "
        "vote.sync.any.pred %p3, %p2, %r1; selp.u32 %d, 1, 0, %p3;"
    )
    assert launch(body).tolist() == [0] * 16 + [1] * 16


ATOMICS = {
    "add.u32": (lambda old, x: old + x, 3),
    "max.s32": (max, 5),
    "min.u32": (min, 1),
    "and.b32": (lambda old, x: old & x, 6),
    "or.b32": (lambda old, x: old | x, 9),
    "xor.b32": (lambda old, x: old ^ x, 12),
    "exch.b32": (lambda old, x: x, 4),
    "inc.u32": (lambda old, x: 0 if old >= x else old + 1, 4),
    "dec.u32": (lambda old, x: x if old == 0 or old > x else old - 1, 4),
}


@pytest.mark.parametrize("operation", ATOMICS)
def test_atomics_in_lane_order(operation):
    """Lanes of even and odd number work on a word each, in the order of the lanes (which hardware leaves open)."""
    function, operand = ATOMICS[operation]
    body = (
        "and.b32 %r1, %t, 1; shl.b32 %r1, %r1, 2; cvt.u64.u32 %rd2, %r1; mov.u64 %rd1, buffer; "
        "add.u64 %rd1, %rd1, %rd2;"
        "setp.lt.u32 %p1, %t, 2; @%p1 st.shared.u32 [%rd1], 7; bar.sync 0;"
        f"add.u32 %r2, %t, {operand}; shr.u32 %r2, %r2, 1; atom.shared.{operation} %d, [%rd1], %r2;"
    )
    words, expected = [7, 7], []
    for t in range(32):
        expected.append(words[t % 2])
        words[t % 2] = function(words[t % 2], (t + operand) >> 1) % 2**32
    assert launch(body, before=SHARED).tolist() == expected


def test_float_and_64_bit_atomics():
    body = (
        "setp.eq.u32 %p1, %t, 0; @%p1 st.shared.u64 [buffer], 0; bar.sync 0; cvt.rn.f32.u32 %f1, %t;"
        "red.shared.add.f32 [buffer], %f1; bar.sync 0; ld.shared.f32 %f2, [buffer]; cvt.rzi.u32.f32 %r1, %f2;"
        "bar.sync 0; @%p1 st.shared.u64 [buffer], 0; bar.sync 0; cvt.u64.u32 %rd1, %t; shl.b64 %rd1, %rd1, 32;"
        "red.shared.add.u64 [buffer], %rd1; bar.sync 0; ld.shared.u32 %d, [buffer+4]; add.u32 %d, %d, %r1;"
    )
    assert launch(body, before=".shared .align 8 .b8 buffer[128];").tolist() == [2 * 496] * 32


def test_compare_and_swap_succeeds_once():
    body = (
        "setp.eq.u32 %p1, %t, 0; @%p1 st.shared.u32 [buffer], 0; bar.sync 0; add.u32 %r1, %t, 1; "
        "atom.shared.cas.b32 %d, [buffer], 0, %r1;"
    )
    assert launch(body, before=SHARED).tolist() == [0] + [1] * 31


def test_reductions_have_no_result():
    body = (
        "setp.eq.u32 %p1, %t, 0; @%p1 st.shared.u32 [buffer], 0; bar.sync 0; "
        "red.shared.add.u32 [buffer], %t; bar.sync 0; ld.shared.u32 %d, [buffer];"
    )
    assert launch(body, before=SHARED).tolist() == [496] * 32


def test_atomic_on_memory_that_nothing_wrote():
    with pytest.raises(UninitialisedError, match="atomic access of 4 bytes in shared memory that nothing has written"):
        launch("atom.shared.add.u32 %d, [buffer], 1;", before=SHARED)


def test_tables_of_constants():
    before = ".const .align 4 .b8 table[8] = {1, 0, 0, 0, 255, 255, 255, 255}; .global .align 1 .b8 bytes[4] = {9, 8};"
    body = (
        "mov.u64 %rd1, table; ld.const.s32 %r1, [%rd1+4]; mov.u64 %rd2, bytes; "
        "ld.global.nc.u8 %r2, [%rd2+1]; ld.global.u8 %r3, [bytes+3]; add.u32 %d, %r1, %r2; "
        "add.u32 %d, %d, %r3;"
    )
    assert launch(body, before=before).tolist() == [7] * 32


def test_structures_passed_by_value():
    ptx = module(
        ".visible .entry k(.param .align 8 .b8 s[16], .param .u64 out) { .reg .f32 %f<3>; "
        ".reg .b64 %rd<3>; ld.param.u64 %rd1, [out];"
        "ld.param.f32 %f1, [s+4]; ld.param.f32 %f2, [s+12]; add.f32 %f1, %f1, %f2; st.global.f32 [%rd1], %f1; ret; }"
    )
    memory = Memory(1 << 12)
    out = memory.allocate(4)
    Kernel(ptx).launch(memory, 1, 1, [np.array([1, 2, 3, 4], np.float32).tobytes(), out])
    assert memory.read(out, 1, np.float32).tolist() == [6.0]
    with pytest.raises(LaunchError, match="parameter s is a structure of 16 bytes"):
        Kernel(ptx).launch(memory, 1, 1, [b"1234", out])


def test_trap():
    with pytest.raises(
        ExecutionError,
        match=r"the kernel executed a trap\n  PTX line \d+: @%p1 trap\n  block \(1, 0, 0\), thread \(3, 0, 0\)",
    ):
        launch("mov.u32 %d, 0; setp.eq.u32 %p1, %i, 35; @%p1 trap;", blocks=2)


def test_block_larger_than_the_kernel_allows():
    ptx = module(".visible .entry k() .maxntid 64, 1, 1 { ret; }")
    Kernel(ptx).launch(Memory(1 << 12), 1, 64, [])
    with pytest.raises(LaunchError, match=r"65 threads a block \(65, 1, 1\), at most 64 are possible"):
        Kernel(ptx).launch(Memory(1 << 12), 1, 65, [])


def test_values_that_nothing_set_are_poison():
    assert launch("mov.u32 %d, %r5;").tolist() == [0xCDCDCDCD] * 32
    assert launch("setp.nan.f32 %p1, %f3, %f3; selp.u32 %d, 1, 0, %p1;").tolist() == [1] * 32


def test_blocks_with_different_numbers_of_barriers():
    """Block b goes b + 1 times through a loop with two barriers, and counts in shared memory."""
    body = (
        "setp.eq.u32 %p1, %t, 0; @%p1 st.shared.u32 [buffer], 0; bar.sync 0; mov.u32 %r1, 0;"
        "LOOP: ld.shared.u32 %r2, [buffer]; bar.sync 0; add.u32 %r2, %r2, 1; @%p1 st.shared.u32 [buffer], %r2;"
        "bar.sync 0; add.u32 %r1, %r1, 1; setp.le.u32 %p2, %r1, %b; @%p2 bra LOOP; ld.shared.u32 %d, [buffer];"
    )
    for order_seed in (None, 0, 1):
        got = launch(body, threads=64, blocks=5, before=SHARED, order_seed=order_seed)
        assert got.reshape(5, 64).tolist() == [[b + 1] * 64 for b in range(5)]


def test_asynchronous_copies_that_are_all_waited_for():
    body = (
        "st.global.u32 [%o], %t; bar.sync 0; shl.b32 %r1, %t, 2; mov.u32 %r2, buffer; add.u32 %r1, %r1, %r2;"
        "cp.async.ca.shared.global [%r1], [%o], 4, {used}; {wait} ld.shared.u32 %d, [%r1];"
    )
    assert launch(body.format(used=4, wait="cp.async.wait_all;"), before=SHARED).tolist() == list(range(32))
    assert launch(body.format(used=0, wait="cp.async.wait_all;"), before=SHARED).tolist() == [0] * 32
    assert launch(body.format(used=1, wait="cp.async.wait_all;"), before=SHARED).tolist() == list(range(32))
    with pytest.raises(UninitialisedError, match="that a copy \\(cp.async\\) in flight will write"):
        launch(body.format(used=4, wait="cp.async.commit_group;"), before=SHARED)


def test_partial_asynchronous_copies_fill_with_zeros():
    body = (
        "mov.u32 %r1, 0x04030201; st.global.u32 [%o], %r1; bar.sync 0; shl.b32 %r2, %t, 2; mov.u32 %r3, buffer;"
        "add.u32 %r2, %r2, %r3; and.b32 %r4, %t, 3; cp.async.ca.shared.global [%r2], [%o], 4, %r4;"
        "cp.async.wait_all; ld.shared.u32 %d, [%r2];"
    )
    assert launch(body, before=SHARED).tolist() == [0, 0x01, 0x0201, 0x030201] * 8


def test_generic_atomics():
    body = (
        "setp.eq.u32 %p1, %t, 0; @%p1 st.shared.u32 [buffer], 5; bar.sync 0; mov.u64 %rd1, buffer;"
        "cvta.shared.u64 %rd1, %rd1; atom.add.u32 %d, [%rd1], 1;"
    )
    assert launch(body, before=SHARED).tolist() == [5 + t for t in range(32)]


def test_shared_access_of_a_kernel_that_declares_none():
    with pytest.raises(OutOfBoundsError, match="outside shared memory at offset 64; the kernel declares none"):
        launch("mov.u32 %r1, 64; ld.shared.u32 %d, [%r1];")


def test_read_of_the_same_word_by_all_blocks_and_a_write_by_one():
    body = "ld.param.u64 %rd1, [out]; st.global.u32 [%o], %t; ld.global.u32 %r1, [%rd1]; mov.u32 %d, %t;"
    with pytest.raises(RaceError, match=r"this read and the write by block \(0, 0, 0\), thread \(0, 0, 0\)"):
        launch(body, blocks=2)
    body = (
        "mov.u64 %rd2, table; ld.global.u32 %r1, [%rd2]; setp.eq.u32 %p1, %i, 0; @%p1 st.global.u32 [%rd2], 3;"
        "mov.u32 %d, 0;"
    )
    with pytest.raises(RaceError, match=r"this write and the read by block \(\d, 0, 0\) \(and others\) at PTX line"):
        launch(body, blocks=3, before=".global .align 4 .b8 table[4] = {1, 2, 3, 4};")


def test_launches_too_large_for_the_race_tables():
    ptx = module(".visible .entry k() { ret; }")
    with pytest.raises(LaunchError, match=r"in launches of up to 2\^18 blocks: launch with races=False"):
        Kernel(ptx).launch(Memory(1 << 12), 1 << 19, 1, [])
    Kernel(ptx).launch(Memory(1 << 12), 1 << 19, 1, [], races=False)
    long = module(".visible .entry k() { .reg .b32 %r; " + "mov.u32 %r, 1; " * 8200 + "ret; }")
    with pytest.raises(LaunchError, match=r"kernels of up to 2\^13 instructions"):
        Kernel(long).launch(Memory(1 << 12), 1, 1, [])


def test_more_barriers_than_the_race_tables_can_tell_apart(monkeypatch):
    monkeypatch.setattr("fastcnn_kernels.emulator.races._TICK_BITS", 3)
    body = (
        "mov.u32 %r1, 0; LOOP: bar.sync 0; add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 9; @%p1 bra LOOP;"
        "mov.u32 %d, %r1;"
    )
    with pytest.raises(LaunchError, match=r"more than 2\^3 barriers in one launch"):
        launch(body)

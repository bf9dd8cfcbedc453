"""Matrix fragments of mma.sync and ldmatrix against two descriptions of the same layouts: CUTLASS's and the PTX ISA's.

CUTLASS (include/cute/atom/mma_traits_sm80.hpp) gives, for thread (t0, t1) of (4, 8) and value (v0, v1, ...) of (2,
2, ...), the position of an element in a matrix stored column by column, as a sum of strides.
"""

from __future__ import annotations

import numpy as np
import pytest
from fastcnn_kernels.emulator import Counters, Kernel, Memory, UninitialisedError, collectives

from .snippets import module

LANES = np.arange(32)


def position(thread_strides, value_strides):
    """(32, values) positions."""
    threads = LANES % 4 * thread_strides[0] + LANES // 4 * thread_strides[1]
    values = np.arange(2 ** len(value_strides))
    return threads[:, None] + sum((values >> bit & 1) * stride for bit, stride in enumerate(value_strides))


#: kind -> (rows of a, k, layout of a, layout of b (n by k), layout of c)
LAYOUTS = {
    ("m16n8k8", "tf32"): (8, ((16, 1), (8, 64)), ((8, 1), (32,)), ((32, 1), (16, 8))),
    ("m16n8k16", "bf16"): (16, ((32, 1), (16, 8, 128)), ((16, 1), (8, 64)), ((32, 1), (16, 8))),
    ("m16n8k16", "f16"): (16, ((32, 1), (16, 8, 128)), ((16, 1), (8, 64)), ((32, 1), (16, 8))),
}


def registers(elements, kind):
    """Elements (32, n) of float32 as the 32-bit registers that hold them."""
    if kind == "tf32":
        return elements.view(np.uint32)
    if kind == "f16":
        return np.ascontiguousarray(elements.astype(np.float16)).view(np.uint32)
    return np.ascontiguousarray((elements.view(np.uint32) >> 16).astype(np.uint16)).view(np.uint32)


@pytest.mark.parametrize(("shape", "kind"), LAYOUTS)
def test_matrix_product(shape, kind):
    k, a_layout, b_layout, c_layout = LAYOUTS[shape, kind]
    rng = np.random.default_rng(2)
    a, b, c = (rng.integers(-8, 8, extent).astype(np.float32) for extent in ((16, k), (k, 8), (16, 8)))
    # integers of this size are exact in all three formats; column by column is the transpose's order
    fragments = [
        a.T.reshape(-1)[position(*a_layout)],
        b.reshape(-1)[position(*b_layout)],
        c.T.reshape(-1)[position(*c_layout)],
    ]
    operands = [registers(fragments[0], kind)[None], registers(fragments[1], kind)[None], fragments[2][None]]
    got = collectives.matrix_multiply(shape, kind, *operands)
    assert np.array_equal(got[0], (a @ b + c).T.reshape(-1)[position(*c_layout)])


# ------ the formulas of the PTX ISA 9.0, 9.7.14.5.4 and 9.7.14.5.8, element by element: (row, column) of element i


def tf32_a(group, member, i):
    return group if i in (0, 2) else group + 8, member if i in (0, 1) else member + 4


def tf32_b(group, member, i):
    return member if i == 0 else member + 4, group


def half_a(group, member, i):
    return group if 0 <= i < 2 or 4 <= i < 6 else group + 8, member * 2 + (i & 1) if i < 4 else member * 2 + (i & 1) + 8


def half_b(group, member, i):
    return member * 2 + (i & 1) if i < 2 else member * 2 + (i & 1) + 8, group


def accumulator(group, member, i):
    return group if i < 2 else group + 8, member * 2 + (i & 1)


MANUAL = {
    ("m16n8k8", "tf32"): (8, tf32_a, tf32_b),
    ("m16n8k16", "bf16"): (16, half_a, half_b),
    ("m16n8k16", "f16"): (16, half_a, half_b),
}


def spread(matrix, place, elements):
    """(32, elements): what each lane holds of a matrix."""
    return np.array([[matrix[place(lane >> 2, lane % 4, i)] for i in range(elements)] for lane in range(32)])


@pytest.mark.parametrize(("shape", "kind"), MANUAL)
def test_matrix_product_by_the_manuals_formulas(shape, kind):
    k, a_place, b_place = MANUAL[shape, kind]
    rng = np.random.default_rng(3)
    a, b, c = (rng.integers(-8, 8, extent).astype(np.float32) for extent in ((16, k), (k, 8), (16, 8)))
    left = registers(spread(a, a_place, k // 2), kind)[None]
    right = registers(spread(b, b_place, k // 4), kind)[None]
    got = collectives.matrix_multiply(shape, kind, left, right, spread(c, accumulator, 4)[None])
    assert np.array_equal(got[0], spread(a @ b + c, accumulator, 4))


# ------ whole instructions in a kernel: one warp, a word a lane


def warp(body, words):
    """What 32 lanes store from %d<n> after `body`, of shape (32, words); in[lane] is at [%x], out[words * lane] at [%y]."""
    declared = (
        ".reg .b64 %x, %y;\n.reg .b32 %t, %s, %p, %k, %d<4>, %r<8>;\n.reg .pred %q;\n"
        ".shared .align 16 .b8 tile[2048];\n"
        "ld.param.u64 %x, [p_x]; ld.param.u64 %y, [p_y]; mov.u32 %t, %tid.x; mov.u32 %s, tile;\n"
    )
    stores = "".join(f"st.global.u32 [%y+{4 * i}], %d{i};\n" for i in range(words))
    address = f"mad.wide.u32 %y, %t, {4 * words}, %y;\n"
    ptx = module(f".visible .entry k(.param .u64 p_x, .param .u64 p_y)\n{{\n{declared}{body}\n{address}{stores}ret;\n}}")
    memory, counters = Memory(1 << 16), Counters()
    x, y = memory.allocate(4096, "x"), memory.allocate(4 * 32 * words, "y")
    memory.write(x, np.arange(1024, dtype=np.uint32))
    Kernel(ptx).launch(memory, 1, 32, [x, y], counters=counters)
    return memory.read(y, (32, words), np.uint32), counters


#: four matrices of 16-bit elements in shared memory, 512 bytes from x, one after the other
FILL = (
    "mad.wide.u32 %x, %t, 16, %x; mad.lo.u32 %p, %t, 16, %s;\n"
    "cp.async.cg.shared.global [%p], [%x], 16; cp.async.wait_all; bar.warp.sync 0xffffffff;\n"
)


@pytest.mark.parametrize("transposed", ["", ".trans"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_ldmatrix_takes_its_rows_from_the_lanes_that_address_them(count, transposed):
    """PTX ISA, ldmatrix: threads 8i to 8i + 7 address the rows of matrix i; here row r of it is line 8i + 7 - r."""
    targets = ", ".join(f"%d{i}" for i in range(count))
    body = (
        f"{FILL} xor.b32 %k, %t, 7; mad.lo.u32 %p, %k, 16, %s;\n"
        f"ldmatrix.sync.aligned.m8n8.x{count}{transposed}.shared.b16 {{{targets}}}, [%p];"
    )
    got, counters = warp(body, count)
    halves = np.arange(128, dtype=np.uint32).view(np.uint16).reshape(4, 8, 8)[:, ::-1]
    for lane in range(32):
        for i in range(count):
            matrix = halves[i].T if transposed else halves[i]
            pair = matrix[lane // 4, 2 * (lane % 4) : 2 * (lane % 4) + 2]
            assert got[lane, i] == int(pair[0]) | int(pair[1]) << 16
    (traffic,) = (row for row in counters.traffic.values() if "ldmatrix" in row.text)
    assert (traffic.served, traffic.ideal) == (count, count)


def test_rows_of_a_matrix_in_the_same_banks_are_counted():
    """Rows 128 bytes apart all lie in banks 0 to 3: eight wavefronts a matrix. Swizzled by their number they lie apart."""
    fill = "".join(
        f"mad.lo.u32 %p, %t, 16, %s; add.u32 %p, %p, {512 * i}; cp.async.cg.shared.global [%p], [%x], 16;\n" for i in range(4)
    )
    load = "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%d0}, [%p];"
    for place, wavefronts in (("mov.u32 %k, 0;", 8), ("mul.lo.u32 %k, %r0, 16;", 1)):
        rows = f"and.b32 %r0, %t, 7; {place} mad.lo.u32 %p, %r0, 128, %s; add.u32 %p, %p, %k;\n"
        _, counters = warp(f"{fill} cp.async.wait_all; bar.warp.sync 0xffffffff;\n{rows}{load}", 1)
        (traffic,) = (row for row in counters.traffic.values() if "ldmatrix" in row.text)
        assert (traffic.served, traffic.ideal) == (wavefronts, 1)


@pytest.mark.parametrize(("size", "cache"), [(4, "ca"), (8, "ca"), (16, "ca"), (16, "cg")])
def test_copies_of_every_size_are_counted_on_both_sides_and_zero_filled(size, cache):
    """Half of the lanes copy `size` bytes, the others none: half of the sectors are read, everything is written."""
    body = (
        f"mad.wide.u32 %x, %t, {size}, %x; mad.lo.u32 %p, %t, {size}, %s; and.b32 %k, %t, 16;\n"
        f"setp.eq.u32 %q, %k, 0; selp.u32 %k, {size}, 0, %q;\n"
        f"cp.async.{cache}.shared.global [%p], [%x], {size}, %k; cp.async.commit_group; cp.async.wait_group 0;\n"
        "ld.shared.u32 %d0, [%p];"
    )
    got, counters = warp(body, 1)
    expected = np.where(np.arange(32) < 16, np.arange(32) * size // 4, 0)
    assert np.array_equal(got[:, 0], expected)
    copies = {row.space: row for row in counters.traffic.values() if row.text.startswith("cp.async")}
    assert copies["global"].served == 16 * size // 32
    assert copies["shared"].served == copies["shared"].ideal == size // 4


def test_groups_of_copies_land_in_the_order_in_which_they_were_committed():
    body = (
        "mad.wide.u32 %x, %t, 4, %x; mad.lo.u32 %p, %t, 4, %s;\n"
        "cp.async.ca.shared.global [%p], [%x], 4; cp.async.commit_group;\n"
        "cp.async.ca.shared.global [%p+128], [%x+128], 4; cp.async.commit_group;\n"
        "cp.async.wait_group 1; ld.shared.u32 %d0, [%p{offset}];"
    )
    assert np.array_equal(warp(body.format(offset=""), 1)[0][:, 0], np.arange(32))
    with pytest.raises(UninitialisedError, match="in flight"):
        warp(body.format(offset="+128"), 1)


def test_tf32_ignores_the_lowest_13_bits():
    a = np.full((1, 32, 4), 0x3F801FFF, np.uint32)
    b = np.full((1, 32, 2), 0x3F800000, np.uint32)
    got = collectives.matrix_multiply("m16n8k8", "tf32", a, b, np.zeros((1, 32, 4), np.float32))
    assert np.array_equal(got, np.full((1, 32, 4), 8.0))


@pytest.mark.parametrize("transposed", [False, True])
def test_ldmatrix_gives_each_lane_two_neighbours_of_a_row(transposed):
    """PTX ISA, ldmatrix: lane l receives of row l / 4 the elements 2 * (l % 4) and the next."""
    rows = np.arange(2 * 4 * 64, dtype=np.uint16).reshape(2, 4, 8, 8)
    got = np.ascontiguousarray(collectives.matrix_rows(rows, transposed)).view(np.uint16).reshape(2, 32, 4, 2)
    for warp in range(2):
        for lane in range(32):
            for matrix in range(4):
                stored = rows[warp, matrix].T if transposed else rows[warp, matrix]
                pair = stored[lane // 4, 2 * (lane % 4) :][:2]
                assert got[warp, lane, matrix].tolist() == pair.tolist()

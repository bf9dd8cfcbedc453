"""Matrix fragments of mma.sync and ldmatrix against a second description of the same layouts: CUTLASS's.

CUTLASS (include/cute/atom/mma_traits_sm80.hpp) gives, for thread (t0, t1) of (4, 8) and value (v0, v1, ...) of (2,
2, ...), the position of an element in a matrix stored column by column, as a sum of strides.
"""

from __future__ import annotations

import numpy as np
import pytest
from fastcnn_kernels.emulator import collectives

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

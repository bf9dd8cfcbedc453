"""How work is cut into blocks: the rules that every launch uses, from shapes to grids."""

MAX_BLOCKS = 4096
"""Blocks of an elementwise launch at most: enough to fill any GPU several times; the rest is done by striding."""
SHARED_BYTES, WORD = 48 << 10, 4
"""Shared memory that every GPU gives a block without being asked for it, and bytes of a number."""


def ceil_div(a: int, b: int) -> int:
    """a / b rounded up."""
    return -(-a // b)


def elementwise_grid(elements: int, threads: int) -> int:
    """Blocks for a grid-stride loop."""
    return max(1, min(MAX_BLOCKS, ceil_div(elements, threads)))


def quad_grid(elements: int, threads: int) -> int:
    """Blocks for a grid-stride loop in which a thread takes four elements at once."""
    return elementwise_grid(ceil_div(elements, 4), threads)

"""Static memory planning: what `place` promises, for any list of buffers."""

from fastcnn_kernels.memory import ALIGNMENT, Block, place
from hypothesis import given
from hypothesis import strategies as st

# A geometry stands for one layout, so its blocks have one size.
SIZES = {None: None, "a": 640, "b": 100, "c": 64}


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    first = draw(st.integers(0, 12))
    geometry = draw(st.sampled_from([None, None, *list(SIZES)[1:]]))
    nbytes = SIZES[geometry] or draw(st.integers(1, 1000))
    return Block(nbytes, first, first + draw(st.integers(0, 6)), geometry)


def share_bytes(a: Block, b: Block) -> bool:
    return a.offset < b.offset + b.nbytes and b.offset < a.offset + a.nbytes


def pairs(placed: list[Block]) -> list[tuple[int, int]]:
    return [(i, j) for j in range(len(placed)) for i in range(j)]


@given(st.lists(blocks(), max_size=20))
def test_blocks_that_exist_at_one_time_share_no_byte(placed):
    place(placed)
    for i, j in pairs(placed):
        assert not (placed[i].overlaps(placed[j]) and share_bytes(placed[i], placed[j]))


@given(st.lists(blocks(), max_size=20))
def test_a_block_with_a_geometry_shares_bytes_only_with_its_own_kind(placed):
    geometries = [block.geometry for block in placed]
    place(placed)
    for i, j in pairs(placed):
        if geometries[i] != geometries[j]:
            assert not share_bytes(placed[i], placed[j])
        elif geometries[i] is not None and share_bytes(placed[i], placed[j]):
            assert placed[i].offset == placed[j].offset


@given(st.lists(blocks(), max_size=20))
def test_the_arena_holds_every_block_on_cache_lines(placed):
    size = place(placed)
    assert size % ALIGNMENT == 0
    assert all(block.offset >= 0 and block.offset % ALIGNMENT == 0 for block in placed)
    assert all(block.offset + block.nbytes <= size for block in placed)


@given(st.lists(blocks(), max_size=20))
def test_the_arena_is_no_larger_than_all_blocks_together(placed):
    assert place(placed) <= sum(-(-block.nbytes // ALIGNMENT) * ALIGNMENT for block in placed)


def test_a_chain_of_layers_needs_two_buffers():
    layers = [Block(1024, i, i + 1) for i in range(20)]
    assert place(layers) == 2048


def test_a_chain_of_layers_of_one_geometry_needs_two_buffers():
    layers = [Block(1024, i, i + 1, "halo") for i in range(20)]
    assert place(layers) == 2048


def test_a_small_block_goes_into_the_smallest_gap_that_holds_it():
    wide, narrow, small = Block(4096, 0, 0), Block(2048, 0, 9), Block(64, 1, 9)
    assert place([wide, narrow, small]) == 4096 + 2048
    assert small.offset < 4096


def test_no_blocks_need_no_memory():
    assert place([]) == 0

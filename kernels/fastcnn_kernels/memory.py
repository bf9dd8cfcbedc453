"""Static memory planning: place buffers with known lifetimes at offsets of one arena, so that memory is reused."""

from collections.abc import Iterable
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass
class Block:
    """A buffer to place: its size in bytes and the first and last moment (inclusive) at which it must exist.

    Blocks with a `geometry` share memory only with blocks of the same geometry: their zeroed halos must stay zero, so
    their place may not be overwritten by anything that is laid out differently.
    """

    nbytes: int
    first: int
    last: int
    geometry: object = None
    offset: int = -1

    def overlaps(self, other: "Block") -> bool:
        """Whether both exist at some moment."""
        return self.first <= other.last and other.first <= self.last


def place(blocks: Iterable[Block]) -> int:
    """Set every block's offset and return the size of the arena.

    Greedy best fit by size (Pisarchyk and Lee 2020, "greedy by size"): the largest block first, each in the smallest
    gap between the blocks that exist at the same time. Blocks of one geometry first share slots among themselves.
    """
    free: list[Block] = []
    geometries: dict[object, list[Block]] = {}
    for block in blocks:
        (free if block.geometry is None else geometries.setdefault(block.geometry, [])).append(block)
    owners = [owner for group in geometries.values() for owner in _share(group)]
    placed: list[Block] = []
    for block in sorted([*free, *owners], key=lambda b: (-b.nbytes, b.first)):
        block.offset = _best_gap(block, sorted((p for p in placed if p.overlaps(block)), key=lambda p: p.offset))
        placed.append(block)
    for group in geometries.values():
        for block in group:
            block.offset = block.geometry.offset if isinstance(block.geometry, Block) else block.offset
    return max((_aligned(block.offset + block.nbytes) for block in placed), default=0)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _share(group: list[Block]) -> list[Block]:
    """Give blocks of one geometry, by first use, to slots that are free again; a slot lives as long as the program."""
    slots: list[tuple[Block, list[Block]]] = []
    for block in sorted(group, key=lambda b: b.first):
        slot, users = next((s for s in slots if not any(block.overlaps(user) for user in s[1])), (None, []))
        if slot is None:
            slot = Block(block.nbytes, -1, 1 << 62)
            slots.append((slot, users))
        users.append(block)
        block.geometry = slot
    return [slot for slot, _ in slots]


def _best_gap(block: Block, neighbours: list[Block]) -> int:
    best, best_size, end = None, 0, 0
    for neighbour in neighbours:
        gap = neighbour.offset - end
        if gap >= block.nbytes and (best is None or gap < best_size):
            best, best_size = end, gap
        end = max(end, _aligned(neighbour.offset + neighbour.nbytes))
    return end if best is None else best

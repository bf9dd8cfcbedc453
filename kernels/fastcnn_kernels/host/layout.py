"""Where the elements of a tensor lie in the memory of the CPU.

A batch tensor (N, D, H, W, C) is stored in blocks of 16 channels, NCHW16c, each plane surrounded by a halo of zeros that
stands for the padding of a convolution:

    [N][ceil(C/16)][halo + D + halo][halo + H + halo][halo + W + halo][16]

The lanes beyond C in the last block hold anything: no op lets them reach a logical element. A picture of few channels that
only the first convolution reads is packed instead, channels-last without padding lanes: [N][D][H][W][C] with its halo, a
sixteenth of the memory where C = 1. A dense tensor (N, F) is the 1x1x1 image with F channels. A parameter has its last axis
padded to a multiple of 16: (..., ceil16(C)).
"""

import math
from dataclasses import dataclass

from ..simd import LANES

Halo = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
NO_HALO: Halo = ((0, 0), (0, 0), (0, 0))
FEW_CHANNELS = 4
"""The most channels that a packed tensor has."""


def blocks_of(channels: int) -> int:
    """Number of blocks of 16 that hold `channels`."""
    return -(-channels // LANES)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(D, H, W, C) of a batch tensor's logical shape (N, [D, [H,]] [W,] C); (N,) is one channel. Rank at most 5."""
    inner = shape[1:] if len(shape) > 1 else (1,)
    if len(inner) > 4:
        inner = (math.prod(inner[:-3]), *inner[-3:])
    return (*(1,) * (4 - len(inner)), *inner)  # type: ignore[return-value]


def union(first: Halo, second: Halo) -> Halo:
    """The smallest halo that contains both."""
    return tuple(  # type: ignore[return-value]
        (max(a[0], b[0]), max(a[1], b[1])) for a, b in zip(first, second, strict=True)
    )


@dataclass(frozen=True)
class Layout:
    """Strides, in bytes, of a batch tensor."""

    depth: int
    height: int
    width: int
    channels: int
    halo: Halo
    itemsize: int
    packed: bool = False

    @property
    def blocks(self) -> int:
        return blocks_of(self.channels)

    @property
    def pixel(self) -> int:
        return (self.channels if self.packed else LANES) * self.itemsize

    @property
    def row(self) -> int:
        return (self.width + sum(self.halo[2])) * self.pixel

    @property
    def plane(self) -> int:
        return (self.height + sum(self.halo[1])) * self.row

    @property
    def block(self) -> int:
        return (self.depth + sum(self.halo[0])) * self.plane

    @property
    def sample(self) -> int:
        return self.blocks * self.block

    @property
    def origin(self) -> int:
        """Bytes from the start of a sample to its first logical element."""
        return self.halo[0][0] * self.plane + self.halo[1][0] * self.row + self.halo[2][0] * self.pixel

    @property
    def pixels(self) -> int:
        """Logical pixels of a sample."""
        return self.depth * self.height * self.width

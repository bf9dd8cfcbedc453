"""Where a convolution's pixels meet, in whole numbers only: shared by every backend that writes its own loops.

    Axis           one spatial axis: extents, stride, dilation, padding, and what follows from them
    Phase          the pixels of an axis that see the same taps of the kernel in the data gradient
    Convolution    three axes, channels and groups
    convolution    made from the shapes of x and w; 1-D and 2-D images get leading axes of extent 1
    matrix         a dense layer as the 1x1x1 convolution whose pixels are samples and positions

"tap" is a position of the kernel, as in filter theory; k is its index, the offset k*dilation - before its place in x.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..api import Extents, Padding

Tap = tuple[int, tuple[int, int, int]]
"""(number of the tap in row-major order, place that it reads relative to the pixel)."""
Border = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


WORTHWHILE, MOST_CUTS = 1.15, 7


@dataclass(frozen=True)
class Phase:
    """Pixels first, first + stride, ... (`count` of them) of x. The j-th takes the gradient of output j + shift under tap k,
    for every (k, shift) in `taps`."""

    first: int
    count: int
    taps: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Axis:
    """One spatial axis: output o reads x[o*stride + k*dilation - before] for every tap k < kernel."""

    extent: int
    kernel: int
    stride: int
    dilation: int
    before: int
    outputs: int

    @property
    def offsets(self) -> tuple[int, ...]:
        """What each tap adds to o*stride."""
        return tuple(k * self.dilation - self.before for k in range(self.kernel))

    @property
    def halo(self) -> tuple[int, int]:
        """Pixels before and after x that are read."""
        last = (self.outputs - 1) * self.stride + self.offsets[-1]
        return max(0, self.before), max(0, last - (self.extent - 1))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The residues of x's pixels modulo the stride, each cut further where its pixels see fewer taps near the border if
        that saves work: otherwise they read zeros around dz there."""
        whole = [self._phase(first) for first in range(min(self.stride, self.extent))]
        cut = [part for phase in whole for part in self._cut(phase)]
        saves = _products(whole) > WORTHWHILE * _products(cut) and len(cut) <= MOST_CUTS * len(whole)
        return tuple(cut if saves else whole)

    def _phase(self, first: int) -> Phase:
        shifts = ((k, first - offset) for k, offset in enumerate(self.offsets))
        taps = tuple((k, shift // self.stride) for k, shift in shifts if shift % self.stride == 0)
        return Phase(first, -(-(self.extent - first) // self.stride), taps)

    def _cut(self, phase: Phase) -> Iterator[Phase]:
        """The runs of a phase's pixels that see the same taps within the output."""
        ends = {0, phase.count, *(end for _, shift in phase.taps for end in (-shift, self.outputs - shift))}
        for begin, end in itertools.pairwise(sorted(end for end in ends if 0 <= end <= phase.count)):
            seen = ((k, shift + begin) for k, shift in phase.taps)
            taps = tuple((k, shift) for k, shift in seen if 0 <= shift < self.outputs)
            yield Phase(phase.first + begin * self.stride, end - begin, taps)

    @property
    def gradient_halo(self) -> tuple[int, int]:
        """Pixels before and after the output whose gradients, all zero, the data gradient reads."""
        reads = [(shift, shift + phase.count - 1) for phase in self.phases for _, shift in phase.taps]
        first, last = min((r[0] for r in reads), default=0), max((r[1] for r in reads), default=0)
        return max(0, -first), max(0, last - (self.outputs - 1))


def _products(phases: Sequence[Phase]) -> int:
    return sum(phase.count * len(phase.taps) for phase in phases)


@dataclass(frozen=True)
class Convolution:
    """Axes D, H, W; w is (Kd, Kh, Kw, channels_in / groups, channels_out)."""

    axes: tuple[Axis, Axis, Axis]
    channels_in: int
    channels_out: int
    groups: int

    @property
    def kernel(self) -> tuple[int, int, int]:
        return self._each("kernel")

    @property
    def strides(self) -> tuple[int, int, int]:
        return self._each("stride")

    @property
    def extents(self) -> tuple[int, int, int]:
        return self._each("extent")

    @property
    def outputs(self) -> tuple[int, int, int]:
        return self._each("outputs")

    @property
    def halo(self) -> Border:
        """The border of x that is read."""
        return self._each("halo")

    @property
    def gradient_halo(self) -> Border:
        """The border of dz that the data gradient reads."""
        return self._each("gradient_halo")

    @property
    def taps(self) -> list[Tap]:
        """Every tap and where it reads relative to output*stride."""
        return list(enumerate(itertools.product(*self._each("offsets"))))

    def phases(self) -> Iterator[tuple[tuple[Phase, Phase, Phase], list[Tap]]]:
        """The phases of the data gradient and, for each, the taps that its pixels see and where these read in dz."""
        for phases in itertools.product(*self._each("phases")):
            taps = itertools.product(*(phase.taps for phase in phases))
            yield phases, [(self._number([k for k, _ in tap]), tuple(shift for _, shift in tap)) for tap in taps]

    def _each(self, name: str) -> tuple:
        return tuple(getattr(axis, name) for axis in self.axes)

    def _number(self, tap: Sequence[int]) -> int:
        _, height, width = self.kernel
        return (tap[0] * height + tap[1]) * width + tap[2]


def convolution(
    x_shape: Sequence[int], w_shape: Sequence[int], *, strides: Extents, padding: Padding, dilation: Extents, groups: int,
    window: Extents | None = None,
) -> Convolution:
    """The geometry of api.conv_forward. With a pool's `window`, only outputs in whole windows count."""
    rank = len(w_shape) - 2
    columns = zip(x_shape[1:-1], w_shape[:-2], strides, dilation, padding, window or (1,) * rank, strict=True)
    axes = [Axis(1, 1, 1, 1, 0, 1)] * (3 - rank) + [_axis(*column) for column in columns]
    return Convolution((axes[0], axes[1], axes[2]), x_shape[-1], w_shape[-1], groups)


def _axis(extent: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int], window: int) -> Axis:
    outputs = (extent + sum(padding) - (kernel - 1) * dilation - 1) // stride + 1
    return Axis(extent, kernel, stride, dilation, padding[0], outputs // window * window)


def matrix(x_shape: Sequence[int], w_shape: Sequence[int]) -> Convolution:
    """x (N, ..., Fi) times w (Fi, Fo)."""
    positions = tuple(x_shape[1:-1])
    extents = (1,) * (3 - len(positions)) + (math.prod(positions[:-2]),) * (len(positions) > 2) + positions[-2:]
    axes = [Axis(extent, 1, 1, 1, 0, extent) for extent in extents]
    return Convolution((axes[0], axes[1], axes[2]), w_shape[0], w_shape[1], 1)

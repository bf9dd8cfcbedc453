"""Strided convolutions as unstrided ones of more channels and fewer taps, for Winograd's algorithm.

Every square of stride x stride pixels becomes one pixel of stride^2 times the channels: the polyphase components of x, "space
to depth". A filter of K taps an axis becomes one of ceil(K / stride) taps, some of them 0 for some channels:

    y[o] = sum_k w[k] x[o s + k - before] = sum_j sum_p w[j s + p] x'[o + j, p],    x'[u, p] = x[u s + p - before]

    choose              the unstrided convolution and its tile, where this takes enough fewer products
    forward, backward   as in winograd.py, but for dx: what begins a network for photographs is where this pays
"""

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..api import Tensor
from ..host.layout import blocks_of
from ..simd import LANES
from . import winograd
from .filtering import Tile
from .geometry import Axis, Convolution
from .polyphase_kernels import space_to_depth
from .tables import Once, Table, address, pixel_grid, pixel_table, row_offsets
from .weights import gather


@dataclass(frozen=True)
class Polyphase:
    """A strided convolution and its unstrided twin, with a tile for that."""

    strided: Convolution
    unstrided: Convolution
    tile: Tile

    def image(self, plan: Any, x: Tensor) -> Tensor:
        """x' of all samples."""
        c, q = self.strided, self.unstrided
        plan.halo(x, tuple(_halo(axis, twin) for axis, twin in zip(c.axes, q.axes, strict=True)))
        image, pixels = plan.scratch("phases", (plan.batch_size, *q.extents, q.channels_in)), pixel_grid(q.extents)
        corner = -np.array([axis.before for axis in c.axes])
        depth, height, width = map(range, c.strides)
        phases = [(0, phase) for phase in product(depth, height, width)]

        def build(at: Any) -> list[Table]:
            lanes = row_offsets(at.layout(x), phases, range(c.channels_in)).reshape(-1)
            in_x = pixel_table(at.layout(x), pixels * np.array(c.strides) + corner, 1)
            return [in_x, pixel_table(at.layout(image), pixels, 1), np.ascontiguousarray(lanes)]

        tables = Once(build)

        def arguments(at: Any) -> list[int]:
            in_x, in_image, lanes = tables(at)
            target = at.layout(image)
            return [
                at(x), at.layout(x).sample, address(in_x), at(image), target.sample, target.block, address(in_image),
                len(pixels), address(lanes), len(lanes),
            ]  # fmt: skip

        plan.launch(space_to_depth, arguments, reads=[x], writes=[image], packed=[x])
        return image

    def weights(self, plan: Any, w: Tensor) -> Tensor:
        """w', 0 under taps that w does not have."""
        target = self.gradient(plan)
        gather(plan, w, target, Once(lambda at: self._places()[0]))
        return target

    def gradient(self, plan: Any) -> Tensor:
        """Room for w' or its gradient."""
        q = self.unstrided
        lanes = LANES * blocks_of(q.channels_out)
        return plan.scratch("filters", (prod(q.kernel) * q.channels_in * lanes,), kind="plain")

    def collect(self, plan: Any, gradient: Tensor, dw: Tensor) -> None:
        """dw from the gradient of w'."""
        gather(plan, gradient, dw, Once(lambda at: self._places()[1]))

    def _places(self) -> tuple[Table, Table]:
        """The element of w that each of w' is, -1 for none, and the other way round; elements as they lie in memory."""
        c, q = self.strided, self.unstrided
        lanes = LANES * blocks_of(c.channels_out)
        of_w, of_twin = (np.arange(prod(k.kernel) * k.channels_in * lanes).reshape(*k.kernel, -1, lanes) for k in (c, q))
        in_w, in_twin = np.full_like(of_twin, -1), np.empty_like(of_w)
        for tap in product(*map(range, c.kernel)):
            place, phase = zip(*map(divmod, tap, c.strides), strict=True)
            first = np.ravel_multi_index(phase, c.strides) * c.channels_in
            here = (*place, slice(first, first + c.channels_in))
            in_w[here], in_twin[tap] = of_w[tap], of_twin[here]
        return in_w.reshape(-1), in_twin.reshape(-1)


def choose(plan: Any, c: Convolution, window: tuple[int, int, int]) -> Polyphase | None:
    """The unstrided twin of a convolution and the max pool behind it, with the tile that winograd.choose takes for it."""
    if max(c.strides) == 1 or c.groups > 1 or any(axis.dilation > 1 or axis.before < 0 for axis in c.axes):
        return None
    depth, height, width = map(_unstrided, c.axes)
    twin = replace(c, axes=(depth, height, width), channels_in=prod(c.strides) * c.channels_in)
    tile = winograd.choose(plan, twin, window)
    return Polyphase(c, twin, tile) if tile and _fewer(c, twin, tile) else None


def _unstrided(axis: Axis) -> Axis:
    taps = -(-axis.kernel // axis.stride)
    return Axis(axis.outputs + taps - 1, taps, 1, 1, 0, axis.outputs)


def _fewer(c: Convolution, twin: Convolution, tile: Tile) -> bool:
    products = prod(winograd.tiles_of(twin, tile)) * tile.frequencies * winograd.rows_of(twin)
    return prod(c.outputs) * prod(c.kernel) * c.channels_in >= winograd.WORTHWHILE * products


def _halo(axis: Axis, twin: Axis) -> tuple[int, int]:
    """Pixels of x, beyond its own, that x' is made of."""
    return axis.before, max(0, twin.extent * axis.stride - axis.before - axis.extent)


def forward(
    plan: Any,
    p: Polyphase,
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    *,
    floor: float,
    window: tuple[int, int, int],
    argmax: Tensor | None,
) -> None:
    """y = the largest of each window of max(floor, x * w + b)."""
    image, weights = p.image(plan, x), p.weights(plan, w)
    winograd.forward(plan, p.unstrided, p.tile, image, weights, b, y, floor=floor, window=window, argmax=argmax)


def backward(plan: Any, p: Polyphase, x: Tensor, w: Tensor, gradient: winograd.Gradient, dw: Tensor, db: Tensor | None) -> None:
    """dw, and db where it is wanted."""
    image, total = p.image(plan, x), p.gradient(plan)
    winograd.backward(plan, p.unstrided, p.tile, image, w, gradient, None, total, db)
    p.collect(plan, total, dw)

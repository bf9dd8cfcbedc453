"""What in a picture speaks for a class: maps of one number a pixel, (n, height, width), for pictures (n, height, width, C).

saliency      gradient of the class's score (Simonyan, Vedaldi and Zisserman 2014)
smooth_grad   the same, averaged over noisy copies (Smilkov et al. 2017)
grad_cam      channels of an inner layer, weighted by their mean gradients (Selvaraju et al. 2017)
hires_cam     the same, weighted pixel by pixel: for networks that flatten (Draelos and Carin 2020)
occlusion     what covering a part of the picture takes from the class's probability (Zeiler and Fergus 2014)

`classes` is one class number, one a picture, or None for the class that the network sees.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..layers import Layer
from ..models import Model
from ..program import Place
from .inside import OUTPUT, SCORES, Array, Gradients, class_weights, gradients, image_layer, look


def saliency(model: Model, x: Any, classes: Any = None) -> Array:
    """|d score / d pixel|, the maximum over the channels: how much a small change of the pixel changes the score.

    Simonyan, Vedaldi, Zisserman: Deep inside convolutional networks, 2014, section 3. The score is the one before softmax.
    """
    _, weights = class_weights(model, x, classes)
    return _strongest(gradients(model, x, weights).gradient)


def smooth_grad(model: Model, x: Any, classes: Any = None, *, samples: int = 32, noise: float = 0.15, seed: int = 0) -> Array:
    """The saliency of the mean gradient of `samples` noisy copies of each picture.

    noise   standard deviation of the Gaussian noise, as a share of the picture's range (largest minus smallest value)

    Smilkov, Thorat, Kim, Viégas, Wattenberg: SmoothGrad, 2017. Equal seeds give equal maps.
    """
    if samples < 1 or noise < 0:
        raise ValueError(f"samples must be at least 1 and noise at least 0, got {samples} and {noise}")
    _, weights = class_weights(model, x, classes)
    x = np.asarray(x, np.float32)
    rng = np.random.default_rng(seed)
    spread = noise * (x.max(axis=(1, 2, 3), keepdims=True) - x.min(axis=(1, 2, 3), keepdims=True))
    total = np.zeros(x.shape, np.float64)
    for _ in range(samples):
        noisy = x + spread * rng.standard_normal(x.shape, np.float32)
        total += gradients(model, noisy, weights).gradient
    return _strongest(total / samples).astype(np.float32)


def _strongest(gradient: Array) -> Array:
    return np.abs(gradient).max(axis=-1)


def grad_cam(model: Model, x: Any, layer: str | Layer | None = None, classes: Any = None) -> Array:
    """max(0, sum over channels k of a_k A_k), enlarged to the picture: where the layer sees what speaks for the class.

    A_k are the layer's maps and a_k the means over pixels of d score / d A_k.
    layer   a layer that returns pictures; None is the last that returns pictures, pooling and dropout left out

    Selvaraju et al.: Grad-CAM, 2017, equations 1 and 2. Made for networks that pool globally before they classify: in one
    that flattens, the gradients of a channel differ from pixel to pixel, their mean says little, and the map may be 0
    everywhere; use `hires_cam` there.
    """
    found = _at_maps(model, x, layer, classes)
    importance = found.gradient.mean(axis=(1, 2), keepdims=True)
    return enlarged(np.maximum((importance * found.at).sum(axis=-1), 0), np.shape(x)[1:3])


def hires_cam(model: Model, x: Any, layer: str | Layer | None = None, classes: Any = None) -> Array:
    """max(0, sum over channels of d score / d A * A), pixel by pixel, enlarged to the picture.

    At a layer that is flattened and read by the classifier, these are the pixels' shares in the score. Layer as for `grad_cam`.
    Draelos, Carin: Use HiResCAM instead of Grad-CAM for faithful explanations, 2020.
    """
    found = _at_maps(model, x, layer, classes)
    return enlarged(np.maximum((found.gradient * found.at).sum(axis=-1), 0), np.shape(x)[1:3])


def _at_maps(model: Model, x: Any, layer: str | Layer | None, classes: Any) -> Gradients:
    place = Place("result", image_layer(model, layer))
    _, weights = class_weights(model, x, classes)
    found = gradients(model, x, weights, SCORES, place)
    if found.at.ndim != 4:
        raise ValueError(f"layer {place.path!r} returns {found.at.shape[1:]} a picture, not (rows, columns, channels)")
    return found


def enlarged(maps: Array, size: tuple[int, ...]) -> Array:
    """Maps (n, rows, columns) at `size` (height, width): linear between the centres of pixels, constant beyond."""
    for axis, extent in zip((1, 2), size, strict=True):
        before = maps.shape[axis]
        at = np.clip((np.arange(extent) + 0.5) * before / extent - 0.5, 0, before - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape((-1, 1) if axis == 1 else -1)
        maps = (1 - share) * maps.take(low, axis) + share * maps.take(np.minimum(low + 1, before - 1), axis)
    return maps.astype(np.float32)


def occlusion(
    model: Model,
    x: Any,
    classes: Any = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: float | None = None,
) -> Array:
    """What a pixel adds to the class's probability: the mean, over all squares that cover it, of the probability of the
    picture less that of the picture with the square covered. Negative where the network is surer without the pixel.

    window   side of the square in pixels; None is a quarter of the picture's shorter side, at least 2
    stride   pixels between squares; None is half a window. The last squares end at the picture's edge
    fill     what the square is filled with; None is the picture's mean, channel by channel

    Zeiler, Fergus: Visualizing and understanding convolutional networks, 2014, section 4.2.
    """
    x = np.asarray(x, np.float32)
    chosen, _ = class_weights(model, x, classes)
    side = max(2, min(x.shape[1:3]) // 4) if window is None else window
    step = max(1, side // 2) if stride is None else stride
    if not 1 <= side <= min(x.shape[1:3]) or step < 1:
        raise ValueError(f"window must be from 1 to {min(x.shape[1:3])} and stride at least 1, got {side} and {step}")
    return np.stack([_occluded(model, picture, k, side, step, fill) for picture, k in zip(x, chosen, strict=True)])


def _occluded(model: Model, picture: Array, k: int, side: int, step: int, fill: float | None) -> Array:
    height, width, _ = picture.shape
    colour = picture.mean(axis=(0, 1)) if fill is None else fill
    squares = [
        (slice(top, top + side), slice(left, left + side))
        for top in _starts(height, side, step)
        for left in _starts(width, side, step)
    ]
    (whole,) = look(model, picture[None], [OUTPUT])
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for square, probability in zip(squares, _probabilities(model, picture, squares, colour), strict=True):
        total[square] += whole[0, k] - probability[k]
        count[square] += 1
    # Where the stride is wider than the window some pixels are never covered.
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0).astype(np.float32)


def _starts(extent: int, side: int, step: int) -> list[int]:
    return sorted({*range(0, extent - side + 1, step), extent - side})


def _probabilities(model: Model, picture: Array, squares: list[Any], colour: Any, batch_size: int = 64) -> Iterator[Array]:
    for first in range(0, len(squares), batch_size):
        part = squares[first : first + batch_size]
        covered = np.repeat(picture[None], len(part), axis=0)
        for copy, square in zip(covered, part, strict=True):
            copy[square] = colour
        yield from look(model, covered, [OUTPUT], batch_size)[0]

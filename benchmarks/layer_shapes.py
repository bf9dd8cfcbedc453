"""The convolutions that `versus_torch` times one by one: 20 of them, fixed before the first measurement.

Each is a layer of a network that people know, at that network's image size and at the batch that its authors, its standard
example or (for the ImageNet networks) Keras's default of 32 trains with. Between them: 1 to 512 channels, 1x1 to 7x7, strides 1
and 2, depthwise, 1-D and 3-D, channels that fill blocks of 16 and channels that do not. Every layer has a bias and no
activation, so that both libraries have exactly the same work.

    LayerShape      one layer; output(), flops()
    LAYER_SHAPES    the list, small images first
"""

from dataclasses import dataclass
from math import prod
from typing import Any


@dataclass(frozen=True)
class LayerShape:
    """One convolution: image extents without batch and channels, and (before, after) padding, an axis each.

    `input_gradient` is False for a network's first layer: nobody asks for the gradient of a picture.
    """

    name: str
    reason: str
    batch: int
    image: tuple[int, ...]
    channels: int
    filters: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int = 1
    input_gradient: bool = True

    def output(self) -> tuple[int, ...]:
        """Extents of the output image: floor((image + padding - kernel) / stride) + 1."""
        axes = zip(self.image, self.padding, self.kernel, self.strides, strict=True)
        return tuple((n + sum(pads) - k) // s + 1 for n, pads, k, s in axes)

    def flops(self, mode: str) -> int:
        """Multiplications and additions of a direct "forward" or "backward" pass over the batch, padding counted."""
        forward = 2 * self.batch * prod(self.output()) * prod(self.kernel) * self.channels // self.groups * self.filters
        return forward if mode == "forward" else forward * (1 + self.input_gradient)

    def __str__(self) -> str:
        """Input, filters, kernel, stride, batch, as the tables show them."""
        image, kernel = ("x".join(map(str, axes)) for axes in ((*self.image, self.channels), self.kernel))
        kind = " depthwise" if self.groups > 1 else ""
        stride = f" stride {self.strides[0]}" if max(self.strides) > 1 else ""
        return f"{image} -> {self.filters}, {kernel}{kind}{stride}, batch {self.batch}"


def _square(name: str, reason: str, batch: int, size: int, channels: int, filters: int, kernel: int, **rest: Any) -> LayerShape:
    """A layer of square images and kernels; `rest`: stride, pad (one number, or a pair), groups, input_gradient."""
    stride, pad = rest.pop("stride", 1), rest.pop("pad", 0)
    pads = (pad, pad) if isinstance(pad, int) else pad
    return LayerShape(
        name, reason, batch, (size, size), channels, filters, (kernel, kernel), (stride, stride), (pads, pads), **rest
    )


LAYER_SHAPES = (
    _square("LeNet-5 C1", "first layer on grey digits: one channel in, 6 out", 64, 28, 1, 6, 5, pad=2, input_gradient=False),
    _square("LeNet-5 C3", "channel counts that fill no vector", 64, 14, 6, 16, 5),
    _square("T3 conv 2", "the tutorial's MNIST network: most of its work; odd image size", 64, 13, 32, 64, 3),
    _square("T4 conv 1", "the tutorial's CIFAR-10 network: colour pictures", 128, 32, 3, 32, 3, pad=1, input_gradient=False),
    _square("T4 conv 2", "the same network: its largest layer", 128, 32, 32, 64, 3, pad=1),
    _square("T4 conv 4", "the same network: an even kernel, padded on one side", 128, 8, 128, 128, 2, pad=(0, 1)),
    _square("ResNet-20 stage 1", "CIFAR networks with 16 channels: much image, little arithmetic", 128, 32, 16, 16, 3, pad=1),
    _square("AlexNet conv 2", "5x5 over many channels; 27 pixels divide by nothing", 32, 27, 64, 192, 5, pad=2),
    _square("VGG-16 conv 5", "the heaviest common 3x3: 512 channels, small image", 32, 14, 512, 512, 3, pad=1),
    _square("GoogLeNet 3a 5x5", "the thin 5x5 branch of an inception module", 32, 28, 16, 32, 5, pad=2),
    _square("ResNet stem", "7x7 with stride 2 over large colour pictures", 32, 224, 3, 64, 7, stride=2, pad=3,
            input_gradient=False),
    _square("ResNet-50 reduce", "1x1, 256 to 64 channels: little arithmetic a byte", 32, 56, 256, 64, 1),
    _square("ResNet-50 expand", "1x1, 128 to 512 channels", 32, 28, 128, 512, 1),
    _square("ResNet-18 downsample", "3x3 with stride 2", 32, 56, 64, 128, 3, stride=2, pad=1),
    _square("ResNet-50 projection", "1x1 with stride 2: three pixels of four are skipped", 32, 56, 256, 512, 1, stride=2),
    _square("MobileNet depthwise", "its most frequent depthwise layer", 32, 14, 512, 512, 3, pad=1, groups=512),
    _square("MobileNet depthwise, stride 2", "its largest image", 32, 112, 64, 64, 3, stride=2, pad=1, groups=64),
    LayerShape("Kim's text CNN", "1-D over word vectors: 300 channels, 100 filters, no multiples of 16",
               50, (56,), 300, 100, (5,), (1,), ((0, 0),)),
    LayerShape("FCN time series", "1-D, the middle layer of Wang's network on FordA",
               16, (500,), 128, 256, (5,), (1,), ((2, 2),)),
    LayerShape("Keras CT scan", "3-D, the third layer of Keras's CT example, at its batch of 2",
               2, (30, 30, 14), 64, 128, (3, 3, 3), (1, 1, 1), ((0, 0),) * 3),
)  # fmt: skip

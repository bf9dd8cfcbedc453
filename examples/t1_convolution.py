"""Tutorial 1: the convolution, worked by hand, and filters that find edges.

    python examples/t1_convolution.py                   a bundled digit
    python examples/t1_convolution.py --picture FILE    a picture of yours, its edges drawn into runs/edges.png
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from fastcnn import explain, layers, models
from fastcnn.datasets import digits, folder


def filtered(kernels, shape):
    """A network of one convolution with hand-set filters (rows, columns, 1, filters)."""
    model = models.Sequential([layers.Conv2D(kernels.shape[-1], kernels.shape[:2], use_bias=False, input_shape=shape)])
    model.compile()
    model.set_weights([kernels])
    return model


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--picture", metavar="FILE", help="whose edges are looked for (needs fastcnn[images] and fastcnn[plot])")
picture_file = parser.parse_args().picture

# One position: nine products, one sum. (One tutorial misprints the 138 as 134.)
patch = np.array([[134, 134, 117], [153, 144, 141], [152, 154, 150]], np.float32)[..., None]
sharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)[..., None, None]
Console().print(explain.work_convolution(filtered(sharpen, patch.shape), patch))

# Every position: two filters that answer where brightness changes from left to right, and from top to bottom.
vertical = np.array([[-1, 0, 1]] * 3, np.float32)
edges = np.stack([vertical, vertical.T], axis=-1)[:, :, None]
if picture_file:
    picture = folder.load_image(picture_file, (256, 256), "grayscale").astype(np.float32) / 255
else:
    picture = digits.load_data()[0][0][0][..., None].astype(np.float32) / 16
maps = filtered(edges, picture.shape).predict(picture[None], verbose=0)[0]
if picture_file:
    Path("runs").mkdir(exist_ok=True)
    explain.figures.save(explain.figures.feature_maps(maps, "vertical edges, horizontal edges"), "runs/edges.png")
    print("\nThe edges are in runs/edges.png")
else:
    for title, plane in (("digit", picture[..., 0]), ("vertical edges", maps[..., 0]), ("horizontal edges", maps[..., 1])):
        print(f"\n{title}")
        for row in np.abs(plane) / np.abs(plane).max():
            print("".join(2 * " .:-=+*#%@"[round(9 * value)] for value in row.tolist()))

# Sizes: padding, strides, pooling, and what a dense layer would cost instead. (One tutorial misprints the last as 122880.)
print("\nWhat becomes of 32x32x1:")
for layer in (
    layers.Conv2D(1, 3),
    layers.Conv2D(1, 3, padding="same"),
    layers.Conv2D(1, 3, strides=2, padding="same"),
    layers.MaxPooling2D(2, strides=2),
):
    options = f"{layer.strides[0]}, {layer.padding}"
    size = models.Sequential([layers.Input((32, 32, 1)), layer]).output_shape[1:]
    print(f"{type(layer).__name__:>13}, stride {options:9} -> {'x'.join(map(str, size))}")
dense = models.Sequential([layers.Flatten(input_shape=(64, 64, 3)), layers.Dense(100, use_bias=False)])
print(f"A dense layer of 100 units on a 64x64x3 picture: {dense.count_params():,} weights")

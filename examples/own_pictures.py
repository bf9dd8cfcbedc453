"""A network for a folder of your own pictures, with one sub-folder a class. Needs fastcnn[images].

    python examples/own_pictures.py             seconds, on circles, squares and triangles that it draws itself
    python examples/own_pictures.py FOLDER      your own: FOLDER/cat/001.jpg, FOLDER/dog/a.png, ...
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from fastcnn import explain, layers, models
from fastcnn.datasets import folder
from fastcnn.utils import set_random_seed


def draw_shapes(path, count=80, size=40):
    """`count` pictures each of three shapes, of any colour, size and place, as PNG files."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(0)
    for name in ("circle", "square", "triangle"):
        (path / name).mkdir()
        for k in range(count):
            colour, ground = (tuple(rng.integers(low, low + 128, 3).tolist()) for low in (128, 0))
            picture = Image.new("RGB", (size, size), ground)
            (x, y), r = rng.integers(14, size - 14, 2).tolist(), int(rng.integers(8, 13))
            draw = ImageDraw.Draw(picture)
            if name == "circle":
                draw.ellipse((x - r, y - r, x + r, y + r), colour)
            elif name == "square":
                draw.rectangle((x - r, y - r, x + r, y + r), colour)
            else:
                draw.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], colour)
            picture.save(path / name / f"{k:03}.png")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", nargs="?", help="with one sub-folder a class")
parser.add_argument("--epochs", type=int, default=30)
options = parser.parse_args()
set_random_seed(0)

with tempfile.TemporaryDirectory() as temporary:
    if not options.folder:
        draw_shapes(Path(temporary))
    (x, y), (test_x, test_y), names = folder.load_data(options.folder or temporary, image_size=(32, 32))
x, test_x = (pictures.astype("float32") / 255 for pictures in (x, test_x))
print(f"{len(x)} pictures to learn from, {len(test_x)} to be judged by, of {', '.join(names)}")

model = models.Sequential(
    [
        layers.Input((32, 32, 3)),
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.3),
        layers.Dense(len(names), activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, batch_size=16, epochs=options.epochs, verbose=0)
print(f"Accuracy on test pictures: {model.evaluate(test_x, test_y, verbose=0)[1]:.2%}")

print("\nHow often each class (row) is taken for each (column):")
for name, row in zip(names, explain.confusion_matrix(test_y, model.predict(test_x, verbose=0)), strict=True):
    print(f"{name:>12}", *(f"{count:4}" for count in row))

shares = model.predict(test_x[:1], verbose=0)[0]
print(f"\nA picture of a {names[test_y[0]]}:", ", ".join(f"{n} {s:.1%}" for n, s in zip(names, shares, strict=True)))
print("What the network looks at in it (Grad-CAM):")
heat = explain.grad_cam(model, test_x[:1])[0].reshape(16, 2, 16, 2).mean((1, 3))
for row in heat / max(heat.max(), 1e-9):
    print("   ", "".join(2 * " .:-=+*#%@"[round(9 * value)] for value in row.tolist()))

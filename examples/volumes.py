"""A network for volumes, as CT and MRI give them: convolutions over depth, height and width.

    python examples/volumes.py              seconds, on volumes that it makes: is the ball in the noise solid, or hollow?
    python examples/volumes.py FILE.npz     your own: x_train, x_test (n, depth, height, width); y_train, y_test class numbers
"""

import argparse

import numpy as np

from fastcnn import layers, models
from fastcnn.datasets import npz
from fastcnn.utils import set_random_seed


def balls(count, size=16, seed=0):
    """Noisy volumes (count, size, size, size) with a ball in each, and whether it is hollow (count,)."""
    rng = np.random.default_rng(seed)
    axes = np.arange(size)
    centres = rng.uniform(5, size - 6, (3, count, 1, 1, 1))
    radii = rng.uniform(3, 5, (count, 1, 1, 1))
    grids = np.meshgrid(axes, axes, axes, indexing="ij")
    distance = np.sqrt(sum((grid - c) ** 2 for grid, c in zip(grids, centres, strict=True)))
    hollow = np.arange(count) % 2
    solid = distance < radii
    inside = distance < radii - 2
    volumes = solid & ~(inside & (hollow[:, None, None, None] == 1))
    return (volumes + rng.normal(0, 0.3, volumes.shape)).astype("float32"), hollow


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file", nargs="?", help="an .npz file")
parser.add_argument("--epochs", type=int, default=6)
options = parser.parse_args()
set_random_seed(0)

(x, y), (test_x, test_y) = npz.load_data(options.file) if options.file else (balls(400), balls(100, seed=1))
mean, deviation = x.mean(), x.std()
x, test_x = ((volumes[..., None].astype("float32") - mean) / deviation for volumes in (x, test_x))

model = models.Sequential(
    [
        layers.Conv3D(8, 3, padding="same", activation="relu", input_shape=x.shape[1:]),
        layers.MaxPooling3D(2),
        layers.Conv3D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling3D(2),
        layers.Conv3D(32, 3, padding="same", activation="relu"),
        layers.GlobalMaxPooling3D(),
        layers.Dense(int(y.max()) + 1, activation="softmax"),
    ]
)
model.summary()
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

print("\nThe middle slices of a volume:")
middle = x[1, x.shape[1] // 2 - 2 : x.shape[1] // 2 + 3, ::2, ::2, 0]
for row in np.clip((middle - middle.min()) / np.ptp(middle), 0, 1).transpose(1, 0, 2):
    print("  ".join("".join(2 * " .:-=+*#%@"[round(9 * value)] for value in line) for line in row.tolist()))
print(f"\nClass {y[1]}. Training on {len(x)} volumes:")
model.fit(x, y, batch_size=16, epochs=options.epochs)
print(f"Accuracy on {len(test_x)} other volumes: {model.evaluate(test_x, test_y, verbose=0)[1]:.2%}")

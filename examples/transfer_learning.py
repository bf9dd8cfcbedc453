"""Transfer learning: what a network learned of one task helps with another, of which there are few examples.

    python examples/transfer_learning.py            seconds: from the bundled digits 0-6 to 7-9
    python examples/transfer_learning.py --real     the same with MNIST (11 MB, downloaded once)

A network learns to tell the digits 0 to 6. Its first convolutions are kept and frozen, the layers behind them replaced, and
these learn to tell 7, 8 and 9 from one example of each. A network of the same layers that begins from nothing, with the same
three pictures, is compared.
"""

import argparse

import numpy as np

from fastcnn import layers, models
from fastcnn.datasets import load
from fastcnn.utils import set_random_seed

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--real", action="store_true", help="MNIST rather than the bundled digits")
data = load("mnist" if parser.parse_args().real else "digits")
set_random_seed(0)


def task(x, y, digits, each=None):
    """The pictures of these digits, `each` of every one where it is given, and their places in `digits`."""
    rows = np.concatenate([np.flatnonzero(y == digit)[:each] for digit in digits])
    return x[rows].astype("float32") / 255, np.searchsorted(digits, y[rows])


def body():
    """The first convolutions: what they learn of strokes is of use for all digits."""
    return models.Sequential(
        [
            layers.Conv2D(32, 3, padding="same", activation="relu", input_shape=data.x_train.shape[1:]),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
        ],
        name="body",
    )


def with_head(convolutions, classes):
    """The convolutions, and behind them new layers that tell so many classes."""
    model = models.Sequential(
        [
            convolutions,
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def weights_of(model):
    """How many numbers training changes, and how many it does not."""
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    return f"{trained:,} weights are trained, {model.count_params() - trained:,} are frozen"


old, new = np.arange(7), np.arange(7, 10)
first = with_head(body(), len(old))
first.fit(*task(data.x_train, data.y_train, old), batch_size=32, epochs=5, verbose=0)
accuracy = first.evaluate(*task(data.x_test, data.y_test, old), verbose=0)[1]
print(f"Digits 0-6, all examples: {accuracy:.2%} ({weights_of(first)})")

few, test = task(data.x_train, data.y_train, new, each=1), task(data.x_test, data.y_test, new)
learned = first.get_layer("body")
learned.trainable = False
before = learned.get_weights()[0].copy()
transferred = with_head(learned, len(new))
transferred.fit(*few, epochs=40, verbose=0)
print(f"Digits 7-9, {len(few[0])} examples:")
print(f"  new head on the frozen convolutions   {transferred.evaluate(*test, verbose=0)[1]:.2%} ({weights_of(transferred)})")
assert np.array_equal(before, learned.get_weights()[0]), "frozen weights have changed"

scratch = with_head(body(), len(new))
scratch.fit(*few, epochs=80, verbose=0)
print(f"  everything from the beginning         {scratch.evaluate(*test, verbose=0)[1]:.2%} ({weights_of(scratch)})")

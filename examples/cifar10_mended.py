"""The tutorial's CIFAR-10 network (T4) with the faults of its training mended.

    python examples/cifar10_mended.py            seconds, on the bundled digits
    python examples/cifar10_mended.py --real     24 epochs of CIFAR-10; killed and started again, it goes on

The layers are the tutorial's. What is done differently, fault by fault (cifar10_faithful.py has them all):

    softmax twice                        once: the last layer gives probabilities, and the loss takes them as such
    dropout never on                     on in training, off in validation and test
    no shuffling                         a new order every epoch
    best checkpoint by the test set      by 5,000 pictures held out of the training set; the test set is read once, at the end

And it is helped by what the tutorials name against overfitting: flips and shifts of the pictures, drawn anew every time; and by
a learning rate that rises and falls once (Smith and Topin 2018) rather than in two steps, in 24 epochs rather than 60.
"""

import runs

from fastcnn import layers, models, optimizers
from fastcnn.utils import set_random_seed

options = runs.arguments(__doc__, epochs=24, small_epochs=3)
data = runs.parts(options.real)
set_random_seed(options.seed)

model = models.Sequential(
    [
        layers.Input((32, 32, 3)),
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(0.125, 0.125, interpolation="nearest"),
        layers.Conv2D(32, (3, 3), padding="same", activation="relu"),
        layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Dropout(0.25),
        layers.Conv2D(128, (3, 3), padding="same", activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(128, (2, 2), padding="same", activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(1500, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]
)
steps = options.epochs * -(-len(data.train[0]) // options.batch_size)
rate = optimizers.schedules.OneCycle(1e-3, steps)
model.compile(optimizers.Adam(rate, epsilon=1e-8), "sparse_categorical_crossentropy", metrics=["accuracy"])

best, history = runs.train(model, data, options)
runs.report(best, data, history)

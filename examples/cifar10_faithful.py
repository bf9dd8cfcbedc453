"""The tutorial's CIFAR-10 network (T4) trained as the tutorial trains it, with its faults, each marked where it is made.

    python examples/cifar10_faithful.py            seconds, on the bundled digits
    python examples/cifar10_faithful.py --real     60 epochs of CIFAR-10; 79.12 % in the tutorial
    tensorboard --logdir runs                      the curves (with fastcnn[tensorboard])

Started again, it restores the checkpoint, as the tutorial does. cifar10_mended.py is the same network without the faults.
"""

import runs

from fastcnn import callbacks, layers, losses, models, optimizers
from fastcnn.utils import set_random_seed

options = runs.arguments(__doc__, epochs=60, small_epochs=3)
train, test = runs.pictures(options.real)
set_random_seed(options.seed)

model = models.Sequential(
    [
        layers.Conv2D(32, (3, 3), padding="same", activation="relu", input_shape=(32, 32, 3)),
        layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Dropout(0.0),  # Fault 2: the tutorial's .25, .25 and .5 are built but never switched on.
        layers.Conv2D(128, (3, 3), padding="same", activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(128, (2, 2), padding="same", activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Dropout(0.0),
        layers.Flatten(),
        layers.Dense(1500, activation="relu"),
        layers.Dropout(0.0),
        layers.Dense(10, activation="softmax"),
    ]
)
# Fault 1: these are probabilities already, and the loss applies softmax again: it cannot fall below ln(e + 9) - 1 = 1.4612.
loss = losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizers.Adam(epsilon=1e-8), loss, metrics=["accuracy"])

checkpoint = options.out / "checkpoint.safetensors"
if checkpoint.exists():
    print(f"Restored {checkpoint}")
    model.load_weights(checkpoint)

aids = [
    callbacks.LearningRateScheduler(lambda epoch: 1e-3 if epoch < 20 else 1e-4 if epoch < 40 else 1e-5),
    # Fault 4: the checkpoint that is kept is the one that does best on the test set, which is then no test any more.
    callbacks.ModelCheckpoint(checkpoint, "val_accuracy", save_best_only=True, verbose=1),
]
try:
    aids.append(callbacks.TensorBoard(options.out))
except ImportError as error:
    print(f"(no TensorBoard: {error})")
# Fault 3: the pictures come in the same order every epoch.
model.fit(*train, options.batch_size, options.epochs, validation_data=test, shuffle=False, callbacks=aids)
runs.print_accuracy(models.load_model(checkpoint), test)

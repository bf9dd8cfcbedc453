"""Tutorial 5: the smaller Keras network for CIFAR-10, with batch normalisation and augmented pictures.

    python examples/t5_augmentation.py            seconds, on the bundled digits
    python examples/t5_augmentation.py --real     10 epochs of CIFAR-10 (170 MB, downloaded once)
"""

import runs

from fastcnn import layers, models
from fastcnn.utils import set_random_seed

options = runs.arguments(__doc__, epochs=10, small_epochs=4)
(x, y), (test_x, test_y) = runs.pictures(options.real)
set_random_seed(options.seed)

model = models.Sequential()
# Where the tutorial's ImageDataGenerator changed pictures during fit, layers do it on the device, in training only.
model.add(layers.Input((32, 32, 3)))
model.add(layers.RandomTranslation(0.1, 0.1))
if options.real:  # a mirrored digit is another digit, or none
    model.add(layers.RandomFlip("horizontal"))
model.add(layers.Conv2D(6, (3, 3), padding='same'))
model.add(layers.BatchNormalization())
model.add(layers.Activation('relu'))
model.add(layers.MaxPooling2D(pool_size=(2, 2)))
model.add(layers.Conv2D(16, (3, 3)))
model.add(layers.BatchNormalization())
model.add(layers.Activation('relu'))
model.add(layers.MaxPooling2D(pool_size=(2, 2)))
model.add(layers.Flatten())
model.add(layers.Dense(120))
model.add(layers.Activation('relu'))
model.add(layers.Dense(10))
model.add(layers.Activation('softmax'))
model.summary()
model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])
model.fit(x, y, batch_size=32, epochs=options.epochs, validation_split=0.1)
runs.print_accuracy(model, (test_x, test_y))

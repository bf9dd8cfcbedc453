"""Tutorial 3: the MNIST network, the tutorial's code with only its import lines changed.

    python examples/t3_mnist.py            seconds: 3 epochs of the bundled digits, enlarged to MNIST's size
    python examples/t3_mnist.py --real     20 epochs of MNIST (11 MB, downloaded once); 99.26 % in the tutorial

With fastcnn[plot], six pictures with their true and predicted labels are drawn into runs/t3_mnist.png.
"""

import argparse
from pathlib import Path

import numpy as np

from fastcnn import explain, layers, models
from fastcnn.datasets import digits, mnist
from fastcnn.utils import set_random_seed, to_categorical, train_test_split

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--real", action="store_true", help="MNIST rather than the bundled digits")
real = parser.parse_args().real
set_random_seed(0)


def digits_like_mnist():
    """The bundled 8x8 digits as pictures of 28x28 pixels, 0 .. 240."""
    return [(np.pad(x.repeat(3, 1).repeat(3, 2) * 15, ((0, 0), (2, 2), (2, 2))), y) for x, y in digits.load_data()]


(images, labels), (test_images, test_classes) = mnist.load_data() if real else digits_like_mnist()
images, test_images = (x.reshape(-1, 28, 28, 1).astype("float32") / 255 for x in (images, test_images))
labels, test_labels = to_categorical(labels), to_categorical(test_classes)
X_train, X_val, y_train, y_val = train_test_split(images, labels, test_size=0.2, random_state=23)

model = models.Sequential()
model.add(layers.Conv2D(32, (3, 3), activation='relu', strides=(1,1), padding='valid',
                        kernel_initializer='glorot_uniform', input_shape=(28, 28, 1)))  # fmt: skip
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation='relu'))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation='relu'))
model.add(layers.Flatten())
model.add(layers.Dense(64, activation='relu'))
model.add(layers.Dense(10, activation='softmax'))
model.summary()
model.compile(optimizer='adam', loss='categorical_crossentropy', metrics=['accuracy'])
history = model.fit(X_train, y_train, epochs=20 if real else 3, validation_data=(X_val, y_val), batch_size=64)
test_loss, test_acc = model.evaluate(test_images, test_labels, verbose=0)
print(f"\nTest accuracy: {test_acc:.2%}")

prediction = model.predict(test_images[:6], verbose=0)
print("Six pictures show     ", *test_classes[:6])
print("and the network says  ", *prediction.argmax(axis=1))
try:
    figure = explain.figures.samples(test_images[:6], test_classes[:6], prediction)
    Path("runs").mkdir(exist_ok=True)
    explain.figures.save(figure, "runs/t3_mnist.png")
except ImportError as error:
    print(f"(no picture of them: {error})")

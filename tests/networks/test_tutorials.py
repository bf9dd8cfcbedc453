"""The tutorials' code, with only the import lines changed, and the numbers that they work out by hand."""

import numpy as np
import pytest

from fastcnn import layers, models
from fastcnn.backends import resolve
from fastcnn.datasets import digits
from fastcnn.utils import set_random_seed, to_categorical, train_test_split


def pictures(size, channels):
    """The bundled digits, enlarged to the size of the tutorials' pictures."""
    (x, y), (test_x, test_y) = digits.load_data()
    enlarge = -(-size // 8)
    x, test_x = (np.repeat(np.repeat(a[..., None] / 16, enlarge, 1), enlarge, 2)[:, :size, :size] for a in (x, test_x))
    x, test_x = (np.repeat(a, channels, 3).astype("float32") for a in (x, test_x))
    return (x[:600], to_categorical(y[:600])), (test_x, to_categorical(test_y))


def test_the_mnist_network_trains_and_answers(capsys):
    set_random_seed(0)
    (X, y), (test_images, test_labels) = pictures(28, 1)
    X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.2, random_state=23)

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
    model.compile(optimizer='adam', loss='categorical_crossentropy', metrics=['accuracy'])
    history = model.fit(X_train, y_train, epochs=10, validation_data=(X_val, y_val), batch_size=64)
    test_loss, test_acc = model.evaluate(test_images, test_labels)
    input_image = test_images[:6]
    prediction = model.predict(input_image)

    assert model.count_params() == 93_322
    assert set(history.history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert len(history.history["loss"]) == 10
    assert prediction.shape == (6, 10)
    assert test_acc > 0.85
    assert test_loss < 0.6
    assert "Epoch 10/10" in capsys.readouterr().out


def test_the_small_keras_network_trains_with_batch_normalisation():
    set_random_seed(0)
    (x, y), (test_x, test_y) = pictures(32, 3)
    model = models.Sequential()
    model.add(layers.Conv2D(6, (3, 3), padding='same', input_shape=(32, 32, 3)))
    model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.Activation('relu'))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Conv2D(16, (3, 3)))
    model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.Activation('relu'))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(64))
    model.add(layers.Activation('relu'))
    model.add(layers.Dense(10))
    model.add(layers.Activation('softmax'))
    model.compile(optimizer='adam', loss='categorical_crossentropy', metrics=['accuracy'])
    model.fit(x, y, epochs=8, batch_size=32, verbose=0)
    assert model.evaluate(test_x, test_y, verbose=0)[1] > 0.85


def filtered(image, kernel, device, **options):
    """A one-channel picture through one hand-set filter."""
    model = models.Sequential(
        [layers.Conv2D(1, kernel.shape, use_bias=False, input_shape=(*image.shape, 1), **options)]
    )
    model.compile(device=device)
    model.set_weights([kernel[..., None, None]])
    return model.predict(image[None, ..., None], verbose=0)[0, ..., 0]


DEVICES = pytest.mark.parametrize("device", ["cpu", "reference"])


@DEVICES
def test_the_sharpening_filter_gives_138(device):
    patch = np.array([[134, 134, 117], [153, 144, 141], [152, 154, 150]], np.float32)
    kernel = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)
    assert filtered(patch, kernel, device).tolist() == [[138]]


@DEVICES
def test_hand_set_filters_find_edges(device):
    image = np.zeros((6, 6), np.float32)
    image[:, 3:] = 1
    vertical = np.array([[-1, 0, 1]] * 3, np.float32)
    np.testing.assert_array_equal(filtered(image, vertical, device), [[0, 3, 3, 0]] * 4)
    np.testing.assert_array_equal(filtered(image, vertical.T, device), np.zeros((4, 4)))


CROSS = np.array([[1 if row in (column, 8 - column) and 0 < row < 8 else -1 for column in range(9)] for row in range(9)])
DIAGONAL = np.where(np.eye(3), 1, -1)
FEATURES = np.stack([DIAGONAL, np.maximum(DIAGONAL, DIAGONAL[::-1]), DIAGONAL[::-1]], axis=-1)


@DEVICES
def test_the_letter_x_gives_the_tutorials_twelve_values(device):
    """The filter response is the mean of nine products; ReLU; two poolings that keep the ragged edge: 7x7 -> 4x4 -> 2x2."""
    model = models.Sequential(
        [
            layers.Conv2D(3, (3, 3), activation="relu", use_bias=False, input_shape=(9, 9, 1)),
            layers.MaxPooling2D((2, 2), padding="same"),
            layers.MaxPooling2D((2, 2), padding="same"),
        ]
    )
    model.compile(device=device)
    model.set_weights([FEATURES[:, :, None, :] / 9])
    pooled = model.predict(CROSS[None, ..., None].astype("float32"), verbose=0)[0]
    flat = pooled.transpose(2, 0, 1).ravel()
    low = 5 / 9
    np.testing.assert_allclose(flat, [1, low, low, 1, 1, low, low, low, low, 1, 1, low], rtol=1e-6)
    high = flat > 0.99
    letter = np.array([0.9, 0.65, 0.45, 0.87, 0.96, 0.73, 0.23, 0.63, 0.44, 0.89, 0.94, 0.53])
    assert letter[high].mean() == pytest.approx(0.912)


def test_a_dense_layer_on_a_picture_has_as_many_weights_as_pixels_times_units():
    model = models.Sequential([layers.Flatten(input_shape=(64, 64, 3)), layers.Dense(100, use_bias=False)])
    assert model.count_params() == 1_228_800


@pytest.mark.parametrize(("size", "window", "stride", "pooled"), [(32, 2, 2, 16), (7, 2, 2, 3), (9, 3, 2, 4)])
def test_pooled_size_is_the_floor_of_the_formula(size, window, stride, pooled):
    model = models.Sequential([layers.MaxPooling2D(window, stride, input_shape=(size, size, 1))])
    assert model.output_shape == (None, pooled, pooled, 1)


def test_the_default_device_is_the_cpu():
    assert resolve("auto").name == "cpu"

"""Set-ups with one mistake each, by the number of the finding that should report it, on a small network that is well."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastcnn import doctor, layers, losses, models, optimizers, utils
from fastcnn.doctor import Finding, Machine

Planted = Callable[[], list[Finding]]
PLANTED: dict[str, list[Planted]] = {}
CLASSES = 4


def plant(number: str) -> Callable[[Planted], Planted]:
    def enter(function: Planted) -> Planted:
        PLANTED.setdefault(number, []).append(function)
        return function

    return enter


# A healthy machine, and what is wrong with others.

HEALTHY = Machine(environment={}, processors=8, threads=8, blas_threads=8, gpu_on_bus=True, lacking="", reason="")
MACHINES: list[tuple[str, dict[str, Any]]] = [
    ("FC001", dict(lacking="driver", reason="no NVIDIA driver was found")),
    ("FC002", dict(lacking="version", reason="the NVIDIA driver knows CUDA 12.4")),
    ("FC003", dict(lacking="gpu", reason="the NVIDIA driver sees no GPU")),
    ("FC004", dict(lacking="capability", reason="GTX 1070 has compute capability 6.1")),
    ("FC005", dict(lacking="packages", reason="the package numba_cuda is not installed")),
    ("FC011", dict(threads=16)),
    ("FC012", dict(environment={"NUMBA_NUM_THREADS": "1"})),
    ("FC013", dict(blas_threads=64)),
    ("FC021", dict(environment={"NUMBA_DISABLE_JIT": "1"})),
]
for _number, _changes in MACHINES:
    plant(_number)(lambda changes=_changes: doctor.examine_machine(replace(HEALTHY, **changes)))  # type: ignore[misc]


# A healthy network with its data: 8x8 pictures, each with a bright quarter, which is its class.


def pictures(count: int = 160, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x, y = rng.random((count, 8, 8, 1), dtype=np.float32) * 0.5, rng.integers(0, CLASSES, count)
    for picture, label in zip(x, y, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        picture[row : row + 4, column : column + 4] += 0.5
    return x, y


def sorted_pictures() -> dict[str, Any]:
    x, y = pictures()
    order = np.argsort(y, kind="stable")
    return {"x": x[order], "y": y[order]}


def network(*ending: Any, units: int = CLASSES, activation: Any = "softmax", beginning: Any = ()) -> Any:
    utils.set_random_seed(1)
    body = [
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(16, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(units, activation=activation),
    ]
    return models.Sequential([layers.Input((8, 8, 1)), *beginning, *body, *ending])


def compiled(model: Any, loss: Any = "sparse_categorical_crossentropy", optimizer: Any = "adam") -> Any:
    model.compile(optimizer, loss, device="reference")
    return model


def examined(**arguments: Any) -> list[Finding]:
    """The findings of the healthy set-up, but for the arguments of `examine` that are given."""
    x, y = pictures()
    return doctor.examine(**{"model": compiled(network()), "x": x, "y": y, **arguments})


@plant("FC101")
def softmax_twice() -> list[Finding]:
    return examined(model=compiled(network(layers.Softmax())))


@plant("FC101")
def softmax_in_and_after_the_last_layer_but_not_next_to_it() -> list[Finding]:
    return examined(model=compiled(network(layers.Reshape((CLASSES,)), layers.Activation("softmax"))))


@plant("FC102")
def probabilities_as_logits() -> list[Finding]:
    return examined(model=compiled(network(), losses.SparseCategoricalCrossentropy(from_logits=True)))


@plant("FC103")
def logits_as_probabilities() -> list[Finding]:
    return examined(model=compiled(network(activation=None)))


@plant("FC104")
def relu_output() -> list[Finding]:
    return examined(model=compiled(network(activation="relu")))


@plant("FC104")
def relu_for_negative_numbers() -> list[Finding]:
    return examined(model=compiled(network(units=1, activation="relu"), "mse"), y=pictures()[1] - 1.5)


@plant("FC105")
def sigmoid_for_one_of_many() -> list[Finding]:
    return examined(model=compiled(network(activation="sigmoid")))


@plant("FC105")
def softmax_for_questions_of_their_own() -> list[Finding]:
    return examined(model=compiled(network(), "binary_crossentropy"), y=utils.to_categorical(pictures()[1]))


@plant("FC106")
def softmax_of_one_unit() -> list[Finding]:
    return examined(model=compiled(network(units=1), "binary_crossentropy"), y=pictures()[1] % 2)


@plant("FC107")
def dropout_called_for_inference() -> list[Finding]:
    inputs = layers.Input((8, 8, 1))
    hidden = layers.Dropout(0.5, name="off")(layers.Dense(16, "relu")(layers.Flatten()(inputs)), training=False)
    return examined(model=compiled(models.Model(inputs, layers.Dense(CLASSES, "softmax")(hidden))))


@plant("FC107")
def dropout_of_nothing() -> list[Finding]:
    return examined(model=compiled(network(beginning=[layers.Dropout(0.0)])))


# Data.


@plant("FC201")
def not_finite() -> list[Finding]:
    x, _ = pictures()
    x[3, 2, 1] = np.nan
    return examined(x=x)


@plant("FC202")
def bytes_as_they_are() -> list[Finding]:
    return examined(x=(pictures()[0] * 255).astype(np.uint8))


@plant("FC202")
def scaled_twice() -> list[Finding]:
    return examined(x=pictures()[0] / 255)


@plant("FC202")
def test_not_scaled() -> list[Finding]:
    x, y = pictures(40, seed=5)
    return examined(test_data=(255 * x, y))


@plant("FC202")
def data_alone() -> list[Finding]:
    return examined(model=None, x=(pictures()[0] * 255).astype(np.uint8))


@plant("FC203")
def classes_from_one() -> list[Finding]:
    return examined(y=pictures()[1] + 1)


@plant("FC203")
def one_hot_for_class_numbers() -> list[Finding]:
    return examined(y=utils.to_categorical(pictures()[1]))


@plant("FC204")
def sorted_and_not_shuffled() -> list[Finding]:
    return examined(**sorted_pictures(), shuffle=False)


@plant("FC205")
def split_off_sorted_data() -> list[Finding]:
    return examined(**sorted_pictures(), validation_split=0.2)


# Validation and test.


@plant("FC301")
def validation_is_test() -> list[Finding]:
    other = pictures(40, seed=5)
    return examined(validation_data=other, test_data=other)


@plant("FC302")
def validation_from_training() -> list[Finding]:
    x, y = pictures()
    return examined(validation_data=(x[:20], y[:20]))


@plant("FC302")
def test_from_training() -> list[Finding]:
    x, y = pictures()
    return examined(test_data=(x[-30:], y[-30:]))


# Training.


@plant("FC401")
def huge_rate() -> list[Finding]:
    return examined(model=compiled(network(), optimizer=optimizers.Adam(5.0)))


@plant("FC401")
def huge_rate_of_sgd() -> list[Finding]:
    return examined(model=compiled(network(), optimizer=optimizers.SGD(100.0)))


@plant("FC402")
def tiny_rate() -> list[Finding]:
    return examined(model=compiled(network(), optimizer=optimizers.Adam(1e-7)))


class Batches(utils.PyDataset):
    """Five batches, each of which takes so many seconds to come."""

    def __init__(self, seconds: float):
        self.seconds, self.batch = seconds, pictures(32)

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        time.sleep(self.seconds)
        return self.batch


@plant("FC403")
def slow_pictures() -> list[Finding]:
    return examined(x=Batches(0.3), y=None)

"""Set-ups with one mistake each, by the number of the finding that should report it, on a small network that is well without."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastcnn import callbacks, doctor, layers, losses, models, optimizers, utils
from fastcnn.doctor import Finding, Machine
from fastcnn.utils import to_categorical

Planted = Callable[[Path], list[Finding]]
PLANTED: dict[str, Planted] = {}
DEVICE = "reference"
CLASSES = 4


def plant(number: str) -> Callable[[Planted], Planted]:
    def enter(function: Planted) -> Planted:
        assert number not in PLANTED
        PLANTED[number] = function
        return function

    return enter


# A healthy machine, and what is wrong with others.

HEALTHY = Machine(
    environment={}, processors=8, quota=None, threads=8, gpu_on_bus=True, no_gpu="", no_packages="", failures={}, vectors=256,
    widest=256, openmp=("/usr/lib/libgomp.so.1",), cache=Path("/cache"), cache_bytes=10 << 20,
)  # fmt: skip
NO_DRIVER = "no NVIDIA driver was found (libcuda.so.1); install one"


MACHINES = {
    "FC001": dict(no_gpu=NO_DRIVER),
    "FC002": dict(no_gpu="the NVIDIA driver knows CUDA 12.4, fastcnn needs 13.0: update it"),
    "FC003": dict(no_packages="the package numba_cuda is not installed"),
    "FC004": dict(failures={"cuda": "CudaUnavailableError: kernels are compiled to PTX 9.3"}),
    "FC010": dict(threads=16),
    "FC011": dict(quota=2.0),
    "FC012": dict(environment={"NUMBA_NUM_THREADS": "1"}),
    "FC013": dict(environment={"FASTCNN_NUM_THREADS": "1"}, threads=1),
    "FC014": dict(environment={"OMP_NUM_THREADS": "1"}),
    "FC015": dict(environment={"OMP_WAIT_POLICY": "PASSIVE"}),
    "FC016": dict(openmp=("/usr/lib/libgomp.so.1", "/site-packages/torch/lib/libgomp-a34b3233.so.1")),
    "FC020": dict(environment={"NUMBA_DISABLE_JIT": "1"}),
    "FC021": dict(environment={"NUMBA_OPT": "0"}),
    "FC022": dict(vectors=128),
    "FC023": dict(cache_bytes=None),
    "FC024": dict(cache_bytes=3 << 30),
}
for _number, _changes in MACHINES.items():
    PLANTED[_number] = lambda _, changes=_changes: doctor.examine_machine(replace(HEALTHY, **changes))  # type: ignore[misc]


# A healthy network with its data: 8x8 pictures, each with a bright quarter, which is its class.


def pictures(count: int = 160, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x, y = rng.random((count, 8, 8, 1), dtype=np.float32) * 0.5, rng.integers(0, CLASSES, count)
    for picture, label in zip(x, y, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        picture[row : row + 4, column : column + 4] += 0.5
    return x, y


def network(*ending: Any, units: int = CLASSES, activation: Any = "softmax", shape: tuple[int, ...] = (8, 8, 1)) -> Any:
    utils.set_random_seed(1)
    body = [
        layers.Conv2D(8, 3, activation="relu", input_shape=shape),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(16, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(units, activation=activation),
    ]
    return models.Sequential([*body, *ending])


def compiled(model: Any, loss: Any = "sparse_categorical_crossentropy", optimizer: Any = "adam") -> Any:
    model.compile(optimizer, loss, device=DEVICE)
    return model


def healthy(**arguments: Any) -> list[Finding]:
    """The findings of the healthy set-up, but for the arguments of `examine` that are given."""
    x, y = pictures()
    return doctor.examine(**{"model": compiled(network()), "x": x, "y": y, **arguments})


@plant("FC101")
def softmax_twice(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(layers.Softmax())))


@plant("FC102")
def probabilities_as_logits(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(), losses.SparseCategoricalCrossentropy(from_logits=True)))


@plant("FC103")
def logits_as_probabilities(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(activation=None)))


@plant("FC104")
def relu_output(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(activation="relu")))


@plant("FC105")
def sigmoid_for_many_classes(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(activation="sigmoid")))


@plant("FC106")
def softmax_of_one_unit(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(units=1), "binary_crossentropy"), y=pictures()[1] % 2)


@plant("FC107")
def squared_difference_of_probabilities(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(), "mse"), y=to_categorical(pictures()[1]))


@plant("FC108")
def a_unit_too_many(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(units=CLASSES + 1)), y=pictures()[1] + 1)


@plant("FC110")
def everything_frozen(_: Path) -> list[Finding]:
    model = network()
    model.trainable = False
    return healthy(model=compiled(model))


@plant("FC111")
def dropout_of_nothing(_: Path) -> list[Finding]:
    inputs = layers.Input((8, 8, 1))
    hidden = layers.Dropout(0.5, name="off")(layers.Dense(16, "relu")(layers.Flatten()(inputs)), training=False)
    return healthy(model=compiled(models.Model(inputs, layers.Dense(CLASSES, "softmax")(hidden))))


@plant("FC112")
def dropout_on_output(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(layers.Dropout(0.5))))


# Data.


@plant("FC201")
def not_finite(_: Path) -> list[Finding]:
    x, _y = pictures()
    x[3, 2, 1] = np.nan
    return healthy(x=x)


@plant("FC202")
def bytes_as_they_are(_: Path) -> list[Finding]:
    return healthy(x=(pictures()[0] * 255).astype(np.uint8))


@plant("FC203")
def scaled_twice(_: Path) -> list[Finding]:
    return healthy(x=pictures()[0] / 255)


@plant("FC204")
def uneven_channels(_: Path) -> list[Finding]:
    x, _y = pictures()
    return healthy(model=compiled(network(shape=(8, 8, 2))), x=np.concatenate([x, x[::-1] / 1000], -1))


@plant("FC205")
def constant_channel(_: Path) -> list[Finding]:
    x, _y = pictures()
    return healthy(model=compiled(network(shape=(8, 8, 2))), x=np.concatenate([x, np.full_like(x, 0.3)], -1))


@plant("FC206")
def classes_from_one(_: Path) -> list[Finding]:
    return healthy(y=pictures()[1] + 1)


@plant("FC207")
def one_hot_for_class_numbers(_: Path) -> list[Finding]:
    return healthy(y=to_categorical(pictures()[1]))


@plant("FC208")
def several_labels_at_once(_: Path) -> list[Finding]:
    y = to_categorical(pictures()[1])
    y[::2, 0] = 1
    return healthy(model=compiled(network(), "categorical_crossentropy"), y=y)


@plant("FC209")
def one_class(_: Path) -> list[Finding]:
    return healthy(y=np.full(160, 2))


@plant("FC210")
def rare_class(_: Path) -> list[Finding]:
    x, y = pictures(600)
    keep = (y != 2) | (np.cumsum(y == 2) <= 3)
    return healthy(x=x[keep], y=y[keep])


@plant("FC211")
def sorted_and_not_shuffled(_: Path) -> list[Finding]:
    x, y = pictures()
    order = np.argsort(y, kind="stable")
    return healthy(x=x[order], y=y[order], shuffle=False)


@plant("FC212")
def split_off_sorted_data(_: Path) -> list[Finding]:
    x, y = pictures()
    order = np.argsort(y, kind="stable")
    return healthy(x=x[order], y=y[order], validation_split=0.2)


@plant("FC213")
def other_shape(_: Path) -> list[Finding]:
    return healthy(x=pictures()[0][..., 0])


# Training.


@plant("FC301")
def validation_from_training(_: Path) -> list[Finding]:
    x, y = pictures()
    return healthy(validation_data=(x[:20], y[:20]))


@plant("FC302")
def validation_is_test(_: Path) -> list[Finding]:
    other = pictures(40, seed=5)
    return healthy(validation_data=other, test_data=other)


@plant("FC303")
def test_from_training(_: Path) -> list[Finding]:
    x, y = pictures()
    return healthy(test_data=(x[-30:], y[-30:]))


@plant("FC304")
def checkpoint_by_test(folder: Path) -> list[Finding]:
    best = callbacks.ModelCheckpoint(folder / "best.safetensors", monitor="test_accuracy", save_best_only=True)
    return healthy(callbacks=[best], validation_data=pictures(40, seed=5))


@plant("FC305")
def follows_what_is_not_there(_: Path) -> list[Finding]:
    return healthy(callbacks=[callbacks.EarlyStopping("val_loss")])


@plant("FC306")
def best_by_training_loss(folder: Path) -> list[Finding]:
    return healthy(callbacks=[callbacks.ModelCheckpoint(folder / "best.safetensors", monitor="loss", save_best_only=True)])


@plant("FC307")
def batch_of_everything(_: Path) -> list[Finding]:
    return healthy(batch_size=1000)


@plant("FC308")
def test_not_scaled(_: Path) -> list[Finding]:
    x, y = pictures(40, seed=5)
    return healthy(test_data=(255 * x, y))


# Measured.


@plant("FC401")
def huge_rate(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(), optimizer=optimizers.Adam(5.0)))


@plant("FC402")
def tiny_rate(_: Path) -> list[Finding]:
    return healthy(model=compiled(network(), optimizer=optimizers.Adam(1e-7)))


@plant("FC403")
def dead_units(_: Path) -> list[Finding]:
    model = network()
    kernel, bias, *others = model.get_weights()
    model.set_weights([kernel, bias - 100, *others])
    return healthy(model=compiled(model))


@plant("FC404")
def huge_weights(_: Path) -> list[Finding]:
    utils.set_random_seed(1)
    large = dict(activation="relu", kernel_initializer="ones")
    hidden = [layers.Dense(64, **large) for _ in range(4)]
    return healthy(model=compiled(models.Sequential([layers.Flatten(input_shape=(8, 8, 1)), *hidden, layers.Dense(4)]), "mse"),
                   y=to_categorical(pictures()[1]))  # fmt: skip


@plant("FC405")
def deep_sigmoids(_: Path) -> list[Finding]:
    utils.set_random_seed(1)
    hidden = [layers.Dense(16, activation="sigmoid") for _ in range(10)]
    ending = layers.Dense(CLASSES, activation="softmax")
    return healthy(model=compiled(models.Sequential([layers.Flatten(input_shape=(8, 8, 1)), *hidden, ending])))


@plant("FC406")
def slow_pictures(_: Path) -> list[Finding]:
    import time

    class Slow(utils.PyDataset):
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> Any:
            time.sleep(0.3)
            return pictures(32, seed=index)

    return healthy(x=Slow(), y=None)

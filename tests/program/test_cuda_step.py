"""A captured training step on the GPU: how few kernels it is, and that fusing them changes nothing but rounding."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="CUDA kernels are compiled with the packages of fastcnn[cuda13]")

from fastcnn_kernels import cuda as cuda_backend
from fastcnn_kernels.conv import cuda as conv
from fastcnn_kernels.cuda import CudaBackend
from fastcnn_kernels.device import gemm
from fastcnn_kernels.device.dry import DryDevice
from fastcnn_kernels.device.emulated import EmulatedDevice
from fastcnn_kernels.device.plan import CudaPlan
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn import applications, layers, models, optimizers
from fastcnn.utils import set_random_seed

MEMORY = 1 << 28
SETTINGS = {
    "TutorialMNIST": ((28, 28, 1), 64, 18),
    "TutorialCIFAR10": ((32, 32, 3), 128, 28),
}
"""Picture, batch, and how many kernels a step may have."""
TILES = list(dict.fromkeys(tile for tiles in gemm.TILES.values() for tile in tiles))


def step(model, x, y):
    """The program that trains on arrays of these shapes and dtypes."""
    runtime = model._ready()
    return runtime.programs["train"].program(len(x), runtime.interface.samples(x, y, None, None))


@pytest.mark.parametrize("network", SETTINGS)
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_a_training_step_is_few_kernels(network, precision):
    shape, batch, most = SETTINGS[network]
    model = applications.get(network)()
    backend = CudaBackend(DryDevice(), precision)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device=backend)
    printed = str(step(model, np.zeros((batch, *shape), np.uint8), np.zeros(batch, np.int64)))
    assert printed.count(" grid (") <= most, printed


def test_augmentation_is_counted_too():
    model = models.Sequential([layers.RandomFlip("horizontal", input_shape=(32, 32, 3)), layers.RandomTranslation(0.1, 0.1)])
    for layer in applications.get("TutorialCIFAR10")().layers:
        model.add(layer)
    backend = CudaBackend(DryDevice())
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device=backend)
    printed = str(step(model, np.zeros((128, 32, 32, 3), np.uint8), np.zeros(128, np.int64)))
    assert printed.count(" grid (") <= SETTINGS["TutorialCIFAR10"][2], printed


class Unfused(CudaBackend):
    """A backend that launches what ops ask for."""

    def plan(self, batch_size, frozen=False):
        return CudaPlan(batch_size, self.device, (), self.precision)


def network():
    return models.Sequential(
        [
            layers.Conv2D(8, (3, 3), activation="relu", input_shape=(13, 12, 3)),
            layers.MaxPooling2D((2, 2)),  # a row of the convolution's is left over
            layers.Dropout(0.25),
            layers.Conv2D(12, (3, 3), padding="same", activation="leaky_relu"),
            layers.Conv2D(12, (2, 2), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(20, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(5, activation="softmax"),
        ]
    )


def trained(backend, steps=3):
    """Logs, weights and the program after a few steps with a learning rate that changes."""
    set_random_seed(3)
    model = network()
    model.compile(optimizers.SGD(0.0, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"], device=backend)
    rng = np.random.default_rng(0)
    x, y = rng.random((7, 13, 12, 3), dtype=np.float32), rng.integers(0, 5, 7)
    weight, logs = rng.random(7).astype(np.float32), []
    for k in range(steps):
        model.optimizer.learning_rate = 0.01 * (k + 1)
        logs.append(model.train_on_batch(x, y, sample_weight=weight))
    return np.array(logs), model.get_weights(), step(model, x, y)


@pytest.fixture(scope="module")
def fused():
    """With sums in parts, which the last block adds before all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "LEAST_TERMS", 20)
        return trained(CudaBackend(EmulatedDevice(MEMORY)))


def assert_alike(ours, others, tolerance):
    np.testing.assert_allclose(ours[0], others[0], rtol=tolerance)
    for a, b in zip(ours[1], others[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(0.01, np.abs(b).max()))


@pytest.mark.exhaustive
def test_fusion_changes_nothing_but_rounding(fused):
    plain = trained(Unfused(EmulatedDevice(MEMORY)))
    assert len(fused[2].plan.launches) < len(plain[2].plan.launches) / 2
    assert_alike(fused, plain, 1e-5)


def test_a_fused_step_follows_the_reference_as_its_learning_rate_changes(fused):
    assert fused[2].plan.replay is not None
    assert_alike(fused, trained(ReferenceBackend(np.float64)), 1e-4)


@pytest.mark.exhaustive
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_what_is_behind_products_of_every_tile(tile, monkeypatch):
    """Sums in parts, too."""
    monkeypatch.setattr(gemm, "TILES", {1 << 32: (tile,)})
    monkeypatch.setattr(conv, "LEAST_TERMS", 20)
    ours = trained(CudaBackend(EmulatedDevice(MEMORY)), steps=1)
    names = [launch.kernel for launch in ours[2].plan.launches if "product" in launch.kernel]
    assert all(f"[{tile}" in name for name in names)
    assert any("split,dropped" in name for name in names)
    assert any("split,unpooled" in name for name in names)
    assert_alike(ours, trained(ReferenceBackend(np.float64), steps=1), 1e-4)


def test_everything_is_behind_products(fused):
    names = [launch.kernel for launch in fused[2].plan.launches]
    assert not [name for name in names if name.startswith(("dropout", "conv.output_gradient", "conv.sum_parts", "shape"))]
    said = {word for name in names for word in name.split(",")}
    assert {"split", "dropped", "unpooled", "through relu", "through leaky_relu"} <= said


@pytest.mark.parametrize("rule", range(len(cuda_backend.RULES)), ids=lambda k: cuda_backend.RULES[k].__name__)
def test_every_rule_takes_launches_away(rule, monkeypatch):
    def launches():
        model = network()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device=CudaBackend(DryDevice()))
        return len(step(model, np.zeros((70, 13, 12, 3), np.uint8), np.zeros(70, np.int64)).plan.launches)

    everything, rules = launches(), list(cuda_backend.RULES)
    del rules[rule]
    monkeypatch.setattr(cuda_backend, "RULES", rules)
    assert launches() > everything


def test_a_step_gone_through_one_by_one_names_where_it_began(fused):
    set_random_seed(3)
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", device=CudaBackend(EmulatedDevice(MEMORY)))
    x, y = np.ones((2, 13, 12, 3), np.float32), np.zeros(2, np.int64)
    model.predict_on_batch(x)
    weights = model.get_weights()
    weights[4][0, 0, 0, 0] = np.nan
    model.set_weights(weights)
    with pytest.raises(FloatingPointError, match="conv2d"):
        model.train_on_batch(x, y)

"""What TensorBoard's own reader finds in the files of the callback."""

import builtins
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcnn import callbacks as cb
from fastcnn import layers, models, optimizers
from fastcnn.callbacks.tensorboard import weight_picture

from .conftest import classifier
from .test_resume import unbroken_and_resumed

TAGS = ["scalars", "histograms", "images", "graph"]


def test_without_the_package_it_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def importing(name: str, *rest: Any) -> Any:
        if name.startswith("tensorboard"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ImportError, match=r"pip install 'fastcnn\[tensorboard\]'"):
        cb.TensorBoard()


# Pictures of weights need no package.


def test_filters_lie_side_by_side() -> None:
    filters = np.zeros((2, 3, 1, 5))
    filters[..., 4] = 1
    filters[0, 0, 0, 1] = -1
    picture = weight_picture(filters)
    assert picture is not None
    assert picture.shape == (2 * 3, 3 * 4, 1)  # two rows of three, a line below and beside each filter
    assert picture[0, 4] == 0
    assert (picture[3:5, 4:7] == 255).all()
    assert (picture[:2, :3] == 128).all()
    assert not picture[2].any()


def test_which_weights_have_pictures() -> None:
    shapes = {(3, 3, 3, 7): (12, 12, 3), (9, 4): (4, 9, 1), (4, 9): (4, 9, 1), (3, 3, 8, 2): None, (5,): None}
    for shape, expected in shapes.items():
        picture = weight_picture(np.zeros(shape))
        assert (None if picture is None else picture.shape) == expected


# The files.


@pytest.fixture
def read() -> Any:
    reason = "the files are read by TensorBoard's own reader: pip install 'fastcnn[tensorboard]'"
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=reason)

    def opened(folder: Path) -> Any:
        return module.EventAccumulator(str(folder), size_guidance=dict.fromkeys(TAGS, 0)).Reload()

    return opened


def scalars(reader: Any) -> dict[str, list[tuple[int, float]]]:
    """Values by tag and step. The order of files of the same second is not that of their writing."""
    return {tag: sorted((event.step, event.value) for event in reader.Scalars(tag)) for tag in reader.Tags()["scalars"]}


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((20, 6, 6, 3), dtype=np.float32), rng.integers(0, 3, 20)


def branched() -> Any:
    """Two branches from one picture."""
    x = layers.Input((6, 6, 3), name="picture")
    y = layers.Conv2D(5, 3, name="conv")(x)
    left, right = layers.Flatten(name="flat")(y), layers.GlobalAveragePooling2D(name="means")(y)
    return models.Model(x, layers.Dense(3, activation="softmax", name="kind")(layers.Concatenate(name="join")([left, right])))


def test_scalars_by_epoch(read: Any, tmp_path: Path) -> None:
    x, y = images()
    model = branched()
    model.compile(optimizers.SGD(0.125), "sparse_categorical_crossentropy", metrics=["accuracy"])
    board = cb.TensorBoard(tmp_path, write_steps_per_second=True)
    history = model.fit(x, y, batch_size=8, epochs=3, validation_data=(x[:6], y[:6]), callbacks=board, verbose=0).history
    train, validation = scalars(read(tmp_path / "train")), scalars(read(tmp_path / "validation"))
    assert train.keys() == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate", "epoch_steps_per_second"}
    assert train["epoch_loss"] == [(k, pytest.approx(v)) for k, v in enumerate(history["loss"])]
    assert train["epoch_learning_rate"] == [(0, 0.125), (1, 0.125), (2, 0.125)]
    assert all(rate > 0 for _, rate in train["epoch_steps_per_second"])
    assert validation["epoch_accuracy"] == [(k, pytest.approx(v)) for k, v in enumerate(history["val_accuracy"])]
    expected = zip((3, 6, 9), history["val_loss"], strict=True)
    assert validation["evaluation_loss_vs_iterations"] == [(step, pytest.approx(v)) for step, v in expected]


def test_scalars_by_batch(read: Any, tmp_path: Path) -> None:
    x, y = images()
    model = branched()
    model.compile("sgd", "sparse_categorical_crossentropy")
    seen: list[float] = []
    watch = cb.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    model.fit(x, y, batch_size=4, epochs=2, callbacks=[cb.TensorBoard(tmp_path, update_freq=3), watch], verbose=0)
    found = scalars(read(tmp_path / "train"))["batch_loss"]
    assert found == [(step, pytest.approx(seen[step - 1])) for step in (3, 6, 9)]


def test_histograms_pictures_and_graph(read: Any, tmp_path: Path) -> None:
    x, y = images()
    model = branched()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=3, callbacks=cb.TensorBoard(tmp_path, histogram_freq=2, write_images=True), verbose=0)
    reader = read(tmp_path / "train")
    assert set(reader.Tags()["histograms"]) == {f"{v.name}/histogram" for v in model.variables}
    first, last = reader.Histograms("conv/kernel/histogram")
    kernel = model.get_weights()[0]
    assert (first.step, last.step) == (0, 2)
    value = last.histogram_value
    assert (value.min, value.max, value.num) == (kernel.min(), kernel.max(), kernel.size)
    assert sum(value.bucket) == kernel.size
    assert value.sum_squares == pytest.approx((kernel.astype(float) ** 2).sum())

    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(reader.Images("conv/kernel/image")[-1].encoded_image_string)))
    np.testing.assert_array_equal(picture, weight_picture(kernel))
    assert set(reader.Tags()["images"]) == {"conv/kernel/image", "kind/kernel/image"}

    nodes = {node.name: node for node in reader.Graph().node}
    assert {name: list(node.input) for name, node in nodes.items()} == {
        "picture": [], "conv": ["picture"], "flat": ["conv"], "means": ["conv"], "join": ["flat", "means"], "kind": ["join"],
    }  # fmt: skip
    assert nodes["conv"].op == "Conv2D"
    assert [d.size for d in nodes["conv"].attr["_output_shapes"].list.shape[0].dim] == [-1, 4, 4, 5]


def test_a_layer_that_is_called_twice_is_two_nodes(read: Any, tmp_path: Path) -> None:
    x, shared = layers.Input((4,), name="x"), layers.Dense(4, name="shared")
    model = models.Model(x, shared(shared(x)))
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 4)), callbacks=cb.TensorBoard(tmp_path), verbose=0)
    nodes = read(tmp_path / "train").Graph().node
    assert [(n.name, list(n.input)) for n in nodes] == [("x", []), ("shared", ["x"]), ("shared_1", ["shared"])]


def test_evaluate_alone_is_written(read: Any, tmp_path: Path, data: tuple) -> None:
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    loss = model.evaluate(*data, callbacks=cb.TensorBoard(tmp_path), verbose=0)
    assert scalars(read(tmp_path / "validation")) == {"evaluation_loss_vs_iterations": [(0, pytest.approx(loss))]}


def test_a_resumed_training_leaves_the_curves_of_an_unbroken_one(read: Any, tmp_path: Path, data: tuple) -> None:
    def helpers(folder: Path) -> list[Any]:
        return [cb.TensorBoard(folder, update_freq="batch", histogram_freq=1)]

    unbroken_and_resumed(lambda: optimizers.SGD(0.05), data, tmp_path, helpers)
    for part in ("train", "validation"):
        whole, parts = read(tmp_path / "whole" / part), read(tmp_path / "parts" / part)
        assert scalars(whole) == scalars(parts)
        for tag in whole.Tags()["histograms"]:
            expected, got = ({h.step: h.histogram_value for h in reader.Histograms(tag)} for reader in (whole, parts))
            assert got == expected
    assert parts.Tags()["scalars"]


@pytest.mark.usefixtures("read")
def test_it_can_be_pickled(tmp_path: Path) -> None:
    board = pickle.loads(pickle.dumps(cb.TensorBoard(tmp_path)))
    assert board.log_dir == tmp_path


@pytest.mark.usefixtures("read")
def test_refused() -> None:
    with pytest.raises(ValueError, match="does not offer profile_batch"):
        cb.TensorBoard(profile_batch=2)
    with pytest.raises(ValueError, match="update_freq"):
        cb.TensorBoard(update_freq=0)
    with pytest.raises(TypeError, match="unexpected argument 'logdir'"):
        cb.TensorBoard(logdir="x")
    cb.TensorBoard(profile_batch=0, embeddings_freq=0, embeddings_metadata=None)

"""Models in files: what comes back, and what is said about files that are damaged or another's."""

import errno
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcnn import callbacks as cb
from fastcnn import layers, losses, metrics, models, ops, saving
from fastcnn.utils.random_seed import set_random_seed

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((20, 6, 6, 1)).astype(np.float32), RNG.integers(0, 3, 20)


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCNN_DEVICE", "reference")
    set_random_seed(1)


def network(filters: int = 2, **options: Any) -> Any:
    model = models.Sequential(
        [
            layers.Conv2D(filters, 3, activation="relu", input_shape=(6, 6, 1)),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", **{"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **options})
    return model


@pytest.fixture
def trained() -> Any:
    model = network()
    model.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    return model


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


# What comes back.


def test_a_loaded_model_predicts_and_evaluates_the_same(tmp_path: Path, trained: Any) -> None:
    path = tmp_path / "model.safetensors"
    trained.save(path)
    loaded = models.load_model(path)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), trained.predict(X, verbose=0))
    assert loaded.evaluate(X, Y, verbose=0) == trained.evaluate(X, Y, verbose=0)
    assert loaded.get_config() == trained.get_config()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("optimizer", ["adam", "sgd", {"class_name": "SGD", "config": {"momentum": 0.9, "nesterov": True}}])
def test_a_loaded_model_trains_on_with_the_same_bits(tmp_path: Path, optimizer: Any) -> None:
    model = network()
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    model.optimizer.learning_rate = 0.0037
    model.save(tmp_path / "model.safetensors")
    loaded = models.load_model(tmp_path / "model.safetensors")
    assert loaded.optimizer.iterations == 6
    histories = [m.fit(X, Y, epochs=4, initial_epoch=2, batch_size=8, verbose=0).history for m in (model, loaded)]
    assert histories[0] == histories[1]
    assert same(model, loaded)


def test_an_uncompiled_model(tmp_path: Path) -> None:
    model = models.Sequential([layers.Dense(2, input_shape=(3,))])
    model.save(tmp_path / "m.safetensors")
    assert not models.load_model(tmp_path / "m.safetensors").compiled


def test_compile_false_leaves_training_out(tmp_path: Path, trained: Any) -> None:
    trained.save(tmp_path / "m.safetensors")
    assert not saving.load_model(tmp_path / "m.safetensors", compile=False).compiled


def test_several_outputs_and_their_losses(tmp_path: Path) -> None:
    inputs = layers.Input((4,))
    outputs = [layers.Dense(3, activation="softmax", name="kind")(inputs), layers.Dense(1, name="size")(inputs)]
    model = models.Model(inputs, outputs)
    model.compile("sgd", {"kind": losses.CategoricalCrossentropy(label_smoothing=0.1), "size": "mse"}, {"kind": 0.5, "size": 2},
                  metrics=[["accuracy"], [metrics.MeanAbsoluteError(name="gap")]])  # fmt: skip
    x, y = RNG.standard_normal((9, 4)), [np.eye(3)[RNG.integers(0, 3, 9)], RNG.standard_normal(9)]
    model.save(tmp_path / "m.safetensors")
    loaded = models.load_model(tmp_path / "m.safetensors")
    assert loaded.evaluate(x, y, verbose=0, return_dict=True) == model.evaluate(x, y, verbose=0, return_dict=True)
    assert "size_gap" in loaded.metrics_names


class Double(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2.0


def cubic(y_true: Any, y_pred: Any) -> Any:
    return ops.abs(y_pred - y_true) * ops.square(y_pred - y_true)


def worst(y_true: Any, y_pred: Any) -> float:
    return float(np.abs(y_true - y_pred).max())


def test_custom_objects(tmp_path: Path) -> None:
    model = models.Sequential([layers.Dense(1, input_shape=(2,)), Double()])
    model.compile("sgd", cubic, metrics=[worst])
    model.save(tmp_path / "m.safetensors")
    known = {"Double": Double, "cubic": cubic, "worst": worst}
    loaded = models.load_model(tmp_path / "m.safetensors", custom_objects=known)
    x, y = RNG.standard_normal((5, 2)), RNG.standard_normal(5)
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    for missing in known:
        with pytest.raises(ValueError, match=rf"unknown .*'{missing}'.*custom_objects=") as error:
            models.load_model(tmp_path / "m.safetensors", custom_objects={k: v for k, v in known.items() if k != missing})
        assert str(tmp_path) in str(error.value)


def test_weights_alone(tmp_path: Path, trained: Any) -> None:
    trained.save_weights(tmp_path / "w.safetensors")
    other = network()
    other.load_weights(tmp_path / "w.safetensors")
    assert same(other, trained)
    trained.save(tmp_path / "m.safetensors")
    another = network()
    another.load_weights(tmp_path / "m.safetensors")
    assert same(another, trained)
    with pytest.raises(ValueError, match=r"weights alone.*model\.load_weights"):
        models.load_model(tmp_path / "w.safetensors")


def test_layers_of_equal_names_in_submodels(tmp_path: Path) -> None:
    def part() -> Any:
        return models.Sequential([layers.Dense(2, name="same", input_shape=(2,))])

    model = models.Sequential([part(), part()])
    model.save_weights(tmp_path / "w.safetensors")
    other = models.Sequential([part(), part()])
    other.load_weights(tmp_path / "w.safetensors")
    assert same(model, other)


def test_checkpoint_resumes_with_the_same_bits(tmp_path: Path) -> None:
    """Interrupted after two of five epochs, with callbacks that remember."""
    path = tmp_path / "checkpoint.safetensors"

    def helpers() -> list[Any]:
        return [cb.History(), cb.EarlyStopping("loss", patience=9, restore_best_weights=True)]

    class Checkpoint(cb.Callback):
        def __init__(self, others: list[Any]):
            self.others = others

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            state = {"epochs": epoch + 1, "callbacks": cb.states(self.others), "note": [1, None, "x", np.float32(0.5)]}
            saving.save_checkpoint(path, self.model, state)

    model, others = network(), helpers()
    whole = network()
    whole.set_weights(model.get_weights())
    expected = whole.fit(X, Y, epochs=5, batch_size=8, callbacks=helpers(), verbose=0)
    model.fit(X, Y, epochs=2, batch_size=8, callbacks=[*others, Checkpoint(others)], verbose=0)

    loaded, state = saving.load_checkpoint(path)
    assert (state["epochs"], state["note"]) == (2, [1, None, "x", 0.5])
    others = helpers()
    cb.restore(others, state["callbacks"])
    got = loaded.fit(X, Y, epochs=5, initial_epoch=state["epochs"], batch_size=8, callbacks=others, verbose=0)
    assert got.history == expected.history
    assert got.epoch == expected.epoch == [0, 1, 2, 3, 4]
    assert same(loaded, whole)


def test_state_must_be_plain(tmp_path: Path, trained: Any) -> None:
    with pytest.raises(TypeError, match="state/bad/1 is a object"):
        saving.save_checkpoint(tmp_path / "c.safetensors", trained, {"bad": [1, object()]})
    assert not list(tmp_path.iterdir())
    trained.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="holds a model, not a checkpoint"):
        saving.load_checkpoint(tmp_path / "m.safetensors")


# Names.


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.keras", r"name it 'model\.safetensors' rather than 'model\.keras', which is Keras's zip format"),
        ("model.h5", "HDF5"),
        ("model", r"'model\.safetensors' rather than 'model'"),
    ],
)
def test_other_formats_are_refused(tmp_path: Path, trained: Any, name: str, message: str) -> None:
    for save in (trained.save, trained.save_weights):
        with pytest.raises(ValueError, match=message):
            save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_overwrite_false(tmp_path: Path, trained: Any) -> None:
    trained.save(tmp_path / "m.safetensors")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        trained.save(tmp_path / "m.safetensors", overwrite=False)


def test_a_model_without_weights_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no weights yet"):
        models.Sequential([layers.Dense(2)]).save(tmp_path / "m.safetensors")


# Damage.


@pytest.fixture
def file(tmp_path: Path, trained: Any) -> Path:
    path = tmp_path / "model.safetensors"
    trained.save(path)
    return path


def test_every_flipped_bit_is_found(file: Path) -> None:
    """One bit in each of 40 bytes spread over header and tensors."""
    whole = file.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 40).astype(int):
        broken = bytearray(whole)
        broken[place] ^= 1 << int(place % 8)
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=str(file)):
            models.load_model(file)
    file.write_bytes(whole)
    models.load_model(file)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.999])
def test_a_file_cut_off_is_found(file: Path, share: float) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match="damaged, cut off, or no safetensors file"):
        models.load_model(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"not a model at all, but long enough", "no safetensors file"),
        (struct.pack("<Q", 2) + b"{}", "not one that fastcnn wrote"),
    ],
)
def test_files_of_others(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        models.load_model(path)


def test_a_newer_format(file: Path) -> None:
    from safetensors.numpy import save_file

    save_file({}, str(file), {"fastcnn": json.dumps({"version": 3, "kind": "model", "document": {}, "sha256": ""})})
    with pytest.raises(ValueError, match="format version 3.*update fastcnn"):
        models.load_model(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        models.load_model(tmp_path / "none.safetensors")


def test_weights_of_another_model_change_nothing(file: Path) -> None:
    other = network(filters=5)
    before = other.get_weights()
    with pytest.raises(
        ValueError, match=r"another model.*conv2d.*/kernel \(3, 3, 1, 2\) in the file.*\(3, 3, 1, 5\) in the model"
    ):
        other.load_weights(file)
    assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), before, strict=True))
    with pytest.raises(ValueError, match=r"8 arrays, this one has 2.*nothing in the model"):
        models.Sequential([layers.Dense(3, input_shape=(2,))]).load_weights(file)


def test_a_full_disk_leaves_the_old_file(file: Path, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        trained.save(file)
    assert error.value.filename == str(file)
    assert file.read_bytes() == old
    assert list(file.parent.iterdir()) == [file]


def test_the_document_is_readable_by_others(file: Path) -> None:
    """Any safetensors reader sees the weights under their names, and the rest as JSON."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        names, metadata = set(opened.keys()), opened.metadata()
    document = json.loads(metadata["fastcnn"])["document"]
    assert set(document["weights"]) <= names
    assert any(name.endswith("/kernel") for name in document["weights"])
    assert any(name.startswith("optimizer/") and name.endswith("kernel.m") for name in names)
    assert document["training"]["optimizer_state"]["iterations"] == 6


def test_training_state_of_an_older_format_is_refused_and_its_weights_are_not(
    tmp_path: Path, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = saving._training
    monkeypatch.setattr(saving, "_training", lambda *a: {k: v for k, v in now(*a).items() if k != "optimizer_state"})
    trained.save(tmp_path / "old.safetensors")
    with pytest.raises(ValueError, match=r"older fastcnn.*compile=False"):
        models.load_model(tmp_path / "old.safetensors")
    assert same(models.load_model(tmp_path / "old.safetensors", compile=False), trained)

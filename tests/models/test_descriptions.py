"""Models described and made again: configurations, JSON, clones, pickles, summaries, programs."""

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

from fastcnn import layers, models, ops
from fastcnn.trace import Value
from fastcnn.utils.random_seed import set_random_seed

from .test_functional import branched
from .test_sequential import tutorial


class Double(layers.Layer):
    def call(self, x: Value) -> Value:
        return x * 2.0


def swish(x: Value) -> Value:
    return ops.multiply(x, ops.sigmoid(x))


def with_options() -> models.Sequential:
    """Frozen layers, a sub-model, a layer whose input shape is not known."""
    model = models.Sequential([models.Sequential([layers.Dense(3), layers.ReLU()]), layers.Dropout(0.5), layers.Dense(2)])
    model.build((None, 4))
    model.trainable = False
    model.layers[2].trainable = True
    return model


def frozen_but_for_one_layer() -> models.Model:
    model = branched()
    model.trainable = False
    model.get_layer("out").trainable = True
    return model


MAKERS = {"tutorial": tutorial, "branched": branched, "options": with_options, "frozen": frozen_but_for_one_layer}


@pytest.fixture(params=MAKERS.values(), ids=MAKERS.keys())
def model(request: pytest.FixtureRequest) -> models.Model:
    return request.param()


def inputs_for(model: models.Model) -> Any:
    rng = np.random.default_rng(0)
    made = [rng.normal(size=(2, *t.shape[1:])).astype(np.float32) for t in model.inputs]
    return made if len(made) > 1 else made[0]


def assert_same_predictions(model: models.Model, other: models.Model) -> None:
    x = inputs_for(model)
    mine, its = model.predict_on_batch(x), other.predict_on_batch(x)
    for a, b in zip(mine.values(), its.values(), strict=True) if isinstance(mine, dict) else [(mine, its)]:
        np.testing.assert_array_equal(a, b)


def assert_same_structure(model: models.Model, other: models.Model) -> None:
    assert type(other) is type(model)
    assert other.to_json() == model.to_json()
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    assert [w.shape for w in other.weights] == [w.shape for w in model.weights]
    assert [v.trainable for v in other.variables] == [v.trainable for v in model.variables]
    assert (other.output_names, other.output_shape) == (model.output_names, model.output_shape)


def test_json_round_trip(model: models.Model) -> None:
    again = models.model_from_json(model.to_json(indent=2))
    assert_same_structure(model, again)
    again.set_weights(model.get_weights())
    assert_same_predictions(model, again)


def test_config_round_trip(model: models.Model) -> None:
    assert_same_structure(model, type(model).from_config(json.loads(json.dumps(model.get_config()))))


def test_a_clone_has_weights_of_its_own(model: models.Model) -> None:
    set_random_seed(1)
    clone = models.clone_model(model)
    assert_same_structure(model, clone)
    assert not set(model.variables) & set(clone.variables)
    assert not np.array_equal(model.get_weights()[0], clone.get_weights()[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deepcopy", "pickle"])
def test_copies(model: models.Model, copied: Any) -> None:
    assert_same_predictions(model, copied(model))  # before and
    again = copied(model)  # after the model has programs
    assert_same_structure(model, again)
    assert_same_predictions(model, again)
    again.set_weights([w + 1 for w in again.get_weights()])
    assert not np.array_equal(model.get_weights()[0], again.get_weights()[0])


def test_a_compiled_model_goes_on_after_a_pickle() -> None:
    set_random_seed(0)
    model = models.Sequential([layers.Dense(3, activation="relu", input_shape=(4,)), layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse", device="reference")
    x, y = np.random.rand(8, 4).astype(np.float32), np.random.rand(8, 1).astype(np.float32)
    model.train_on_batch(x, y)
    again = pickle.loads(pickle.dumps(model))
    assert again.train_on_batch(x, y) == model.train_on_batch(x, y)
    for mine, its in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_sharing_survives_a_pickle() -> None:
    model = pickle.loads(pickle.dumps(branched()))
    assert len(model.weights) == 14
    assert sum(node.layer.name == "shared" for node in model.graph.nodes) == 2


def test_custom_objects() -> None:
    model = models.Sequential([layers.Dense(2, activation=swish, input_shape=(3,)), Double(name="double")])
    described = model.to_json()
    with pytest.raises(ValueError, match=r"unknown (activation 'swish'|layer 'Double').*custom_objects="):
        models.model_from_json(described)
    again = models.model_from_json(described, custom_objects={"swish": swish, "Double": Double})
    again.set_weights(model.get_weights())
    assert_same_predictions(model, again)


def test_a_clone_knows_custom_layers() -> None:
    model = models.Sequential([layers.Input((3,)), models.Sequential([Double(name="double")])])
    assert isinstance(models.clone_model(model).layers[0].layers[0], Double)


def test_an_unknown_layer_in_json() -> None:
    described = tutorial().to_json().replace("MaxPooling2D", "MaxPoling2D")
    with pytest.raises(ValueError, match="unknown layer 'MaxPoling2D'; did you mean 'MaxPooling2D'"):
        models.model_from_json(described)


def test_json_of_something_else() -> None:
    with pytest.raises(ValueError, match="a layer is described by"):
        models.model_from_json('{"kind": "dog"}')


def test_a_layer_in_two_models_has_no_configuration() -> None:
    shared = layers.Dense(3, name="shared")
    inner = models.Model(a := layers.Input((3,)), shared(a), name="inner")
    outer = models.Model(b := layers.Input((3,)), layers.Add()([inner(b), shared(b)]), name="outer")
    with pytest.raises(ValueError, match="layer 'shared' is part of both 'outer' and 'inner'|'inner' and 'outer'"):
        outer.to_json()


def test_save_and_load(model: models.Model, tmp_path: Any) -> None:
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = models.load_model(path)
    assert_same_structure(model, again)
    assert_same_predictions(model, again)


# Summaries.


def summary_of(model: models.Model, **options: Any) -> list[str]:
    lines: list[str] = []
    model.summary(print_fn=lines.append, **options)
    return lines


def test_summary_of_the_tutorials_network() -> None:
    model = tutorial()
    lines = summary_of(model)
    assert lines[0] == f'Model: "{model.name}"'
    rows = {line.split()[0]: line for line in lines if "(None" in line}
    first = rows[model.layers[0].name]
    # 26 * 26 * 32 outputs, each of 9 multiply-adds and a ReLU: 19 FLOPs.
    assert first.split("(None, 26, 26, 32)")[1].split()[:3] == ["320", "411", "k"]
    assert len(rows) == 8
    assert " Total params: 93,322 (364.54 KB)" in lines
    assert " Trainable params: 93,322 (364.54 KB)" in lines
    assert " Non-trainable params: 0 (0.00 B)" in lines
    # 2 * (194,688 + 2,230,272 + 331,776 + 36,864 + 640) of products, the rest of activations, pooling and softmax.
    assert lines[-1].startswith(" Forward, one sample: 5.65 MFLOP, ")


def test_summary_of_a_graph_tells_what_is_connected() -> None:
    lines = summary_of(branched())
    assert "Connected to" in lines[2]
    assert next(line for line in lines if line.startswith(" sum (Add)")).endswith("norm, sub")
    assert next(line for line in lines if line.startswith(" shared (Conv2D)")).endswith("a, b")
    assert " Non-trainable params: 16 (64.00 B)" in lines


def test_summary_before_the_shape_is_known() -> None:
    lines = summary_of(models.Sequential([layers.Dense(2, name="d")]))
    row = next(line for line in lines if line.startswith(" d (Dense)"))
    assert "?" in row
    assert "0 (unbuilt)" in row


def test_summary_fills_the_line() -> None:
    assert len(summary_of(tutorial(), line_length=120)[1]) == 120


def test_summary_prints(capsys: pytest.CaptureFixture[str]) -> None:
    tutorial().summary()
    assert "Total params: 93,322" in capsys.readouterr().out


# Programs.


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy", "mse"])
def test_programs_can_be_printed(loss: str) -> None:
    model = models.Sequential(
        [layers.Conv2D(2, 3, input_shape=(5, 5, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    assert "conv" in str(model.program("predict", batch_size=4))
    with pytest.raises(RuntimeError, match="must be compiled"):
        model.program("train")
    model.compile("sgd", loss, device="reference")
    for mode in ("train", "test", "predict"):
        assert model.layers[0].name in str(model.program(mode, batch_size=4))
    with pytest.raises(ValueError, match="unknown mode 'training'; did you mean 'train'"):
        model.program("training")

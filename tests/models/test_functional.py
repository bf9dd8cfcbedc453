"""Models as graphs: branches, shared layers, sub-models, nested inputs and outputs, order, names, and disconnected graphs."""

import pickle
from typing import Any

import numpy as np
import pytest

from fastcnn import layers, models
from fastcnn.graph import flatten, layer_order, pack, topological_order
from fastcnn.trace import Trace, Value


def branched() -> models.Model:
    """Two inputs, a shared convolution, a sub-model, a sum, a join, two outputs."""
    a, b = layers.Input((8, 8, 3), name="a"), layers.Input((8, 8, 3), name="b")
    shared, norm = layers.Conv2D(4, 3, name="shared"), layers.BatchNormalization(name="norm")
    x, y = norm(shared(a)), shared(b)
    sub = models.Sequential([layers.Input((6, 6, 4)), layers.Conv2D(4, 1), layers.BatchNormalization()], name="sub")
    z = layers.Concatenate(name="join")([layers.Add(name="sum")([x, sub(y)]), x])
    out = layers.Dense(2, name="out")(layers.Flatten(name="flat")(z))
    return models.Model([a, b], {"second": layers.GlobalAveragePooling2D(name="gap")(z), "first": out}, name="branched")


def values_of(model: models.Model) -> list[Value]:
    return [Value(tensor.shape, tensor.dtype, tensor.name) for tensor in model.inputs]


def test_layers_and_weights_are_in_keras_order() -> None:
    # Written down from Keras 3.15 for the same network.
    model = branched()
    assert [layer.name for layer in model.layers] == ["a", "b", "shared", "norm", "sub", "sum", "join", "flat", "out", "gap"]
    assert [w.shape for w in model.get_weights()] == [
        (3, 3, 3, 4), (4,), (4,), (4,), (4,), (4,), (1, 1, 4, 4), (4,), (4,), (4,), (4,), (4,), (288, 2), (2,),
    ]  # fmt: skip
    assert len(model.trainable_weights) == 10
    assert model.count_params() == 742


def test_a_shared_layer_comes_before_everything_that_any_of_its_calls_feeds() -> None:
    # Keras 3.15: input, dense, re_lu, dense_1, add.
    x = layers.Input((4,), name="x")
    shared = layers.Dense(4, name="shared")
    far = shared(layers.ReLU(name="relu")(shared(x)))
    model = models.Model(x, layers.Add(name="add")([layers.Dense(4, name="other")(x), far]))
    assert [layer.name for layer in model.layers] == ["x", "shared", "relu", "other", "add"]


def test_a_shared_layer_that_is_also_an_output_counts_as_far_as_its_farthest_call() -> None:
    # Keras 3.15: input, before, dense, aside, after.
    x, shared = layers.Input((4,), name="x"), layers.Dense(4, name="shared")
    far = layers.ReLU(name="after")(shared(layers.ReLU(name="before")(x)))
    model = models.Model(x, [layers.ReLU(name="aside")(x), shared(x), far])
    assert [layer.name for layer in model.layers] == ["x", "before", "shared", "aside", "after"]


def test_shapes_and_names() -> None:
    model = branched()
    assert model.input_names == ["a", "b"]
    assert model.output_names == ["first", "second"]
    assert model.input_shape == [(None, 8, 8, 3), (None, 8, 8, 3)]
    assert model.output_shape == [(None, 2), (None, 8)]
    assert model.compute_output_shape([(None, 8, 8, 3)] * 2) == {"second": (None, 8), "first": (None, 2)}
    assert [tensor.name for tensor in model.outputs] == ["out", "gap"]


def test_output_names_are_distinct() -> None:
    x, layer = layers.Input((3,)), layers.Dense(3, name="d")
    assert models.Model(x, [layer(x), layer(layer(x))]).output_names == ["d", "d_1"]


def test_the_trace_visits_layers_under_their_names() -> None:
    model = branched()
    with Trace() as trace:
        results = model.trace(values_of(model), training=True)
    assert [value.shape for value in results] == [(None, 2), (None, 8)]
    sources = [step.source for step in trace.steps]
    assert sources.count("shared") == 2
    assert any(source.startswith("sub/batch_normalization") for source in sources)
    assert trace.training is False


def test_a_model_computes_what_its_layers_do() -> None:
    a, b = layers.Input((2,)), layers.Input((2,))
    double = layers.Dense(2, use_bias=False, kernel_initializer=2 * np.eye(2))
    model = models.Model([a, b], layers.Add()([double(a), double(double(b))]))
    x, y = np.array([[1.0, 2.0]], np.float32), np.array([[10.0, 20.0]], np.float32)
    np.testing.assert_allclose(model([x, y]), [[42.0, 84.0]])


def test_dicts_of_inputs_go_by_name() -> None:
    tensors = {"left": layers.Input((2,)), "right": layers.Input((2,))}
    minus = layers.Dense(2, use_bias=False, kernel_initializer=-np.eye(2))
    model = models.Model(tensors, layers.Add()([tensors["left"], minus(tensors["right"])]))
    assert model.input_names == ["left", "right"]
    x, y = np.ones((1, 2), np.float32), np.full((1, 2), 3, np.float32)
    np.testing.assert_allclose(model.predict({"right": y, "left": x}, verbose=0), [[-2.0, -2.0]])


def test_a_model_is_a_layer() -> None:
    inner = models.Model(x := layers.Input((4, 4, 1)), {"y": layers.Flatten()(x)}, name="inner")
    outer_input = layers.Input((4, 4, 1))
    outer = models.Model(outer_input, layers.Dense(2)(inner(outer_input)["y"]))
    assert outer.output_shape == (None, 2)
    assert outer.get_layer("inner") is inner


def test_a_model_that_ends_inside_another() -> None:
    model = branched()
    cut = models.Model(model.inputs, [model.get_layer("sum").output, model.get_layer("norm").output])
    assert [layer.name for layer in cut.layers] == ["a", "b", "shared", "norm", "sub", "sum"]
    assert cut.get_layer("shared") is model.get_layer("shared")


def test_a_model_that_begins_inside_another() -> None:
    model = branched()
    tail = models.Model(model.get_layer("join").output, model.get_layer("out").output)
    assert [layer.name for layer in tail.layers] == ["flat", "out"]
    assert tail.input_shape == (None, 6, 6, 8)
    again = models.Model.from_config(tail.get_config())
    assert again.output_shape == (None, 2)


def test_freezing_a_model_freezes_what_is_inside() -> None:
    model = branched()
    model.get_layer("sub").trainable = False
    assert len(model.trainable_weights) == 6
    assert [v.trainable for v in model.get_layer("sub").variables] == [False] * 6
    model.trainable = False
    assert model.trainable_weights == []
    model.trainable = True
    assert len(model.trainable_weights) == 10


def test_a_thousand_layers() -> None:
    x = inputs = layers.Input((2,))
    for _ in range(1000):
        x = layers.ReLU()(x)
    model = pickle.loads(pickle.dumps(models.Model(inputs, x)))
    assert len(model.layers) == 1001


def test_get_layer() -> None:
    model = branched()
    assert model.get_layer(index=2) is model.get_layer("shared")
    assert model.get_layer(index=-1).name == "gap"
    with pytest.raises(ValueError, match="unknown layer 'share'; did you mean 'shared'"):
        model.get_layer("share")
    with pytest.raises(ValueError, match="10 layers, there is no index 10"):
        model.get_layer(index=10)
    with pytest.raises(ValueError, match="a name or an index"):
        model.get_layer()


# Errors.


def test_disconnected_graphs() -> None:
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    with pytest.raises(
        ValueError, match="graph disconnected: the outputs depend on the input 'b' of shape .*Layers reached before it: a"
    ):
        models.Model(a, layers.Add()([a, b]))
    with pytest.raises(ValueError, match=r"no output depends on the input\(s\) b"):
        models.Model([a, b], layers.Dense(2)(a))


def test_an_input_given_twice() -> None:
    a = layers.Input((3,), name="a")
    with pytest.raises(ValueError, match="an input is given twice"):
        models.Model([a, a], layers.Dense(2)(a))


def test_two_layers_of_one_name() -> None:
    a = layers.Input((3,))
    with pytest.raises(ValueError, match="two layers of the model are named 'd'"):
        models.Model(a, layers.Dense(2, name="d")(layers.Dense(2, name="d")(a)))


@pytest.mark.parametrize("wrong", [np.zeros(3), layers.Dense(2), []], ids=["array", "layer", "empty"])
def test_inputs_and_outputs_that_are_no_tensors(wrong: Any) -> None:
    a = layers.Input((3,))
    with pytest.raises(ValueError, match="a model's inputs must be tensors"):
        models.Model(wrong, a)
    with pytest.raises(ValueError, match="a model's outputs must be tensors"):
        models.Model(a, wrong)


def test_subclassed_models_are_refused() -> None:
    class Mine(models.Model):
        def call(self, x: Any) -> Any:
            return x

    for make in (Mine, models.Model, lambda: Mine(x := layers.Input((3,)), x)):
        with pytest.raises(TypeError, match="needs inputs and outputs.*write the computation as a Layer"):
            make()


def test_calling_a_model_on_other_shapes() -> None:
    model = models.Model(x := layers.Input((3,), name="x"), layers.Dense(2)(x), name="m")
    with pytest.raises(
        layers.LayerError, match=r"layer 'm' .*the input 'x' of the model has shape \(None, 3\), got \(None, 4\)"
    ):
        model(layers.Input((4,)))
    with pytest.raises(layers.LayerError, match=r"has 1 input\(s\), x; got 2"):
        model([layers.Input((3,)), layers.Input((3,))])
    with pytest.raises(layers.LayerError, match="unknown input 'y'"):
        model({"y": layers.Input((3,))})
    with pytest.raises(ValueError, match="use train_on_batch to train"):
        model(np.zeros((1, 3), np.float32), training=True)


def test_weights_that_do_not_fit() -> None:
    model = branched()
    with pytest.raises(ValueError, match=r"'branched' has 14 weights, got 1 arrays; expected shared/kernel \(3, 3, 3, 4\)"):
        model.set_weights([np.zeros(3)])


# The graph itself.


def test_nested_structures() -> None:
    structure = {"b": [1, (2, 3)], "a": 4}
    assert flatten(structure) == [4, 1, 2, 3]
    assert pack(structure, [40, 10, 20, 30]) == {"b": [10, (20, 30)], "a": 40}
    assert list(pack(structure, range(4))) == ["b", "a"]


def test_every_node_comes_after_those_that_it_reads() -> None:
    model = branched()
    done = set(model.inputs)
    for node in topological_order(model.inputs, model.outputs):
        assert set(flatten(node.inputs)) <= done
        done.update(flatten(node.outputs))
    assert set(model.outputs) <= done
    assert layer_order(model.inputs, model.outputs) == model.layers

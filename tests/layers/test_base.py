"""The base of all layers: names, weights, composite and custom layers, calls, and the errors around them."""

import pickle
from typing import Any

import numpy as np
import pytest

from fastcnn import initializers, layers, models, ops
from fastcnn.trace import Trace, Value
from fastcnn.utils.naming import clear_session, snake_case


class Scale(layers.Layer):
    """A custom layer in ten lines: its weight, its arithmetic, its argument."""

    def __init__(self, start: float = 1.0, **options: Any):
        super().__init__(**options)
        self.start = start

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], input_shape[-1]), initializers.Constant(self.start), name="kernel")

    def call(self, x: Value) -> Value:
        return ops.dense(x, self.kernel) * 2.0 + x


class Block(layers.Layer):
    """A custom layer made of layers, one of them in a list."""

    def __init__(self, filters: int, **options: Any):
        super().__init__(**options)
        self.filters = filters
        self.first = layers.Conv2D(filters, 3, padding="same")
        self.rest = [layers.BatchNormalization(), layers.Dropout(0.5)]

    def call(self, x: Value) -> Value:
        y = self.first(x)
        for layer in self.rest:
            y = layer(y)
        return ops.add(x, y)


class Without(layers.Layer):
    """A custom layer whose constructor knows neither name nor trainable."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def call(self, x: Value, training: bool = False) -> Value:
        return x * self.factor if training else x


def test_names_count_as_in_keras() -> None:
    clear_session()
    assert [layers.Conv2D(1, 1).name for _ in range(3)] == ["conv2d", "conv2d_1", "conv2d_2"]
    assert layers.Conv2D(1, 1, name="mine").name == "mine"
    assert layers.Conv2D(1, 1).name == "conv2d_3"
    clear_session()
    assert layers.Conv2D(1, 1).name == "conv2d"


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        ("ReLU", "re_lu"),
        ("LeakyReLU", "leaky_re_lu"),
        ("MaxPooling2D", "max_pooling2d"),
        ("GlobalAveragePooling2D", "global_average_pooling2d"),
        ("InputLayer", "input_layer"),
        ("BatchNormalization", "batch_normalization"),
    ],
)
def test_snake_case_is_keras(cls: str, name: str) -> None:
    assert snake_case(cls) == name


def test_a_custom_layer() -> None:
    layer = Scale(0.5)
    output = layer(layers.Input((3,)))
    assert output.shape == (None, 3)
    np.testing.assert_array_equal(layer.get_weights(), [np.full((3, 3), 0.5)])
    assert layer.get_config() == {"name": layer.name, "trainable": True, "start": 0.5}
    again = layers.deserialize(layers.serialize(layer), custom_objects={"Scale": Scale})
    assert isinstance(again, Scale)
    assert again.start == 0.5
    assert pickle.loads(pickle.dumps(layer)).start == 0.5


def test_a_custom_layer_computes() -> None:
    model = models.Sequential([layers.Input((2,)), Scale(0.5)])
    np.testing.assert_allclose(model(np.array([[1.0, 3.0]], np.float32)), [[5.0, 7.0]])


def test_a_layer_made_of_layers() -> None:
    block = Block(2, name="block")
    assert block(layers.Input((4, 4, 2))).shape == (None, 4, 4, 2)
    assert [w.shape for w in block.weights] == [(3, 3, 2, 2), (2,), (2,), (2,), (2,), (2,)]
    assert len(block.trainable_weights) == 4
    block.trainable = False
    assert not block.first.trainable
    assert not block.rest[0].trainable
    again = layers.deserialize(layers.serialize(block), custom_objects={"Block": Block})
    assert again.filters == 2


class Wrapped(layers.Layer):
    """A custom layer that is given a layer."""

    def __init__(self, inner: layers.Layer, **options: Any):
        super().__init__(**options)
        self.before = layers.Dense(3)
        self.inner = inner

    def call(self, x: Value) -> Value:
        return self.inner(self.before(x))


def test_a_layer_that_is_given_a_layer() -> None:
    layer = Wrapped(layers.Dense(2))
    layer(layers.Input((4,)))
    assert [w.shape for w in layer.weights] == [(4, 3), (3,), (3, 2), (2,)]
    again = layers.deserialize(layers.serialize(layer), custom_objects={"Wrapped": Wrapped})
    assert again.inner.get_config() == layer.inner.get_config()
    assert again.inner is not layer.inner


def test_steps_carry_the_path_of_their_layer() -> None:
    with Trace() as trace:
        Block(2, name="block")(Value((None, 4, 4, 2)))
    assert {step.source.split("/")[0] for step in trace.steps} == {"block"}
    assert trace.steps[0].source.startswith("block/conv2d")


def test_a_constructor_without_options() -> None:
    layer = Without(3.0)
    layer.trainable = False
    again = layers.deserialize(layers.serialize(layer), custom_objects={"Without": Without})
    assert (again.name, again.factor, again.trainable) == (layer.name, 3.0, False)


@pytest.mark.parametrize(("mode", "given", "steps"), [(True, None, 1), (False, None, 0), (True, False, 0), (False, True, 1)])
def test_the_mode_reaches_layers_unless_it_is_given(mode: bool, given: bool | None, steps: int) -> None:
    with Trace(training=mode) as trace:
        outer = models.Sequential([layers.Input((3,)), Without(2.0)])
        outer(Value((None, 3)), training=given)
    assert len(trace.steps) == steps
    assert trace.training is mode


def test_a_mode_given_in_a_graph_stays() -> None:
    inputs = layers.Input((3,))
    model = models.Model(inputs, layers.Dropout(0.5)(inputs, training=True))
    again = models.model_from_json(model.to_json())
    for each in (model, again):
        with Trace() as trace:
            each.trace([Value((None, 3))], training=False)
        assert [step.op for step in trace.steps] == ["dropout_forward"]


def test_frozen_batch_normalization_runs_in_inference_mode() -> None:
    layer = layers.BatchNormalization()
    for trainable, op in ((True, "batch_norm_forward"), (False, "batch_norm_inference")):
        layer.trainable = trainable
        with Trace(training=True) as trace:
            layer(Value((None, 3)))
        assert [step.op for step in trace.steps] == [op]


def test_a_weight_assigned_by_hand_counts() -> None:
    from fastcnn.variables import Variable

    layer = layers.Flatten()
    layer.offset = Variable(np.zeros(3), trainable=False)
    assert layer.non_trainable_weights == [layer.offset]


def test_trainable_weights_come_before_the_others() -> None:
    class Mixed(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.add_weight((1,), "zeros", trainable=False, name="count")
            self.add_weight((2,), "zeros", name="kernel")

        def call(self, x: Value) -> Value:
            return x

    layer = Mixed(name="mixed")
    layer(layers.Input((3,)))
    assert [w.name for w in layer.weights] == ["mixed/kernel", "mixed/count"]


def test_building_by_hand_makes_the_weights_once() -> None:
    layer = layers.Dense(2)
    layer.build((None, 3))
    layer(layers.Input((3,)))
    assert len(layer.weights) == 2


def test_set_weights_reads_what_get_weights_gave() -> None:
    layer, other = layers.Dense(2), layers.Dense(2)
    for each in (layer, other):
        each(layers.Input((3,)))
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(other.kernel.value, layer.kernel.value)


def test_set_weights_changes_nothing_where_one_does_not_fit() -> None:
    layer = layers.Dense(2, name="d")
    layer(layers.Input((3,)))
    before = layer.get_weights()
    with pytest.raises(ValueError, match=r"'d' has 2 weights, got 1 arrays; expected d/kernel \(3, 2\), d/bias \(2,\)"):
        layer.set_weights([np.zeros((3, 2))])
    with pytest.raises(ValueError, match=r"d/bias of 'd' has shape \(2,\), got \(3,\)"):
        layer.set_weights([np.zeros((3, 2)), np.zeros(3)])
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])


def test_counting_before_building_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no weights yet"):
        layers.Dense(2).count_params()


def test_input_and_output_of_a_call() -> None:
    inputs, layer = layers.Input((3,)), layers.Dense(2)
    with pytest.raises(ValueError, match="has not been called"):
        _ = layer.output
    result = layer(inputs)
    assert layer.input is inputs
    assert layer.output is result


def test_a_first_call_that_fails_leaves_the_layer_unbuilt() -> None:
    layer = layers.Conv2D(4, 5)
    with pytest.raises(layers.LayerError):
        layer(layers.Input((3, 3, 2)))
    assert layer.weights == []
    assert layer(layers.Input((5, 5, 1))).shape == (None, 1, 1, 4)


def test_computing_a_shape_draws_no_random_numbers() -> None:
    from fastcnn.utils.random_seed import set_random_seed

    set_random_seed(1)
    expected = layers.Dense(2)
    expected.build((None, 3))
    set_random_seed(1)
    layer = layers.Dense(2)
    layer.compute_output_shape((None, 3))
    layer.build((None, 3))
    np.testing.assert_array_equal(layer.kernel.value, expected.kernel.value)


# Errors.


def test_calling_a_layer_on_an_array() -> None:
    with pytest.raises(TypeError, match=r"layer 'c' was called on ndarray: .*models.Sequential\(\[layer\]\).predict\(x\)"):
        layers.Conv2D(2, 3, name="c")(np.zeros((1, 5, 5, 1)))


def test_an_op_outside_of_a_layer() -> None:
    with pytest.raises(RuntimeError, match="put this computation into a Layer"):
        ops.relu(layers.Input((3,)))


@pytest.mark.parametrize(
    "layer", [layers.Conv2D(2, 3, name="c"), layers.MaxPooling2D(name="c"), layers.GlobalMaxPooling2D(name="c")], ids=repr
)
def test_an_input_of_the_wrong_rank(layer: layers.Layer) -> None:
    with pytest.raises(
        layers.LayerError, match=r"layer 'c' .*\(None, 28, 28\).*expects 4 axes \(batch, height, width, channels\), got 3"
    ):
        layer(layers.Input((28, 28)))


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            layers.Conv2D(2, 3, name="c"),
            (2, 5, 1),
            r"layer 'c' \(Conv2D\), called on \(None, 2, 5, 1\).*floor\(\(2 \+ 0 padding - 3 window",
        ),
        (
            layers.Conv2D(2, 3, dilation_rate=3, name="c"),
            (9, 6, 1),
            r"axis 2 .*floor\(\(6 \+ 0 padding - 7 window\) / 1 stride\) \+ 1 = 0",
        ),
        (layers.MaxPooling2D((3, 1), name="p"), (2, 5, 1), r"layer 'p' .*this pooling shrinks axis 1 below one pixel"),
        (layers.AveragePooling2D(9, strides=1, name="p"), (8, 9, 1), r"layer 'p' .*shrinks axis 1 .*= 0"),
        (layers.Reshape((5, 5), name="r"), (24,), r"layer 'r' .*cannot reshape \(24,\)"),
        (layers.Conv2D(4, 1, groups=2, name="g"), (5, 5, 3), r"layer 'g' .*3 channels cannot be divided into 2 groups"),
        (layers.BatchNormalization(axis=1, name="b"), (5, 5, 3), r"layer 'b' .*axis must be -1 or 3, got 1"),
        (layers.Softmax(axis=1, name="s"), (5, 3), r"layer 's' .*axis must be the last one"),
        (layers.Add(name="a"), (5, 3), r"layer 'a' .*list of tensors"),
        (layers.Concatenate(name="a"), (5, 3), r"layer 'a' .*list of tensors"),
        (layers.Dense(3, name="d"), (), r"layer 'd' .*at least two axes"),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else "",
)
def test_an_input_that_does_not_fit(layer: layers.Layer, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(layers.LayerError, match=message):
        layer(layers.Input(shape))


def test_the_path_of_a_layer_inside_another_stands_in_its_error() -> None:
    class Outer(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="outer")
            self.inner = layers.MaxPooling2D(3, name="inner")

        def call(self, x: Value) -> Value:
            return self.inner(x)

    with pytest.raises(layers.LayerError, match=r"^layer 'outer/inner' \(MaxPooling2D\)"):
        Outer()(layers.Input((2, 2, 1)))


def test_a_layer_built_for_other_channels() -> None:
    for layer in (layers.Conv2D(2, 1), layers.BatchNormalization(), layers.Dense(2)):
        layer(layers.Input((4, 4, 3)))
        with pytest.raises(layers.LayerError, match=r"\(None, 4, 4, 5\).*5"):
            layer(layers.Input((4, 4, 5)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv2D(0, 3), "filters must be a positive whole number, got 0"),
        (lambda: layers.Conv2D(2.5, 3), "filters must be a positive whole number, got 2.5"),
        (lambda: layers.Conv2D(2, (3, 3, 3)), r"kernel_size must be one positive whole number or 2 of them"),
        (lambda: layers.Conv2D(2, 3, strides=0), "strides must be"),
        (lambda: layers.Conv2D(2, 3, padding="sam"), "unknown padding 'sam'; did you mean 'same'"),
        (lambda: layers.Conv2D(2, 3, data_format="channels_first"), r"channels_last.*numpy.moveaxis\(x, 1, -1\)"),
        (lambda: layers.Conv2D(3, 3, groups=2), "3 filters cannot be divided into 2 groups"),
        (lambda: layers.Conv2D(3, 3, activation="rellu"), "unknown activation 'rellu'; did you mean 'relu'"),
        (lambda: layers.Conv2D(3, 3, activation=3), "an activation is a name, a function or None"),
        (lambda: layers.Conv2D(3, 3, kernel_initializer="he_norm"), "unknown initializer 'he_norm'; did you mean 'he_normal'"),
        (lambda: layers.Dense(3, activity_regularizer="l2"), "activity_regularizer is not offered yet"),
        (lambda: layers.Dense(-3), "units must be a positive whole number"),
        (lambda: layers.Dense(3, dtype="float16"), "dtype must be None or 'float32'"),
        (lambda: layers.Dense(3, input_shape=(None, 3)), "must be positive whole numbers without the batch axis"),
        (lambda: layers.MaxPooling2D(0), "pool_size must be"),
        (lambda: layers.Dropout(1), "rate must lie in 0 <= rate < 1, got 1"),
        (lambda: layers.Dropout(0.5, seed=3), "set_random_seed"),
        (lambda: layers.Dropout(0.5, noise_shape=(1,)), "noise_shape is not offered yet"),
        (lambda: layers.LeakyReLU(-1), "negative_slope must be at least 0"),
        (lambda: layers.BatchNormalization(renorm=True), "renorm is not offered yet"),
        (lambda: layers.Input((28, None, 1)), "every axis must be known"),
        (lambda: layers.Input(28), "the shape of one sample"),
        (lambda: layers.Input(), "shape is needed"),
        (lambda: layers.Input((3,), batch_size=4), "batch_size is not offered yet"),
        (lambda: layers.Input((3,), dtype="int32"), "dtype must be None or 'float32'"),
    ],
)
def test_bad_arguments(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_argument() -> None:
    with pytest.raises(TypeError, match=r"Conv2D got unknown argument\(s\): 'stride' \(did you mean 'strides'\?\)"):
        layers.Conv2D(3, 3, stride=2)


def test_a_constructor_that_forgets_its_base() -> None:
    class Forgetful(layers.Layer):
        def __init__(self) -> None:
            self.x = 1

    with pytest.raises(RuntimeError, match=r"Forgetful.__init__ must begin with super\(\).__init__"):
        Forgetful()(layers.Input((3,)))


@pytest.mark.parametrize("result", [None, np.zeros(3)], ids=["None", "array"])
def test_a_call_that_returns_no_value(result: Any) -> None:
    class Wrong(layers.Layer):
        def call(self, x: Value) -> Any:
            return result

    with pytest.raises(layers.LayerError, match=r"call\(\) must return what fastcnn.ops computed, got"):
        Wrong()(layers.Input((3,)))


def test_an_initializer_of_the_wrong_shape() -> None:
    with pytest.raises(layers.LayerError, match=r"array of shape \(2, 2\) cannot initialize a weight of shape \(3, 2\)"):
        layers.Dense(2, kernel_initializer=np.eye(2))(layers.Input((3,)))


def test_an_argument_that_json_cannot_hold() -> None:
    class Holder(layers.Layer):
        def __init__(self, thing: Any):
            super().__init__()
            self.thing = thing

    with pytest.raises(TypeError, match=r"the argument thing of Holder is a set.*write a get_config"):
        Holder({1, 2}).get_config()


def test_an_unknown_layer_in_a_config() -> None:
    with pytest.raises(ValueError, match=r"unknown layer 'Conv2d'; did you mean 'Conv2D'.*custom_objects=\{'Conv2d': ...\}"):
        layers.deserialize({"class_name": "Conv2d", "config": {}})


def test_a_custom_activation_in_a_config() -> None:
    def squashed(x: Value) -> Value:
        return ops.multiply(x, ops.sigmoid(x))

    described = layers.serialize(layers.Dense(2, activation=squashed))
    with pytest.raises(ValueError, match="unknown activation 'squashed'"):
        layers.deserialize(described)
    assert layers.deserialize(described, custom_objects={"squashed": squashed}).activation is squashed

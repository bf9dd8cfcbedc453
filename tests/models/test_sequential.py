"""Sequential: where the input shape comes from, add and pop, and that a failed add changes nothing."""

import numpy as np
import pytest

from fastcnn import layers, models


def tutorial() -> models.Sequential:
    """The tutorials' MNIST network."""
    model = models.Sequential()
    model.add(
        layers.Conv2D(
            32,
            (3, 3),
            activation="relu",
            strides=(1, 1),
            padding="valid",
            kernel_initializer="glorot_uniform",
            input_shape=(28, 28, 1),
        )
    )
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), activation="relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    return model


def test_the_tutorials_network() -> None:
    model = tutorial()
    assert model.count_params() == 93_322
    assert [layer.output.shape[1:] for layer in model.layers] == [
        (26, 26, 32), (13, 13, 32), (11, 11, 64), (5, 5, 64), (3, 3, 64), (576,), (64,), (10,),
    ]  # fmt: skip
    assert (model.input_shape, model.output_shape) == ((None, 28, 28, 1), (None, 10))
    assert len(model.layers) == 8
    assert len(model.get_weights()) == 10


@pytest.mark.parametrize(
    "model",
    [
        models.Sequential([layers.Input((5,)), layers.Dense(2)]),
        models.Sequential([layers.InputLayer((5,)), layers.Dense(2)]),
        models.Sequential([layers.Dense(2, input_shape=(5,))]),
        models.Sequential([layers.Dense(2, input_dim=5)]),
        models.Sequential([models.Sequential([layers.Dense(2, input_shape=(5,))])]),
    ],
    ids=["Input", "InputLayer", "input_shape", "input_dim", "model"],
)
def test_ways_to_tell_the_input_shape(model: models.Sequential) -> None:
    assert model.built
    assert model.input_shape == (None, 5)
    assert model.count_params() == 12
    assert len(model.layers) == 1


def test_an_input_shape_that_comes_last() -> None:
    model = models.Sequential([layers.Dense(2), layers.Dense(3)], name="late")
    assert not model.built
    assert model.weights == []
    with pytest.raises(ValueError, match="model 'late' does not know its input shape yet"):
        _ = model.inputs
    with pytest.raises(ValueError, match="has no weights yet"):
        model.count_params()
    model.build((None, 4))
    assert model.output_shape == (None, 3)
    with pytest.raises(ValueError, match=r"is built for inputs of \(None, 4\), got \(None, 5\)"):
        model.build((None, 5))


def test_the_first_data_build_it() -> None:
    model = models.Sequential([layers.Dense(2)])
    assert model(np.zeros((3, 4), np.float32)).shape == (3, 2)
    assert model.input_shape == (None, 4)


def test_being_called_builds_it() -> None:
    model = models.Sequential([layers.Conv2D(2, 3), layers.Flatten()])
    assert model(layers.Input((4, 4, 1))).shape == (None, 8)
    assert model.input_shape == (None, 4, 4, 1)


def test_pop_and_add() -> None:
    model = tutorial()
    assert model.pop().name.startswith("dense")
    assert model.output_shape == (None, 64)
    assert model.count_params() == 93_322 - 650
    model.add(layers.Dense(3))
    assert model.output_shape == (None, 3)


def test_changing_a_model_after_it_ran() -> None:
    model = models.Sequential([layers.Input((3,)), layers.Dense(3, use_bias=False, kernel_initializer=-np.eye(3))])
    x = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(model(x), -x)
    model.add(layers.ReLU())
    np.testing.assert_allclose(model(x), 0 * x)
    model.pop()
    np.testing.assert_allclose(model(x), -x)


def test_popping_everything() -> None:
    model = models.Sequential([layers.Dense(2, input_shape=(3,))])
    model.pop()
    assert model.layers == []
    with pytest.raises(ValueError, match="has no layers to remove"):
        model.pop()


def test_a_layer_that_does_not_fit_is_not_added() -> None:
    model = models.Sequential([layers.Conv2D(2, 3, input_shape=(4, 4, 1))])
    with pytest.raises(
        layers.LayerError, match=r"layer 'big' \(MaxPooling2D\), called on \(None, 2, 2, 2\).*\(2 \+ 0 padding - 3 window\)"
    ):
        model.add(layers.MaxPooling2D(3, name="big"))
    assert len(model.layers) == 1
    assert model.output_shape == (None, 2, 2, 2)
    model.add(layers.Flatten())
    assert model.output_shape == (None, 8)


def test_a_first_layer_that_does_not_fit_leaves_the_model_empty() -> None:
    model = models.Sequential()
    with pytest.raises(layers.LayerError):
        model.add(layers.Conv2D(2, 9, input_shape=(4, 4, 1)))
    assert not model.built
    model.add(layers.Conv2D(2, 3, input_shape=(4, 4, 1)))
    assert model.built


def test_what_cannot_be_added() -> None:
    model = models.Sequential([layers.Dense(2, input_shape=(3,), name="d")], name="m")
    with pytest.raises(ValueError, match="'m' already has a layer named 'd'; give one of them another name="):
        model.add(layers.Dense(2, name="d"))
    with pytest.raises(ValueError, match="an Input can only be the first"):
        model.add(layers.Input((3,)))
    with pytest.raises(TypeError, match="only layers can be added to a Sequential model, got str"):
        model.add("relu")
    with pytest.raises(TypeError, match="only layers can be added"):
        model.add(model.output)
    assert len(model.layers) == 1


def test_building_without_layers() -> None:
    with pytest.raises(ValueError, match="needs layers to be built"):
        models.Sequential().build((None, 3))


def test_a_call_of_its_own_is_refused() -> None:
    class Mine(models.Sequential):
        def call(self, inputs: object) -> object:
            return inputs

    with pytest.raises(TypeError, match=r"may not write its own call\(\)"):
        Mine()

"""Values and gradients inside of a model: against central differences, against models that end there, on every backend."""

from typing import Any

import numpy as np
import pytest
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn import backends, explain, layers, models
from fastcnn.explain import INPUT, OUTPUT, SCORES, Place
from fastcnn.explain.inside import find, following, gradients, image_layer, look, paths

SMALL = (6, 6, 2)


def small(device: Any = None, last: str | None = "softmax") -> models.Sequential:
    """Convolution, pool, normalisation, dropout, dense; the moving statistics are not those of a new layer."""
    model = models.Sequential(
        [
            layers.Conv2D(4, 3, activation="tanh", padding="same", input_shape=SMALL, name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(3, 2, name="conv2"),
            layers.BatchNormalization(name="norm"),
            layers.Activation("sigmoid", name="act"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(5, activation=last, name="dense"),
        ],
        name="small",
    )
    rng = np.random.default_rng(3)
    model.set_weights([0.4 * np.abs(rng.standard_normal(w.shape)) - 0.1 * (w.ndim > 1) for w in model.get_weights()])
    if device is not None:
        model.compile(device=device)
    return model


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(5).random((3, *SMALL)).astype(np.float32)


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(6).standard_normal((3, 5)).astype(np.float32)


def slope(function: Any, x: np.ndarray, where: tuple[int, ...], step: float = 1e-3) -> float:
    """The central difference of each sample's number `function(x)`, (n,)."""
    ends = []
    for sign in (1, -1):
        moved = x.copy()
        moved[where] += sign * step
        ends.append((float(moved[where]), function(moved)[where[0]]))
    return float((ends[0][1] - ends[1][1]) / (ends[0][0] - ends[1][0]))


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("of", [SCORES, OUTPUT, Place("result", "conv2"), Place("result", "pool")])
def test_gradients_are_central_differences_in_float64(x: np.ndarray, of: Place, squared: bool) -> None:
    model = small(ReferenceBackend(np.float64))
    (values,) = look(model, x, [of])
    weights = np.random.default_rng(6).standard_normal(values.shape).astype(np.float32)

    def score(moved: np.ndarray) -> np.ndarray:
        (value,) = look(model, moved, [of])
        return (weights * (value**2 / 2 if squared else value)).reshape(len(x), -1).sum(axis=1)

    found = gradients(model, x, weights, of, squared=squared)
    assert found.gradient.dtype == np.float64
    np.testing.assert_array_equal(found.of, values)
    np.testing.assert_array_equal(found.at, x)
    for where in np.random.default_rng(7).integers(0, (*x.shape,), (12, 4)):
        place = tuple(int(n) for n in where)
        assert found.gradient[place] == pytest.approx(slope(score, x, place), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("layer", ["conv", "pool", "norm", "flat"])
def test_gradients_inside_are_those_of_the_rest_of_the_network(x: np.ndarray, weights: np.ndarray, layer: str) -> None:
    model = small(ReferenceBackend(np.float64))
    found = gradients(model, x, weights, SCORES, Place("result", layer))
    tensor = model.get_layer(layer).output
    rest = models.Model(tensor, models.Sequential([*_after(model, layer)])(tensor))
    rest.compile(device=ReferenceBackend(np.float64))
    outer = gradients(rest, found.at, weights)
    np.testing.assert_allclose(found.gradient, outer.gradient, rtol=1e-6, atol=1e-9)


def _after(model: Any, layer: str) -> list[Any]:
    names = [known.name for known in model.layers]
    return model.layers[names.index(layer) + 1 :]


@pytest.mark.parametrize("device", ["cpu", "emulated", "reference"])
def test_every_backend_agrees_with_float64(x: np.ndarray, weights: np.ndarray, device: str) -> None:
    if backends.why_not(device):
        pytest.skip(backends.why_not(device))
    places = [INPUT, *(Place("result", name) for name in ("conv", "pool", "norm", "act", "dense")), SCORES, OUTPUT]
    places += [Place("operand", "conv2"), Place("product", "conv"), Place("product", "dense")]
    exact = small(ReferenceBackend(np.float64))
    model = small(device)
    for found, expected in zip(look(model, x, places), look(exact, x, places), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for wrt, squared in ((INPUT, False), (Place("result", "conv"), True)):
        found, expected = (gradients(m, x, weights, SCORES, wrt, squared=squared).gradient for m in (model, exact))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_values_are_those_of_a_model_that_ends_there(digits: Any) -> None:
    model, x = digits.model, digits.x[:4]
    first_of_each_kind = {type(layer): layer for layer in reversed(model.layers)}
    for layer in first_of_each_kind.values():
        expected = models.Model(model.inputs, layer.output).predict(x, verbose=0)
        np.testing.assert_array_equal(look(model, x, [Place("result", layer.name)])[0], expected)


@pytest.mark.parametrize(("last", "inverse"), [("softmax", np.log), ("sigmoid", lambda p: np.log(p / (1 - p)))])
def test_scores_are_what_the_last_activation_reads(x: np.ndarray, last: str, inverse: Any) -> None:
    model = small("cpu", last)
    scores, output = explain.scores(model, x), model.predict(x, verbose=0)
    expected = inverse(output)
    if last == "softmax":
        scores, expected = (a - a.mean(axis=1, keepdims=True) for a in (scores, expected))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_scores_of_a_linear_or_relu_output_are_the_output(x: np.ndarray) -> None:
    for last in (None, "relu"):
        model = small("cpu", last)
        np.testing.assert_array_equal(explain.scores(model, x), model.predict(x, verbose=0))


def test_inference_mode_and_nothing_is_changed(x: np.ndarray, weights: np.ndarray) -> None:
    model = small("cpu")
    before = model.get_weights()
    first, second = (gradients(model, x, weights).gradient for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.any()
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_model_that_was_not_compiled_will_do(x: np.ndarray, weights: np.ndarray) -> None:
    np.testing.assert_allclose(gradients(small(), x, weights).gradient, gradients(small("cpu"), x, weights).gradient, rtol=1e-5)


def test_programs_are_kept_and_follow_the_weights(x: np.ndarray, weights: np.ndarray) -> None:
    model = small("cpu")
    first = gradients(model, x, weights).gradient
    kept = list(model.executor._programs.values())
    gradients(model, x, weights)
    assert list(model.executor._programs.values()) == kept
    model.get_layer("conv").kernel.assign(0 * model.get_layer("conv").kernel.value)
    assert not gradients(model, x, weights).gradient.any()
    assert first.any()


def test_batches_of_any_size_give_the_same(x: np.ndarray, weights: np.ndarray) -> None:
    model = small("cpu")
    whole, parts = (gradients(model, x, weights, batch_size=size).gradient for size in (32, 2))
    np.testing.assert_allclose(whole, parts, rtol=1e-5, atol=1e-7)


def test_bytes_are_read_as_they_are(x: np.ndarray, weights: np.ndarray) -> None:
    model, pixels = small("cpu"), (255 * x).astype(np.uint8)
    found = gradients(model, pixels, weights).gradient
    np.testing.assert_array_equal(found, gradients(model, pixels.astype(np.float32), weights).gradient)


def test_layers_inside_of_layers(x: np.ndarray) -> None:
    base = models.Sequential([layers.Conv2D(4, 3, activation="relu", name="conv", input_shape=SMALL)], name="base")
    model = models.Sequential([base, layers.GlobalAveragePooling2D(name="pool"), layers.Dense(3, name="dense")])
    assert list(paths(model)) == ["base/conv", "base", "pool", "dense"]
    assert find(model, "conv") == find(model, base.layers[0]) == "base/conv"
    expected = base.predict(x, verbose=0)
    np.testing.assert_allclose(explain.feature_maps(model, x, "conv"), expected, rtol=1e-6)
    # Every pixel of channel c adds w[c] / 16 to the score.
    found = gradients(model, x, np.eye(3)[[0, 1, 2]], SCORES, Place("result", "base/conv")).gradient
    np.testing.assert_allclose(found[1], np.broadcast_to(model.layers[-1].kernel.value[:, 1] / 16, (4, 4, 4)), rtol=1e-5)
    assert explain.grad_cam(model, x, "base/conv").shape == (3, 6, 6)


def test_the_layers_that_follow_a_convolution() -> None:
    model = small()
    assert following(model, "conv") == []
    assert following(model, "conv2") == ["norm", "act"]
    assert image_layer(model) == "act"
    inputs = layers.Input(SMALL)
    conv = layers.Conv2D(2, 3, name="conv")(inputs)
    twice = layers.Add()([layers.ReLU()(conv), conv])
    residual = models.Model(inputs, layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(twice)))
    assert following(residual, "conv") == []
    assert image_layer(residual) == residual.layers[-3].name
    with pytest.raises(ValueError, match="returns pictures"):
        image_layer(models.Sequential([layers.Dense(2, input_shape=(3,))]))


def test_features_are_what_the_last_dense_layer_reads(x: np.ndarray) -> None:
    model = small("cpu")
    expected = models.Model(model.inputs, model.get_layer("flat").output).predict(x, verbose=0)
    np.testing.assert_array_equal(explain.features(model, x), expected)
    np.testing.assert_array_equal(explain.features(model, x, "act"), expected)
    pooled = models.Sequential([layers.Conv2D(3, 3, input_shape=SMALL), layers.GlobalMaxPooling2D()])
    np.testing.assert_array_equal(explain.features(pooled, x), pooled.predict(x, verbose=0))


def test_filters_are_the_kernel() -> None:
    model = small()
    np.testing.assert_array_equal(explain.filters(model), model.get_layer("conv").kernel.value)
    assert explain.filters(model, "conv2").shape == (2, 2, 4, 3)


def test_mistakes_are_named(x: np.ndarray, weights: np.ndarray) -> None:
    model = small("cpu")
    for wrong, expected in {
        "unknown layer 'convo'; did you mean 'conv'": lambda: explain.feature_maps(model, x, "convo"),
        "layer 'flat' returns": lambda: explain.feature_maps(model, x, "flat"),
        "'pool' is a MaxPooling2D, not a Conv2D": lambda: explain.filters(model, "pool"),
        "classes must be numbers from 0 to 4": lambda: explain.saliency(model, x, 5),
        "nothing in layer 'conv' depends on layer 'act'": lambda: gradients(
            model, x, np.ones((3, 6, 6, 4)), Place("result", "conv"), Place("result", "act")
        ),
        "computes no convolution": lambda: look(model, x, [Place("operand", "pool")]),
        "must have shape": lambda: explain.scores(model, x[0]),
    }.items():
        with pytest.raises(ValueError, match=wrong.replace("(", r"\(")):
            expected()


def test_a_name_that_several_layers_have(x: np.ndarray) -> None:
    blocks = [models.Sequential([layers.Conv2D(2, 3, padding="same", name="conv")], name=name) for name in ("a", "b")]
    inputs = layers.Input(SMALL)
    model = models.Model(inputs, layers.GlobalMaxPooling2D()(blocks[1](blocks[0](inputs))))
    with pytest.raises(ValueError, match="several layers are meant by 'conv': a/conv, b/conv"):
        find(model, "conv")
    assert explain.feature_maps(model, x, "b/conv").shape == (3, 6, 6, 2)

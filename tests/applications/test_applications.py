"""Networks by name: for any pictures and classes, with Keras's arguments, each training a step."""

from typing import Any

import numpy as np
import pytest

from fastcnn import applications, models, saving

SMALL = (30, 26, 2)
SIZES: dict[str, tuple[int, int, int]] = {
    "AlexNet": (67, 70, 2), "InceptionV1": (33, 32, 2), "InceptionV3": (75, 76, 2), "Xception": (71, 72, 2),
    **dict.fromkeys(("VGG11", "VGG13", "VGG16", "VGG19", "ResNet18", "ResNet34", "ResNet50"), (33, 32, 2)),
}  # fmt: skip
"""Small pictures for each network; those that are not named take any."""
PUBLISHED = [name for name in applications.MODELS if name in SIZES or name == "ResNet20"]
HEAVY = {"VGG13", "VGG19", "ResNet34"}
"""Networks that repeat what others of their family show."""


def some(names: Any) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.exhaustive] if name in HEAVY else []) for name in names]


@pytest.mark.parametrize("name", applications.MODELS)
@pytest.mark.usefixtures("shapes_only")
def test_other_pictures_and_classes(name: str) -> None:
    shape = SIZES.get(name, SMALL)
    model = applications.get(name)(input_shape=shape, classes=7)
    assert model.name == name
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 7)
    assert model.layers[-1].get_config()["activation"] == "softmax"


@pytest.mark.parametrize("name", some(applications.MODELS))
@pytest.mark.usefixtures("quick_weights")
def test_a_training_step_changes_every_weight(name: str) -> None:
    shape = SIZES.get(name, SMALL)
    model = applications.get(name)(input_shape=shape, classes=3)
    model.compile("adam", "sparse_categorical_crossentropy", device="cpu")
    before = model.get_weights()
    pictures = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    assert np.isfinite(model.train_on_batch(pictures, np.array([0, 2])))
    after = model.get_weights()
    assert all(np.isfinite(value).all() for value in after)
    frozen = {id(v) for layer in model.layers if not layer.trainable for v in layer.weights}
    changed = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
    assert [v.name for v, moved in zip(model.weights, changed, strict=True) if moved == (id(v) in frozen)] == []


@pytest.mark.usefixtures("quick_weights")
def test_auxiliary_classifiers_are_trained_with_the_last() -> None:
    model = applications.InceptionV1((65, 65, 1), 3, auxiliary=True)
    model.compile("adam", "sparse_categorical_crossentropy", loss_weights=[1, 0.3, 0.3], device="cpu")
    before = model.get_weights()
    pictures, labels = np.random.default_rng(0).random((2, 65, 65, 1), dtype=np.float32), np.array([0, 2])
    loss = model.train_on_batch(pictures, [labels] * 3, return_dict=True)
    parts = [loss[f"{name}_loss"] for name in model.output_names]
    assert loss["loss"] == pytest.approx(np.dot(parts, [1, 0.3, 0.3]), rel=1e-5)
    assert not any(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_auxiliary_classifiers_need_the_top_and_pixels() -> None:
    with pytest.raises(ValueError, match="auxiliary=True needs include_top=True"):
        applications.InceptionV1(auxiliary=True, include_top=False)
    with pytest.raises(ValueError, match="InceptionV1 needs pictures of at least 65x65 pixels, got 64x80"):
        applications.InceptionV1((64, 80, 3), auxiliary=True)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.usefixtures("shapes_only")
def test_features_without_the_top(name: str) -> None:
    build, shape = applications.get(name), SIZES.get(name, SMALL)
    features = build(input_shape=shape, include_top=False, name="features")
    assert features.name == "features"
    assert len(features.output_shape) == 4
    channels = features.output_shape[-1]
    assert build(input_shape=shape, include_top=False, pooling="avg").output_shape == (None, channels)
    assert build(input_shape=shape, include_top=False, pooling="max").output_shape == (None, channels)
    assert features.count_params() < build(input_shape=shape).count_params()


def test_features_are_pooled_by_mean_or_maximum() -> None:
    pictures = np.random.default_rng(0).random((2, *SMALL), dtype=np.float32)
    full = applications.ResNet20(SMALL, include_top=False)
    features = full.predict(pictures, verbose=0)
    for pooling, pooled in {"avg": np.mean, "max": np.max}.items():
        model = applications.ResNet20(SMALL, include_top=False, pooling=pooling)
        model.set_weights(full.get_weights())
        np.testing.assert_allclose(model.predict(pictures, verbose=0), pooled(features, (1, 2)), rtol=1e-5)


def test_logits() -> None:
    logits = applications.ResNet20(SMALL, 4, classifier_activation=None)
    classes = applications.ResNet20(SMALL, 4)
    classes.set_weights(logits.get_weights())
    pictures = np.random.default_rng(0).random((2, *SMALL), dtype=np.float32)
    exp = np.exp(logits.predict(pictures, verbose=0))
    np.testing.assert_allclose(classes.predict(pictures, verbose=0), exp / exp.sum(-1, keepdims=True), rtol=1e-5)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    (dict(weights="imagenet"), "has no pretrained weights: weights must be None, got 'imagenet'; weights of your own"),
    (dict(input_shape=(31, 32, 3)), "VGG16 needs pictures of at least 32x32 pixels, got 31x32: enlarge them"),
    (dict(input_shape=(32, 32)), r"must be \(height, width, channels\), such as \(224, 224, 3\), got \(32, 32\)"),
    (dict(input_shape=(None, None, 3)), r"must be \(height, width, channels\)"),
    (dict(input_shape=True), r"must be \(height, width, channels\).*got True"),
    (dict(classes=0), "VGG16: classes must be a positive whole number, got 0"),
    (dict(include_top=False, pooling="mean"), "unknown pooling 'mean'"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda a: str(a)[:40])
def test_mistakes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        applications.VGG16(**arguments)


def test_an_unknown_argument_is_answered_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"ResNet18 got an unknown argument 'poling' \(did you mean 'pooling'\?\)"):
        applications.ResNet18(poling="avg")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown model 'tutorialmnist'; did you mean 'TutorialMNIST'"):
        applications.get("tutorialmnist")


@pytest.mark.parametrize("name", ["LeNet5", "ResNet20"])
def test_a_file_holds_the_whole_network(name: str, tmp_path: Any) -> None:
    model = applications.get(name)()
    saving.save_model(model, tmp_path / "model.safetensors")
    again = models.load_model(tmp_path / "model.safetensors")
    pictures = np.random.default_rng(0).random((2, *model.input_shape[1:]), dtype=np.float32)
    np.testing.assert_array_equal(again.predict(pictures, verbose=0), model.predict(pictures, verbose=0))


def test_the_cifar_network_has_one_softmax_and_three_dropouts() -> None:
    layers = applications.TutorialCIFAR10().layers
    assert [type(layer).__name__ for layer in layers].count("Dropout") == 3
    softmax = [layer for layer in layers if "softmax" in str(layer.get_config().get("activation"))]
    assert softmax == [layers[-1]]


def test_the_keras_network_normalizes_each_convolution() -> None:
    kinds = [type(layer).__name__ for layer in applications.TutorialKeras().layers]
    assert kinds[:4] == ["Conv2D", "BatchNormalization", "Activation", "MaxPooling2D"]
    assert kinds.count("BatchNormalization") == kinds.count("Conv2D") == 2

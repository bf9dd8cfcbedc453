"""The networks by name are those of the tutorials, for any pictures."""

import pytest

from fastcnn import applications

PARAMETERS = {
    "Digits": 66_474,
    "TutorialMNIST": 93_322,  # as Keras counts it
    "TutorialCIFAR10": 3_247_422,  # the tutorial's 3.25 M
}


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_the_number_of_parameters(name: str, count: int) -> None:
    assert applications.get(name)().count_params() == count


@pytest.mark.parametrize("name", applications.MODELS)
def test_other_pictures_and_classes(name: str) -> None:
    model = applications.get(name)(input_shape=(30, 26, 2), classes=7)
    assert model.name == name
    assert model.input_shape == (None, 30, 26, 2)
    assert model.output_shape == (None, 7)


def test_the_cifar_network_has_one_softmax_and_three_dropouts() -> None:
    layers = applications.TutorialCIFAR10().layers
    assert [type(layer).__name__ for layer in layers].count("Dropout") == 3
    softmax = [layer for layer in layers if "softmax" in str(layer.get_config().get("activation"))]
    assert softmax == [layers[-1]]


def test_the_keras_network_normalizes_each_convolution() -> None:
    kinds = [type(layer).__name__ for layer in applications.TutorialKeras().layers]
    assert kinds[:4] == ["Conv2D", "BatchNormalization", "Activation", "MaxPooling2D"]
    assert kinds.count("BatchNormalization") == kinds.count("Conv2D") == 2


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown model 'tutorialmnist'; did you mean 'TutorialMNIST'"):
        applications.get("tutorialmnist")

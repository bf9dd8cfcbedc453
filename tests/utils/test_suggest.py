"""Unknown names are answered with the nearest known one, and with all that are known."""

import pytest

from fastcnn.utils.suggest import nearest, unknown

INITIALIZERS = ["glorot_uniform", "he_normal", "zeros"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("he_norm", "he_normal"), ("HE_NORMAL", "he_normal"), ("glorot", "glorot_uniform"), ("quux", ""), ("", "")],
)
def test_nearest_finds_what_was_probably_meant(name, expected):
    assert nearest(name, INITIALIZERS) == expected


def test_nearest_returns_the_known_spelling():
    assert nearest("relu", ["ReLU", "Softmax"]) == "ReLU"


def test_unknown_names_the_kind_the_match_and_all_known():
    message = str(unknown("initializer", "zeroes", INITIALIZERS))
    assert message == "unknown initializer 'zeroes'; did you mean 'zeros'? known: glorot_uniform, he_normal, zeros"


def test_unknown_asks_nothing_where_nothing_is_near():
    assert str(unknown("loss", 7, ["mse"])) == "unknown loss 7; known: mse"

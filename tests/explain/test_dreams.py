"""Gradient ascent raises what it says it raises, stays in range, and is repeatable."""

from typing import Any

import numpy as np
import pytest

from fastcnn import explain
from fastcnn.explain import Place, Recipe
from fastcnn.explain.inside import image_layer, look


def test_the_network_sees_the_class_in_the_picture(digits: Any) -> None:
    for k in (0, 3, 7):
        dream = explain.activation_maximization(digits.model, k)
        assert digits.model.predict(dream.picture[None], verbose=0)[0].argmax() == k
        assert dream.scores[-1] > dream.scores[0] + 3
        assert 0 <= dream.picture.min() < dream.picture.max() <= 1
        assert dream.picture.shape == dream.start.shape == (8, 8, 1)


def test_a_channel_is_raised(digits: Any) -> None:
    recipe = Recipe(steps=16, jitter=0, decay=0, smoothing=0)
    dream = explain.activation_maximization(digits.model, 5, "conv2d" if _has(digits, "conv2d") else None, recipe=recipe)
    assert len(dream.scores) == 16
    assert dream.scores[-1] > dream.scores[0]
    layer = image_layer(digits.model)
    dream = explain.activation_maximization(digits.model, 5, layer, start=digits.x[0], recipe=recipe)
    before, after = (
        look(digits.model, p[None], [Place("result", layer)])[0][..., 5].mean() for p in (dream.start, dream.picture)
    )
    assert dream.scores[0] == pytest.approx(before, rel=1e-5)
    assert after > before


def _has(digits: Any, name: str) -> bool:
    return any(layer.name == name for layer in digits.model.layers)


def test_deep_dream_raises_the_mean_square_and_keeps_the_picture(digits: Any) -> None:
    x = digits.x[0]
    dream = explain.deep_dream(digits.model, x)
    place = Place("result", image_layer(digits.model))
    before, after = (np.square(look(digits.model, p[None], [place])[0]).mean() for p in (x, dream.picture))
    assert dream.scores[0] == pytest.approx(before, rel=1e-5)
    assert after > 1.2 * before
    assert np.corrcoef(x.ravel(), dream.picture.ravel())[0, 1] > 0.7
    assert (dream.start == x).all()


def test_equal_seeds_give_equal_pictures_and_the_recipe_says_all(digits: Any) -> None:
    first, second, other = (
        explain.activation_maximization(digits.model, 1, recipe=Recipe(steps=5, jitter=2, seed=seed)) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first.picture, second.picture)
    assert (first.picture != other.picture).any()
    assert str(first.recipe) == "5 steps of 0.05 falling to 0, jitter ±2 px, decay 0.02, smoothing 0.05, seed 4"
    assert explain.deep_dream(digits.model, digits.x[0]).recipe.jitter == 0


def test_pixels_stay_in_the_range_that_is_given(digits: Any) -> None:
    recipe = Recipe(steps=8, rate=0.5, range=(-1.0, 2.0))
    dream = explain.activation_maximization(digits.model, 2, recipe=recipe)
    assert dream.picture.min() == -1.0
    assert dream.picture.max() == 2.0


def test_without_a_gradient_only_the_regularisation_acts(digits: Any) -> None:
    flat = np.full((8, 8, 1), 0.5, np.float32)
    model = digits.model
    weights = model.get_weights()
    try:
        model.set_weights([0 * w for w in weights])
        dream = explain.activation_maximization(model, 2, start=flat, recipe=Recipe(steps=3))
    finally:
        model.set_weights(weights)
    np.testing.assert_array_equal(dream.picture, flat)


@pytest.mark.parametrize("options", [dict(steps=0), dict(rate=0), dict(jitter=-1), dict(decay=1), dict(smoothing=2)])
def test_bad_recipes(options: Any) -> None:
    with pytest.raises(ValueError, match="a recipe needs steps of at least 1"):
        Recipe(**options)


def test_bad_targets(digits: Any) -> None:
    with pytest.raises(ValueError, match="classes must be numbers from 0 to 9"):
        explain.activation_maximization(digits.model, 10)
    with pytest.raises(ValueError, match="has channels 0 to 63, got 64"):
        explain.activation_maximization(digits.model, 64, image_layer(digits.model))

"""Pictures that a network answers to strongly, made by gradient ascent on the pixels.

activation_maximization  from noise, for a class or a channel
deep_dream               from a picture, for everything that a layer sees in it

Both follow one recipe, `Recipe`, which the result carries with it.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..layers import Layer
from ..models import Model
from ..program import Place
from .inside import SCORES, Array, class_weights, gradients, image_layer, look


@dataclass(frozen=True)
class Recipe:
    """How the ascent goes. A step shifts the picture by a random jitter (round its edges), adds the gradient of the score,
    divided by its root mean square, shifts back, and regularises. Rate, decay and smoothing fall linearly to 0.

    steps      number of them
    rate       root mean square of what a step adds, as a share of the range
    jitter     largest shift in pixels, along each axis; None is a 16th of the picture's shorter side
    decay      share by which a step draws every pixel towards the middle of the range: L2 regularisation
    smoothing  share of the mean of the pixel's four neighbours in its new value: against noise of high frequency
    range      lowest and highest value of a pixel; what leaves it is cut off
    seed       of the noise at the start, and of the jitter
    """

    steps: int = 128
    rate: float = 0.05
    jitter: int | None = None
    decay: float = 0.02
    smoothing: float = 0.05
    range: tuple[float, float] = (0.0, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        shares = 0 <= self.decay < 1 and 0 <= self.smoothing <= 1
        if self.steps < 1 or self.rate <= 0 or (self.jitter or 0) < 0 or not shares:
            raise ValueError(
                "a recipe needs steps of at least 1, a rate above 0, jitter of at least 0, a decay from 0 to below 1 and "
                f"smoothing from 0 to 1, got {self}"
            )

    def __str__(self) -> str:
        return (
            f"{self.steps} steps of {self.rate:g} falling to 0, jitter ±{self.jitter} px, decay {self.decay:g}, "
            f"smoothing {self.smoothing:g}, seed {self.seed}"
        )


@dataclass(frozen=True)
class Dream:
    """What a gradient ascent ended with.

    title         what it ascended
    picture       (height, width, C) in the recipe's range
    start         the picture that it began with
    scores        the score before each step, of the picture as it was shifted then
    recipe        how it was made
    """

    title: str
    picture: Array
    start: Array
    scores: list[float] = field(repr=False)
    recipe: Recipe


def activation_maximization(
    model: Model, target: int, layer: str | Layer | None = None, *, start: Any = None, recipe: Recipe | None = None
) -> Dream:
    """A picture that excites one unit as much as the recipe's regularisation lets it (Erhan et al. 2009; Simonyan et al. 2014).

    target  a class, whose score before softmax is raised; with `layer`, a channel of it, whose mean over pixels is raised
    start   the picture (height, width, C) to begin with; None is the middle of the range with noise of a tenth of it
    """
    recipe = recipe or Recipe()
    x = _noise(model, recipe) if start is None else np.asarray(start, np.float32)
    if layer is None:
        _, weights = class_weights(model, x[None], target)
        return _ascend(model, x, SCORES, weights, recipe, f"class {target}")
    place = Place("result", image_layer(model, layer))
    (values,) = look(model, x[None], [place])
    channels = values.shape[-1]
    if not 0 <= target < channels:
        raise ValueError(f"layer {place.path!r} has channels 0 to {channels - 1}, got {target}")
    weights = np.zeros(values.shape, np.float32)
    weights[..., target] = channels / values.size
    return _ascend(model, x, place, weights, recipe, f"channel {target} of {place.path}")


def deep_dream(model: Model, x: Any, layer: str | Layer | None = None, *, recipe: Recipe | None = None) -> Dream:
    """Picture x (height, width, C) with more of what a layer sees in it: the mean square of all that it returns is raised.

    layer   a layer, its name or path; None is the last that returns pictures, pooling and dropout left out
    recipe  by default 32 steps without decay, so that the picture stays what it was

    Mordvintsev, Olah, Tyka: Inceptionism, 2015, at one scale: a network built here takes pictures of one size.
    """
    x = np.asarray(x, np.float32)
    place = Place("result", image_layer(model, layer))
    (values,) = look(model, x[None], [place])
    weights = np.full(values.shape, 2 / values.size, np.float32)
    chosen = recipe or Recipe(steps=32, rate=0.02, decay=0.0)
    return _ascend(model, x, place, weights, chosen, f"what {place.path} sees", squared=True)


def _noise(model: Model, recipe: Recipe) -> Array:
    low, high = recipe.range
    rng = np.random.default_rng(recipe.seed)
    shape = tuple(int(n or 1) for n in model.inputs[0].shape[1:])
    return (low + (high - low) * (0.5 + 0.1 * rng.standard_normal(shape))).astype(np.float32)


def _ascend(model: Model, start: Array, of: Place, weights: Array, recipe: Recipe, title: str, squared: bool = False) -> Dream:
    if recipe.jitter is None:
        recipe = replace(recipe, jitter=min(start.shape[:2]) // 16)
    jitter = recipe.jitter or 0
    rng = np.random.default_rng([recipe.seed, 1])
    low, high = recipe.range
    picture, scores = start, []
    for number in range(recipe.steps):
        shift = rng.integers(-jitter, jitter + 1, 2)
        found = gradients(model, np.roll(picture, shift, (0, 1))[None], weights, of, squared=squared)
        scores.append(float((weights * (found.of**2 / 2 if squared else found.of)).sum()))
        gradient = np.roll(found.gradient[0], -shift, (0, 1))
        size = float(np.sqrt(np.mean(np.square(gradient, dtype=np.float64))))
        # Where nothing moves the score (every ReLU is off) there is no direction to go.
        share = 1 - number / recipe.steps
        rate = share * recipe.rate * (high - low) / size if size > 0 else 0.0
        picture = np.clip(_regularised(picture + rate * gradient, recipe, share), low, high).astype(np.float32)
    return Dream(title, picture, start, scores, recipe)


def _regularised(picture: Array, recipe: Recipe, share: float) -> Array:
    middle = sum(recipe.range) / 2
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    neighbours = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
    smooth = picture + share * recipe.smoothing * (neighbours - picture)
    return smooth + share * recipe.decay * (middle - smooth)

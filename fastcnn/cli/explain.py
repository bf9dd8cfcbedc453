"""`fastcnn explain`: draws what a network computes, and what it looks at.

    fastcnn explain runs/digits                                    everything, for the first test picture
    fastcnn explain runs/digits --picture 3.png --what saliency,convolution --layer conv2d_1

Each picture is one PNG file in the folder that --out names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastcnn import explain
from fastcnn.cli.arguments import Parser, device_option
from fastcnn.cli.pictures import Pictures, scaled, tested
from fastcnn.cli.predict import class_names, read
from fastcnn.cli.runs import saved_model
from fastcnn.datasets import load
from fastcnn.explain import figures
from fastcnn.explain.inside import convolution_layer, find, image_layer, paths
from fastcnn.layers import Conv2D
from fastcnn.utils.suggest import unknown

SAMPLES = 12
OUT = "explained"


def describe(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="DIR|FILE", help="a run folder or a model file")
    parser.add_argument("--picture", metavar="FILE", help="the picture to explain, resized to what the network takes")
    parser.add_argument("--data", metavar="NAME", help="a data set; left away, the one that the run was trained on")
    parser.add_argument("--index", type=int, metavar="N", help="which of its test pictures to explain (default: 0)")
    parser.add_argument("--what", metavar="LIST", help=f"of {','.join(WHAT)} (default: all that are possible)")
    parser.add_argument("--layer", metavar="NAME", help="the layer to look at (default: each kind's own; see fastcnn summary)")
    parser.add_argument(
        "--class", dest="label", type=int, metavar="K", help="the class to explain (default: the predicted one)"
    )
    parser.add_argument("--out", metavar="DIR", default=OUT, help=f"where the PNG files go (default: {OUT})")
    device_option(parser)


def run(arguments: Any) -> int:
    """Draw, and print a line for each file."""
    model, notes = saved_model(arguments.model)
    model.compile(device=arguments.device)
    subject = _subject(model, notes, arguments)
    print(subject.headline())
    folder = Path(arguments.out)
    for name in _chosen(arguments.what, subject):
        figure = WHAT[name](subject)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        figures.save(figure, path)
        print(f"wrote {path}")
    return 0


@dataclass
class Subject:
    """What is explained: one picture of a network, as the network takes it, and the test pictures where they are known."""

    model: Any
    picture: np.ndarray
    name: str
    label: int
    probability: float
    layer: str | None
    class_names: Sequence[str]
    test: Pictures | None
    first: int

    @property
    def batch(self) -> np.ndarray:
        """The picture as a batch of one."""
        return self.picture[None]

    def headline(self) -> str:
        """Which picture, and which class."""
        return f"{self.name}: class {self.class_names[self.label]} ({100 * self.probability:.1f} %)"

    def convolution(self) -> str | None:
        """The convolution that the layer is, or that comes before it; None where none is named."""
        if self.layer is None:
            return None
        known = list(paths(self.model).items())
        before = known[: [path for path, _ in known].index(self.layer) + 1]
        found = [path for path, layer in before if isinstance(layer, Conv2D)]
        if not found:
            raise ValueError(f"layer {self.layer!r} is no convolution, and none comes before it")
        return found[-1]

    def told(self, what: str) -> str:
        """A title."""
        return f"{what}, class {self.class_names[self.label]} of {self.name}"

    def recipe(self, **options: Any) -> explain.Recipe:
        """A recipe whose range holds the picture's."""
        low, high = float(self.picture.min()), float(self.picture.max())
        return explain.Recipe(range=(min(0.0, low), max(1.0, high)), **options)


def _subject(model: Any, notes: Mapping[str, Any], arguments: Any) -> Subject:
    if arguments.picture and arguments.index is not None:
        raise ValueError("--index chooses a picture of the data set: leave it or --picture out")
    test, names = _test(notes, arguments.data)
    picture, name = _picture(model, test, arguments)
    (probabilities,) = model.predict(picture[None], verbose=0)
    if probabilities.ndim != 1:
        raise ValueError(f"{model.name} gives {probabilities.shape} a picture, not one number a class")
    label = int(probabilities.argmax()) if arguments.label is None else arguments.label
    if not 0 <= label < len(probabilities):
        raise ValueError(f"--class must be from 0 to {len(probabilities) - 1}, got {label}")
    layer = None if arguments.layer is None else find(model, arguments.layer)
    called = class_names({"class_names": names}, len(probabilities))
    return Subject(model, picture, name, label, float(probabilities[label]), layer, called, test, arguments.index or 0)


def _test(notes: Mapping[str, Any], name: str | None) -> tuple[Pictures | None, list[str]]:
    """The test pictures that are named, or that the run was measured on; None where neither is said."""
    if name:
        data = load(name)
        return tested(data, None), data.class_names
    if notes:
        data = load(notes["options"]["data"])
        return tested(data, notes["options"].get("limit")), data.class_names
    return None, []


def _picture(model: Any, test: Pictures | None, arguments: Any) -> tuple[np.ndarray, str]:
    if arguments.picture:
        return read(model, [arguments.picture])[0], Path(arguments.picture).name
    if test is None:
        raise ValueError(f"{arguments.model} does not say what it was trained on; give --picture FILE or --data NAME")
    index = arguments.index or 0
    if not 0 <= index < len(test[0]):
        raise ValueError(f"--index must be from 0 to {len(test[0]) - 1}, got {index}")
    return test[0][index], f"test picture {index}"


# What can be drawn.


def _saliency(subject: Subject) -> Any:
    values = explain.saliency(subject.model, subject.batch, subject.label)[0]
    return figures.heat_map(subject.picture, values, subject.told("Saliency"), "|d score / d pixel|")


def _smooth_grad(subject: Subject) -> Any:
    values = explain.smooth_grad(subject.model, subject.batch, subject.label)[0]
    return figures.heat_map(subject.picture, values, subject.told("SmoothGrad"), "|mean d score / d pixel|")


def _grad_cam(subject: Subject) -> Any:
    values = explain.grad_cam(subject.model, subject.batch, subject.layer, subject.label)[0]
    if not values.any():
        print("note: the Grad-CAM is 0 everywhere, as happens in networks that flatten; hires-cam is made for these")
    return figures.heat_map(subject.picture, values, subject.told("Grad-CAM"))


def _hires_cam(subject: Subject) -> Any:
    values = explain.hires_cam(subject.model, subject.batch, subject.layer, subject.label)[0]
    return figures.heat_map(subject.picture, values, subject.told("HiResCAM"))


def _occlusion(subject: Subject) -> Any:
    values = explain.occlusion(subject.model, subject.batch, subject.label)[0]
    return figures.heat_map(subject.picture, values, subject.told("Occlusion"), "drop of the probability")


def _feature_maps(subject: Subject) -> Any:
    layer = image_layer(subject.model, subject.layer)
    return figures.feature_maps(explain.feature_maps(subject.model, subject.batch, layer)[0], f"{layer}, {subject.name}")


def _filters(subject: Subject) -> Any:
    path, _ = convolution_layer(subject.model, subject.convolution())
    kernel = explain.filters(subject.model, path)
    return figures.filters(kernel, f"{path}: {kernel.shape[-1]} filters of {'×'.join(map(str, kernel.shape[:-1]))}")


def _convolution(subject: Subject) -> Any:
    return explain.convolution(subject.model, subject.picture, subject.convolution())


def _dream(subject: Subject) -> Any:
    recipe = subject.recipe(steps=32, rate=0.02, decay=0.0)
    return figures.dream(explain.deep_dream(subject.model, subject.picture, subject.layer, recipe=recipe))


def _maximization(subject: Subject) -> Any:
    dream = explain.activation_maximization(subject.model, subject.label, recipe=subject.recipe())
    return figures.dream(dream, f"What class {subject.class_names[subject.label]} answers to most")


def _predictions(subject: Subject) -> Any:
    x, y = _known(subject)
    x, y = x[subject.first : subject.first + SAMPLES], y[subject.first : subject.first + SAMPLES]
    predicted = subject.model.predict(x, verbose=0)
    return figures.samples(x, y, predicted, subject.class_names, f"Test pictures from {subject.first}")


def _confusion(subject: Subject) -> Any:
    x, y = _known(subject)
    matrix = explain.confusion_matrix(y, subject.model.predict(x, 128, verbose=0))
    return figures.confusion_matrix(matrix, subject.class_names)


def _known(subject: Subject) -> Pictures:
    if subject.test is None:
        raise ValueError("predictions and confusion need test pictures: give --data NAME")
    return scaled(subject.test[0]), subject.test[1]


WHAT: dict[str, Callable[[Subject], Any]] = {
    "saliency": _saliency,
    "smooth-grad": _smooth_grad,
    "grad-cam": _grad_cam,
    "hires-cam": _hires_cam,
    "occlusion": _occlusion,
    "feature-maps": _feature_maps,
    "filters": _filters,
    "convolution": _convolution,
    "dream": _dream,
    "maximization": _maximization,
    "predictions": _predictions,
    "confusion": _confusion,
}
OF_TEST_PICTURES = ("predictions", "confusion")


def _chosen(what: str | None, subject: Subject) -> list[str]:
    if what is None:
        return [name for name in WHAT if subject.test is not None or name not in OF_TEST_PICTURES]
    names = [name.strip() for name in what.split(",")]
    for name in names:
        if name not in WHAT:
            raise unknown("kind of picture", name, WHAT)
    if any(name in OF_TEST_PICTURES for name in names):
        _known(subject)
    return names

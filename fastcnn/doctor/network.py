"""The network and its loss (FC1..): read off the steps that the model writes down, nothing is computed."""

from collections.abc import Iterator

import numpy as np

from ..explain.inside import paths
from ..layers import Dropout
from ..losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from .findings import ERROR, NOTE, WARNING, Seen, check
from .setup import TRANSPARENT, Head, Setup, activation, ancestors, behind, classes

CATEGORICAL = (CategoricalCrossentropy, SparseCategoricalCrossentropy)
CROSSENTROPY = (*CATEGORICAL, BinaryCrossentropy)
DIFFERENCE = (MeanSquaredError, MeanAbsoluteError)
WANTED: dict[type[Loss], str] = {
    CategoricalCrossentropy: "softmax",
    SparseCategoricalCrossentropy: "softmax",
    BinaryCrossentropy: "sigmoid",
}


def _wanted(head: Head) -> str:
    """The activation that a crossentropy without logits takes."""
    return next(name for kind, name in WANTED.items() if isinstance(head.loss, kind))


def _told(head: Head) -> str:
    logits = "from_logits=True" if head.from_logits else "from_logits=False"
    return f"output {head.name!r} ends in {head.activation or 'something else'}, its loss is {head.loss.name} ({logits})"  # type: ignore[union-attr]


@check(
    "FC101",
    ERROR,
    "softmax is applied twice",
    needs="model",
    fix="Take one of the two away: where the last Dense has activation='softmax', no Softmax layer follows it.",
)
def softmax_twice(setup: Setup) -> Seen:
    """Probabilities that pass softmax again lie between 1/(e + C - 1) and e/(e + C - 1): of 10 classes no probability exceeds
    0.232, the loss cannot fall below 1.461, and gradients are tiny. The CIFAR-10 tutorial's run shows just this."""
    for head in setup.heads:
        for step in ancestors([head.value]):
            inner = behind(step["x"], TRANSPARENT) if step.op == "softmax_forward" else None
            if inner is not None and activation(inner) in ("softmax", "sigmoid"):
                yield f"output {head.name!r}: {step.source} applies softmax to what {inner.step.source} made with {activation(inner)}"  # type: ignore[union-attr]


@check(
    "FC102",
    ERROR,
    "the loss takes logits, the output gives probabilities",
    needs="loss",
    fix="Set from_logits=False (the default), or take the softmax or sigmoid out of the last layer.",
)
def probabilities_as_logits(setup: Setup) -> Seen:
    """With from_logits=True the loss has its own softmax or sigmoid: it is then applied twice, as in FC101."""
    for head in setup.trained_heads(CROSSENTROPY):
        if head.from_logits and head.activation in ("softmax", "sigmoid"):
            yield _told(head)


@check(
    "FC103",
    ERROR,
    "the loss takes probabilities, the output gives logits",
    needs="loss",
    fix="Give the last layer activation='softmax' (one of many classes) or 'sigmoid' (yes or no), or the loss from_logits=True.",
)
def logits_as_probabilities(setup: Setup) -> Seen:
    """The loss takes the logarithm of the output. Of a number that is no probability, this is wrong above 1 and not defined
    below 0, where the loss cuts it off and the gradient ends."""
    for head in setup.trained_heads(CROSSENTROPY):
        if not head.from_logits and head.activation == "linear":
            yield _told(head)


@check(
    "FC104",
    ERROR,
    "ReLU on the output",
    needs="loss",
    fix="Leave the last layer without ReLU: softmax or sigmoid to classify, no activation for numbers or for logits.",
)
def relu_output(setup: Setup) -> Seen:
    """ReLU makes every negative output zero and stops its gradient there: the unit can never be corrected upwards. Zero is no
    logarithm's argument, and negative numbers can never be predicted."""
    for head in setup.trained_heads(CROSSENTROPY):
        if head.activation == "relu":
            yield _told(head)
    for head in setup.trained_heads(DIFFERENCE):
        if head.activation == "relu" and head.labels is not None and (head.labels < 0).any():
            share = float((head.labels < 0).mean())
            yield f"{_told(head)}; {100 * share:.1f} % of the labels are negative, down to {head.labels.min():.3g}"


@check(
    "FC105",
    ERROR,
    "the output's activation does not fit the loss",
    needs="loss",
    fix="One class of many: softmax with (sparse_)categorical_crossentropy. Yes or no, or several labels at once: sigmoid with "
    "binary_crossentropy. Numbers: no activation, with mse or mae.",
)
def wrong_activation(setup: Setup) -> Seen:
    """Sigmoids do not sum to one, so categorical crossentropy can be made small by raising all of them. The softmax of many
    classes makes them exclude each other, where binary crossentropy treats each as a question of its own. tanh is negative
    half of the time, where the logarithm is not defined."""
    for head in setup.trained_heads(CROSSENTROPY):
        softmax_of_one = head.activation == "softmax" and head.units == 1  # FC106
        fits = head.from_logits or head.activation in ("", "linear", "relu", _wanted(head))
        if not fits and not softmax_of_one:
            yield f"{_told(head)}, which wants {_wanted(head)}"


@check(
    "FC106",
    ERROR,
    "softmax over a single unit",
    needs="model",
    fix="Give the last layer one unit a class; or, for yes or no, one unit with activation='sigmoid' and binary_crossentropy.",
)
def softmax_of_one(setup: Setup) -> Seen:
    """One number divided by itself: the output is 1 whatever the weights are, and nothing is learned."""
    for head in setup.heads:
        if head.activation == "softmax" and head.units == 1:
            yield f"output {head.name!r} has shape {head.value.shape} and ends in softmax"


@check(
    "FC107",
    NOTE,
    "a squared or absolute difference of class probabilities",
    needs="loss labels",
    fix="Use categorical_crossentropy for one-hot labels, sparse_categorical_crossentropy for class numbers.",
)
def difference_of_probabilities(setup: Setup) -> Seen:
    """Where softmax is sure and wrong its gradient vanishes, and mse gives nothing against that; crossentropy does. It works,
    but learns slowly."""
    for head in setup.trained_heads(DIFFERENCE):
        if head.activation == "softmax" and classes(head) is not None:
            yield _told(head)


@check(
    "FC108",
    NOTE,
    "more output units than classes",
    needs="loss labels",
    fix="Give the last layer as many units as there are classes, numbered from 0, unless rare classes are only missing here.",
)
def idle_units(setup: Setup) -> Seen:
    """A unit whose class never comes learns only to be silent; often class numbers begin at 1 where 0 is meant."""
    for head in setup.trained_heads(CATEGORICAL):
        found = classes(head)
        if found is not None and head.units > 1 and len(found) >= 10 * head.units:
            present = set(np.unique(found).tolist())
            missing = sorted(set(range(head.units)) - present)
            if missing and len(present) > 1 and max(present) < head.units:
                yield f"output {head.name!r} has {head.units} units; no sample is of class {', '.join(map(str, missing[:8]))}"


@check(
    "FC110",
    ERROR,
    "nothing can be trained",
    needs="model",
    fix="Set layer.trainable = True (or model.trainable = True) for what is to learn, then compile again.",
)
def frozen(setup: Setup) -> Seen:
    """Every weight is frozen, so no step changes anything but moving averages."""
    if setup.model.compiled and setup.model.weights and not setup.model.trainable_weights:
        yield f"0 of {len(setup.model.weights)} weights are trainable"


@check(
    "FC111",
    WARNING,
    "dropout is inactive",
    needs="model",
    fix="Give it a rate above 0 and call it without training=False; or leave the layer out.",
)
def idle_dropout(setup: Setup) -> Seen:
    """The layer stands in the network and drops nothing in training: it regularises nothing. The CIFAR-10 tutorial's run had
    keep_prob = 1 at all times."""
    trace = setup.traced(training=True)[0]
    active = {step.source for step in trace.steps if step.op == "dropout_forward"}
    for path, layer in _dropouts(setup):
        if f"{setup.model.name}/{path}" not in active:
            yield f"{path!r} (rate {layer.rate}) drops nothing in training" + (" (it is called so)" if layer.rate else "")


def _dropouts(setup: Setup) -> Iterator[tuple[str, Dropout]]:
    return ((path, layer) for path, layer in paths(setup.model).items() if isinstance(layer, Dropout))


@check(
    "FC112",
    ERROR,
    "dropout on the output",
    needs="loss",
    fix="Put the Dropout before the last Dense.",
)
def dropout_on_output(setup: Setup) -> Seen:
    """Training then tells units that were set to zero at random that they were wrong: the loss has a floor that no weights
    can lower, and probabilities no longer sum to one."""
    outputs = setup.traced(training=True)[2]
    for head, output in zip(setup.heads, outputs, strict=True):
        step = behind(output, TRANSPARENT | {"softmax", "sigmoid", "relu", "tanh"}).step
        if head.loss is not None and step is not None and step.op == "dropout_forward":
            yield f"output {head.name!r} comes from {step.source}, which drops {100 * step.attributes['rate']:.0f} % of it"

"""The network and its loss (FC1..): read off the steps that the model writes down, nothing is computed."""

from ..explain.inside import paths
from ..layers import Dropout
from ..losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from .findings import Seen, check
from .setup import TRANSPARENT, Head, Setup, activation, ancestors, behind

CATEGORICAL = (CategoricalCrossentropy, SparseCategoricalCrossentropy)
CROSSENTROPY = (*CATEGORICAL, BinaryCrossentropy)


def _told(head: Head) -> str:
    return f"output {head.name!r} ends in {head.activation}, its loss is {head.loss.name}(from_logits={head.from_logits})"  # type: ignore[union-attr]


@check(
    "FC101",
    "softmax is applied twice",
    fix="Take one of the two away: where the last Dense has activation='softmax', no Softmax layer follows it.",
)
def softmax_twice(setup: Setup) -> Seen:
    """Probabilities that pass softmax again lie between 1/(e + C - 1) and e/(e + C - 1): of 10 classes no probability exceeds
    0.232, the loss cannot fall below 1.461, and gradients are tiny."""
    for head in setup.heads:
        for step in ancestors(head.value):
            inner = behind(step["x"], TRANSPARENT) if step.op == "softmax_forward" else None
            if inner is not None and inner.step is not None and activation(inner) in ("softmax", "sigmoid"):
                yield f"{step.source} applies softmax to what {inner.step.source} made with {activation(inner)}"


@check(
    "FC102",
    "the loss takes logits, the output gives probabilities",
    fix="Set from_logits=False (the default), or take the softmax or sigmoid out of the last layer.",
)
def probabilities_as_logits(setup: Setup) -> Seen:
    """With from_logits=True the loss has its own softmax or sigmoid: it is then applied twice, as in FC101."""
    for head in setup.trained_heads(CROSSENTROPY):
        if head.from_logits and head.activation in ("softmax", "sigmoid"):
            yield _told(head)


@check(
    "FC103",
    "the loss takes probabilities, the output gives logits",
    fix="Give the last layer activation='softmax' (one of many) or 'sigmoid' (yes or no), or the loss from_logits=True.",
)
def logits_as_probabilities(setup: Setup) -> Seen:
    """The loss takes the logarithm of the output. Of a number that is no probability, this is wrong above 1 and not defined
    below 0, where the loss cuts it off and the gradient ends."""
    for head in setup.trained_heads(CROSSENTROPY):
        if not head.from_logits and head.activation == "linear":
            yield _told(head)


@check(
    "FC104",
    "ReLU on the output",
    fix="Leave the last layer without ReLU: softmax or sigmoid to classify, no activation for numbers or for logits.",
)
def relu_output(setup: Setup) -> Seen:
    """ReLU makes every negative output zero and stops its gradient there: the unit can never be corrected upwards. Zero has no
    logarithm, and negative numbers can never be predicted."""
    for head in setup.trained_heads((*CROSSENTROPY, MeanSquaredError, MeanAbsoluteError)):
        negative = head.labels is not None and bool((head.labels < 0).any())
        if head.activation == "relu" and (negative or isinstance(head.loss, CROSSENTROPY)):
            yield _told(head) + (", and some labels are negative" if negative else "")


@check(
    "FC105",
    "the output's activation does not fit the loss",
    fix="One class of many: softmax with (sparse_)categorical_crossentropy. Yes or no, or several labels at once: sigmoid with "
    "binary_crossentropy.",
)
def wrong_activation(setup: Setup) -> Seen:
    """Sigmoids do not sum to one, so categorical crossentropy can be made small by raising all of them. The softmax of many
    classes makes them exclude each other, where binary crossentropy treats each as a question of its own. tanh is negative
    half of the time, where the logarithm is not defined."""
    for head in setup.trained_heads(CROSSENTROPY):
        wanted = "softmax" if isinstance(head.loss, CATEGORICAL) else "sigmoid"
        wrong = {"softmax", "sigmoid", "tanh"} - {wanted}
        if head.activation in wrong and not head.from_logits and head.units > 1:
            yield f"{_told(head)}, which wants {wanted}"


@check(
    "FC106",
    "softmax over a single unit",
    fix="Give the last layer one unit a class; or, for yes or no, one unit with activation='sigmoid' and binary_crossentropy.",
)
def softmax_of_one(setup: Setup) -> Seen:
    """One number divided by itself: the output is 1 whatever the weights are, and nothing is learned."""
    for head in setup.heads:
        if head.activation == "softmax" and head.units == 1:
            yield f"output {head.name!r} has shape {head.value.shape} and ends in softmax"


@check("FC107", "dropout is inactive", fix="Give it a rate above 0 and call it without training=False; or leave the layer out.")
def idle_dropout(setup: Setup) -> Seen:
    """The layer stands in the network and drops nothing in training: it regularises nothing."""
    if setup.model is not None:
        trace, _ = setup.traced(training=True)
        active = {step.source for step in trace.steps if step.op == "dropout_forward"}
        for path, layer in paths(setup.model).items():
            if isinstance(layer, Dropout) and f"{setup.model.name}/{path}" not in active:
                yield f"{path!r}, of rate {layer.rate}, drops nothing in training"

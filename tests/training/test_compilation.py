"""The arguments of compile, output by output."""

from typing import Any

import pytest

from fastcnn import losses, metrics
from fastcnn.training.compilation import Compilation, resolved
from fastcnn.training.compilation import compilation as by_output

TWO = ["kind", "size"]


def compilation(names: list[str], *arguments: Any, **options: Any) -> Compilation:
    return by_output(names, **resolved(*arguments, **options))


def own(y_true: Any, y_pred: Any) -> float:
    return 0.0


def described(argument: Any) -> list[str | None]:
    return [loss and loss.name for loss in compilation(TWO, argument).losses]


@pytest.mark.parametrize(
    ("loss", "names"),
    [
        ("mse", ["mean_squared_error"] * 2),
        (None, [None, None]),
        (["mse", None], ["mean_squared_error", None]),
        ({"size": "mae", "kind": losses.MeanSquaredError()}, ["mean_squared_error", "mean_absolute_error"]),
        ({"size": "mae"}, [None, "mean_absolute_error"]),
        ({"class_name": "MeanAbsoluteError", "config": {}}, ["mean_absolute_error"] * 2),
        (lambda t, p: p, ["<lambda>", "<lambda>"]),
    ],
)
def test_losses(loss: Any, names: list[str | None]) -> None:
    assert described(loss) == names


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (None, [[], []]),
        ([["accuracy"], "mae"], [["accuracy"], ["mae"]]),
        ([None, ["mae", own]], [[], ["mae", "own"]]),
        ({"size": ["mse"]}, [[], ["mse"]]),
        ({"kind": "acc", "size": metrics.MeanSquaredError()}, [["acc"], ["mean_squared_error"]]),
    ],
)
def test_metrics_of_two_outputs(argument: Any, expected: list[list[str]]) -> None:
    assert [[m.name for m in found] for found in compilation(TWO, "mse", metrics=argument).metrics] == expected


@pytest.mark.parametrize("argument", [["accuracy", own], [["accuracy"], [own]], {"out": ["accuracy", own]}])
def test_all_metrics_of_one_output_are_its(argument: Any) -> None:
    assert [m.name for m in compilation(["out"], "mse", metrics=argument).metrics[0]] == ["accuracy", "own"]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [(None, [1.0, 1.0]), ([2, 0.5], [2.0, 0.5]), ({"size": 3}, [1.0, 3.0])],
)
def test_loss_weights(weights: Any, expected: list[float]) -> None:
    assert compilation(TWO, "mse", weights).weights == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(metrics=["accuracy"]), r"metrics must have one entry for each of the 2 outputs \(kind, size\), got 1"),
        (dict(metrics={"kinds": ["accuracy"]}), "unknown output in metrics 'kinds'; did you mean 'kind'"),
        (dict(loss=["mse"]), "loss must have one entry for each of the 2 outputs"),
        (dict(loss_weights=2.0), "loss_weights must have one entry"),
        (dict(loss_weights=[1, float("nan")]), "finite"),
    ],
)
def test_what_does_not_fit_the_outputs(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compilation(TWO, **{"loss": "mse", **arguments})


def test_names_in_logs() -> None:
    one = compilation(["out"], "mse", metrics=["mae", "accuracy", "accuracy"])
    assert one.log_names() == ["loss", "mae", "accuracy", "accuracy_1"]
    two = compilation(TWO, "mse", metrics=[["mse", own], ["accuracy"]])
    assert two.log_names() == ["loss", "kind_loss", "size_loss", "kind_mse", "kind_own", "size_accuracy"]
    assert compilation(TWO, ["mse", None]).log_names() == ["loss"]  # Keras counts losses, not outputs
    assert two.directions() == {"kind_mse": "down", "kind_own": None, "size_accuracy": "up"}


def test_weighted_metrics_are_the_last_of_their_output() -> None:
    two = compilation(TWO, "mse", metrics=[["mae"], []], weighted_metrics={"kind": ["mae", "mse"], "size": ["mae"]})
    assert list(dict(two.metric_names())) == ["kind_mae", "kind_weighted_mae", "kind_mse", "size_mae"]
    assert [[weighted for _, weighted in output] for output in two.measured()] == [[False, True, True], [True]]


def test_what_needs_labels() -> None:
    assert compilation(TWO, [None, "mse"]).labelled() == [1]
    assert compilation(TWO, [None, "mse"], metrics=[["accuracy"], None]).labelled() == [0, 1]
    assert compilation(TWO, [None, "mse"], weighted_metrics=[["accuracy"], None]).labelled() == [0, 1]
    assert compilation(TWO, None).objective().accumulators() == 0

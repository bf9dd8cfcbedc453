"""history.png: loss and accuracy against epochs, drawn with matplotlib where it is installed."""

import io
from collections.abc import Mapping, Sequence
from typing import Any


def curves(history: Sequence[Mapping[str, float]], title: str) -> bytes:
    """A PNG with the loss on the left and the accuracy on the right. ImportError without matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    figure.suptitle(title)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _draw(axes, history, quantity)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()


def _draw(axes: Any, history: Sequence[Mapping[str, float]], quantity: str) -> None:
    labels = {quantity: "training", f"val_{quantity}": "validation", f"test_{quantity}": "test"}
    for key, label in labels.items():
        points = [(epoch, record[key]) for epoch, record in enumerate(history, start=1) if key in record]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="o", markersize=3)
    axes.set(xlabel="epoch", ylabel=quantity)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()

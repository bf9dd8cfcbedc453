"""history.png: loss and accuracy against epochs, drawn with matplotlib where it is installed."""

from collections.abc import Mapping, Sequence


def curves(history: Sequence[Mapping[str, float]], title: str) -> bytes:
    """A PNG with the loss on the left and the accuracy on the right. ImportError without matplotlib."""
    from fastcnn.explain import figures

    return figures.png(figures.curves(history, title))

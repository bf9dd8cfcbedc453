"""Dense layers on the GPU: the 1x1x1 convolution whose pixels are the samples, and the positions of inputs of higher rank."""

from typing import Any

from ..conv.cuda import backward, forward
from ..conv.geometry import matrix


def dense_forward(plan: Any, x: Any, w: Any, b: Any, y: Any, *, activation: str = "linear", alpha: float = 0.0) -> None:
    """y = act(x w + b)."""
    forward(plan, matrix(x.shape, w.shape), x, w, b, y, activation=activation, alpha=alpha)


def dense_backward(
    plan: Any, x: Any, w: Any, y: Any, dy: Any, dx: Any, dw: Any, db: Any, *, activation: str = "linear", alpha: float = 0.0
) -> None:
    """Gradients of dense_forward."""
    backward(plan, matrix(x.shape, w.shape), x, w, y, dy, dx, dw, db, activation=activation, alpha=alpha)

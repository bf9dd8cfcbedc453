"""Batch normalisation in NumPy (Ioffe and Szegedy 2015), over all axes but the last."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def batch_norm_forward(
    plan: Any, x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_variance: Any,
    y: Any, mean: Any, rstd: Any, *, momentum: float, epsilon: float,
) -> None:
    """Normalise by the statistics of the batch, and update the moving ones."""
    operands = (x, gamma, beta, moving_mean, moving_variance, y, mean, rstd)
    plan.launch(_batch_norm_forward, *operands, momentum=momentum, epsilon=epsilon)


def batch_norm_backward(
    plan: Any, x: Any, gamma: Any, mean: Any, rstd: Any, dy: Any, dx: Any, dgamma: Any, dbeta: Any
) -> None:
    """Gradients of batch_norm_forward."""
    plan.launch(_batch_norm_backward, x, gamma, mean, rstd, dy, dx, dgamma, dbeta)


def batch_norm_inference(
    plan: Any, x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_variance: Any, y: Any, *, epsilon: float
) -> None:
    """Normalise by the moving statistics."""
    plan.launch(_batch_norm_inference, x, gamma, beta, moving_mean, moving_variance, y, epsilon=epsilon)


def batch_norm_inference_backward(
    plan: Any, gamma: Any, moving_variance: Any, dy: Any, dx: Any, *, epsilon: float
) -> None:
    """dx = dy * gamma / sqrt(moving_variance + epsilon)."""
    plan.launch(_batch_norm_inference_backward, gamma, moving_variance, dy, dx, epsilon=epsilon)


def _batch_norm_forward(
    x: Array, gamma: Array | None, beta: Array | None, moving_mean: Array, moving_variance: Array,
    y: Array, mean: Array, rstd: Array, *, momentum: float, epsilon: float,
) -> None:
    over = tuple(range(x.ndim - 1))
    batch_mean, variance = x.mean(axis=over), x.var(axis=over)
    mean[...], rstd[...] = batch_mean, 1 / np.sqrt(variance + epsilon)
    y[...] = _scale_and_shift((x - mean) * rstd, gamma, beta)
    for moving, statistic in ((moving_mean, batch_mean), (moving_variance, variance)):
        moved = momentum * moving + (1 - momentum) * statistic
        moving[...] = np.where(np.isfinite(statistic), moved, moving)


def _batch_norm_backward(
    x: Array, gamma: Array | None, mean: Array, rstd: Array, dy: Array,
    dx: Array | None, dgamma: Array | None, dbeta: Array | None,
) -> None:
    over = tuple(range(x.ndim - 1))
    xhat, values = (x - mean) * rstd, x.size // x.shape[-1]
    sum_dy, sum_dy_xhat = dy.sum(axis=over), (dy * xhat).sum(axis=over)
    if dx is not None:
        dx[...] = _scale(rstd * (dy - sum_dy / values - xhat * sum_dy_xhat / values), gamma)
    if dgamma is not None:
        dgamma[...] = sum_dy_xhat
    if dbeta is not None:
        dbeta[...] = sum_dy


def _batch_norm_inference(
    x: Array, gamma: Array | None, beta: Array | None, moving_mean: Array, moving_variance: Array, y: Array, *,
    epsilon: float,
) -> None:
    y[...] = _scale_and_shift((x - moving_mean) / np.sqrt(moving_variance + epsilon), gamma, beta)


def _batch_norm_inference_backward(
    gamma: Array | None, moving_variance: Array, dy: Array, dx: Array, *, epsilon: float
) -> None:
    dx[...] = _scale(dy / np.sqrt(moving_variance + epsilon), gamma)


def _scale(x: Array, gamma: Array | None) -> Array:
    return x if gamma is None else gamma * x


def _scale_and_shift(x: Array, gamma: Array | None, beta: Array | None) -> Array:
    scaled = _scale(x, gamma)
    return scaled if beta is None else scaled + beta

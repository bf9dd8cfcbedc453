"""The CPU backend: every op as Numba kernels over vector lanes, run by one parallel runner. This is its table of contents.

float32 in blocks of 16 channels (host/layout.py); a step of a program is one call of the runner (host/runner.py).
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .activation.cpu import activation_backward, activation_forward
from .api import Extents, Kind
from .conv.cpu import conv_backward, conv_forward, conv_pool_backward, conv_pool_forward
from .data.cpu import export, gather
from .dense.cpu import dense_backward, dense_forward
from .dropout.cpu import dropout_backward, dropout_forward
from .elementwise.cpu import (
    add,
    add_parameters,
    affine,
    binary_backward,
    binary_forward,
    unary_backward,
    unary_forward,
)
from .host.plan import CpuPlan, CpuStorage, ExternalSlot
from .loss.cpu import accuracy, mean_metric, weighted_loss
from .norm.cpu import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    batch_norm_inference_backward,
)
from .optimizer.cpu import adam, sgd
from .pool.cpu import average_pool_backward, average_pool_forward, max_pool_backward, max_pool_forward
from .shape.cpu import concatenate_backward, concatenate_forward, mean_backward, mean_forward, reshape
from .softmax_crossentropy.cpu import (
    binary_crossentropy_backward,
    binary_crossentropy_forward,
    crossentropy_backward,
    crossentropy_forward,
    sigmoid_crossentropy_backward,
    sigmoid_crossentropy_forward,
    softmax_backward,
    softmax_crossentropy_backward,
    softmax_crossentropy_forward,
    softmax_forward,
)


class CpuBackend:
    """See the module's docstring."""

    name = "cpu"
    fusions = frozenset(
        {"conv+activation", "dense+activation", "conv+activation+pool", "softmax+crossentropy", "sigmoid+crossentropy"}
    )
    dtype: np.dtype[Any] = np.dtype(np.float32)

    def plan(self, batch_size: int) -> CpuPlan:
        """An empty plan."""
        return CpuPlan(batch_size)

    def allocate(self, shape: Extents, dtype: DTypeLike, kind: Kind) -> CpuStorage:
        """Zeroed memory that outlives programs."""
        return CpuStorage(shape, dtype, kind)

    def external(self, dtype: DTypeLike, shape: Extents) -> ExternalSlot:
        """A slot for host arrays."""
        return ExternalSlot(dtype, shape)

    # data
    gather = staticmethod(gather)
    export = staticmethod(export)

    # convolution and dense
    conv_forward = staticmethod(conv_forward)
    conv_backward = staticmethod(conv_backward)
    conv_pool_forward = staticmethod(conv_pool_forward)
    conv_pool_backward = staticmethod(conv_pool_backward)
    dense_forward = staticmethod(dense_forward)
    dense_backward = staticmethod(dense_backward)

    # pooling
    max_pool_forward = staticmethod(max_pool_forward)
    max_pool_backward = staticmethod(max_pool_backward)
    average_pool_forward = staticmethod(average_pool_forward)
    average_pool_backward = staticmethod(average_pool_backward)

    # normalisation
    batch_norm_forward = staticmethod(batch_norm_forward)
    batch_norm_backward = staticmethod(batch_norm_backward)
    batch_norm_inference = staticmethod(batch_norm_inference)
    batch_norm_inference_backward = staticmethod(batch_norm_inference_backward)

    # elementwise
    activation_forward = staticmethod(activation_forward)
    activation_backward = staticmethod(activation_backward)
    unary_forward = staticmethod(unary_forward)
    unary_backward = staticmethod(unary_backward)
    binary_forward = staticmethod(binary_forward)
    binary_backward = staticmethod(binary_backward)
    affine = staticmethod(affine)
    add = staticmethod(add)
    add_parameters = staticmethod(add_parameters)
    dropout_forward = staticmethod(dropout_forward)
    dropout_backward = staticmethod(dropout_backward)

    # shape
    reshape = staticmethod(reshape)
    concatenate_forward = staticmethod(concatenate_forward)
    concatenate_backward = staticmethod(concatenate_backward)
    mean_forward = staticmethod(mean_forward)
    mean_backward = staticmethod(mean_backward)

    # softmax, losses, metrics
    softmax_forward = staticmethod(softmax_forward)
    softmax_backward = staticmethod(softmax_backward)
    softmax_crossentropy_forward = staticmethod(softmax_crossentropy_forward)
    softmax_crossentropy_backward = staticmethod(softmax_crossentropy_backward)
    crossentropy_forward = staticmethod(crossentropy_forward)
    crossentropy_backward = staticmethod(crossentropy_backward)
    sigmoid_crossentropy_forward = staticmethod(sigmoid_crossentropy_forward)
    sigmoid_crossentropy_backward = staticmethod(sigmoid_crossentropy_backward)
    binary_crossentropy_forward = staticmethod(binary_crossentropy_forward)
    binary_crossentropy_backward = staticmethod(binary_crossentropy_backward)
    weighted_loss = staticmethod(weighted_loss)
    accuracy = staticmethod(accuracy)
    mean_metric = staticmethod(mean_metric)

    # optimizers
    sgd = staticmethod(sgd)
    adam = staticmethod(adam)

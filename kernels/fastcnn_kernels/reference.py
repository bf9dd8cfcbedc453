"""The reference backend: every op in NumPy, written to be read. This is its table of contents.

Slow and plain, in float32 or float64, one array a tensor and no fusion: what the fast backends are tested against, and what
gradients are checked on.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from . import reference_plan
from .activation.reference import activation_backward, activation_forward
from .api import Extents
from .conv.reference import conv_backward, conv_forward, conv_pool_backward, conv_pool_forward
from .data.reference import export, gather
from .dense.reference import dense_backward, dense_forward
from .dropout.reference import dropout_backward, dropout_forward
from .elementwise.reference import (
    add,
    add_parameters,
    affine,
    binary_backward,
    binary_forward,
    unary_backward,
    unary_forward,
)
from .loss.reference import accuracy, mean_metric, weighted_loss
from .norm.reference import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    batch_norm_inference_backward,
)
from .optimizer.reference import adam, sgd
from .pool.reference import average_pool_backward, average_pool_forward, max_pool_backward, max_pool_forward
from .reference_plan import ReferencePlan, ReferenceSlot
from .shape.reference import concatenate_backward, concatenate_forward, mean_backward, mean_forward, reshape
from .softmax_crossentropy.reference import (
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


class ReferenceBackend:
    """See the module's docstring."""

    name = "reference"
    fusions: frozenset[str] = frozenset()

    def __init__(self, dtype: DTypeLike = np.float32):
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    def plan(self, batch_size: int) -> ReferencePlan:
        """An empty plan."""
        return ReferencePlan(batch_size)

    def external(self, dtype: DTypeLike, shape: Extents) -> ReferenceSlot:
        """A slot for host arrays."""
        return ReferenceSlot(dtype, shape)

    allocate = staticmethod(reference_plan.allocate)

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

"""The reference backend: every op in NumPy, written to be read. This is its table of contents.

Slow and plain, in float32 or float64, one array a tensor and no fusion: what the fast backends are tested against, and what
gradients are checked on.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from . import reference_plan
from .activation import reference as activation
from .api import Extents, with_ops_of
from .augment import reference as augment
from .conv import reference as conv
from .conv_transpose import reference as conv_transpose
from .data import reference as data
from .dense import reference as dense
from .dropout import reference as dropout
from .elementwise import reference as elementwise
from .embedding import reference as embedding
from .group_norm import reference as group_norm
from .loss import reference as loss
from .norm import reference as norm
from .optimizer import reference as optimizer
from .pad import reference as pad
from .pointwise_loss import reference as pointwise_loss
from .pool import reference as pool
from .reference_plan import ReferencePlan, ReferenceSlot
from .regularization import reference as regularization
from .shape import reference as shape
from .softmax_crossentropy import reference as softmax_crossentropy
from .transpose import reference as transpose
from .upsample import reference as upsample


@with_ops_of(
    data, conv, conv_transpose, dense, pool, norm, activation, elementwise, dropout, augment, shape, transpose, pad, upsample,
    softmax_crossentropy, pointwise_loss, loss, optimizer, regularization, embedding, group_norm
)  # fmt: skip
class ReferenceBackend:
    """See the module's docstring."""

    name = "reference"
    fusions: frozenset[str] = frozenset()

    def __init__(self, dtype: DTypeLike = np.float32):
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    def plan(self, batch_size: int, frozen: bool = False) -> ReferencePlan:
        """An empty plan."""
        return ReferencePlan(batch_size)

    def external(self, dtype: DTypeLike, shape: Extents) -> ReferenceSlot:
        """A slot for host arrays."""
        return ReferenceSlot(dtype, shape)

    allocate = staticmethod(reference_plan.allocate)

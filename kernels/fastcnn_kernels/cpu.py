"""The CPU backend: every op as Numba kernels over vector lanes, run by one parallel runner. This is its table of contents.

float32 in blocks of 16 channels (host/layout.py); a step of a program is one call of the runner (host/runner.py).
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .activation import cpu as activation
from .api import Extents, Kind, with_ops_of
from .augment import cpu as augment
from .conv import cpu as conv
from .conv_transpose import cpu as conv_transpose
from .data import cpu as data
from .dense import cpu as dense
from .dropout import cpu as dropout
from .elementwise import cpu as elementwise
from .embedding import cpu as embedding
from .group_norm import cpu as group_norm
from .host.plan import CpuPlan, CpuStorage, ExternalSlot
from .loss import cpu as loss
from .norm import cpu as norm
from .optimizer import cpu as optimizer
from .pad import cpu as pad
from .pointwise_loss import cpu as pointwise_loss
from .pool import cpu as pool
from .regularization import cpu as regularization
from .shape import cpu as shape
from .softmax_crossentropy import cpu as softmax_crossentropy
from .transpose import cpu as transpose
from .upsample import cpu as upsample

CONV_ALGORITHMS = ("auto", "direct", "winograd2", "winograd4")


@with_ops_of(
    data, conv, conv_transpose, dense, pool, norm, activation, elementwise, dropout, augment, shape, transpose, pad, upsample,
    softmax_crossentropy, pointwise_loss, loss, optimizer, regularization, embedding, group_norm
)  # fmt: skip
class CpuBackend:
    """See the module's docstring.

    conv_algorithm  how convolutions compute: "direct", "winograd2", "winograd4" or "auto", see conv/winograd.py
    """

    name = "cpu"
    fusions = frozenset(
        {"conv+activation", "dense+activation", "conv+activation+pool", "softmax+crossentropy", "sigmoid+crossentropy"}
    )
    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, conv_algorithm: str = "auto"):
        if conv_algorithm not in CONV_ALGORITHMS:
            raise ValueError(f"conv_algorithm must be one of {', '.join(CONV_ALGORITHMS)}, got {conv_algorithm!r}")
        self.conv_algorithm = conv_algorithm

    def plan(self, batch_size: int, frozen: bool = False) -> CpuPlan:
        """An empty plan."""
        return CpuPlan(batch_size, self.conv_algorithm, frozen)

    def allocate(self, shape: Extents, dtype: DTypeLike, kind: Kind) -> CpuStorage:
        """Zeroed memory that outlives programs."""
        return CpuStorage(shape, dtype, kind)

    def external(self, dtype: DTypeLike, shape: Extents) -> ExternalSlot:
        """A slot for host arrays."""
        return ExternalSlot(dtype, shape)

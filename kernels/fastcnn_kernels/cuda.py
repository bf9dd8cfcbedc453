"""The CUDA backend: every op as Numba CUDA kernels, on a GPU or on the emulated one. This is its table of contents.

float32 in plain C order, channels last; a step of a program is launched once kernel by kernel and then replayed as one graph
(device/plan.py). The device is a value (device/interface.py): CudaBackend(HardwareDevice()), CudaBackend(EmulatedDevice()).
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .activation import cuda as activation
from .api import Extents, Kind, with_ops_of
from .augment import cuda as augment
from .conv import cuda as conv
from .conv.cuda_rules import drop_behind, gradient_behind
from .conv_transpose import cuda as conv_transpose
from .data import cuda as data
from .dense import cuda as dense
from .device.interface import Device
from .device.plan import CudaPlan, CudaSlot, CudaStorage
from .device.tensor import check_precision
from .device.works import share_views
from .dropout import cuda as dropout
from .elementwise import cuda as elementwise
from .embedding import cuda as embedding
from .group_norm import cuda as group_norm
from .loss import cuda as loss
from .loss.cuda_head import share_head
from .norm import cuda as norm
from .optimizer import cuda as optimizer
from .pad import cuda as pad
from .pointwise_loss import cuda as pointwise_loss
from .pool import cuda as pool
from .regularization import cuda as regularization
from .shape import cuda as shape
from .softmax_crossentropy import cuda as softmax_crossentropy
from .transpose import cuda as transpose
from .upsample import cuda as upsample

RULES = (
    share_views, data.gather_together, share_head, drop_behind, gradient_behind, optimizer.add_parts, optimizer.step_together
)  # fmt: skip
"""What becomes fewer launches when a plan is finalized, in this order."""


@with_ops_of(
    data, conv, conv_transpose, dense, pool, norm, activation, elementwise, dropout, augment, shape, transpose, pad, upsample,
    softmax_crossentropy, pointwise_loss, loss, optimizer, regularization, embedding, group_norm
)  # fmt: skip
class CudaBackend:
    """See the module's docstring.

    precision  what convolutions and dense layers round their operands to: "float32" (not at all) or, on tensor cores, "tf32"
               or "bfloat16". Everything in memory, sums included, is float32 in each.
    """

    fusions = frozenset(
        {"conv+activation", "dense+activation", "conv+activation+pool", "softmax+crossentropy", "sigmoid+crossentropy"}
    )
    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, device: Device, precision: str = "float32"):
        check_precision(precision, device.properties())
        self.device, self.name, self.precision = device, device.name, precision

    def plan(self, batch_size: int, frozen: bool = False) -> CudaPlan:
        """An empty plan."""
        return CudaPlan(batch_size, self.device, RULES, self.precision)

    def allocate(self, shape: Extents, dtype: DTypeLike, kind: Kind) -> CudaStorage:
        """Zeroed memory that outlives programs; this layout pads nothing."""
        return CudaStorage(self.device, shape, dtype)

    def external(self, dtype: DTypeLike, shape: Extents) -> CudaSlot:
        """A slot for host arrays, of which the device has copies."""
        return CudaSlot(self.device, dtype, shape)

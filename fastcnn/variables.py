"""Variables: the arrays that a model owns and training changes."""

from typing import Any

import numpy as np
from fastcnn_kernels.api import Kind
from numpy.typing import NDArray


class Variable:
    """A named float array that outlives programs: a weight, a moving statistic, an optimizer slot.

    Its value lives on the host until a model is compiled; then in the memory of the backend it was last bound to. `value`
    and `assign` always speak of the logical, C-ordered array.

    regularizer   a penalty that is part of the loss, None or one of `regularizers`
    constraint    what is done to it after every step of training, None or one of `constraints`
    """

    def __init__(self, value: Any, *, trainable: bool = True, name: str = "variable"):
        self._host: NDArray[Any] | None = np.array(value, np.float32)
        self.shape: tuple[int, ...] = self._host.shape
        self.trainable = trainable
        self.name = name
        self.kind: Kind = "parameter"
        self.regularizer: Any = None
        self.constraint: Any = None
        self.backend: Any = None
        self.storage: Any = None

    @property
    def value(self) -> NDArray[Any]:
        """A copy of the array."""
        return self.storage.read() if self.storage is not None else self._host.copy()  # type: ignore[union-attr]

    def numpy(self) -> NDArray[Any]:
        """A copy of the array, as Keras names it."""
        return self.value

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    def assign(self, value: Any) -> None:
        """Overwrite the array; ValueError if the shape differs."""
        array = np.asarray(value)
        if array.shape != self.shape:
            raise ValueError(f"variable {self.name!r} has shape {self.shape}, cannot be assigned an array of {array.shape}")
        if self.storage is not None:
            self.storage.write(array)
        else:
            self._host = array.astype(np.float32)

    def bind(self, backend: Any) -> Any:
        """Move the value into the memory of `backend` and return its storage."""
        if self.backend is not backend:
            value = self.value
            self.storage = backend.allocate(self.shape, backend.dtype, "parameter")
            self.storage.write(value)
            self.backend, self._host = backend, None
        return self.storage

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_host": self.value, "backend": None, "storage": None}

    def __repr__(self) -> str:
        return f"<Variable {self.name} shape={self.shape} trainable={self.trainable}>"

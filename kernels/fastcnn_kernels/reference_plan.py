"""The plan of the reference: a list of NumPy functions over whole arrays. Written to be read; nothing is reused or fused."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .api import Kind, Tensor
from .plan import Launch, LaunchList, rows


class ReferenceStorage:
    """An array that outlives a program."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike):
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.array: NDArray[Any] = np.zeros(shape, dtype)

    def read(self) -> NDArray[Any]:
        """A copy of the array."""
        return self.array.copy()

    def write(self, array: NDArray[Any], first: int = 0) -> None:
        """Overwrite rows `first`, `first` + 1, ... with `array`."""
        rows(self.array, array, first)[...] = array


class ReferenceSlot:
    """A host array that changes from run to run."""

    def __init__(self, dtype: DTypeLike, shape: tuple[int, ...]):
        self.dtype, self.shape = np.dtype(dtype), shape
        self.array: NDArray[Any] = np.zeros((0, *shape), dtype)

    def bind(self, array: NDArray[Any], first: int = 0) -> None:
        """Let the slot be `array[first:]`."""
        self.array = array[first:]


class ReferencePlan(LaunchList):
    """Launches are calls `function(*arrays, **attributes)`; outputs are arrays to be filled with `[...] =`."""

    def launch(self, function: Callable[..., None], /, *operands: Any, **attributes: Any) -> None:
        """Append a call. An operand is a tensor, None, or a sequence of these; the function gets arrays in their place."""
        tensors = tuple(t for operand in operands for t in _flat(operand))
        self.append(Launch(function.__name__.strip("_"), 0, tensors, (), (function, operands, attributes)))

    def finalize(self) -> None:
        """Give every tensor without storage an array of its own."""
        self.arrays = {tensor: np.zeros(tensor.shape, tensor.dtype) for tensor in self.lifetimes()}

    def run(self) -> None:
        """Call every function in order."""
        for launch in self.launches:
            self._call(launch)

    def run_step(self, step: int) -> None:
        """Call the functions of one program step only."""
        for i in self.launches_of(step):
            self._call(self.launches[i])

    def _call(self, launch: Launch) -> None:
        function, operands, attributes = launch.payload
        function(*(self._array(operand) for operand in operands), **attributes)

    def _array(self, operand: Any) -> Any:
        if operand is None:
            return None
        if isinstance(operand, Tensor):
            return self.arrays[operand] if operand.storage is None else operand.storage.array
        return [self._array(item) for item in operand]

    def read(self, tensor: Tensor) -> NDArray[Any]:
        """The values of a tensor, as they are now."""
        return np.array(self._array(tensor))

    def memory(self) -> int:
        """Bytes of the arrays that the plan allocated."""
        return sum(array.nbytes for array in self.arrays.values())

    def describe(self, step: int) -> list[str]:
        """One line a call of a program step."""
        return [self.launches[i].kernel for i in self.launches_of(step)]


def _flat(operand: Any) -> list[Tensor]:
    if operand is None:
        return []
    return [operand] if isinstance(operand, Tensor) else [t for item in operand for t in _flat(item)]


def allocate(shape: tuple[int, ...], dtype: DTypeLike, kind: Kind) -> ReferenceStorage:
    """Zeroed memory that outlives programs; the reference pads nothing."""
    return ReferenceStorage(shape, dtype)

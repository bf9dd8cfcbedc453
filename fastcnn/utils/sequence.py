"""Data larger than memory: `PyDataset` (by its older name `Sequence`), a list of batches that are made when asked for."""

from typing import Any


class PyDataset:
    """Override `__len__`, the number of batches, and `__getitem__`, which returns (x, y) or (x, y, sample_weight) of one.

    `fit` asks for the batches of an epoch in random order, unless it is told shuffle=False.
    """

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __len__(): the number of batches")

    def __getitem__(self, index: int) -> Any:
        """The batch `index`: (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __getitem__(index): one batch")

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


Sequence = PyDataset

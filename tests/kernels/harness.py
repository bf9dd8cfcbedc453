"""The tests' names for fastcnn_kernels.trial."""

from fastcnn_kernels.trial import REFERENCE, compare, run, run_case

__all__ = ["REFERENCE", "compare", "run", "run_case"]

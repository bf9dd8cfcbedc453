"""From a model to what runs: lowering, gradients, fusion, programs, and the executor that keeps them."""

from .executor import Executor
from .lowering import lower
from .objective import Objective
from .probe import Place, Probe
from .program import Program

__all__ = ["Executor", "Objective", "Place", "Probe", "Program", "lower"]

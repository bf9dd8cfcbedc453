"""Kernels of convolutional networks, one folder an op, each written for every backend; see api.py for the contract."""

from .host import threads
from .registry import register

__all__ = ["register"]

threads.reserve(threads.get_num_threads())

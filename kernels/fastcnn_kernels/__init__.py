"""Kernels of convolutional networks, one folder an op, each written for every backend; see api.py for the contract."""

from .host import threads

threads.reserve(threads.get_num_threads())

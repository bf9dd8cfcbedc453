"""fastcnn: small convolutional networks on kernels written in Python, under Keras 3's names.

    layers models applications   what networks are made of
    losses optimizers metrics callbacks                            what training is made of
    initializers activations regularizers constraints              what layers are made of
    datasets utils               data, seeds, checks
    explain                      what a trained network computes, looks at, and finds alike
    ops                          what custom layers and losses are composed of
    set_device set_num_threads   where and on how many threads programs run
"""

from importlib import import_module
from typing import Any

from .backends import get_device, get_num_threads, set_device, set_num_threads

__version__ = "0.1.0"

_MODULES = (
    "activations", "applications", "callbacks", "constraints", "datasets", "explain", "initializers", "layers", "losses",
    "metrics", "models", "ops", "optimizers", "regularizers", "utils",
)  # fmt: skip
__all__ = ["get_device", "get_num_threads", "set_device", "set_num_threads", *_MODULES]


def __getattr__(name: str) -> Any:
    """Import a submodule when it is first used, so that `import fastcnn` stays quick."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'fastcnn' has no attribute {name!r}")

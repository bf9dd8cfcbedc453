"""Which backend Keras computes with, where the environment does not say."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

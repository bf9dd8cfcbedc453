"""A network that knows the digits, trained once, and the digits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fastcnn import applications, datasets
from fastcnn.utils import set_random_seed


@dataclass
class Trained:
    """A Digits network on "cpu" and the test pictures, float32 from 0 to 1, with their labels."""

    model: Any
    x: np.ndarray
    y: np.ndarray


@pytest.fixture(scope="session")
def digits() -> Trained:
    set_random_seed(0)
    data = datasets.load("digits")
    model = applications.Digits()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device="cpu")
    model.fit(data.x_train.astype(np.float32) / 255, data.y_train, batch_size=32, epochs=3, verbose=0)
    return Trained(model, data.x_test.astype(np.float32) / 255, data.y_test)

"""The README's Python runs as it stands, but for the size of the data and the number of epochs."""

import re
from pathlib import Path

import numpy as np
import pytest

from fastcnn import models
from fastcnn.datasets import digits, mnist
from fastcnn.utils import check_gradients

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.fixture
def small_mnist(monkeypatch):
    """The bundled digits, enlarged, where MNIST would be downloaded."""

    def load_data():
        enlarged = [(np.pad(x.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2))) * 15, y) for x, y in digits.load_data()]
        return tuple((x[:200].astype(np.uint8), y[:200]) for x, y in enlarged)

    monkeypatch.setattr(mnist, "load_data", load_data)


def test_the_mnist_example(small_mnist):
    scope: dict = {}
    exec(BLOCKS[0].replace("epochs=20", "epochs=1"), scope)
    assert len(scope["history"].epoch) == 1
    assert np.isfinite(scope["test_loss"])


def test_the_custom_layer():
    scope: dict = {}
    exec(BLOCKS[1], scope)
    layers = scope["layers"]
    model = models.Sequential([layers.Dense(2, input_shape=(3,)), scope["Swish"]()])
    x, y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    assert max(check_gradients(model, x, y, "mse").values()) < 1e-6


def test_every_python_block_is_run_here():
    assert len(BLOCKS) == 2


def test_the_two_commands_are_on_the_first_screen():
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:25])
    assert "pip install . && fastcnn train" in first_screen
    assert "pip install -e '.[test]' && pytest" in first_screen

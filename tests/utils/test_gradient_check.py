"""The public gradient checker: it accepts what is right, finds what is wrong, and leaves the model as it was."""

import numpy as np
import pytest

from fastcnn import applications, layers, models, ops
from fastcnn.program import gradients
from fastcnn.utils import check_gradients, set_random_seed


@pytest.mark.parametrize("name", ["Digits", "TutorialMNIST", "TutorialCIFAR10", "TutorialKeras"])
def test_the_applications_gradients_agree_with_finite_differences(name):
    set_random_seed(0)
    model = applications.get(name)()
    shape = model.input_shape[1:]
    rng = np.random.default_rng(0)
    x, y = rng.random((3, *shape), dtype=np.float32), rng.integers(0, 10, 3)
    worst = check_gradients(model, x, y, "sparse_categorical_crossentropy", samples=3, epsilon=1e-6)
    assert len(worst) == len(model.trainable_variables)
    # A bias in front of batch normalisation has gradient 0: there is nothing to be relative to.
    meaningful = [error for name, error in worst.items() if "bias" not in name or "Keras" not in model.name]
    assert max(meaningful) < 1e-4


def test_a_wrong_rule_is_found(monkeypatch):
    def wrong(back, step, grads):
        back.emit("affine", dict(scale=0.5, offset=0.0), x=grads["y"], y=back.gradient(step["x"]))

    monkeypatch.setitem(gradients.RULES, "activation_forward", wrong)
    model = models.Sequential([layers.Dense(4, activation="tanh", input_shape=(3,)), layers.Dense(2)])
    x, y = np.ones((2, 3), np.float32), np.zeros((2, 2), np.float32)
    assert max(check_gradients(model, x, y, "mse").values()) > 0.01


def test_a_layer_of_ones_own_is_checked_and_the_weights_stay():
    class Swish(layers.Layer):
        def call(self, x):
            return x * ops.sigmoid(x)

    model = models.Sequential([layers.Dense(4, input_shape=(3,)), Swish(), layers.Dense(1)])
    model.compile("sgd", "mse", device="cpu")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 3)).astype(np.float32), rng.standard_normal((5, 1)).astype(np.float32)
    before, predicted = model.get_weights(), model.predict(x, verbose=0)
    assert max(check_gradients(model, x, y).values()) < 1e-6
    for ours, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, kept)
    np.testing.assert_array_equal(model.predict(x, verbose=0), predicted)

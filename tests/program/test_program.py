"""Programs: what runs, what is printed, and what the executor keeps."""

import numpy as np
import pytest
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn.backends import resolve
from fastcnn.program import Executor

TARGETS = (((3,), "float32"),)
DTYPES = ("float32", "float32")
BACKENDS = ["reference", "cpu"]


def run_steps(net, objective, batch, backend, steps):
    """Losses of `steps` optimizer steps on one batch."""
    executor = Executor(net, objective, backend)
    program = executor.program("train", len(batch[0]), DTYPES, TARGETS)
    program.bind([batch[0]], [batch[1]], [np.ones(len(batch[0]), np.float32)])
    losses = []
    for step in range(steps):
        executor.set(step=step, rate=0.1)
        executor.reset_metrics()
        program.run()
        total, weight = executor.totals()[0]
        losses.append(total / weight)
    return losses


@pytest.mark.parametrize("device", BACKENDS)
def test_descent_follows_the_float64_reference(net, objective, batch, device):
    start = [v.value for v in net.variables]
    expected = run_steps(net, objective, batch, ReferenceBackend(np.float64), 5)
    for variable, value in zip(net.variables, start, strict=True):
        variable.assign(value)
    assert run_steps(net, objective, batch, resolve(device), 5) == pytest.approx(expected, rel=1e-5)
    assert expected[-1] < expected[0]


@pytest.mark.parametrize("device", BACKENDS)
def test_the_index_orders_the_samples_and_prediction_writes_rows(net, objective, batch, device):
    executor = Executor(net, objective, resolve(device))
    program = executor.program("predict", 2, ("float32",))
    out = np.full((5, 3), np.nan, np.float32)
    order = np.array([4, 3, 2, 1, 0])
    program.bind([batch[0]], index=order, outputs=[out])
    program.run(0)
    program.run(2)
    assert np.isnan(out[4]).all()
    backwards = out[:4].copy()
    program.bind([batch[0]], outputs=[out])
    program.run(3)
    np.testing.assert_array_equal(out[3:], backwards[1::-1])
    np.testing.assert_allclose(backwards.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("device", BACKENDS)
def test_a_loss_that_is_not_finite_stops_the_optimizer_and_is_traced_to_its_layer(net, objective, batch, device):
    executor = Executor(net, objective, resolve(device))
    net.kernel.assign(np.full(net.kernel.shape, 1e38))
    program = executor.program("train", 5, DTYPES, TARGETS)
    program.bind([batch[0]], [batch[1]], [np.ones(5, np.float32)])
    executor.set(step=7, rate=0.1)
    before = net.weights.value
    program.run()
    assert executor.failed_step() == 7
    np.testing.assert_array_equal(net.weights.value, before)
    assert "net/conv" in executor.diagnose(program, 0)
    executor.clear_failure()
    assert executor.failed_step() is None


@pytest.mark.parametrize("device", BACKENDS)
def test_data_that_is_not_finite_is_named(net, objective, batch, device):
    executor = Executor(net, objective, resolve(device))
    program = executor.program("train", 5, DTYPES, TARGETS)
    x = batch[0].copy()
    x[3, 2, 1, 0] = np.nan
    program.bind([x], [batch[1]], [np.ones(5, np.float32)])
    program.run()
    assert "the data: image" in executor.diagnose(program, 0)


def test_the_printout_lists_every_step_with_its_cost_and_kernels(net, objective):
    text = str(Executor(net, objective, resolve("cpu")).program("train", 5, DTYPES, TARGETS))
    lines = text.splitlines()
    assert lines[0].startswith("program net: train, batch 5, backend cpu: 15 steps")
    assert any("conv_pool_forward(image" in line and "net/conv" in line for line in lines)
    # 5 samples, 4x4 outputs, 4 channels, 3x3x1 taps, two operations each
    assert f"{5 * 16 * 4 * 9 * 2 / 1e6:.3g} MFLOP" in next(line for line in lines if "conv_pool_forward" in line)


def test_programs_are_cached_share_weights_and_follow_trainable(net, objective, batch):
    executor = Executor(net, objective, resolve("reference"))
    first = executor.program("train", 5, DTYPES, TARGETS)
    assert executor.program("train", 5, DTYPES, TARGETS) is first
    assert executor.program("train", 2, DTYPES, TARGETS) is not first
    net.kernel.trainable = False
    assert executor.program("train", 5, DTYPES, TARGETS) is not first


def test_a_program_whose_weights_moved_to_another_backend_is_built_again(net, objective):
    executor = Executor(net, objective, resolve("reference"))
    first = executor.program("predict", 2, ("float32",))
    net.kernel.bind(ReferenceBackend(np.float64))
    assert executor.program("predict", 2, ("float32",)) is not first

"""What is measured: operations, agreement with the reference, projections, PyTorch."""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastcnn_kernels.reference import ReferenceBackend

from fastcnn import applications
from fastcnn.report import agreement, gathering, setup, timing
from fastcnn.report.operations import layer_times, operations, training_batch
from fastcnn.report.schema import Report
from fastcnn.report.setup import Job
from fastcnn.report.worker import _Clock


def test_rates_fit_their_times(report: Report):
    for device in report.devices:
        assert device.peaks is not None
        step = device.steps
        assert step.seconds.low <= step.seconds.median <= step.seconds.high
        assert step.flops_per_second == pytest.approx(step.flops / step.seconds.median)
        assert sum(o.flops for o in device.operations) == step.flops
        assert sum(o.share for o in device.operations) == pytest.approx(1) == pytest.approx(sum(x.share for x in device.layers))
        for o in device.operations:
            limit = min(device.peaks.flops, o.intensity * device.peaks.bytes)
            assert o.roofline_share == pytest.approx(
                o.flops_per_second / limit if o.flops else o.bytes_per_second / device.peaks.bytes
            )
        assert [rate.batch_size for rate in device.throughput] == list(timing.SIZES[: len(device.throughput)])


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_a_prepared_step_computes_what_the_step_does(job: Job, device: str):
    parts = job.parts()
    model = job.on(device).model(parts)
    program = training_batch(model, parts.train[0][:16], parts.train[1][:16]).program
    plan = program.plan
    for number, step in enumerate(program.steps):
        plan.run_step(number)
        outputs = [program.tensors[value] for value in step.writes() if value in program.tensors]
        floats = [t for t in outputs if t.kind == "batch" and t.dtype == np.float32]
        if step.op.endswith("_forward"):
            before = [plan.read(tensor) for tensor in floats]
            plan.prepared_step(number, 2)()
            assert all(np.array_equal(plan.read(tensor), values) for tensor, values in zip(floats, before, strict=True))


def test_operations_without_peaks_and_their_sums_by_layer(job: Job):
    parts = job.parts()
    model = job.on("reference").model(parts)
    found = operations(training_batch(model, parts.train[0][:16], parts.train[1][:16]).program, None)
    layers = {x.layer: x.seconds for x in layer_times(found)}
    assert layers["conv2d"] == pytest.approx(sum(o.seconds for o in found if o.layer == "conv2d"))
    assert {(o.bound, o.roofline_share) for o in found} == {("", None)}


def test_the_first_layer_that_differs_is_named(job: Job, monkeypatch: pytest.MonkeyPatch):
    assert agreement.agreement(job, "cpu").first_difference == ""
    right = agreement.run

    def wrong(job: Job, device: Any) -> agreement.Run:
        found = right(job, device)
        if not isinstance(device, ReferenceBackend):
            for name in ("activation_1", "conv2d_2"):
                found.results[name] = found.results[name] * np.float32(1.001)
        return found

    monkeypatch.setattr(agreement, "run", wrong)
    assert agreement.agreement(job, "cpu").first_difference == "activation_1"


def test_weights_that_are_not_updated_are_found(job: Job, monkeypatch: pytest.MonkeyPatch):
    right = agreement.run

    def frozen(job: Job, device: Any) -> agreement.Run:
        found = right(job, device)
        return found if isinstance(device, ReferenceBackend) else found._replace(weights=[0.99 * w for w in found.weights])

    monkeypatch.setattr(agreement, "run", frozen)
    assert agreement.agreement(job, "cpu").first_difference == "training"


def test_projections_are_proportional_and_say_from_what(report: Report):
    for device in report.devices:
        training = device.training
        assert (training.whole_epochs, len(training.epochs), training.projected) == (4, 2, "2 epochs")
        assert training.whole_seconds == pytest.approx(2 * training.epochs[-1].seconds)
    assert min(device.training.times_fastest for device in report.devices) == 1


def test_the_target_is_what_every_device_reached(report: Report):
    goal = gathering.target(report.devices)
    assert goal == report.setup.target is not None
    for device in report.devices:
        first = next(e for e in device.training.epochs if e.val_accuracy >= goal)
        assert device.training.target_seconds == first.seconds
    untrained = replace(report.devices[0], training=replace(report.devices[0].training, epochs=[]))
    assert gathering.target([untrained]) is None


def test_no_epoch_begins_that_would_outlast_patience(monkeypatch: pytest.MonkeyPatch):
    clock, now = _Clock(10.0), [0.0]
    clock.model = type("Model", (), {"stop_training": False})()
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock.on_train_begin()
    for epoch, stopped in enumerate([False, False, True]):
        clock.on_epoch_begin(epoch)
        now[0] += 3.0
        clock.on_test_begin()
        now[0] += 0.5
        clock.on_epoch_end(epoch, dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5))
        assert clock.model.stop_training == (stopped or (epoch + 2) * 3.5 > 10)
    assert clock.training == 9.0


def test_a_device_that_fails_is_told_and_costs_nothing_else(report: Report, job: Job, monkeypatch: pytest.MonkeyPatch):
    def measured(job: Job, told: Any) -> Any:
        if job.options.device == "cuda":
            raise RuntimeError("measuring cuda failed: it is on fire")
        return report.devices[0], []

    monkeypatch.setattr(gathering, "measured", measured)
    found = gathering.gather(job, ["cuda", "cpu"], "", None, lambda told: None)
    assert ([device.name for device in found.devices], found.missing) == (["cpu"], ["measuring cuda failed: it is on fire"])
    with pytest.raises(RuntimeError, match="on fire"):
        gathering.gather(job, ["cuda"], "", None, lambda told: None)


def test_a_worker_that_fails_says_why(job: Job):
    with pytest.raises(RuntimeError, match="measuring cpu failed: KeyError: 'fly'"):
        gathering.run("fly", job)


def test_spreads_and_rates(monkeypatch: pytest.MonkeyPatch):
    assert timing.spread([float(k) for k in range(10, 0, -1)]) == {"median": 5.5, "low": 2.0, "high": 9.0, "count": 10}
    monkeypatch.setattr(timing, "times", lambda call, seconds: [call()])
    rates = timing.rates(lambda size: lambda: 0.1 * size, 1.0)
    assert [(rate["batch_size"], rate["samples_per_second"]) for rate in rates] == [(1, 10), (2, 10), (4, 10), (8, 10)]


def test_jobs():
    found = setup.job_for("tutorial-cifar10", None, 6, quick=False)
    assert (found.network, found.options.data, found.options.epochs, found.epochs) == ("TutorialCIFAR10", "cifar10", 60, 6)
    assert (found.on("cpu").patience, found.on("reference").patience) == (float("inf"), 120)
    assert setup.job_for(None, None, 70, quick=True).options.epochs == 70
    assert setup.read(setup.write(found)) == found
    with pytest.raises(ValueError, match="did you mean 'tutorial-mnist'"):
        setup.job_for("tutorial-mnst", None, None, quick=False)


# PyTorch.


@pytest.mark.parametrize("network", ["digits", "tutorial-mnist", "tutorial-cifar10"])
def test_pytorch_computes_the_same_network(job: Job, network: str, monkeypatch: pytest.MonkeyPatch):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from fastcnn.report import torch_side

    monkeypatch.setitem(sys.modules, "timing", timing)
    from fastcnn.report import torch_worker

    model = applications.get(setup.NETWORKS[network][0])()
    model.compile("adam", "sparse_categorical_crossentropy", device="reference")
    pictures = np.random.default_rng(0).random((5, *model.input_shape[1:]), np.float32)
    ours = torch_worker.build(torch_side.layers_of(model), list(model.input_shape[1:]))
    torch_worker.load(ours, model.get_weights())
    with torch.inference_mode():
        scores = ours.eval()(torch.from_numpy(pictures).permute(0, 3, 1, 2)).softmax(1).numpy()
    np.testing.assert_allclose(scores, model.predict_on_batch(pictures), atol=1e-6)


def test_pytorch_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    from fastcnn.report.torch_side import python_with_torch

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="--torch-python"):
        python_with_torch(None)
    with pytest.raises(FileNotFoundError, match="no such program"):
        python_with_torch("/nowhere/python")

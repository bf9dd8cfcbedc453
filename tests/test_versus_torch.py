"""benchmarks.versus_torch: both sides do the work that the tables say, and what was measured is chosen and kept honestly."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fastcnn_kernels import trial

from benchmarks import pairs, versus_torch, worker, worker_fastcnn
from benchmarks.layer_shapes import LAYER_SHAPES, LayerShape
from benchmarks.pairs import QUIET, Row, Worker, WorkerError, compare

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    LayerShape("first layer", "no dx", 9, (6, 7), 3, 5, (3, 3), (1, 1), ((1, 1), (1, 1)), input_gradient=False),
    LayerShape("stride", "a pixel is left over", 3, (8, 8), 17, 4, (3, 3), (2, 2), ((1, 1), (1, 1))),
    LayerShape("one-sided", "an even kernel", 2, (5, 5), 2, 3, (2, 2), (1, 1), ((0, 1), (0, 1))),
    LayerShape("depthwise", "a group a channel", 2, (5, 5), 20, 20, (3, 3), (2, 2), ((1, 1), (1, 1)), groups=20),
    LayerShape("1-D", "rows", 2, (11,), 6, 8, (5,), (1,), ((2, 2),)),
    LayerShape("3-D", "volumes", 2, (4, 5, 6), 2, 3, (3, 3, 3), (1, 1, 1), ((0, 0),) * 3),
)


def by_name(shapes):
    return pytest.mark.parametrize("shape", shapes, ids=lambda shape: shape.name)


# ------ the list


def test_the_list_spans_what_it_says():
    assert len(LAYER_SHAPES) == 20 == len({shape.name for shape in LAYER_SHAPES})
    assert {len(shape.image) for shape in LAYER_SHAPES} == {1, 2, 3}
    assert {stride for shape in LAYER_SHAPES for stride in shape.strides} == {1, 2}
    assert {k for shape in LAYER_SHAPES for k in shape.kernel} == {1, 2, 3, 5, 7}
    channels = [c for shape in LAYER_SHAPES for c in (shape.channels, shape.filters)]
    assert (min(channels), max(channels)) == (1, 512)
    assert all(shape.input_gradient == (shape.channels > 3) for shape in LAYER_SHAPES)


# ------ one layer


def expected(shape: LayerShape) -> dict[str, np.ndarray]:
    """y, dx, dw, db by the float64 reference."""
    axes = dict(strides=shape.strides, padding=shape.padding, dilation=(1,) * len(shape.image), groups=shape.groups)
    kernel = (*shape.kernel, shape.channels // shape.groups, shape.filters)
    extents = {"x": (shape.batch, *shape.image, shape.channels), "w": kernel, "b": (shape.filters,)}
    extents["dy"] = extents["y"] = (shape.batch, *shape.output(), shape.filters)
    extents |= {"dx": extents["x"] if shape.input_gradient else None, "dw": kernel, "db": (shape.filters,)}
    salts = {"x": 0, "dy": 1, "w": 2, "b": 3}
    operands = {name: worker_fastcnn._values(extents[name], salt).astype(np.float64) for name, salt in salts.items()}
    found = trial.run(trial.REFERENCE, "conv_forward", operands, extents, axes, batch_size=shape.batch)
    operands |= found
    return found | trial.run(trial.REFERENCE, "conv_backward", operands, extents, axes, batch_size=shape.batch)


def assert_agrees(found: dict[str, np.ndarray], shape: LayerShape) -> None:
    wanted = {name: value for name, value in expected(shape).items() if value is not None}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert np.abs(found[name] - value).max() <= 1e-5 * np.abs(value).max(), name


@by_name(SMALL)
def test_a_layer_of_fastcnn_computes_the_convolution_and_its_gradients(shape: LayerShape):
    assert_agrees(worker_fastcnn.Layer(shape).results, shape)


@by_name(SMALL)
def test_a_layer_of_torch_computes_the_same(shape: LayerShape):
    torch = pytest.importorskip("torch", reason="PyTorch is the other side, not a dependency")
    from benchmarks.worker_torch import Layer

    for channels_last in (False, True):
        layer = Layer(shape, channels_last)
        with torch.no_grad():
            found = layer.results()
        assert_agrees({name: value.reshape(expected(shape)[name].shape).numpy() for name, value in found.items()}, shape)


@pytest.mark.parametrize("mode", ["forward", "backward"])
def test_a_timed_call_runs_the_launches_of_its_step_and_no_others(mode: str):
    layer = worker_fastcnn.Layer(SMALL[1])
    launched = [i for _, first, last in layer.call(mode).args[0] for i in range(first, last)]
    assert launched == layer.program.plan.launches_of([step.op for step in layer.program.steps].index(f"conv_{mode}"))
    assert launched


def test_timed_calls_leave_operands_and_results_as_they_were():
    layer = worker_fastcnn.Layer(SMALL[1])
    tensors = [tensor for tensor in layer.program.tensors.values() if tensor.kind in ("batch", "parameter")]
    before = {tensor: layer.program.plan.read(tensor) for tensor in tensors}
    for mode in ("forward", "backward", "backward", "forward"):
        layer.call(mode)()
    assert len(before) >= 8
    for tensor, value in before.items():
        np.testing.assert_array_equal(layer.program.plan.read(tensor), value)


def test_both_sides_are_compared_before_they_are_timed():
    shape = LAYER_SHAPES[2]
    same = {"y": [1.0, -2.0]}
    for theirs, said in ((same, ""), ({"y": [1.0, -2.1]}, "y differs by 4.8e-02"), ({"dx": [1.0]}, "fastcnn computes")):
        sides = [SimpleNamespace(ask=lambda do, shape=None, r=result: r) for result in (same, theirs)]
        assert versus_torch.disagreement(SimpleNamespace(ours=sides[0], theirs=sides[1]), shape).startswith(said)
        assert bool(said) == bool(versus_torch.disagreement(SimpleNamespace(ours=sides[0], theirs=sides[1]), shape))


def test_numbers_are_exact_in_float32_and_spread():
    values = worker.numbers(np.arange(100_000), 1)
    np.testing.assert_array_equal(values, values.astype(np.float32))
    assert -1 <= values.min() < -0.99 < 0.99 < values.max() < 1
    assert abs(values.mean()) < 0.01
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.02
    assert np.any(values != worker.numbers(np.arange(100_000), 2))
    assert all(0 <= place < 10 for place in worker.picks(10))


# ------ workers


def test_a_worker_answers_and_survives_its_errors():
    with Worker(sys.executable, "worker_fastcnn", {"FASTCNN_NUM_THREADS": "1"}) as process:
        assert process.ask("about")["numba"]
        with pytest.raises(WorkerError, match="KeyError: 'nonsense'"):
            process.ask("nonsense")
        assert process.ask("sample", shape=astuple(SMALL[4])).keys() == {"y", "dx", "dw", "db"}
        ms, other = process.measure("layer", shape=astuple(SMALL[4]), mode="backward", milliseconds=1)
        assert 0 < ms < 1000
        assert other >= 0


def test_a_worker_that_takes_too_long_is_ended_and_started_again():
    with Worker(sys.executable, "worker_fastcnn", {}, limit=0.01) as process:
        with pytest.raises(WorkerError, match="no answer within"):
            process.ask("about")
        assert process.process is None
        process.limit = 60
        assert process.ask("about")["fastcnn"]


def test_what_a_library_prints_is_no_answer():
    script = "from benchmarks.worker import serve; serve({'speak': lambda: print('noise') or 7})"
    lines = '{"do": "speak"}\n{"do": "speak"}\n'
    told = subprocess.run([sys.executable, "-c", script], input=lines, capture_output=True, text=True, cwd=ROOT, check=True)
    assert [json.loads(line) for line in told.stdout.splitlines()] == [{"result": 7}] * 2


# ------ pairs


class Side:
    """Measurements one after the other, the last one for ever; `log` shows in which order sides were asked."""

    def __init__(self, name: str, log: list[str], *samples: tuple[float, float]):
        self.name, self.log, self.samples = name, log, list(samples)

    def __call__(self) -> tuple[float, float]:
        self.log.append(self.name)
        return self.samples.pop(0) if len(self.samples) > 1 else self.samples[0]


def test_the_fastest_setting_is_paired_in_alternating_order():
    log: list[str] = []
    sides = {name: Side(name, log, (value, 0.0)) for name, value in (("slow", 9.0), ("fast", 4.0))}
    row = compare(Row("task", "ms"), Side("ours", log, (2.0, 0.0)), sides, 4)
    assert (row.setting, row.settings, row.ratio()) == ("fast", {"slow": 9.0, "fast": 4.0}, 2.0)
    assert log[-8:] == ["ours", "fast", "fast", "ours"] * 2


def test_a_setting_that_fails_is_recorded_and_passed_over():
    def broken() -> tuple[float, float]:
        raise WorkerError("no answer within 3 seconds")

    row = compare(Row("task", "ms"), lambda: (1.0, 0.0), {"compiled": broken, "eager": lambda: (3.0, 0.0)}, 2)
    assert (row.setting, row.settings["compiled"]) == ("eager", "no answer within 3 seconds")
    with pytest.raises(WorkerError, match="no setting works"):
        compare(Row("task", "ms"), lambda: (1.0, 0.0), {"compiled": broken}, 2)


def test_disturbed_pairs_are_measured_again_and_the_quietest_kept_in_order():
    loud = 2 * QUIET
    side = Side("ours", [], (5.0, loud), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0))
    assert pairs.undisturbed([side], 2) == [(0.0, [1.0]), (0.0, [2.0])]
    never = [(float(k), loud + k % 3) for k in range(6)]
    assert [values for _, values in pairs.undisturbed([Side("ours", [], *never)], 2)] == [[0.0], [3.0]]


# ------ the files


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict]:
    """versus_torch with sections that measure nothing: the JSON that it leaves."""
    row = Row("T3 inference", "ms", [2.0, 2.0, 1.0], [4.0, 5.0, 4.0], "eager", {"eager": 4.0}, [0.0, 0.0, 0.5])
    rows = {"t3": [row], "layers": [Row("T3 conv 2", "ms", [1.0], [2.0], remark="forward"), Row("T4 conv 2", "ms", error="no")]}
    told = {"fastcnn": {"fastcnn": "1", "numba": "2", "Python": "3"}, "torch": {"torch": "4"}}
    told |= {"commit": "abc", "processor": "P", "threads": 2, "date": "2026-01-01 00:00:00"}
    monkeypatch.setattr(versus_torch, "about", lambda bench: told)
    monkeypatch.setattr(versus_torch, "SECTIONS", {name: lambda bench, n=name: iter(rows[n]) for name in rows})

    def call(*words: str) -> dict:
        monkeypatch.setattr("sys.argv", ["versus_torch", "--out", str(tmp_path / "deep" / "result"), *words])
        versus_torch.main()
        return json.loads((tmp_path / "deep" / "result.json").read_text())

    call.folder = tmp_path / "deep"  # type: ignore[attr-defined]
    return call


def test_sections_measured_earlier_stay(run):
    assert run("--only", "t3").keys() == {"t3"}
    sections = run("--only", "layers")
    assert sections.keys() == {"t3", "layers"}
    assert sections["t3"]["rows"][0]["theirs"] == [4.0, 5.0, 4.0]


def test_the_tables(run):
    run()
    text = (run.folder / "result.md").read_text()
    assert "| T3 inference | 2.00 | 4.00 | **2.50x** (2.00 to 4.00, 3 pairs) | eager |" in text
    assert "| 13x13x32 -> 64, 3x3, batch 64 | 0.29 | 1.00, 2.00 | **2.00x** (2.00 to 2.00) | -, - | failed |" in text
    assert "Forward, 1 layers: median ratio 2.00x; at least 1.5x: 1; slower: 0." in text
    assert "Failed: T4 conv 2" in text
    assert "other work took up to 0.5 processors during 1 of 1 tasks" in text
    assert "P, 2 threads; fastcnn 1 at abc, numba 2, Python 3; torch 4; float32; 2026-01-01." in text


def test_an_unknown_section_is_refused_before_anything_is_measured(run, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        run("--only", "t3,t5")
    assert "t5 is none of t3,layers" in capsys.readouterr().err
    assert not run.folder.exists()


def test_the_readmes_numbers_are_measured_ones():
    section = re.search(r"## How fast\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.DOTALL)
    measured = {line for file in (ROOT / "benchmarks" / "results").glob("*.md") for line in file.read_text().splitlines()}
    rows = [line for line in section[1].splitlines() if line.startswith("|")]
    assert len(rows) > 2
    assert set(rows) <= measured

"""What training prints."""

import io
import re
import time

import numpy as np
import pytest
from rich.console import Console

from fastcnn.training.progress import LiveProgress, PlainProgress, numbers, progress

from .conftest import classifier

LOGS = {"loss": 0.1521, "accuracy": 0.95123, "val_loss": 0.00012, "val_accuracy": 1.0}


def test_numbers_are_sorted_with_validation_last() -> None:
    assert numbers(LOGS) == ["accuracy: 0.9512", "loss: 0.1521", "val_accuracy: 1.0000", "val_loss: 1.2000e-04"]


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_plain_lines(verbose: object, capsys: pytest.CaptureFixture, data: tuple) -> None:
    """Standard output is no terminal here."""
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data, batch_size=10, epochs=2, validation_data=data, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0::2] == ["Epoch 1/2", "Epoch 2/2"]
    number = r"\d+\.\d{4}"
    values = "".join(rf" - {name}: {number}" for name in ("accuracy", "loss", "val_accuracy", "val_loss"))
    pattern = rf"3/3 - \d+s \d+(s|ms|us)/step [\d,]+ samples/s{values}"
    assert all(re.fullmatch(pattern, line) for line in lines[1::2])


def test_one_epoch_has_no_heading_and_silence_is_silent(capsys: pytest.CaptureFixture, data: tuple) -> None:
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(*data, verbose=2)
    assert len(capsys.readouterr().out.splitlines()) == 1
    model.fit(*data, verbose=0)
    model.evaluate(*data, verbose=0)
    model.predict(data[0], verbose=0)
    assert capsys.readouterr().out == ""
    model.predict(data[0])
    assert re.fullmatch(r"1/1 - 0s \d+\ws/step [\d,]+ samples/s\n", capsys.readouterr().out)


def live(width: int) -> tuple[LiveProgress, io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width)
    return LiveProgress(console, 10, 3), screen


def test_live_line(capsys: pytest.CaptureFixture) -> None:
    shown, screen = live(140)
    shown.begin(1)
    for _ in range(4):
        shown.ran(32)
    shown.update(LOGS)
    drawn = screen.getvalue()
    assert " 4/10 ━━━━━━━━────────────" in drawn
    assert "samples/s - accuracy: 0.9512 - loss: 0.1521" in drawn
    shown.end(LOGS)
    out = capsys.readouterr().out
    assert out.startswith("Epoch 2/3\n")
    assert "val_loss: 1.2000e-04\n" in out
    shown.close()


@pytest.mark.parametrize(("width", "bar"), [(120, 20), (80, 11), (72, 0)])
def test_the_bar_gives_way_to_the_numbers(width: int, bar: int) -> None:
    shown, screen = live(width)
    shown.begin()
    shown.began = time.perf_counter() - 1
    shown.done, shown.samples = 5, 160
    shown.update({"accuracy": 0.5, "loss": 1.0})
    drawn = screen.getvalue()
    assert drawn.count("━") + drawn.count("─") == bar * drawn.count("loss")
    assert "loss: 1.0000" in drawn
    shown.close()


def test_live_line_is_taken_away_after_an_error() -> None:
    shown, screen = live(140)
    shown.begin()
    shown.ran(1)
    shown.update({})
    shown.close()
    assert "\x1b[?25h" in screen.getvalue()  # the cursor is shown again
    shown.close()


def test_live_line_is_not_drawn_for_every_batch() -> None:
    shown, screen = live(140)
    shown.begin()
    for _ in range(200):
        shown.ran(1)
        shown.update(LOGS)
    assert screen.getvalue().count("accuracy") <= 2
    shown.close()


def test_unknown_number_of_steps(capsys: pytest.CaptureFixture) -> None:
    shown = PlainProgress(None)
    shown.begin()
    shown.ran(5)
    shown.ran(5)
    assert shown._line({}, final=False).startswith("2/?")
    shown.end({"loss": 1.0})
    assert capsys.readouterr().out.startswith("2/2 - ")


def test_durations() -> None:
    shown = progress(0, 100)
    shown.begin()
    shown.began = time.perf_counter() - 600
    shown.done, shown.samples = 10, 320
    assert "1:30:00 60s/step 1 samples/s" in shown._line({}, final=False)  # 90 steps of a minute are left
    shown.began = time.perf_counter() - 90
    assert "1:30 9s/step 4 samples/s" in shown._line({}, final=True)


def test_overhead_is_small(data: tuple) -> None:
    """Beside the program itself a step may cost 40 us, 1 % of the tutorial network's 4 ms; a loaded machine gets tenfold."""
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data, verbose=0)

    class Nothing:
        batch_size = 1

        def bind(self, *arrays: object) -> None:
            pass

        def run(self, first: int) -> None:
            pass

    model.executor.program = lambda *_: Nothing()  # type: ignore[method-assign]
    x, y = np.zeros((2000, 4), np.float32), np.zeros(2000, int)
    best = min(_timed(lambda: model.fit(x, y, batch_size=1, verbose=0)) for _ in range(3))
    assert best / 2000 < 400e-6


def _timed(call: object) -> float:
    began = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - began

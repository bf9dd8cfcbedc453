"""What training prints: a live line while an epoch runs on a terminal, one plain line after it everywhere else.

Epoch 3/20
412/750 ━━━━━━━━━━────────── 2s 5ms/step 12,800 samples/s - accuracy: 0.9512 - loss: 0.1521
"""

import sys
import time
from collections.abc import Mapping
from typing import Any

WIDTH, NARROW = 20, 5
"""The bar's width, and below what it is left out."""
REDRAW_EVERY = 0.05  # seconds


class Progress:
    """Says nothing: verbose=0, and the base of the others. `steps` is the number of batches, None where nobody knows."""

    def __init__(self, steps: int | None, epochs: int = 1):
        self.steps, self.epochs = steps, epochs
        self.done = self.samples = 0
        self.began = time.perf_counter()

    def begin(self, epoch: int = 0) -> None:
        """An epoch, counted from 0, begins."""
        self.done = self.samples = 0
        self.began = time.perf_counter()

    def ran(self, samples: int) -> None:
        """A batch is done."""
        self.done += 1
        self.samples += samples

    def update(self, logs: Mapping[str, float]) -> None:
        """Show the numbers so far."""

    def end(self, logs: Mapping[str, float]) -> None:
        """The epoch is over; these are its numbers."""

    def close(self) -> None:
        """Leave the terminal as it was, whatever happened."""

    def _line(self, logs: Mapping[str, float], final: bool) -> str:
        seconds = max(time.perf_counter() - self.began, 1e-9)
        each = seconds / max(self.done, 1)
        shown = (self.steps - self.done) * each if self.steps and not final else seconds
        total = self.done if final else self.steps
        count = f"{self.done:{len(str(total or self.done))}d}/{total or '?'}"
        timing = f"{_duration(shown)} {_short(each)}/step {self.samples / seconds:,.0f} samples/s"
        rest = " - ".join([timing, *numbers(logs)])
        return f"{count} {self._bar(total, len(count) + len(rest))} {rest}"

    def _bar(self, total: int | None, beside: int) -> str:
        """What stands between the count and the `beside` other characters of the line."""
        return "-"


class PlainProgress(Progress):
    """A line an epoch: verbose=2, and verbose=1 where standard output is not a terminal."""

    def begin(self, epoch: int = 0) -> None:
        """An epoch, counted from 0, begins."""
        super().begin(epoch)
        if self.epochs > 1:
            print(f"Epoch {epoch + 1}/{self.epochs}", flush=True)

    def end(self, logs: Mapping[str, float]) -> None:
        """Print the line."""
        print(self._line(logs, final=True), flush=True)


class LiveProgress(PlainProgress):
    """A line that is drawn again and again on a terminal, with the time left."""

    def __init__(self, console: Any, steps: int | None, epochs: int = 1):
        super().__init__(steps, epochs)
        self.console = console
        self._live: Any = None
        self._drawn = 0.0

    def update(self, logs: Mapping[str, float]) -> None:
        """Draw the line, unless it was drawn a moment ago."""
        now = time.perf_counter()
        if now - self._drawn >= REDRAW_EVERY:
            self._drawn = now
            self._draw(self._line(logs, final=False))

    def _bar(self, total: int | None, beside: int) -> str:
        width = min(WIDTH, self.console.width - beside - 3)
        if not total or width < NARROW:
            return "-"
        filled = width * self.done // total
        full, empty = ("━", "─") if self.console.encoding.startswith("utf") else ("=", ".")
        return full * filled + empty * (width - filled)

    def _draw(self, line: str) -> None:
        from rich.live import Live
        from rich.text import Text

        text = Text(line, no_wrap=True, overflow="ellipsis")
        if self._live is None:
            self._live = Live(text, console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(text, refresh=True)

    def end(self, logs: Mapping[str, float]) -> None:
        """Leave the finished line."""
        self.close()
        print(self._line(logs, final=True), flush=True)

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def progress(verbose: Any, steps: int | None, epochs: int = 1) -> Progress:
    """The progress that `verbose` asks for: 0, 1, 2 or "auto" (1)."""
    if verbose not in (0, 1, 2, "auto"):
        raise ValueError(f'verbose must be 0 (silent), 1 (live), 2 (a line an epoch) or "auto", got {verbose!r}')
    if not verbose:
        return Progress(steps, epochs)
    if verbose != 2 and (sys.stdout.isatty() or "ipykernel" in sys.modules):
        from rich.console import Console

        return LiveProgress(Console(), steps, epochs)
    return PlainProgress(steps, epochs)


def numbers(logs: Mapping[str, float]) -> list[str]:
    """ "name: value", sorted by name as Keras prints them, validation last."""
    order = sorted(logs, key=lambda name: (name.startswith("val_"), name))
    return [f"{name}: {_number(float(logs[name]))}" for name in order]


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{value:.4e}"


def _duration(seconds: float) -> str:
    whole = int(seconds + 0.5)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole >= 60 else f"{whole}s"


def _short(seconds: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= scale:
            return f"{seconds / scale:.0f}{unit}"
    return f"{seconds * 1e6:.0f}us"

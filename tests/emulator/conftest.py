"""Says aloud when the tests that compile Numba kernels were skipped, since pytest by itself does not."""

import importlib.util

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if importlib.util.find_spec("numba_cuda") is None:
        terminalreporter.write_line(
            "skipped: the emulator's tests on Numba kernels (numba-cuda is not installed: pip install 'fastcnn[test]')"
        )

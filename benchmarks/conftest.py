"""`--device` chooses what the benchmarks run on: pytest benchmarks --device cpu --device reference."""

import pytest

from fastcnn.backends import DEVICES, resolve


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "device to measure; may be repeated (default: cpu and reference)"
    parser.addoption("--device", action="append", choices=DEVICES, help=told)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", metafunc.config.getoption("--device") or ["cpu", "reference"])


@pytest.fixture
def backend(device: str):
    return resolve(device)

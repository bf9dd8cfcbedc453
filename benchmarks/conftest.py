"""`--device` chooses what the benchmarks run on: pytest benchmarks --device cpu --device reference.

`--kernels my_kernels.py` imports a module that registers kernels, which bench_ops.py races against ours.
"""

import pytest
from fastcnn_kernels.registry import BACKENDS, load, registrations

from fastcnn.backends import DEVICES, resolve


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "device to measure; may be repeated (default: cpu and reference)"
    parser.addoption("--device", action="append", choices=DEVICES, help=told)
    parser.addoption("--kernels", action="append", default=[], help="module or file that registers kernels; may be repeated")


def pytest_configure(config: pytest.Config) -> None:
    load(config.getoption("--kernels"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", metafunc.config.getoption("--device") or ["cpu", "reference"])
    if "contender" in metafunc.fixturenames:
        contenders = [None, *(one for backend in BACKENDS for one in registrations(backend))]
        metafunc.parametrize("contender", contenders, ids=lambda one: one.name if one else "ours")


@pytest.fixture
def backend(device: str):
    return resolve(device)

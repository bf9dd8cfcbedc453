"""What all tests share: tests of real data are skipped where no folder holds it."""

import os

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("real_data") and not os.environ.get("FASTCNN_DATA"):
        pytest.skip("FASTCNN_DATA names no folder with mnist/ and cifar-10-batches-bin/")

"""The benchmarks run: devices side by side in one run, and across runs by --benchmark-compare."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pytest_benchmark", reason="the benchmarks need pip install 'fastcnn[benchmark]'")

ROOT = Path(__file__).parents[1]
CASE = "max_pool_forward-T4_pool_1"


def measured(folder: Path, *words: str) -> tuple[list[dict[str, Any]], str]:
    """The records of CASE, and what was printed."""
    file = folder / "measured.json"
    quick = ["--benchmark-min-rounds=2", "--benchmark-max-time=0.01", "--benchmark-warmup=off"]
    where = [f"--benchmark-json={file}", f"--benchmark-storage={folder}", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "benchmarks/bench_ops.py", "-k", CASE, *quick, *where, *words]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())["benchmarks"], done.stdout


def test_devices_stand_side_by_side(tmp_path: Path) -> None:
    records, _ = measured(tmp_path, "--device", "cpu", "--device", "reference")
    assert {record["group"] for record in records} == {CASE}
    assert [record["extra_info"]["device"] for record in records] == ["cpu", "reference"]
    for record in records:
        rates = record["extra_info"]
        assert rates["% of peak"] == pytest.approx(100 * max(rates[r] / rates[f"peak {r}"] for r in ("GFLOP/s", "GB/s")))
        # x is read, y and the places of the maxima are written: a quarter of it each, the places in bytes.
        pixels = 64 * 32 * 32 * 64
        assert rates["GB/s"] * 1e9 * record["stats"]["median"] == pytest.approx(4 * pixels + (4 + 1) * pixels / 4)


def test_runs_on_different_devices_are_compared(tmp_path: Path) -> None:
    measured(tmp_path, "--device", "reference", "--benchmark-save=numpy")
    records, printed = measured(tmp_path, "--device", "cpu", "--benchmark-compare=*_numpy")
    assert [record["name"] for record in records] == [f"bench_op[{CASE}]"]
    assert f"bench_op[{CASE}] (NOW)" in printed
    assert f"bench_op[{CASE}] (0001_numpy)" in printed

"""What Numba cannot check in kernels that work on addresses: that they touch and believe only what is theirs.

The backend of host/guarded.py sees that. `digests` are the bits of every case, to compare runs in processes that are set up
differently.
"""

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastcnn_kernels.api import Tensor
from fastcnn_kernels.cases import Case, cases, heavy_cases
from fastcnn_kernels.cpu import CpuBackend
from fastcnn_kernels.host.guarded import GuardedBackend
from fastcnn_kernels.trial import REFERENCE, compare, run_case

ROOT = Path(__file__).parents[2]
PORTABLE = (
    "gather", "max_pool_", "batch_norm_", "softmax_crossentropy_", "dropout_forward", "optimizer_step",
    "conv_backward", "dense_",
)  # fmt: skip


def flat(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Outputs by name, lists of them by name and position."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in outputs.items()}
    return {f"{name}[{i}]": array for name, arrays in lists.items() for i, array in enumerate(arrays)}


@cache
def digests() -> dict[str, str]:
    """A hash of the outputs of every case, and of some with as many slices of the batch as threads and more."""
    backend = CpuBackend()
    hashes = {}
    for case in (*cases(), *(case for case in heavy_cases() if case.reason.startswith(("T3", "T5")))):
        outputs = flat(run_case(case, backend))
        hashes[str(case)] = hashlib.sha256(b"".join(a.tobytes() for a in outputs.values())).hexdigest()
    return hashes


def python(code: str, **environment: str) -> Any:
    """What a fresh Python process prints, read as JSON."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "kernels")))
    done = subprocess.run(
        [sys.executable, "-c", f"import json; from tests.kernels.test_cpu_guards import *; print(json.dumps({code}))"],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def portable_cases() -> list[Case]:
    """A few ops of every sort: vectors of each type, masks, gathers from odd addresses, tiles."""
    return [case for case in cases() if case.op.startswith(PORTABLE)]


def compare_all(some: list[Case]) -> int:
    """Hold cases against the reference, gradients of convolutions by minimal filtering too; how many there were."""
    for case in some:
        compare(case, CpuBackend())
        if case.op == "conv_backward":
            expected, got = (run_case(case, backend) for backend in (REFERENCE, CpuBackend("winograd4")))
            for name, value in flat(expected).items():
                assert np.abs(flat(got)[name] - value).max() <= 5e-5 * np.abs(value).max(), f"{case}: {name}"
    return len(some)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_kernels_keep_to_their_memory_and_ignore_padding(case: Case):
    expected, got = flat(run_case(case, CpuBackend())), flat(run_case(case, GuardedBackend()))
    for name, value in expected.items():
        assert got[name].tobytes() == value.tobytes(), f"{name} depends on padding lanes or on what memory held before"


def test_the_guards_see_a_kernel_that_writes_to_the_halo():
    backend, x = GuardedBackend(), np.ones((8, 4, 4, 16), np.float32)
    plan, tensor = backend.plan(8), Tensor("x", x.shape)
    source, index = backend.external(x.dtype, x.shape[1:]), backend.external(np.int64, ())
    source.bind(x)
    index.bind(np.arange(8))
    external = [Tensor("source", x.shape, x.dtype, "external", source), Tensor("i", (8,), np.dtype("i8"), "external", index)]
    backend.gather(plan, *external, tensor)
    plan.finalize()
    plan.run()
    plan.rows[0, 0, 20] += 64 * 4  # the address of y: every row now ends in the halo
    with pytest.raises(AssertionError, match="halo of x"):
        plan.run()


@pytest.mark.parametrize("threads", [1, 4])
def test_the_number_of_threads_changes_no_bit(threads):
    there = python("digests()", FASTCNN_NUM_THREADS=str(threads), NUMBA_NUM_THREADS=str(threads))
    here = digests()
    assert {name for name in here if here[name] != there[name]} == set()


@pytest.mark.parametrize("processor", ["generic", "haswell"])
def test_other_processors_agree_with_the_reference(processor, tmp_path):
    """Kernels compiled for the oldest processor of this architecture, without AVX, and for one with AVX2: 16 registers of 4 and
    of 8 lanes."""
    features = {"generic": "", "haswell": "+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+sse4.2"}[processor]
    if processor != "generic" and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")
    settings = dict(NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES=features, NUMBA_CACHE_DIR=str(tmp_path))
    assert python("compare_all(portable_cases())", **settings) == len(portable_cases())

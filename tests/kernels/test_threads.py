"""The number of threads: more than there are processors is allowed, and can be asked for in three ways."""

import os
import subprocess
import sys

import pytest
from fastcnn_kernels.host import threads

RUN = """
import numpy as np
from fastcnn import layers, models
model = models.Sequential([layers.Dense(2, input_shape=(3,))])
model.compile(device="cpu")
model.predict(np.ones((40, 3), np.float32), verbose=0)
import numba
print(numba.get_num_threads())
"""


def threads_of(script: str, **variables: str) -> str:
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    return result.stdout.strip() or result.stderr.strip().splitlines()[-1]


def test_the_environment_may_ask_for_more_threads_than_processors():
    count = threads.available() + 3
    assert threads_of(RUN, FASTCNN_NUM_THREADS=str(count)) == str(count)


def test_the_call_may_ask_for_more_before_the_first_model():
    count = threads.available() + 1
    assert threads_of(f"import fastcnn; fastcnn.set_num_threads({count})" + RUN) == str(count)


def test_one_thread_can_be_asked_for_at_any_time():
    again = "import fastcnn; fastcnn.set_num_threads(1); model.predict(np.ones((40, 3), np.float32), verbose=0)"
    assert threads_of(RUN.replace("import numba", f"{again}; import numba")) == "1"


def test_a_pool_that_is_too_small_is_said_with_the_way_out():
    answer = threads_of("import numba, fastcnn; fastcnn.set_num_threads(1000)")
    assert answer.startswith("RuntimeError: Numba was imported with a pool of")
    assert "FASTCNN_NUM_THREADS=1000" in answer


@pytest.mark.parametrize("count", ["0", "-2", "many"])
def test_a_number_that_is_none_is_refused(count):
    answer = threads_of("import fastcnn.models", FASTCNN_NUM_THREADS=count)
    assert "FASTCNN_NUM_THREADS must be a positive whole number" in answer


def test_zero_threads_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        threads.set_num_threads(0)

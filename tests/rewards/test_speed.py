"""How fast rewards are, in processor time, without the checks of types that the tests run under."""

import os
import re
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_large_batch_with_several_objects_is_scored_in_well_under_a_second_on_one_core(repository):
    """1,024 completions with 5 objects each, read and scored by every part that needs no segmenter."""
    code = "import rewards; rewards.time_batch(rewards.FRAME); rewards.time_batch(rewards.Size(112, 112))"
    single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **single, "PYTHONPATH": os.pathsep.join(map(str, (repository, repository / "benchmarks")))},
    )
    times = [int(time) for time in re.findall(r"reading and \d+ parts: (\d+) ms", done.stdout)]
    assert len(times) == 2
    assert max(times) < 1000

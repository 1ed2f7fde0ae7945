import os
import subprocess
import sys

import pytest

from thinkseg.evaluation.provenance import machine
from thinkseg.machine import usable_cpus


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind a process to CPUs")
def test_cpus_that_the_process_may_not_use_are_not_counted() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cpus() == machine()["cpus"] == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert usable_cpus() == len(allowed)


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not say what a process has had at most")
def test_memory_that_was_given_back_still_counts_as_needed() -> None:
    code = "from thinkseg.machine import peak_memory as peak; few = peak(); bytearray(300_000_000); print(few, peak())"
    before, after = map(int, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert 5_000_000 < before < 300_000_000
    assert after - before > 250_000_000


def test_a_card_that_was_not_used_has_no_memory_to_tell_of() -> None:
    code = "import thinkseg.machine as m, sys; assert 'torch' not in sys.modules; print(m.peak_card_memory())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "None\n"

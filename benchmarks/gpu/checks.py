"""The tests that are marked `gpu`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.gpu.scale import Scale

REPOSITORY = Path(__file__).parent.parent.parent
FILES = (
    "tests/models/sharing/test_prefill.py",
    "tests/models/test_many_images.py",
    "tests/training/test_shared_prefix.py",
)
"""Where they are; a test looks for others."""


def tests(scale: Scale) -> dict[str, Any]:
    """How many passed and failed; in small those of one file are looked for and not run.

    Raises:
        SystemExit: pytest could not run them.
    """
    call = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    call += [FILES[0], "--collect-only"] if scale.small else FILES
    told = subprocess.run(call, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    lines = [line for line in told.stdout.splitlines() if line.strip()]
    if told.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with {told.returncode}: {' '.join((lines + told.stderr.splitlines())[-3:])}")
    failed = [line.split(" - ")[0].removeprefix("FAILED ") for line in lines if line.startswith("FAILED ")]
    return {"collected_only": scale.small, "summary": lines[-1].strip("= "), "failed": failed}

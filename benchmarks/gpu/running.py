"""Runs sections one after another in a process of their own, within a time; what breaks in one spares the others."""

from __future__ import annotations

import gc
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.sections import SECTIONS

REPOSITORY = Path(__file__).parent.parent.parent
PATIENCE = 2.5
"""How many times as long as planned a section may take before it is ended."""
STARTING = 90
"""Seconds that a process may take before it begins its first section."""

Found = dict[str, dict[str, Any]]


def run_sections(names: Sequence[str], out: Path, end: float, *, small: bool) -> dict[str, Any]:
    """Measure sections, each written as soon as it is done.

    Args:
        names: of `SECTIONS`, done in this order.
        out: the JSON, replaced after each section.
        end: when all has to be done, as `time.time` has it.
        small: whether tiny models are measured.

    Returns:
        What the file has: `small`, `seconds`, and of each section what was found (`result`, `seconds`), or why not
        (`skipped`, `failed`, `ended`).
    """
    began, left = time.time(), list(names)
    found: Found = {}
    while left:
        late = iter([(name, {"skipped": "no time was left"}) for name in left])
        for name, told in late if time.time() > end else _of_one_process(left, end, small=small):
            found[name] = told
            _write(out, {"small": small, "seconds": time.time() - began, "sections": found})
        left = [name for name in left if name not in found]
    return {"small": small, "seconds": time.time() - began, "sections": found}


def _of_one_process(names: Sequence[str], end: float, *, small: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a process finds until it is done, ends by itself, or is ended; at least of one section."""
    with tempfile.TemporaryDirectory() as folder:
        events, errors = Path(folder) / "events", Path(folder) / "errors"
        events.touch()
        call = [sys.executable, "-m", "benchmarks.gpu", "--worker", str(events), "--end", str(end), "--only", *names]
        with errors.open("w", encoding="utf-8") as told:
            words = [*call, *(["--small"] if small else [])]
            process = subprocess.Popen(words, stdout=told, stderr=told, cwd=REPOSITORY)
        now, limit, read = names[0], time.time() + STARTING, 0
        try:
            while True:
                over = process.poll() is not None
                whole, _, _ = events.read_text(encoding="utf-8").rpartition("\n")  # the last line may be half written
                lines = [json.loads(line) for line in whole.splitlines()]
                for name, told_of in lines[read:]:
                    read += 1
                    now = name
                    if told_of is None:
                        limit = time.time() + (math.inf if small else PATIENCE * SECTIONS[name].needs)
                    else:
                        yield name, told_of
                if over:
                    if process.returncode or not any(told_of is not None for _, told_of in lines):
                        yield now, {"failed": _last_line(errors)}
                    return
                if time.time() > min(limit, end + 5):
                    yield now, {"ended": f"after {_whole(time.time(), limit, now)}"}
                    return
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
            sys.stderr.write(errors.read_text(encoding="utf-8") if process.returncode not in (0, -9) else "")


def _whole(now: float, limit: float, name: str) -> str:
    """How long it went on."""
    return "its time was up" if now <= limit else f"{PATIENCE * SECTIONS[name].needs:.0f} s, far more than planned"


def _last_line(errors: Path) -> str:
    """What an exception says."""
    lines = [line for line in errors.read_text(encoding="utf-8").splitlines() if line.strip()]
    return lines[-1][:500] if lines else "it ended without a word"


def work(names: Sequence[str], events: Path, end: float, *, small: bool) -> None:
    """Measure sections in this process.

    Args:
        names: of `SECTIONS`.
        events: gets a line with name and null where a section begins, and one with its name and what was found.
        end: when all has to be done.
        small: whether tiny models are measured.
    """
    from benchmarks.gpu.scale import scale

    sizes = scale(small=small)
    for name in names:
        left, needs = end - time.time(), 0 if small else SECTIONS[name].needs
        if left < needs:
            _tell(events, name, {"skipped": f"it takes about {needs:.0f} s, and {max(left, 0):.0f} s were left"})
            continue
        _tell(events, name, None)
        measure = SECTIONS[name].load()
        began = time.time()
        result = measure(sizes)
        reason = result.get("skipped")
        told = {"skipped": reason} if reason else {"seconds": time.time() - began, "result": result}
        _tell(events, name, told)
        gc.collect()
        if sizes.device == "cuda":
            import torch

            torch.cuda.empty_cache()


def _tell(events: Path, name: str, told: dict[str, Any] | None) -> None:
    with events.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps([name, told]) + "\n")


def _write(out: Path, found: dict[str, Any]) -> None:
    """Whole or not at all."""
    beside = out.with_name(f"{out.name}.part")
    beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    beside.replace(out)

"""The model that was best on held-out samples, in the run's folder ``best``: as ``final`` is, and which step it is of.

It is written beside the place where it is to be and put there when it is whole, so that a run that is killed leaves the
best one or the one before; the number of checkpoints that are kept (`keep`) does not concern it. ``validation.json`` in
it says the step and what was measured.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkseg.training.callbacks import IOU, SECONDS
from thinkseg.training.checkpoints import saving_explained, write_whole
from thinkseg.training.policy import Policy
from thinkseg.training.saving import save_model
from thinkseg.training.validation import Validated

BEST = "best"
"""The folder of the best model, inside the run's."""
ABOUT = "validation.json"
"""What it is, inside its folder."""

_HALF, _BEFORE = ".best.part", ".best.before"


def write_best(trainer: Any, policy: Policy, output: Path, validated: Validated) -> None:
    """Put the model as it is now in the place of the best one. All processes call it.

    Args:
        trainer: TRL's.
        policy: what is trained.
        output: the run's folder.
        validated: what was measured of it.

    Raises:
        ThinkSegError: it cannot be written; the one before stays.
    """
    half = output / _HALF
    with saving_explained(output):
        if trainer.is_world_process_zero():
            shutil.rmtree(half, ignore_errors=True)
        save_model(trainer, policy, half)
        if trainer.is_world_process_zero():
            measured = {name: value for name, value in validated.metrics.items() if name != SECONDS}
            write_whole(half / ABOUT, json.dumps({"step": validated.step, **measured}, indent=2) + "\n")
            put_in_place(output)


def put_in_place(output: Path) -> None:
    """Let the folder that is written take the place of the one before, which goes."""
    best, before = output / BEST, output / _BEFORE
    shutil.rmtree(before, ignore_errors=True)
    if best.exists():
        best.rename(before)
    (output / _HALF).rename(best)
    shutil.rmtree(before, ignore_errors=True)


def mend_best(output: Path) -> None:
    """Finish what a kill has interrupted between two renamings: the best model has its name again."""
    best, before = output / BEST, output / _BEFORE
    if before.exists() and not best.exists():
        before.rename(best)
    for left in (before, output / _HALF):
        shutil.rmtree(left, ignore_errors=True)


def forget_best(output: Path) -> None:
    """Remove what a run has left that ended before its first checkpoint: the one that starts has no best model yet."""
    for left in (BEST, _BEFORE, _HALF):
        shutil.rmtree(output / left, ignore_errors=True)


def read_best(output: Path) -> Mapping[str, Any] | None:
    """What the best model of a run is: its ``step`` and what was measured; None where there is none."""
    try:
        about: dict[str, Any] = json.loads((output / BEST / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and "step" in about and IOU in about else None

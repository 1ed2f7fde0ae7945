"""What to do with a trained model: the next command, filled in."""

from __future__ import annotations

import shlex
from pathlib import Path

from thinkseg.data.discovery.catalog import OWN
from thinkseg.evaluation.benchmarks import BENCHMARKS
from thinkseg.extension import is_reference
from thinkseg.models.engines.service import is_address
from thinkseg.models.loading import POCKET
from thinkseg.training.best import BEST, read_best
from thinkseg.training.config import Recipe
from thinkseg.training.sections import Data

PHOTO, QUERY = "PHOTO.jpg", "the main object"
"""What stands for an image and a query of the user's own."""


def next_command(recipe: Recipe, final: Path) -> str:
    """The command that measures the trained model on data that it has not learnt from, or else asks it something.

    Args:
        recipe: of the run.
        final: the folder of the trained model; the run's best one takes its place where there is one.
    """
    model = final.parent / BEST if read_best(final.parent) is not None else final
    flags = ["--model", str(model)]
    if recipe.format is not None and is_reference(recipe.format):  # a checkpoint cannot have code run
        flags += ["--format", recipe.format]
    unnamed = recipe.stage == "sft" or is_reference(recipe.segmenter) or is_address(recipe.segmenter)
    if recipe.segmenter != POCKET and unnamed:
        flags += ["--segmenter", recipe.segmenter]  # which a checkpoint of rl names itself
    measured = _benchmark(recipe.data)
    if measured is None:
        return shlex.join(["thinkseg", "segment", PHOTO, "--query", QUERY, *flags])
    return shlex.join(["thinkseg", "evaluate", *measured, *flags, "--out", str(final.parent / "evaluated")])


def _benchmark(data: Data) -> list[str] | None:
    """The words of an evaluation on the other part of what was trained on, where one is known."""
    if data.source == "scenes":
        return ["scenes"]
    if data.source != "dataset" or data.root is None:
        return None
    names = [name.strip() for name in (data.name or "").split(",")]
    if names == [OWN]:
        other = _test_part(Path(data.root))
        return None if other is None else ["--data", str(other)]
    known = [name for name in names if name in BENCHMARKS]
    return [*known, "--data", data.root] if known else None


def _test_part(train: Path) -> Path | None:
    """What `thinkseg data split` has written beside a part to train on."""
    other = train.with_name(train.name.replace("train", "test", 1))
    return other if train.name.startswith("train") and other.exists() else None

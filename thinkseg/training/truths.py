"""Before a run begins: does each part of the reward find in the rows what it is scored against?

A part without its truth gives no score, which is not 0 and shows nowhere: a run on boxes alone with the rewards of
masks would train on nothing but the form of its answers. So the truth of each part that has a weight should be known in
half of the rows at least. (Less is more than a gap: where the truth is known for "nothing there" alone, saying so is
all that pays.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from thinkseg.errors import RecipeError
from thinkseg.geometry import reference_of
from thinkseg.rewards.part import RewardPart
from thinkseg.rewards.reward_input import Truth
from thinkseg.rewards.rubric import Rubric
from thinkseg.training.checkpoints import Warn, warn
from thinkseg.training.rows import read_named
from thinkseg.types import Sample

LOOKED_AT = 64
"""Rows that are looked at, at most, spread evenly over all."""
MIN_SHARE = 0.5
"""Share of the rows in which the truth of a part should be known."""


def refuse_missing_truth(rubric: Rubric, samples: Sequence[Sample], warn: Warn = warn) -> None:
    """Refuse rows in which a part of the reward has nothing to be scored against.

    Args:
        rubric: the parts and their weights.
        samples: what is to be trained on; at most `LOOKED_AT` are read.
        warn: is told of a part whose truth is known in some rows and not in all.

    Raises:
        RecipeError: the truth of a part that has a weight is known in less than `MIN_SHARE` of them.
    """
    weighed = {name: part for name, part in rubric.parts.items() if rubric.part_weights[name] and part.needs}
    if not weighed:
        return
    places = np.linspace(0, len(samples) - 1, min(len(samples), LOOKED_AT)).round().astype(int)
    missing: dict[str, Counter[str]] = {name: Counter() for name in weighed}
    for place in places.tolist():
        truth = _truth_of(read_named(samples, place), rubric.format.points_per_object, list(weighed.values()))
        for name, part in weighed.items():
            if (lacking := part.lacks(truth)) is not None:
                missing[name][lacking] += 1
    for name, counts in missing.items():
        known = len(places) - counts.total()
        if known == len(places):
            continue
        what = counts.most_common(1)[0][0]
        found = f"found in {known} of {len(places)} rows that were looked at"
        if known < MIN_SHARE * len(places):
            raise RecipeError(
                f"the part of the reward '{name}' needs {what} in at least half of the rows, {found}, and gives no "
                "score without it: train on rows that have it, or leave the part out of 'rewards'"
            )
        warn(f"the part of the reward '{name}' needs {what}, {found}; it gives no score for the others")


def tell_unused_masks(rubric: Rubric, samples: Sequence[Sample], warn: Warn = warn) -> None:
    """Say that no part of the reward looks at masks, where that is so: nothing else would show it.

    Args:
        rubric: the parts and their weights.
        samples: what is to be trained on; at most `LOOKED_AT` are read.
        warn: is told.
    """
    rewarded = [name for name in rubric.parts if rubric.part_weights[name]]
    if any(rubric.parts[name].needs_masks for name in rewarded):
        return
    places = np.linspace(0, len(samples) - 1, min(len(samples), LOOKED_AT)).round().astype(int).tolist()
    masked = sum(read_named(samples, place).target is not None for place in places)
    what = (
        f"{masked} of {len(places)} rows that were looked at have a true mask: 'rewards.segment: 1.0' rewards these"
        if masked
        else "the rows have no true masks: rows of 'thinkseg data prepare' without '--schema' keep them"
    )
    warn(f"the reward of masks is off, the segmenter does not run (rewarded: {', '.join(rewarded)}); {what}")


def _truth_of(sample: Sample, points: int, parts: Sequence[RewardPart]) -> Truth:
    """What is known of a sample, as a row of training has it."""
    objects = reference_of(sample, points) if any("objects" in part.needs for part in parts) else sample.reference
    return Truth(mask=sample.target, instances=sample.instances, ignore=sample.ignore, objects=objects)

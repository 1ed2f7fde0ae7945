"""Rewards for EasyR1: its configuration names this file and `compute_score`, and it hands over a batch at a time.

::

    worker.reward.reward_function=FOLDER/thinkseg/integrations/easyr1.py:compute_score
    worker.reward.reward_function_kwargs='{recipe: seg-zero, segmenter: "http://localhost:8000"}'

The rows are those of ``thinkseg data prepare --schema easyr1``. Nothing of EasyR1 is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from thinkseg.integrations.scoring import ScoringSettings, scorer_of

REWARD_NAME = "thinkseg"
REWARD_TYPE = "batch"


def compute_score(
    reward_inputs: Sequence[Mapping[str, Any]],
    format: str | None = None,
    recipe: str | None = None,
    rewards: Mapping[str, float] | Literal["published"] | None = None,
    segmenter: str | None = None,
) -> list[dict[str, float]]:
    """The rewards of a batch of completions, in order.

    Args:
        reward_inputs: of each ``response``, what the model wrote, and ``ground_truth``, the truth in the row.
        format: the answer format; None for the recipe's.
        recipe: published rewards by name (``seg-zero``), a recipe's name, or a recipe file.
        rewards: weight of each part, in place of the recipe's.
        segmenter: for parts that look at masks: as in `thinkseg.load`, the address of a segmenter server among it.

    Returns:
        For each ``overall``, the weighted sum, as `thinkseg.score` has it; the parts that were scored by their names;
        and ``malformed``, 1 where the answer could not be read. EasyR1 averages each key over those that have it, so
        that a part without a truth counts neither way.

    Raises:
        InputError: a setting cannot work, or a truth is none.
    """
    scorer = scorer_of(ScoringSettings(format, recipe, rewards, segmenter))
    scores = scorer.score(
        [item["response"] for item in reward_inputs], [item["ground_truth"] for item in reward_inputs]
    )
    return [
        {
            "overall": score.total,
            **{name: value for name, value in score.parts.items() if value is not None},
            "malformed": float(score.malformed is not None),
        }
        for score in scores
    ]

"""Rewards for veRL: its configuration names this module and `compute_score`, and its reward workers call it.

::

    reward.custom_reward_function.path=pkg://thinkseg.integrations.verl
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.recipe=seg-zero
    +reward.custom_reward_function.reward_kwargs.segmenter=http://localhost:8000

The rows are those of ``thinkseg data prepare --schema verl``. Nothing of veRL is imported.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal
from weakref import WeakKeyDictionary

from thinkseg.api.score import Score
from thinkseg.integrations.batching import Batches
from thinkseg.integrations.scoring import Scorer, ScoringSettings, scorer_of

_Asked = tuple[str, Any]
_BATCHES: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Batches[_Asked, Score]]] = WeakKeyDictionary()


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | Mapping[str, Any],
    extra_info: Mapping[str, Any] | None = None,
    *,
    format: str | None = None,
    recipe: str | None = None,
    rewards: Mapping[str, float] | Literal["published"] | None = None,
    segmenter: str | None = None,
    **_others: Any,
) -> dict[str, float]:
    """The reward of one completion; those that are asked for at the same time are scored together.

    Args:
        data_source: not used.
        solution_str: what the model wrote.
        ground_truth: the truth in the row.
        extra_info: not used.
        format: the answer format; None for the recipe's.
        recipe: published rewards by name (``seg-zero``), a recipe's name, or a recipe file.
        rewards: weight of each part, in place of the recipe's.
        segmenter: for parts that look at masks: as in `thinkseg.load`. The address of a segmenter server lets all
            workers share one; anything else is loaded once a worker.
        _others: what veRL hands over besides.

    Returns:
        ``score``, the weighted sum, as `thinkseg.score` has it; every part by its name, NaN where it is not scored;
        and ``malformed``, 1 where the answer could not be read. The keys are the same for every completion.

    Raises:
        InputError: a setting cannot work, or the truth is none.
    """
    loop = asyncio.get_running_loop()
    settings = ScoringSettings(format, recipe, rewards, segmenter)
    batches = _BATCHES.setdefault(loop, {})
    if settings.key not in batches:
        scorer = await asyncio.to_thread(scorer_of, settings)
        batches.setdefault(settings.key, Batches(partial(_scores, scorer)))
    return _as_numbers(await batches[settings.key].ask((solution_str, ground_truth)))


def _scores(scorer: Scorer, asked: Any) -> list[Score]:
    return scorer.score([text for text, _ in asked], [truth for _, truth in asked])


def _as_numbers(score: Score) -> dict[str, float]:
    """VeRL makes an array of each key, so that all of them are there for every completion, and none of them is None."""
    parts = {name: math.nan if value is None else value for name, value in score.parts.items()}
    return {"score": score.total, **parts, "malformed": float(score.malformed is not None)}

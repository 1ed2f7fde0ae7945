"""Completions that another engine asks about, scored by the rubric that ThinkSeg trains with.

The truth of a completion is text, as `thinkseg.data.prepared.engine_rows` writes it: a line of ``thinkseg score``
without its completion. It is scored as `thinkseg.score` scores it.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from thinkseg.api.score import Score, create_rubric, score_texts
from thinkseg.errors import DataError, RecipeError
from thinkseg.rewards import Rubric, Truth
from thinkseg.rewards.completions import read_completions


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """How completions are scored, in the words of an engine's configuration."""

    format: str | None = None
    """The answer format; None for the recipe's."""
    recipe: str | None = None
    """Published rewards by name, a recipe's name, or a recipe file."""
    rewards: Mapping[str, float] | Literal["published"] | None = None
    """Weight of each part, in place of the recipe's."""
    segmenter: str | None = None
    """What makes masks, for the parts that look at them; the address of a segmenter server, so that the workers share
    one."""

    @property
    def weights(self) -> dict[str, float] | Literal["published"] | None:
        """The rewards as plain values, of whatever kind of mapping the engine's configuration is."""
        return self.rewards if self.rewards is None or isinstance(self.rewards, str) else dict(self.rewards)

    @property
    def key(self) -> str:
        """Equal for equal settings."""
        return json.dumps([self.format, self.recipe, self.weights, self.segmenter])


LOOKED_AT = 64
"""Truths of a run's beginning in which the parts of the reward look for what they need."""


@dataclass(slots=True)
class _Known:
    """In how many of the first truths the parts of the reward find what they need."""

    looked_at: int = 0
    lacking: Counter[str] = field(default_factory=Counter)
    complaint: str = ""

    def look(self, rubric: Rubric, truths: Sequence[Truth]) -> None:
        """Refuse, from then on, rewards of which a part that has a weight finds nothing in more than half of them."""
        if self.looked_at < LOOKED_AT:
            self.looked_at += len(truths)
            for name, part in rubric.parts.items():
                lacked = [what for truth in truths if (what := part.lacks(truth)) is not None]
                self.lacking[name] += len(lacked) if rubric.part_weights[name] else 0
                if self.looked_at >= LOOKED_AT and 2 * self.lacking[name] > self.looked_at:
                    what = lacked[0] if lacked else "a truth"
                    self.complaint = self.complaint or (
                        f"the part of the reward '{name}' needs {what}, found in "
                        f"{self.looked_at - self.lacking[name]} of the first {self.looked_at} rows, and gives no score "
                        "without it: prepare rows from data that have it, or leave the part out of the rewards"
                    )
        if self.complaint:
            raise RecipeError(self.complaint)


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores completions, one batch at a time, whichever thread asks."""

    rubric: Rubric
    _known: _Known = field(default_factory=_Known, repr=False, compare=False)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def create(cls, settings: ScoringSettings) -> Scorer:
        """The scorer of these settings.

        Raises:
            InputError: a name or a file is not there, or format and recipe contradict each other.
            RecipeError: the rewards look at masks and no segmenter is named: each of them would be left unscored.
        """
        rubric = create_rubric(settings.format, settings.recipe, settings.weights, settings.segmenter)
        blind = [name for name, part in rubric.parts.items() if part.needs_masks and rubric.part_weights[name]]
        if blind and rubric.segmenter is None:
            raise RecipeError(
                f"the part of the reward '{blind[0]}' looks at masks and no segmenter is named: add 'segmenter' to the "
                "settings of the reward function, such as the address of a segmenter server"
            )
        return cls(rubric)

    def score(self, completions: Sequence[str], truths: Sequence[str | Mapping[str, Any]]) -> list[Score]:
        """The rewards of completions, in order: an image is segmented once, however many completions are about it.

        Args:
            completions: what the model wrote.
            truths: of each what is right, as the rows have it.

        Raises:
            DataError: a truth is none.
            RecipeError: a part of the reward finds what it needs in less than half of the first truths: it would give
                no score, which shows nowhere.
        """
        lines = [
            {**_record(truth), "completion": completion} for completion, truth in zip(completions, truths, strict=True)
        ]
        with self._one_at_a_time:
            texts = list(read_completions(lines, "the completions", Path()))
            self._known.look(self.rubric, [text.truth for text in texts])
            return score_texts(self.rubric, texts)


def scorer_of(settings: ScoringSettings) -> Scorer:
    """The scorer of these settings, the same one for all who ask in this process: its models are loaded once."""
    with _MAKING:
        if settings.key not in _SCORERS:
            _SCORERS[settings.key] = Scorer.create(settings)
        return _SCORERS[settings.key]


_SCORERS: dict[str, Scorer] = {}
_MAKING = threading.Lock()


def _record(truth: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """The truth of a row."""
    try:
        record = json.loads(truth) if isinstance(truth, str) else truth
    except (ValueError, RecursionError) as error:
        record = str(error)
    if not isinstance(record, Mapping) or "frame" not in record:
        raise DataError(
            "the ground truth should be what 'thinkseg data prepare --schema' has written, a JSON object with 'frame', "
            f"found {str(truth)[:80]!r}"
        )
    return record

"""The contract of a part of the reward, all of it: what it looks at, what it needs, what it gives."""

import inspect
import math
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, SupportsFloat

from thinkseg.arguments import FLAG, FROM_0, NAMES, TEXT, optional, takes
from thinkseg.errors import InputError, ThinkSegError, reason_of
from thinkseg.extension import Reference, described
from thinkseg.rewards.batch import RewardBatch, known_points
from thinkseg.rewards.reward_input import RewardInput, Truth

Scores = list[float | None]
"""One score per completion; None where there is nothing to score it by, which is not 0."""

_TRUTHS = tuple(field.name for field in fields(Truth))
_IN_WORDS = {
    "mask": "a true mask",
    "instances": "a true mask of each object",
    "ignore": "the pixels that do not count",
    "objects": "true boxes and points",
    "image": "an image",
}


@dataclass(frozen=True, slots=True)
class RewardPart:
    """One part of the reward: a function that scores, and what it needs.

    A part of your own is a function of one `RewardInput` in a file of yours; what it needs is said above it::

        import thinkseg


        def short_thoughts(item):
            '''1 for up to 20 words of thinking, 0 from 60 on, and a straight line between.'''
            if item.answer is None:
                return 0.0
            return min(max((60 - len(item.answer.think.split())) / 40, 0.0), 1.0)


        @thinkseg.reward(needs_masks=True, needs=["mask"])
        def coverage(item):
            '''The share of the true mask that the segmenter's masks cover; 1 where there is nothing to cover.'''
            target = item.truth.mask
            return float(item.masks.any(axis=0)[target].mean()) if target.any() else 1.0

    A recipe weighs it by its reference, ``rewards: {segment: 1.0, my_rewards.py:short_thoughts: 0.2}``. In logs it has
    the function's name, ``short_thoughts``.

    The laws: a part gives a finite number for each completion, or None where it cannot tell, which adds nothing to the
    reward. It gives the same for the same input, whatever stands beside it in the batch. Where it looks at the answer,
    a malformed one (``item.answer`` is None) earns 0.
    """

    name: str
    """What logs and results call it."""
    score: Callable[..., Any]
    """From one `RewardInput` to its score; with `batch` from a sequence of them to as many scores."""
    needs_masks: bool = False
    """Whether it looks at ``item.masks``. Only then is a segmenter loaded and run. Only inputs that have masks are
    scored: where there is no segmenter or no image, the score is None."""
    needs: frozenset[str] = frozenset()
    """Fields of `Truth` that it looks at, such as ``mask``: where one of them is not known, the score is None."""
    batch: bool = False
    """Whether it scores all inputs of a batch in one call, because it is faster so."""
    points: int | None = None
    """Where it needs ``objects``: how many points each of them should have besides its box; None where it goes by what
    there is. It says so before a run begins; that the score is None for others is the function's business."""

    def __post_init__(self) -> None:
        unknown = sorted(self.needs.difference(_TRUTHS))
        if unknown:
            raise InputError(
                f"the part of the reward '{self.name}' can need {', '.join(_TRUTHS)} of the truth, found '{unknown[0]}'"
            )
        try:
            inspect.signature(self.score).bind(None)
        except (TypeError, ValueError) as error:
            what = "a sequence of RewardInput" if self.batch else "one RewardInput"
            raise InputError(
                f"the part of the reward '{self.name}' should be a function of {what}, found "
                f"{described(self.score)}: {error}"
            ) from error

    def lacks(self, truth: Truth) -> str | None:
        """What the part needs of the truth and does not find, in words; None where nothing is missing."""
        lacking = next((name for name in sorted(self.needs) if getattr(truth, name) is None), None)
        if lacking is not None:
            return _IN_WORDS[lacking]
        if self.points is None or truth.objects is None or known_points(truth.objects) >= self.points:
            return None
        return (
            f"a true box and {self.points} points on each object"
            if self.points > 1
            else ("a true box and a point on each object" if self.points else "a true box of each object")
        )

    def __call__(self, inputs: Sequence[RewardInput]) -> Scores:
        """The scores of inputs, in order; None where the part needs what an input does not have.

        Raises:
            InputError: the function fails, or gives something else than finite numbers and None, or another number of
                them.
        """
        batch = inputs if isinstance(inputs, RewardBatch) else RewardBatch(inputs)
        indices, known = batch.that_have(self.needs, masks=self.needs_masks)
        scores: Scores = [None] * len(batch)
        for index, score in zip(indices, self._scores(known), strict=True):
            scores[index] = score
        return scores

    def _scores(self, known: RewardBatch) -> Scores:
        try:
            given = list(self.score(known)) if self.batch else [self.score(item) for item in known]
        except ThinkSegError:
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise InputError(
                f"the part of the reward '{self.name}' fails in line {place.lineno} of {Path(place.filename).name}: "
                f"{reason_of(error)}"
            ) from error
        if len(given) != len(known):
            raise InputError(
                f"the part of the reward '{self.name}' should give a score for each of {len(known)} completions, "
                f"found {len(given)}"
            )
        return [self._checked(score) for score in given]

    def _checked(self, score: Any) -> float | None:
        if score is None:
            return None
        try:
            number = float(score) if isinstance(score, SupportsFloat) else math.nan
        except (TypeError, ValueError):  # an array of several numbers
            number = math.nan
        if not math.isfinite(number):
            raise InputError(
                f"the part of the reward '{self.name}' should give a finite number or None, found {score!r}"
            )
        return number


@takes(needs_masks=FLAG, needs=NAMES, batch=FLAG, name=optional(TEXT), points=optional(FROM_0))
def reward(
    *,
    needs_masks: bool = False,
    needs: Collection[str] = (),
    batch: bool = False,
    name: str | None = None,
    points: int | None = None,
) -> Callable[[Any], RewardPart]:
    """Make a part of the reward out of the function below; `RewardPart` has the contract and an example.

    Args:
        needs_masks: whether it looks at the segmenter's masks.
        needs: fields of `Truth` that it looks at, such as ``["mask"]``.
        batch: whether it takes all inputs of a batch at once, and gives a list of scores.
        name: in logs and results; None for the function's.
        points: how many points each true object should have besides its box, where it needs ``objects``.
    """

    def part(score: Any) -> RewardPart:
        if isinstance(score, type) or not callable(score):
            raise InputError(f"a part of the reward should be a function of one RewardInput, found {described(score)}")
        own = str(getattr(score, "__name__", type(score).__name__))
        return RewardPart(name or own, score, needs_masks, frozenset(needs), batch, points)

    return part


def check_part(value: Any, name: str) -> RewardPart:
    """What a reference names, as a part of the reward: one that is made already, or a plain function of one input.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, RewardPart):
        return value
    if isinstance(value, type) or not callable(value):
        raise InputError(
            f"expected a part of the reward at '{name}', a function of one RewardInput, found {described(value)}"
        )
    reference = Reference.parse(name)
    return RewardPart(reference.attribute if reference else name, value)

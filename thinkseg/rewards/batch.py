"""The inputs of a batch together: what several parts need to know about all of them is worked out once."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from thinkseg.rewards.pairs import Pairs, pairs_of
from thinkseg.rewards.reward_input import RewardInput
from thinkseg.types import Answer

CHUNK = 64
"""Inputs that go through the arithmetic together; it bounds the memory that answers with many objects take."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some inputs in which there are objects on both sides."""

    rows: Sequence[tuple[int, int, int]]
    """For each its index in the batch, its number of predicted objects, and that of true ones."""
    pairs: Pairs


class RewardBatch(tuple[RewardInput, ...]):
    """The inputs of a batch, in order."""

    @cached_property
    def _having(self) -> dict[tuple[frozenset[str], bool], tuple[Sequence[int], "RewardBatch"]]:
        """By what is asked for, the inputs that have it."""
        return {}

    def that_have(self, truth: frozenset[str], *, masks: bool) -> tuple[Sequence[int], "RewardBatch"]:
        """The inputs of which enough is known, and where they stand in this batch.

        Args:
            truth: fields of `Truth` that should be known.
            masks: whether the segmenter should have made masks.
        """
        if (truth, masks) not in self._having:
            indices = [
                index
                for index, item in enumerate(self)
                if all(getattr(item.truth, name) is not None for name in truth)
                and not (masks and item.segmenter_masks is None)
            ]
            found = self if len(indices) == len(self) else RewardBatch(self[index] for index in indices)
            self._having[truth, masks] = indices, found
        return self._having[truth, masks]

    @cached_property
    def known_points(self) -> Sequence[float]:
        """For each item how many points every true object has, besides its box.

        Infinitely many where nothing is there, -1 where the true objects or the box of one are not known.
        """
        return [known_points(item.truth.objects) for item in self]

    @cached_property
    def chunks(self) -> Sequence[Chunk]:
        """The inputs in which there are objects on both sides."""
        return list(self._chunks())

    def _chunks(self) -> Iterator[Chunk]:
        compared = [
            (index, item.answer, item.truth.objects)
            for index, item in enumerate(self)
            if item.answer is not None and item.truth.objects is not None
            if item.answer.objects and item.truth.objects.objects
        ]
        for start in range(0, len(compared), CHUNK):
            indices, answers, truths = zip(*compared[start : start + CHUNK], strict=True)
            counts = ([len(answer.objects) for answer in side] for side in (answers, truths))
            yield Chunk(list(zip(indices, *counts, strict=True)), pairs_of(answers, truths))


def known_points(truth: Answer | None) -> float:
    """How many points every true object has, besides its box; see `RewardBatch.known_points`."""
    if truth is None or any(prompt.box is None for prompt in truth.objects):
        return -1
    return min((sum(point.label for point in prompt.points) for prompt in truth.objects), default=math.inf)

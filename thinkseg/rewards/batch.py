"""The cases of a batch together: what several parts need to know about all of them is worked out once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from thinkseg.geometry import reference_answer
from thinkseg.rewards.case import Case, Truth
from thinkseg.rewards.pairs import Pairs, pairs_of
from thinkseg.types import Answer, Mask, Masks

CHUNK = 64
"""Cases that go through the arithmetic together; it bounds the memory that answers with many objects take."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some cases in which there are objects on both sides."""

    rows: Sequence[tuple[int, int, int]]
    """For each its index in the batch, its number of predicted objects, and that of true ones."""
    pairs: Pairs


class Batch(tuple[Case, ...]):
    """The cases of a batch, in order."""

    def truths(self, points: int) -> Sequence[Answer | None]:
        """The true objects of each case, each with a box and at least so many points on it.

        They are as the truth says. Where it does not say so much, they are made from its masks: box, centre of the
        largest circle, Seg-Zero's second point. None where neither is known.
        """
        if points not in self._truths:
            self._truths[points] = [self._objects(case.truth, points) for case in self]
        return self._truths[points]

    def chunks(self, points: int) -> Sequence[Chunk]:
        """The cases in which there are objects on both sides, the true ones as in `truths`."""
        truths = self.truths(points)
        key = tuple(map(id, truths))
        if key not in self._chunks:
            self._chunks[key] = list(self._chunks_of(truths))
        return self._chunks[key]

    @cached_property
    def _truths(self) -> dict[int, list[Answer | None]]:
        return {}

    @cached_property
    def _chunks(self) -> dict[tuple[int, ...], list[Chunk]]:
        return {}

    @cached_property
    def _made(self) -> dict[int, Answer]:
        """What was made from masks, by the array's id: the completions of a group share one."""
        return {}

    def _objects(self, truth: Truth, points: int) -> Answer | None:
        said = truth.objects
        if said is not None and _has(said, points):
            return said
        masks: Masks | Mask | None = truth.mask if truth.instances is None else truth.instances
        if masks is None:
            return None
        if id(masks) not in self._made:
            self._made[id(masks)] = reference_answer(masks, points=2)
        return self._made[id(masks)]

    def _chunks_of(self, truths: Sequence[Answer | None]) -> Iterator[Chunk]:
        compared = [
            (index, case.answer, truth)
            for index, (case, truth) in enumerate(zip(self, truths, strict=True))
            if case.answer is not None and truth is not None and case.answer.objects and truth.objects
        ]
        for start in range(0, len(compared), CHUNK):
            indices, answers, trues = zip(*compared[start : start + CHUNK], strict=True)
            counts = ([len(answer.objects) for answer in side] for side in (answers, trues))
            yield Chunk(list(zip(indices, *counts, strict=True)), pairs_of(answers, trues))


def _has(truth: Answer, points: int) -> bool:
    """Whether every object has a box and so many points on it."""
    return all(
        prompt.box is not None and (not points or sum(point.label for point in prompt.points) >= points)
        for prompt in truth.objects
    )

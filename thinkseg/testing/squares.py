"""Small scenes with a known truth, and a pipeline of a given quality: for tests of evaluation."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from thinkseg.types import Answer, Box, Completion, Failure, FinishReason, ObjectPrompt, Point, Prediction, Sample, Size

SIDE = 32
TASKS = ("salient", "nothing", "referring")


class Squares(Sequence[Sample]):
    """Grey images with a bright square each; every third sample asks for what is not there."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if not 0 <= index < self._count:
            raise IndexError(index)
        self.asked.append(index)
        task = TASKS[index % 3]
        target = np.zeros((SIDE, SIDE), dtype=bool)
        pixels = np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)
        x, y = index % 12, (index * 5) % 12
        pixels[y : y + 16, x : x + 16] = 220
        if task != "nothing":
            target[y : y + 16, x : x + 16] = True
        return Sample(f"square-{index}", Image.fromarray(pixels), f"query {index}", target, task=task)


class Filler:
    """Predicts the left `share` of the true square, abstains where nothing is there, and writes nonsense now and then.

    Attributes:
        batches: how many samples each call brought.
    """

    def __init__(self, share: float = 1.0, nonsense: frozenset[int] = frozenset(), abstains: bool = True) -> None:
        self.share, self.nonsense, self.abstains = share, nonsense, abstains
        self.batches: list[int] = []

    def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        """One prediction per sample, in order."""
        self.batches.append(len(samples))
        for sample in samples:
            yield self._one(sample)

    def _one(self, sample: Sample) -> Prediction:
        assert sample.target is not None
        empty = np.zeros((0, SIDE, SIDE), dtype=bool)
        if int(sample.id.split("-")[1]) in self.nonsense:
            said = Completion("<script>alert(1)</script> no answer", FinishReason.LENGTH)
            return Prediction(sample.id, said, None, empty, Failure.MALFORMED_ANSWER, "there is no <bbox>")
        if not sample.target.any() and self.abstains:
            return Prediction(sample.id, Completion("nothing there"), Answer(Size(SIDE, SIDE)), empty)
        columns = np.flatnonzero(sample.target.any(axis=0)) if sample.target.any() else np.arange(4)
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        mask[:, columns[: round(len(columns) * self.share)]] = True
        if sample.target.any():
            mask &= sample.target
        prompt = ObjectPrompt(Box(float(columns[0]), 2, float(columns[-1]), 20), (Point(8, 8), Point(1, 1, 0)))
        answer = Answer(Size(SIDE, SIDE), (prompt,), "left to right")
        return Prediction(sample.id, Completion(f"<think>left</think> {columns[0]}"), answer, mask[None])

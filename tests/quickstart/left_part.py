"""A pipeline that finds the left part of each true object: its mean IoU is that part."""

import math
from dataclasses import dataclass

import numpy as np

from thinkseg.imaging import load_image
from thinkseg.results.result import Result
from thinkseg.types import Answer, Box, Completion, ObjectPrompt, Point, Prediction, Sample, Size


@dataclass
class Named:
    name: str = "fake"


class LeftPart:
    """Predicts the left `share` of the true object, by columns."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.answer_format = Named()

    def predict(self, samples, batch_size):
        for sample in samples:
            yield self._one(sample)

    def segment(self, image, query):
        opened = load_image(image)
        target = np.zeros((opened.height, opened.width), dtype=bool)
        target[2:6, 2:12] = True
        prediction = self._one(Sample("asked", image, query, target))
        return Result(opened, query, prediction)

    def _one(self, sample):
        columns = np.flatnonzero(sample.target.any(axis=0))
        mask = sample.target.copy()
        mask[:, columns[math.floor(len(columns) * self.share) :]] = False
        height, width = mask.shape
        prompt = ObjectPrompt(Box(1, 1, width - 1, height - 1), (Point(2, 2),))
        answer = Answer(Size(width, height), (prompt,))
        return Prediction(sample.id, Completion("<think>left</think>"), answer, mask[None])

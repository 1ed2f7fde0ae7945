"""A reasoner that replays given completions, and a segmenter that fills boxes; both keep count of their calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image

from thinkseg.types import (
    Answer,
    Completion,
    FinishReason,
    Mask,
    Masks,
    ObjectPrompt,
    Point,
    Request,
    Segmentation,
    Size,
)

Script = Sequence[str | Completion] | Callable[[Request], str | Completion]


class FakeReasoner:
    """A `Reasoner` that follows a script.

    Args:
        script: completions in the order in which requests come, or a function from request to completion.
        frame: the frame of every answer; the image's own size when None.

    Attributes:
        requests: every request so far, in order.
        batches: how many requests each call of `complete` brought.
    """

    def __init__(self, script: Script, frame: Size | None = None) -> None:
        self._script = script
        self._frame = frame
        self.requests: list[Request] = []
        self.batches: list[int] = []

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """The next completions of the script. An exhausted script raises an AssertionError."""
        self.batches.append(len(requests))
        return [self._next(request) for request in requests]

    def stream(self, requests: Sequence[Request], listen: Callable[[int, str], bool | None]) -> list[Completion]:
        """What `complete` gives, told tag by tag and word by word; one that is stopped ends there."""
        return [_told(completion, partial(listen, number)) for number, completion in enumerate(self.complete(requests))]

    def frame_of(self, image: Image.Image) -> Size:
        """The frame that was given, or the image's size."""
        return Size(*image.size) if self._frame is None else self._frame

    def _next(self, request: Request) -> Completion:
        position = len(self.requests)
        self.requests.append(request)
        if callable(self._script):
            said = self._script(request)
        else:
            assert position < len(self._script), f"the script ends after {position} completions"
            said = self._script[position]
        return said if isinstance(said, Completion) else Completion(said)


def _told(completion: Completion, listen: Callable[[str], bool | None]) -> Completion:
    """A completion, or as much of it as a listener wants."""
    for piece in re.finditer(r"<[^>]*>|\s*[^\s<]+|.", completion.text, re.DOTALL):
        if listen(completion.text[: piece.end()]) is False:
            return Completion(completion.text[: piece.end()], FinishReason.LENGTH)
    return completion


class FakeSegmenter:
    """A `Segmenter` that fills each object's box, or discs around its points when it has no box.

    Alone in this package it takes boxes as inclusive (see `types.Box`): a box of whole numbers is filled with the
    pixels of its last row and column, too. It stays so because tests, the users' own among them, hold its masks
    against exact values; a segmenter that works takes a box's numbers as edges.

    Args:
        radius: of the discs, as a share of the image's shorter side. Discs of label 0 are cut out.
        score: what it says of each mask; None for a segmenter without scores.

    Attributes:
        encoded: every image that was encoded, in order: one per call of `segment` that had an object to segment.
        prompted: how many objects have been segmented.
    """

    def __init__(self, radius: float = 0.1, score: float | None = None) -> None:
        self._radius = radius
        self._score = score
        self.encoded: list[Image.Image] = []
        self.prompted = 0

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """As in `models.base.Segmenter`."""
        size = Size(*image.size)
        if any(answer.objects for answer in answers):
            self.encoded.append(image)
        return [
            Segmentation(
                self._masks(answer.rescaled(size)),
                None if self._score is None else np.full(len(answer.objects), self._score),
            )
            for answer in answers
        ]

    def _masks(self, answer: Answer) -> Masks:
        self.prompted += len(answer.objects)
        masks: Masks = np.zeros((len(answer.objects), *answer.frame.hw), dtype=bool)
        for mask, prompt in zip(masks, answer.objects, strict=True):
            self._fill(mask, prompt)
        return masks

    def _fill(self, mask: Mask, prompt: ObjectPrompt) -> None:
        if prompt.box is not None:
            left, top, right, bottom = (round(value) for value in prompt.box.xyxy)
            mask[top : bottom + 1, left : right + 1] = True
        else:
            for point in prompt.points:
                mask[self._disc(mask.shape, point)] |= point.label == 1
        for point in prompt.points:
            if point.label == 0:
                mask[self._disc(mask.shape, point)] = False

    def _disc(self, shape: tuple[int, ...], point: Point) -> Mask:
        height, width = shape
        rows, columns = np.ogrid[:height, :width]
        # Half a pixel keeps a disc from being empty where the image is tiny.
        radius = max(self._radius * min(height, width), 0.5)
        disc: Mask = (columns + 0.5 - point.x) ** 2 + (rows + 0.5 - point.y) ** 2 <= max(radius, 1.0) ** 2
        return disc

"""An answer format for models with random weights, so that a step of theirs has as much to segment as any other.

What they write cannot be read, and what cannot be read is not segmented. This format reads two boxes in any text, drawn
by the text itself: the same text is the same answer, whoever reads it.
"""

from __future__ import annotations

import json
import random
from typing import Any
from zlib import crc32

from thinkseg.answers import AnswerFormat
from thinkseg.answers.reading import whole_box
from thinkseg.types import Answer, Box, Instruction, ObjectPrompt, Size

BOXES = 2


class Drawn(AnswerFormat):
    """Boxes as a list of lists in JSON; any other text stands for two boxes that are drawn by it."""

    name = "drawn"
    points_per_object = 0
    template = Instruction("Find {query}. Example: {example}")

    def canonical(self, answer: Answer) -> Answer:
        """Boxes in whole numbers."""
        if any(prompt.box is None for prompt in answer.objects):
            raise ValueError("the format drawn needs a box for every object")
        boxes = (whole_box(prompt.box) for prompt in answer.objects if prompt.box is not None)
        return Answer(answer.frame, tuple(ObjectPrompt(box) for box in boxes))

    def render(self, answer: Answer) -> str:
        """The boxes in JSON."""
        boxes = (prompt.box.xyxy for prompt in self.canonical(answer).objects if prompt.box is not None)
        return json.dumps([[int(value) for value in box] for box in boxes])

    def parse(self, text: str, frame: Size) -> Answer:
        """What `render` wrote, else what the text draws."""
        boxes = _written(text)
        if boxes is None:
            draw = random.Random(crc32(text.encode()))
            boxes = [_box(draw, frame) for _ in range(BOXES)]
        return Answer(frame, tuple(ObjectPrompt(Box(*(float(value) for value in box))) for box in boxes))


def _box(draw: random.Random, frame: Size) -> list[int]:
    """A box around the middle of the frame."""
    width, height = frame.width, frame.height
    low = [draw.randrange(0, max(1, side // 2)) for side in (width, height)]
    high = [draw.randrange(side // 2 + 1, max(side // 2 + 2, side)) for side in (width, height)]
    return [*low, *high]


def _written(text: str) -> list[list[int]] | None:
    try:
        boxes: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(boxes, list):
        return None
    whole = all(isinstance(box, list) and len(box) == 4 and all(type(value) is int for value in box) for box in boxes)
    ordered = whole and all(box[0] < box[2] and box[1] < box[3] for box in boxes)
    return boxes if ordered else None

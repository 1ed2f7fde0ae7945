"""An `Answer` as JSON and back, for every file that keeps one.

::

    {"frame": [640, 480], "objects": [{"box": [10, 20, 90, 80], "points": [[40, 50, 1]]}], "think": "On the left."}

Coordinates are in pixels of the frame, [width, height]. A point is [x, y, label], label 1 on the object and 0 beside
it. Prepared rows and ``predictions.jsonl`` are written so; a result of ``thinkseg segment`` has the labels of points
apart, under ``labels``. Readers take both, points without labels (which lie on the object), and the published
``bbox_2d`` with ``point_2d``.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from thinkseg.answers.reading import attempt, read_object
from thinkseg.errors import DataError, MalformedAnswer
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size


def prompt_to_json(prompt: ObjectPrompt, digits: int | None = None, *, labels_apart: bool = False) -> dict[str, Any]:
    """One object of an answer as plain JSON.

    Args:
        prompt: the object.
        digits: after the decimal point; None writes numbers as they are.
        labels_apart: whether points are [x, y] and their labels a list beside them.
    """

    def kept(value: float) -> float:
        return value if digits is None else round(value, digits)

    box = None if prompt.box is None else [kept(value) for value in prompt.box.xyxy]
    points: list[list[float]] = [[kept(point.x), kept(point.y)] for point in prompt.points]
    labels = [point.label for point in prompt.points]
    if labels_apart:
        return {"box": box, "points": points, "labels": labels}
    return {"box": box, "points": [[*point, label] for point, label in zip(points, labels, strict=True)]}


def prompt_from_json(told: object, what: str = "the object") -> ObjectPrompt:
    """One object in any of the spellings that the module's text has.

    Raises:
        DataError: it is none of them; the sentence names `what`.
    """
    try:
        if not isinstance(told, Mapping):
            raise ValueError(f"{told!r:.60}")
        if "bbox_2d" in told:
            prompt = attempt(read_object, told, None, what)
            if isinstance(prompt, MalformedAnswer):
                raise ValueError(prompt.reason)
            return prompt
        box = None if told.get("box") is None else Box(*_numbers(told["box"], (4,), "a box of 4 numbers"))
        points = told.get("points") or ()
        if isinstance(points, str | Mapping) or not isinstance(points, Iterable):
            raise ValueError(f"{points!r:.60} for points")
        points = list(points)
        labels = told.get("labels", [None] * len(points))
        if not isinstance(labels, list | tuple) or len(labels) != len(points):
            raise ValueError(f"{len(points)} points with labels {labels!r:.60}")
        return ObjectPrompt(box, tuple(map(_point, points, labels)))
    except ValueError as error:
        raise DataError(
            f"expected {what} as 'box' [x_min, y_min, x_max, y_max] with 'points' [[x, y], …], or as 'bbox_2d' with "
            f"'point_2d', found something else: {str(error)[:200]}"
        ) from error


def answer_to_json(answer: Answer, digits: int | None = None) -> dict[str, Any]:
    """A whole answer as plain JSON.

    Args:
        answer: in its own frame.
        digits: as for `prompt_to_json`.
    """
    objects = [prompt_to_json(prompt, digits) for prompt in answer.objects]
    return {"frame": list(answer.frame.wh), "objects": objects, "think": answer.think}


def answer_from_json(told: Mapping[str, Any]) -> Answer:
    """The answer in a mapping with ``frame`` and ``objects``; ``think`` may be missing.

    Raises:
        DataError: the frame is missing or is none, or an object cannot be read.
    """
    think = told.get("think")
    if not (think is None or isinstance(think, str)):
        raise DataError(f"expected 'think' as text, found {think!r:.60}")
    return Answer(_frame(told.get("frame")), _prompts(told.get("objects")), think or "")


def _prompts(items: object) -> tuple[ObjectPrompt, ...]:
    if not isinstance(items, list | tuple):
        raise DataError(f"expected 'objects' as a list, found {items!r:.60}")
    return tuple(prompt_from_json(item, f"object {number}") for number, item in enumerate(items, start=1))


def _frame(wh: object) -> Size:
    try:
        width, height = _numbers(wh, (2,), "two numbers")
        if not (width.is_integer() and height.is_integer()):
            raise ValueError("parts of a pixel")
        return Size(int(width), int(height))
    except ValueError as error:
        raise DataError(f"expected 'frame' as [width, height], found {wh!r:.60}") from error


def _point(coordinates: object, label: object) -> Point:
    """A point whose label stands beside it, within it, or nowhere."""
    x, y, *within = _numbers(
        coordinates, (2, 3) if label is None else (2,), "a point of 2 numbers, or 3 with its label"
    )
    said = within[0] if within else 1 if label is None else label
    if said not in (0, 1):
        raise ValueError(f"a point's label is 1 on the object and 0 beside it, found {said!r:.20}")
    return Point(x, y, 1 if said else 0)


def _numbers(told: object, counts: Sequence[int], expected: str) -> list[float]:
    """So many finite numbers, in a list or an array."""
    values: list[Any] = [] if isinstance(told, str | Mapping) or not isinstance(told, Iterable) else list(told)
    if len(values) not in counts or not all(map(_is_number, values)):
        raise ValueError(f"{told!r:.60} for {expected}")
    return list(map(float, values))


def _is_number(value: Any) -> bool:
    kind = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return kind and bool(abs(value) <= sys.float_info.max)

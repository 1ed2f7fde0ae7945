"""An `Answer` as JSON and back, for every file that keeps one.

::

    {"frame": [640, 480], "objects": [{"box": [10, 20, 90, 80], "points": [[40, 50, 1]]}], "think": "On the left."}

Coordinates are in pixels of the frame, [width, height]. A point is [x, y, label], label 1 on the object and 0 beside
it. Prepared rows and ``predictions.jsonl`` are written so; a result of ``thinkseg segment`` has the labels of points
apart, under ``labels``. Readers take both, points without labels (which lie on the object), and the published
``bbox_2d`` with ``point_2d``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

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
            raise TypeError(f"found {type(told).__name__}")
        if "bbox_2d" in told:
            prompt = attempt(read_object, told, None, what)
            if isinstance(prompt, MalformedAnswer):
                raise ValueError(prompt.reason)
            return prompt
        box = None if told.get("box") is None else Box(*map(float, told["box"]))
        points = told["points"] if box is None else told.get("points") or ()
        labels = told.get("labels", [None] * len(points))
        return ObjectPrompt(box, tuple(_point(*pair) for pair in zip(points, labels, strict=True)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
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
    return Answer(_frame(told.get("frame")), _prompts(told.get("objects")), told.get("think") or "")


def _prompts(items: object) -> tuple[ObjectPrompt, ...]:
    if not isinstance(items, list | tuple):
        raise DataError(f"expected 'objects' as a list, found {items!r:.60}")
    return tuple(prompt_from_json(item, f"object {number}") for number, item in enumerate(items, start=1))


def _frame(wh: object) -> Size:
    try:
        return Size(*map(int, wh))  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"expected 'frame' as [width, height], found {wh!r:.60}") from error


def _point(coordinates: Sequence[float], label: int | None) -> Point:
    """A point whose label stands beside it, within it, or nowhere."""
    if label is None and len(coordinates) == 3:
        label = int(coordinates[2])
        coordinates = coordinates[:2]
    x, y = coordinates
    return Point(float(x), float(y), 1 if label is None else label)

"""The rows that Seg-Zero and VisionReasoner were trained on: how they say where an object is.

Their columns are ``id``, ``problem`` (the request), ``solution``, ``image`` (stretched to 840 × 840 pixels, say),
``img_height`` and ``img_width`` (of the image before that). There is no mask. The solution is measured in the pixels
of the stretched image, whole numbers, and its boxes are inclusive: they end at the index of the last pixel of the
object's mask, not at its far edge (see `thinkseg.types.Box`), so the box of eight pixels is written 7 wide:

* ``seg-zero``, exactly one object and two points on it: ``<box>(x1,y1),(x2,y2)</box><points>(x,y),(x,y)</points>``;
* ``vision-reasoner``, a list: ``[{"bbox_2d": [x1, y1, x2, y2], "point_2d": [x, y]}, …]``. Here an empty list says that
  nothing is there, which the published rows never do.

So a row carries both frames: the one of its numbers is the size of its image, the other one is in two columns.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Literal, get_args

from thinkseg.answers.reading import attempt, read_json, read_object
from thinkseg.errors import DataError, MalformedAnswer
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

PublishedSchema = Literal["seg-zero", "vision-reasoner"]

PUBLISHED: tuple[PublishedSchema, ...] = get_args(PublishedSchema)
"""Their names."""

COLUMNS = ("id", "problem", "solution", "image", "img_height", "img_width")
"""Of a published row, in their order."""

SIDE = 840
"""Of the published images, in pixels."""

POINTS: Mapping[PublishedSchema, int] = {"seg-zero": 2, "vision-reasoner": 1}
"""Points on each object."""

MOST_LETTERS = 100_000
"""A longer solution is refused."""

_PAIR = r"\(\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*\)"
_SEG_ZERO = re.compile(
    rf"\s*<box>\s*{_PAIR}\s*,\s*{_PAIR}\s*</box>\s*<points>\s*{_PAIR}\s*,\s*{_PAIR}\s*</points>\s*", re.ASCII
)


class SchemaMismatch(Exception):
    """A schema has no words for an answer; the text says why, in a word or two."""


def read_solution(text: str, frame: Size, where: str) -> Answer:
    """Read a solution of either schema; which one it is, is seen by its first character.

    Args:
        text: the column ``solution``.
        frame: the size of the row's image.
        where: the row, for messages.

    Raises:
        DataError: it is none, or its numbers do not lie in the frame, as when they were written in another one.
    """
    try:
        if len(text) > MOST_LETTERS:
            raise ValueError(f"it has more than {MOST_LETTERS:,} letters")
        objects = attempt(_read_seg_zero if text.lstrip().startswith("<") else _read_vision_reasoner, text)
        if isinstance(objects, MalformedAnswer):
            raise ValueError(objects.reason)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"the solution of {where} should be '{_example('seg-zero')}' or '{_example('vision-reasoner')}', and "
            f"cannot be read as one ({type(error).__name__}: {error})"
        ) from error
    right = max((x for prompt in objects for x in _coordinates(prompt, 0)), default=0.0)
    bottom = max((y for prompt in objects for y in _coordinates(prompt, 1)), default=0.0)
    if right > frame.width or bottom > frame.height:
        raise DataError(
            f"the solution of {where} reaches to ({right:g}, {bottom:g}), beyond its image of "
            f"{frame.width}×{frame.height}: it is measured in another frame than the image's"
        )
    return Answer(frame, objects)


def render_solution(answer: Answer, schema: PublishedSchema) -> str:
    """An answer as the column ``solution`` has it, in whole pixels of the answer's frame.

    Raises:
        SchemaMismatch: the schema has one object, and there are several or none; or an object lacks a box or points.
    """
    return _RENDER[schema](answer)


def _read_seg_zero(text: str) -> tuple[ObjectPrompt, ...]:
    found = _SEG_ZERO.fullmatch(text)
    if found is None:
        raise ValueError("not the tags of one box and two points")
    *box, x_1, y_1, x_2, y_2 = (float(group) for group in found.groups())
    return (ObjectPrompt(Box(*box), (Point(x_1, y_1), Point(x_2, y_2))),)


def _read_vision_reasoner(text: str) -> tuple[ObjectPrompt, ...]:
    items = read_json(text, "it")
    if not isinstance(items, list):
        raise TypeError("no list")
    return tuple(read_object(item, None, f"object {number}") for number, item in enumerate(items, start=1))


def _coordinates(prompt: ObjectPrompt, axis: int) -> list[float]:
    """All x (axis 0) or all y (axis 1) of an object."""
    box = prompt.box.xyxy[axis::2] if prompt.box else ()
    return [*box, *((point.x, point.y)[axis] for point in prompt.points)]


def _render_seg_zero(answer: Answer) -> str:
    if len(answer.objects) != 1:
        raise SchemaMismatch("several-objects" if answer.objects else "nothing-there")
    box, points = _whole(answer.objects[0], answer.frame)
    if len(points) < POINTS["seg-zero"]:
        raise SchemaMismatch("no-second-point")
    first, second = points[:2]
    return (
        f"<box>({box[0]},{box[1]}),({box[2]},{box[3]})</box>"
        f"<points>({first[0]},{first[1]}),({second[0]},{second[1]})</points>"
    )


def _render_vision_reasoner(answer: Answer) -> str:
    told = [_whole(prompt, answer.frame) for prompt in answer.objects]
    return json.dumps([{"bbox_2d": box, "point_2d": points[0]} for box, points in told])


_RENDER: Mapping[PublishedSchema, Callable[[Answer], str]] = {
    "seg-zero": _render_seg_zero,
    "vision-reasoner": _render_vision_reasoner,
}


def _whole(prompt: ObjectPrompt, frame: Size) -> tuple[list[int], list[list[int]]]:
    """Box and points on the object in whole pixels of the frame."""
    points = [point for point in prompt.points if point.label == 1]
    if prompt.box is None or not points:
        raise SchemaMismatch("no-box-or-point")
    right, bottom = frame.width - 1, frame.height - 1
    x_min, y_min, x_max, y_max = map(round, prompt.box.xyxy)
    box = [min(x_min, right), min(y_min, bottom), min(x_max, right), min(y_max, bottom)]
    return box, [[min(round(point.x), right), min(round(point.y), bottom)] for point in points]


def _example(schema: PublishedSchema) -> str:
    points = (Point(4, 5), Point(6, 7))
    return render_solution(Answer(Size(10, 10), (ObjectPrompt(Box(1, 2, 8, 9), points),)), schema)

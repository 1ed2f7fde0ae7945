"""What all readers of model text share: limits, numbers, and their way into boxes and points.

A model's text is read by grammar and by `json`, never by `eval`. Everything that is not as it should be ends in a
`MalformedAnswer` whose reason says where. `attempt` is the one place in the project that catches it.
"""

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any, NoReturn, TypeVar

from thinkseg.errors import MalformedAnswer
from thinkseg.types import Box, ObjectPrompt, Point, Size, writable_text

MAX_TEXT = 20_000
"""Characters. The longest published completions have 2,000 tokens, which is less than half of it."""

MAX_OBJECTS = 120
"""Objects in an answer; VisionReasoner's rewards look at so many, and no published answer has more than a few dozen."""

MAX_POINTS = 512
"""Points in an answer: four for each of the most objects, and some to spare. Seg-R1 writes about eight."""

MAX_NESTING = 8
"""Brackets within brackets. An answer needs three."""

FARTHEST = 1e9
"""A coordinate is smaller, in pixels."""

_END_OF_THINKING = "</think>"

_BRACKET = re.compile(r"[\[\]{}]")

T = TypeVar("T")


def attempt(read: Callable[..., T], *arguments: Any) -> T | MalformedAnswer:
    """What a reader makes of a model's text, or the reason why it makes nothing of it, as a value."""
    try:
        return read(*arguments)
    except MalformedAnswer as malformed:
        # A reason that quotes the text's JSON may hold half an emoji, written there as an escape.
        reason = writable_text(malformed.reason)
        return malformed if reason == malformed.reason else MalformedAnswer(reason)


def thinking_so_far(text: str) -> str:
    """The thinking in the beginning of a completion that is still being written; empty where it has none so far.

    >>> thinking_so_far("<think>On the le"), thinking_so_far("<think>On the left.</thi")
    ('On the le', 'On the left.')
    """
    thinking, closing, _ = text.partition("<think>")[2].partition(_END_OF_THINKING)
    if not closing:
        begun = (_END_OF_THINKING[:length] for length in range(len(_END_OF_THINKING), 0, -1))
        thinking = thinking.removesuffix(next((part for part in begun if thinking.endswith(part)), ""))
    return thinking.strip()


def check_length(text: str) -> None:
    """Refuse a text that is too long to be an answer."""
    if len(text) > MAX_TEXT:
        raise MalformedAnswer(f"the text has {len(text):,} characters, more than the {MAX_TEXT:,} that are read")


def check_readable(name: str, objects: int = 0, points: int = 0) -> None:
    """Refuse to write an answer that would be too long to be read.

    Args:
        name: of the format.
        objects: how many it has.
        points: how many it has.

    Raises:
        ValueError: more than are read.
    """
    for count, most, what in ((objects, MAX_OBJECTS, "objects"), (points, MAX_POINTS, "points")):
        if count > most:
            raise ValueError(f"the format {name} holds at most {most} {what}, found {count}")


def readable_text(text: str, name: str) -> str:
    """A rendered answer, which has to be short enough to be read.

    Raises:
        ValueError: it is not.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"the format {name} holds at most {MAX_TEXT:,} characters, found {len(text):,}")
    return text


def read_json(text: str, what: str) -> Any:
    """The value that a JSON text holds. A key twice, NaN, Infinity and deep nesting are refused.

    Args:
        text: the JSON, white space around it allowed.
        what: what it is, for the reason.
    """
    deepest = max(accumulate(1 if bracket in "[{" else -1 for bracket in _BRACKET.findall(text)), default=0)
    if deepest > MAX_NESTING:
        raise MalformedAnswer(f"{what} has brackets {deepest} deep, more than the {MAX_NESTING} that are read")
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_not_a_number)
    except json.JSONDecodeError as error:
        raise MalformedAnswer(f"{what} is not JSON: {error.msg} at character {error.pos}: {excerpt(text)}") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise MalformedAnswer(f"{what} has a number that is too long") from error


def read_object(item: object, frame: Size | None, what: str) -> ObjectPrompt:
    """One object of a list of ``bbox_2d`` and ``point_2d``, a box and a point on it; other keys are passed over.

    Args:
        item: as `json` gives it.
        frame: to which coordinates are clipped; None leaves them as they are.
        what: what it is, for the reason.
    """
    if not isinstance(item, Mapping):
        raise MalformedAnswer(f"{what} should be a JSON object, found {excerpt(item)}")
    for key in ("bbox_2d", "point_2d"):
        if key not in item:
            raise MalformedAnswer(f"{what} has no key '{key}'")
    box = read_box(item["bbox_2d"], frame, f"'bbox_2d' of {what}")
    return ObjectPrompt(box, (read_point(item["point_2d"], frame, f"'point_2d' of {what}"),))


def read_box(value: object, frame: Size | None, what: str) -> Box:
    """A box from a list of four numbers, clipped to the frame if any; negative and reversed ones are refused."""
    x_min, y_min, x_max, y_max = read_numbers(value, 4, what)
    if min(x_min, y_min, x_max, y_max) < 0:
        raise MalformedAnswer(f"{what} has a negative coordinate: {excerpt(value)}")
    if x_min > x_max or y_min > y_max:
        raise MalformedAnswer(f"{what} is reversed, expected x_min ≤ x_max and y_min ≤ y_max: {excerpt(value)}")
    if frame is None:
        return Box(x_min, y_min, x_max, y_max)
    width, height = frame.wh
    return Box(min(x_min, width), min(y_min, height), min(x_max, width), min(y_max, height))


def read_point(value: object, frame: Size | None, what: str, label: int = 1) -> Point:
    """A point from a list of two numbers, clipped to the frame if any; a negative one is refused."""
    x, y = read_numbers(value, 2, what)
    if x < 0 or y < 0:
        raise MalformedAnswer(f"{what} has a negative coordinate: {excerpt(value)}")
    if frame is None:
        return Point(x, y, label)
    return Point(min(x, float(frame.width)), min(y, float(frame.height)), label)


def read_numbers(value: object, count: int, what: str) -> list[float]:
    """A list of so many finite numbers."""
    if not isinstance(value, list | tuple) or len(value) != count:
        raise MalformedAnswer(f"{what} should be a list of {count} numbers, found {excerpt(value)}")
    for position, number in enumerate(value):
        if type(number) not in (int, float) or not _in_reach(number):  # a truth value is no number; NaN compares False
            raise MalformedAnswer(f"{what}, position {position}, is not a number in reach: {excerpt(number)}")
    return [float(number) for number in value]


def _in_reach(value: float) -> bool:
    return -FARTHEST < value < FARTHEST


def whole(value: float) -> int:
    """The nearest whole number, halves up."""
    return math.floor(value + 0.5)


def whole_box(box: Box) -> Box:
    """The box in whole numbers, as formats write it.

    Raises:
        ValueError: a number is too large to be read.
    """
    return Box(*(_writable(value) for value in box.xyxy))


def whole_point(point: Point) -> Point:
    """The point in whole numbers, its label kept.

    Raises:
        ValueError: a number is too large to be read.
    """
    return dataclasses.replace(point, x=_writable(point.x), y=_writable(point.y))


def _writable(value: float) -> float:
    number = float(whole(value))
    if not _in_reach(number):
        raise ValueError(f"coordinates are read below {FARTHEST:,.0f} only, found {number:,.0f}")
    return number


def excerpt(value: object, length: int = 48) -> str:
    """A value, cut short for a sentence."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = writable_text(" ".join(text.split()))
    return f"'{text[:length]}…'" if len(text) > length else f"'{text}'"


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise MalformedAnswer(f"the key {excerpt(twice)} appears twice in an object")
    return made


def _not_a_number(name: str) -> NoReturn:
    raise MalformedAnswer(f"{name} is not a coordinate")

"""What Seg-R1's published code takes out of a completion: whole numbers in tags, wherever these stand.

Its reader looks for the first <points> and <labels> that hold such lists, and for every <bbox>; all else is passed
over. It then has Python evaluate them: a number with zeros before it, or two things without a comma between, ends the
reading, boxes included. Nothing is evaluated here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_PAIR = r"\[\s*\d+\s*,\s*\d+\s*\]"
_COMMA = r"\s*(?:,\s*)?"
_POINTS = re.compile(rf"<points>\s*(\[\s*{_PAIR}(?:{_COMMA}{_PAIR})*{_COMMA}\])\s*</points>")
_LABELS = re.compile(rf"<labels>\s*(\[\s*\d+(?:(?:\s*,\s*|\s+)\d+)*{_COMMA}\])\s*</labels>")
_OPEN_BOX = re.compile(r"<bbox>(\s*)(\[\s*\d+\s*,\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\])")
_BOX = re.compile(_OPEN_BOX.pattern + r"\s*</bbox>")
_NOT_INDENTED = re.compile(r"[ \t]*(?:[\n\r\f \t]*[\n\r\f])?")
_NO_COMMA = re.compile(r"[\d\]]\s+[\d\[]|\]\[")
_CODE = re.compile(r"[][0-9, \t\n\r\f]+")
_WHOLE = re.compile(r"[1-9][0-9]*|0+")

MOST_DIGITS = 4_300
"""Digits of a whole number that Python reads."""


@dataclass(frozen=True, slots=True)
class TagsFound:
    """What is in the tags; None where a tag is missing or does not hold what it should."""

    points: list[tuple[int, int]] | None = None
    labels: list[int] | None = None
    """As many as points, or both are None."""
    boxes: list[tuple[int, int, int, int]] | None = None


def find_tags(text: str) -> TagsFound:
    """What the published reader of the reward, and of the evaluations but that on ReasonSeg, finds in a completion."""
    return _found(text, [box[2] for box in _BOX.finditer(text)])


def find_tags_with_first_box(text: str) -> TagsFound:
    """What the published evaluation on ReasonSeg finds: the first box alone, which need not be closed by </bbox>.

    It has Python evaluate the white space before the box, too, and an indented line ends the reading. A list with a
    number that is no int32 is none.
    """
    box = _OPEN_BOX.search(text)
    if box and not _NOT_INDENTED.fullmatch(box[1]):
        return TagsFound()
    found = _found(text, [box[2]] if box else [])
    boxes = found.boxes if all(map(_is_int32, found.boxes or ())) else None
    if found.labels and _is_int32(found.labels) and all(map(_is_int32, found.points or ())):
        return TagsFound(found.points, found.labels, boxes)
    return TagsFound(boxes=boxes)


def _is_int32(numbers: Sequence[int]) -> bool:
    return all(number < 2**31 for number in numbers)


def _found(text: str, boxes: list[str]) -> TagsFound:
    points, labels = _POINTS.search(text), _LABELS.search(text)
    if not all(map(_evaluates, [found[1] for found in (points, labels) if found] + boxes)):
        return TagsFound()
    places = _numbers(points[1]) if points else []
    pairs = list(zip(places[::2], places[1::2], strict=True)) if points else None
    marks = _numbers(labels[1]) if labels else None
    if pairs is not None and marks is not None and len(pairs) != len(marks):
        pairs = marks = None
    corners = [(box[0], box[1], box[2], box[3]) for box in map(_numbers, boxes)]
    return TagsFound(pairs, marks, corners or None)


def _evaluates(text: str) -> bool:
    """Whether Python makes a list of it: commas in their places, no zeros before a number, plain digits and spaces."""
    if _NO_COMMA.search(text) or not _CODE.fullmatch(text):
        return False
    return all(_WHOLE.fullmatch(digits) and len(digits) <= MOST_DIGITS for digits in re.findall(r"\d+", text))


def _numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]

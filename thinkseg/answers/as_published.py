"""The published formats, read as the authors' evaluations read them; what ThinkSeg asks stays the same.

The names of the formats end in ``-published``; they are for numbers that are to be held against published ones, and the
protocols of the authors read known formats by them. `docs/answers.md` says where they differ from the plain formats.

A box or point keeps its place beyond the frame. What an `Answer` cannot hold is made to fit: a negative coordinate
becomes 0, the corners of a reversed box are put in order, and a label above 1 becomes 1.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thinkseg.answers.json_objects import ONE_OBJECT, SegZero, VisionReasoner
from thinkseg.answers.patterns import AnswerPattern
from thinkseg.answers.published_json import first_answer, first_braces
from thinkseg.answers.published_tags import TagsFound, find_tags, find_tags_with_first_box
from thinkseg.answers.reading import MAX_OBJECTS, MAX_POINTS, check_length
from thinkseg.answers.tags import SegR1, SegR1Points
from thinkseg.errors import MalformedAnswer
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

FARTHEST = 1e9
"""Largest coordinate that is kept."""

_THOUGHT = re.compile(r"<think>([^<]+)</think>")
_UNREADABLE = (TypeError, ValueError, IndexError, KeyError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class SegR1Published(SegR1):
    """`seg-r1` read by its first points and labels and every box, whatever stands around them."""

    name = "seg-r1-published"

    def canonical(self, answer: Answer) -> Answer:
        """The answer as the plain format expresses it.

        Raises:
            ValueError: that cannot express it, or the thinking holds what the published reader takes for an answer.
        """
        return _with_plain_thinking(SegR1.canonical(self, answer), "<")

    def pattern(self) -> AnswerPattern:
        """As the plain format, with plain thinking."""
        return AnswerPattern(SegR1.pattern(self).answer, thinking="[^<]*")

    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion: every box with the points in it, or the points alone where there is no box.

        Raises:
            MalformedAnswer: there is neither a box nor points with as many labels.
        """
        if (nothing := _nothing(text, frame, SegR1())) is not None:
            return nothing
        check_length(text)
        found = _within_limits(find_tags(text))
        points = _points(found)
        if found.boxes:
            objects = (ObjectPrompt(_box(each), tuple(p for p in points if _holds(each, p))) for each in found.boxes)
            return Answer(frame, tuple(objects), _think(text))
        return Answer(frame, (_without_box(points),), _think(text))

    def parse_first(self, text: str, frame: Size) -> Answer:
        """Read a completion as the authors' evaluation on ReasonSeg: the first box, closed or not, with all points.

        Raises:
            MalformedAnswer: as `parse`.
        """
        if (nothing := _nothing(text, frame, SegR1())) is not None:
            return nothing
        check_length(text)
        found = _within_limits(find_tags_with_first_box(text))
        points = _points(found)
        prompt = ObjectPrompt(_box(found.boxes[0]), points) if found.boxes else _without_box(points)
        return Answer(frame, (prompt,), _think(text))


@dataclass(frozen=True, slots=True)
class SegR1PointsPublished(SegR1Points):
    """`seg-r1-points` read by its first points and labels, whatever stands around them."""

    name = "seg-r1-points-published"

    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion.

        Raises:
            MalformedAnswer: there are no points with as many labels.
        """
        if (nothing := _nothing(text, frame, SegR1Points())) is not None:
            return nothing
        check_length(text)
        found = _within_limits(find_tags(text))
        if not found.points or not found.labels:
            raise MalformedAnswer("the published reader finds no points with as many labels")
        points = (_point(x, y, label) for (x, y), label in zip(found.points, found.labels, strict=True))
        return Answer(frame, (ObjectPrompt(None, tuple(points)),))


@dataclass(frozen=True, slots=True)
class SegZeroPublished(SegZero):
    """`seg-zero` read by the first braces anywhere, coordinates cut to whole numbers.

    Without thinking in its tags, or with none between them, it is no answer.
    """

    name = "seg-zero-published"
    can_be_tolerant = False

    def canonical(self, answer: Answer) -> Answer:
        """The answer as the plain format expresses it.

        Raises:
            ValueError: that cannot express it, or the thinking is empty or holds what the published reader takes for
                an answer.
        """
        expressed = _with_plain_thinking(SegZero.canonical(self, answer), "{<")
        if expressed.objects and not expressed.think:
            raise ValueError(f"the format {self.name} needs thinking: the published reader finds no answer without")
        return expressed

    def pattern(self) -> AnswerPattern:
        """As the plain format, with plain thinking."""
        nothing = AnswerPattern(r"<answer>\[\]</answer>", thinking="[^{<]*")
        return AnswerPattern(f"<answer>{ONE_OBJECT}</answer>", thinking="[^{<]+", otherwise=nothing)

    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion.

        Raises:
            MalformedAnswer: there is no object with a box and two points, or no thinking.
        """
        if (nothing := _nothing(text, frame, SegZero())) is not None:
            return nothing
        check_length(text)
        data, thought = first_braces(text), _THOUGHT.search(text)
        if data is None or not thought:
            raise MalformedAnswer(f"the published reader finds no {'JSON in braces' if data is None else 'thinking'}")
        try:
            corners = data[next(key for key in data if "bbox" in key.lower())]
            places = [data[key] for key in data if "points" in key.lower()][:2]
            if len(corners) != 4 or len(places) != 2:
                raise MalformedAnswer("the published reader finds no box of four numbers with two points")
            points = tuple(_point(int(place[0]), int(place[1])) for place in places)
            prompt = ObjectPrompt(_box([int(value) for value in corners]), points)
        except (*_UNREADABLE, StopIteration) as error:
            raise MalformedAnswer("the published reader finds no box of four numbers with two points") from error
        return Answer(frame, (prompt,), _think(text))


@dataclass(frozen=True, slots=True)
class VisionReasonerPublished(VisionReasoner):
    """`vision-reasoner` read by the first answer, wherever it is; a fifth number of a box is passed over."""

    name = "vision-reasoner-published"
    can_be_tolerant = False

    def canonical(self, answer: Answer) -> Answer:
        """The answer as the plain format expresses it.

        Raises:
            ValueError: that cannot express it, or the thinking holds what the published reader takes for an answer.
        """
        return _with_plain_thinking(VisionReasoner.canonical(self, answer), "<")

    def pattern(self) -> AnswerPattern:
        """As the plain format, with plain thinking."""
        return AnswerPattern(VisionReasoner.pattern(self).answer, thinking="[^<]*")

    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion.

        Raises:
            MalformedAnswer: the first answer is no list, or one of its items has no four and two numbers.
        """
        check_length(text)
        data = first_answer(text)
        if not isinstance(data, list):
            raise MalformedAnswer("the published reader finds no list in the first <answer>")
        if len(data) > MAX_OBJECTS:
            raise MalformedAnswer(f"there are {len(data)} objects, more than the {MAX_OBJECTS} that are read")
        try:
            boxes = [_box([_finite(item["bbox_2d"][at]) for at in range(4)]) for item in data]
        except _UNREADABLE as error:
            raise MalformedAnswer("the published reader finds an item without a box of four numbers") from error
        return Answer(frame, tuple(map(ObjectPrompt, boxes, self._points_of(data))), _think(text))

    def _points_of(self, data: list[Any]) -> list[tuple[Point, ...]]:
        """The point of each item, alone.

        Raises:
            MalformedAnswer: one has none.
        """
        points = _point_of_each(data)
        if points is None:
            raise MalformedAnswer("the published reader finds an item without a point of two numbers")
        return points


@dataclass(frozen=True, slots=True)
class VisionReasonerBoxesPublished(VisionReasonerPublished):
    """`vision-reasoner-published` where boxes are what counts: without a point of one item all are boxes alone.

    So do the authors' evaluations of detection and counting; of such an answer they make no mask.
    """

    name = "vision-reasoner-boxes-published"

    def _points_of(self, data: list[Any]) -> list[tuple[Point, ...]]:
        return _point_of_each(data) or [()] * len(data)


def _with_plain_thinking(answer: Answer, held: str) -> Answer:
    """An answer whose thinking has none of some characters."""
    if any(character in answer.think for character in held):
        raise ValueError(f"thinking in a published format cannot hold {' or '.join(held)}: an answer begins there")
    return answer


def _nothing(text: str, frame: Size, plain: SegR1 | SegR1Points | SegZero) -> Answer | None:
    """What says "nothing there" in the plain format, of which the published readers make no mask either; else None."""
    answer = plain.try_parse(text, frame)
    return answer if isinstance(answer, Answer) and not answer.objects else None


def _within_limits(found: TagsFound) -> TagsFound:
    if len(found.boxes or ()) > MAX_OBJECTS or len(found.points or ()) > MAX_POINTS:
        raise MalformedAnswer(f"there are more than the {MAX_OBJECTS} boxes or the {MAX_POINTS} points that are read")
    return found


def _points(found: TagsFound) -> tuple[Point, ...]:
    """The points with their labels; none where one of the two is missing."""
    pairs = zip(found.points or (), found.labels or (), strict=False)
    return tuple(_point(x, y, label) for (x, y), label in pairs)


def _without_box(points: tuple[Point, ...]) -> ObjectPrompt:
    if not points:
        raise MalformedAnswer("the published reader finds neither a box nor points with as many labels")
    return ObjectPrompt(None, points)


def _think(text: str) -> str:
    """What stands between the first tags of thinking; empty where there are none."""
    thinking, closing, _ = text.partition("<think>")[2].partition("</think>")
    return thinking.strip() if closing else ""


def _holds(corners: Sequence[int], point: Point) -> bool:
    """Whether a point lies between the corners as they are written; in a reversed box none does."""
    left, top, right, bottom = corners
    return left <= point.x <= right and top <= point.y <= bottom


def _point_of_each(data: list[Any]) -> list[tuple[Point, ...]] | None:
    """The point of each item, alone; None where one has none."""
    try:
        return [(_point(_finite(item["point_2d"][0]), _finite(item["point_2d"][1])),) for item in data]
    except _UNREADABLE:
        return None


def _finite(value: Any) -> Any:
    """A number that is not infinite: those evaluations cut it to a whole number, which fails."""
    if isinstance(value, float) and math.isinf(value):
        raise ValueError("not finite")
    return value


def _point(x: Any, y: Any, label: int = 1) -> Point:
    return Point(_kept(x), _kept(y), min(label, 1))


def _box(corners: Sequence[Any]) -> Box:
    left, top, right, bottom = map(_kept, corners)
    return Box(min(left, right), min(top, bottom), max(left, right), max(top, bottom))


def _kept(value: Any) -> float:
    if not isinstance(value, int | float) or math.isnan(value):
        raise TypeError("not a number")
    return float(min(max(value, 0), FARTHEST))

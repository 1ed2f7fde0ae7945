"""Answers in tags: `seg-r1`, as Seg-R1 writes them after RL, and `seg-r1-points`, as its pre-RL does.

::

    <think>On the left.</think><bbox>[10,20,90,80]</bbox><points>[[40,50],[12,22]]</points><labels>[1,0]</labels>

Between tags there may be white space and commas. A point belongs to every box that contains it. "Nothing there" is
written with empty tags: ``<bbox></bbox><points></points><labels></labels>``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from thinkseg.answers.base import AnswerFormat
from thinkseg.answers.patterns import BOX, GAP, AnswerPattern, points_and_labels
from thinkseg.answers.reading import (
    MAX_OBJECTS,
    MAX_POINTS,
    check_length,
    check_readable,
    excerpt,
    read_box,
    read_json,
    read_point,
    readable_text,
    whole_box,
    whole_point,
)
from thinkseg.errors import MalformedAnswer
from thinkseg.types import Answer, Box, Instruction, ObjectPrompt, Point, Size

SEG_R1_TEMPLATE = Instruction(
    system=(
        "You find things in images. First think about the request between <think> and </think>. Then write for each "
        "object that is meant its box as <bbox>[x_min,y_min,x_max,y_max]</bbox>, after the boxes all points as "
        "<points>[[x,y],[x,y]]</points>, and one label per point, in the same order, as <labels>[1,0]</labels>: 1 is a "
        "point on an object, 0 a point on the background. When the image does not have what is meant, leave the tags "
        "empty: <bbox></bbox><points></points><labels></labels>. An example of an answer: {example}"
    ),
    user="Find in this image: {query}",
)

SEG_R1_POINTS_TEMPLATE = Instruction(
    user=(
        "Find in this image: {query}. Write points as <points>[[x,y],[x,y]]</points> and one label per point, in the "
        "same order, as <labels>[1,0]</labels>: 1 is a point on what is meant, 0 a point on the background. When the "
        "image does not have it, leave the tags empty: <points></points><labels></labels>. An example of an answer: "
        "{example}"
    )
)

_OPENING = re.compile("<(think|bbox|points|labels)>")


@dataclass(frozen=True, slots=True)
class SegR1(AnswerFormat):
    """Thinking, one or more boxes, points and labels; the tags in any order, as the published reader takes them."""

    name = "seg-r1"
    template = SEG_R1_TEMPLATE

    def canonical(self, answer: Answer) -> Answer:
        """The answer as this format expresses it: whole numbers, and every point with all boxes that contain it.

        Raises:
            ValueError: an object has no box, the thinking holds a tag, or there is more than is read.
        """
        if any(prompt.box is None for prompt in answer.objects):
            raise ValueError("the format seg-r1 needs a box for every object; seg-r1-points has none")
        boxes = [whole_box(prompt.box) for prompt in answer.objects if prompt.box]
        points = dict.fromkeys(whole_point(point) for prompt in answer.objects for point in prompt.points)
        check_readable(self.name, len(boxes), len(points))
        in_writing_order = list(dict.fromkeys(point for box in boxes for point in points if box.contains(point)))
        objects = tuple(_with_points(box, in_writing_order) for box in boxes)
        return Answer(answer.frame, objects, _checked_think(answer.think))

    def render(self, answer: Answer) -> str:
        """The answer as text: nothing between the tags, no spaces after commas."""
        answer = self.canonical(answer)
        boxes = "".join(f"<bbox>{_list_of(prompt.box.xyxy)}</bbox>" for prompt in answer.objects if prompt.box)
        points = list(dict.fromkeys(point for prompt in answer.objects for point in prompt.points))
        text = f"<think>{answer.think}</think>{boxes or '<bbox></bbox>'}{_render_points(points)}"
        return readable_text(text, self.name)

    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion; the module's text has the grammar.

        Raises:
            MalformedAnswer: the reason says which tag is missing, double, or holds what it should not.
        """
        found, rest = read_tags(text)
        stray = re.sub(r"[\s,]+", " ", rest).strip()
        if stray:
            raise MalformedAnswer(f"there is text outside the tags: {excerpt(stray)}")
        think, points = _single(found["think"], "think"), _labelled_points(found, frame)
        payloads = found["bbox"]
        if not payloads:
            raise MalformedAnswer("the tag <bbox> is missing")
        if len(payloads) > MAX_OBJECTS:
            raise MalformedAnswer(f"there are {len(payloads)} boxes, more than the {MAX_OBJECTS} that are read")
        if all(_is_empty(payload) for payload in payloads):
            if points or len(payloads) > 1:
                raise MalformedAnswer("an empty <bbox> says that nothing is there, and the other tags say otherwise")
            return Answer(frame, (), think.strip())
        boxes = [
            read_box(read_json(payload, f"box {number}"), frame, f"box {number}")
            for number, payload in enumerate(payloads, start=1)
        ]
        return Answer(frame, tuple(_with_points(box, points) for box in boxes), think.strip())

    def pattern(self) -> AnswerPattern:
        """Thinking, boxes, points and labels; or all tags empty."""
        boxes = f"(<bbox>{BOX}</bbox>{GAP}){{1,{MAX_OBJECTS}}}{points_and_labels()}"
        return AnswerPattern(f"(<bbox></bbox>{GAP}<points></points>{GAP}<labels></labels>|{boxes})")

    def parse_first(self, text: str, frame: Size) -> Answer:
        """The first box with all points, also those that lie outside of it.

        Raises:
            MalformedAnswer: as `parse`.
        """
        answer = self.parse(text, frame)
        points = tuple(_labelled_points(read_tags(text)[0], frame))
        return replace(answer, objects=tuple(ObjectPrompt(prompt.box, points) for prompt in answer.objects[:1]))


@dataclass(frozen=True, slots=True)
class SegR1Points(AnswerFormat):
    """Points and labels of one object, without a box.

    Thinking, boxes and words beside the two tags are passed over, as the published reader does: pre-RL has no
    instruction about them. Points inside the thinking are never read.
    """

    name = "seg-r1-points"
    template = SEG_R1_POINTS_TEMPLATE

    def canonical(self, answer: Answer) -> Answer:
        """The answer as this format expresses it: the points of all objects, in whole numbers, as one object.

        Raises:
            ValueError: there are objects, but no points; or more points than are read.
        """
        points = tuple(dict.fromkeys(whole_point(point) for prompt in answer.objects for point in prompt.points))
        if answer.objects and not points:
            raise ValueError("the format seg-r1-points needs points, and the objects have none")
        check_readable(self.name, points=len(points))
        return Answer(answer.frame, (ObjectPrompt(None, points),) if points else ())

    def render(self, answer: Answer) -> str:
        """The points and their labels as text; thinking and boxes are left out."""
        return _render_points([point for prompt in self.canonical(answer).objects for point in prompt.points])

    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion; empty tags say "nothing there".

        Raises:
            MalformedAnswer: the reason says which tag is missing, double, or holds what it should not.
        """
        found, _ = read_tags(text)
        points = tuple(_labelled_points(found, frame))
        return Answer(frame, (ObjectPrompt(None, points),) if points else ())

    def pattern(self) -> AnswerPattern:
        """Points and labels alone."""
        return AnswerPattern(points_and_labels(), thinking=None)


def read_tags(text: str) -> tuple[dict[str, list[str]], str]:
    """What stands between the tags of a completion.

    Returns:
        For each of think, bbox, points and labels the contents of its tags in order, and the text outside all of them.
        What stands inside the thinking is thinking, whatever it looks like.

    Raises:
        MalformedAnswer: the text is too long, or a tag is not closed.
    """
    check_length(text)
    found: dict[str, list[str]] = {"think": [], "bbox": [], "points": [], "labels": []}
    rest, start = [], 0
    while opening := _OPENING.search(text, start):
        tag = opening[1]
        end = text.find(f"</{tag}>", opening.end())
        if end < 0:
            raise MalformedAnswer(f"the tag <{tag}> is not closed")
        found[tag].append(text[opening.end() : end])
        rest.append(text[start : opening.start()])
        start = end + len(f"</{tag}>")
    rest.append(text[start:])
    return found, " ".join(rest)


def _labelled_points(found: dict[str, list[str]], frame: Size) -> list[Point]:
    """The points with their labels; none where both tags are empty."""
    points, labels = (_list_in(_single(found[tag], tag), tag) for tag in ("points", "labels"))
    if len(points) != len(labels):
        raise MalformedAnswer(f"there are {len(points)} points and {len(labels)} labels, expected as many")
    if len(points) > MAX_POINTS:
        raise MalformedAnswer(f"there are {len(points)} points, more than the {MAX_POINTS} that are read")
    read = []
    for number, (point, label) in enumerate(zip(points, labels, strict=True), start=1):
        if type(label) is not int or label not in (0, 1):
            raise MalformedAnswer(f"label {number} should be 1 (object) or 0 (background), found {excerpt(label)}")
        read.append(read_point(point, frame, f"point {number}", label))
    return read


def _single(contents: list[str], tag: str) -> str:
    if len(contents) != 1:
        raise MalformedAnswer(f"the tag <{tag}> is missing" if not contents else f"the tag <{tag}> appears twice")
    return contents[0]


def _list_in(payload: str, tag: str) -> list[object]:
    if _is_empty(payload):
        return []
    value = read_json(payload, f"<{tag}>")
    if not isinstance(value, list):
        raise MalformedAnswer(f"<{tag}> should hold a list, found {excerpt(payload)}")
    return value


def _is_empty(payload: str) -> bool:
    return "".join(payload.split()) in ("", "[]")


def _with_points(box: Box, points: Sequence[Point]) -> ObjectPrompt:
    return ObjectPrompt(box, tuple(point for point in points if box.contains(point)))


def _checked_think(think: str) -> str:
    if "</think>" in think:
        raise ValueError("thinking cannot hold the tag </think>: it would end there")
    return think.strip()


def _render_points(points: Sequence[Point]) -> str:
    if not points:
        return "<points></points><labels></labels>"
    places = ",".join(_list_of((point.x, point.y)) for point in points)
    return f"<points>[{places}]</points><labels>{_list_of([point.label for point in points])}</labels>"


def _list_of(numbers: Sequence[float]) -> str:
    return f"[{','.join(str(int(number)) for number in numbers)}]"

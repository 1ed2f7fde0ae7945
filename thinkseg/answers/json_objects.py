"""Answers in JSON: `seg-zero` with exactly one object and two points, `vision-reasoner` with a list of objects.

::

    <think>On the left.</think><answer>{"bbox": [10, 20, 90, 80], "points_1": [40, 50], "points_2": [30, 60]}</answer>
    <think>There are two.</think><answer>[{"bbox_2d": [10, 20, 90, 80], "point_2d": [40, 50]}, …]</answer>

"Nothing there" is ``<answer>[]</answer>`` in both. The answer is what stands in the one <answer> after the thinking;
braces inside the thinking are thinking. Text around the two tags is passed over: whether the thinking is in its place
is a reward of its own. Keys that a format does not know are passed over, the others must be right.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thinkseg.answers.base import AnswerFormat
from thinkseg.answers.patterns import BOX, POINT, AnswerPattern, members, objects
from thinkseg.answers.reading import (
    MAX_OBJECTS,
    attempt,
    check_length,
    check_readable,
    excerpt,
    read_box,
    read_json,
    read_object,
    read_point,
    readable_text,
    whole_box,
    whole_point,
)
from thinkseg.answers.untuned import read_untuned
from thinkseg.errors import MalformedAnswer
from thinkseg.types import Answer, Instruction, ObjectPrompt, Size

SEG_ZERO_TEMPLATE = Instruction(
    user=(
        'Find "{query}" in this image. Compare the candidate objects and choose the one that fits best. '
        "Write your reasoning between <think> and </think>, then between <answer> and </answer>, as JSON, the "
        "box of that object and two points on it; if there is no such object, the answer is []. An example: {example}"
    )
)

VISION_REASONER_TEMPLATE = Instruction(
    user=(
        'Find "{query}" in this image. Compare the candidate objects and choose all that fit. Write '
        "your reasoning between <think> and </think>, then between <answer> and </answer>, as a JSON list, the box of "
        "each of these objects and a point on it; if there is no such object, the list is empty. An example: {example}"
    )
)

ONE_OBJECT = members(bbox=BOX, points_1=POINT, points_2=POINT)
"""A regular expression of the object that `seg-zero` writes."""

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_TAG = re.compile("|".join(_TAGS))
_LANGUAGE = re.compile(r"^\s*[A-Za-z]*")


@dataclass(frozen=True, slots=True)
class SegZero(AnswerFormat):
    """One object: ``bbox``, ``points_1`` and ``points_2``."""

    name = "seg-zero"
    template = SEG_ZERO_TEMPLATE
    points_per_object = 2
    can_be_tolerant = True

    def canonical(self, answer: Answer) -> Answer:
        """The answer as this format expresses it: whole numbers and the object's first two points.

        Raises:
            ValueError: there are several objects, or the one lacks a box or two points on it.
        """
        if len(answer.objects) > 1:
            raise ValueError(f"the format seg-zero has one object, found {len(answer.objects)}")
        return _canonical(answer, self.points_per_object, self.name)

    def render(self, answer: Answer) -> str:
        """The answer as text."""
        answer = self.canonical(answer)
        if not answer.objects:
            return _rendered(answer.think, [], self.name)
        box, points = _parts_of(answer.objects[0])
        return _rendered(answer.think, {"bbox": box, "points_1": points[0], "points_2": points[1]}, self.name)

    def pattern(self) -> AnswerPattern:
        """Thinking, and one object or none."""
        return AnswerPattern(f"<answer>(\\[\\]|{ONE_OBJECT})</answer>")

    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion.

        Raises:
            MalformedAnswer: the reason says which tag or key is missing, double, or holds what it should not.
        """
        if self.tolerant:
            return self._read_untuned(text, frame)
        return self._read(text, frame)

    def _read_untuned(self, text: str, frame: Size) -> Answer:
        """What is right as it is, or else the one object that is named in JSON anywhere."""
        strict = attempt(self._read, text, frame)
        if isinstance(strict, Answer):
            return strict
        answer = read_untuned(text, frame)
        if len(answer.objects) > 1:
            raise MalformedAnswer(f"there are {len(answer.objects)} objects, expected one")
        return answer

    def _read(self, text: str, frame: Size) -> Answer:
        think, payload = read_answer_tag(text, tolerant=self.tolerant)
        value = read_json(payload, "the answer")
        if value == []:
            return Answer(frame, (), think)
        if not isinstance(value, dict):
            raise MalformedAnswer(f"the answer should be one JSON object, found {excerpt(payload)}")
        box_key, *point_keys = self._keys_of(value)
        box = read_box(value[box_key], frame, excerpt(box_key))
        points = tuple(read_point(value[key], frame, excerpt(key)) for key in point_keys)
        return Answer(frame, (ObjectPrompt(box, points),), think)

    def _keys_of(self, value: Mapping[str, object]) -> Sequence[str]:
        """The keys of the box and of the two points."""
        keys = ("bbox", "points_1", "points_2")
        for key in keys:
            if key not in value:
                raise MalformedAnswer(f"the key '{key}' is missing")
        return keys


@dataclass(frozen=True, slots=True)
class SegZeroSoft(SegZero):
    """`seg-zero` with other names for its keys: any one with "bbox", any two with "point"."""

    name = "seg-zero-soft"

    def _keys_of(self, value: Mapping[str, object]) -> Sequence[str]:
        boxes = [key for key in value if "bbox" in key.lower()]
        points = [key for key in value if "point" in key.lower()]
        if len(boxes) != 1 or len(points) != 2:
            raise MalformedAnswer(
                f"expected one key with 'bbox' and two with 'point', found {len(boxes)} and {len(points)}"
            )
        return boxes + points


@dataclass(frozen=True, slots=True)
class VisionReasoner(AnswerFormat):
    """A list of objects: ``bbox_2d`` and ``point_2d`` each."""

    name = "vision-reasoner"
    template = VISION_REASONER_TEMPLATE
    can_be_tolerant = True

    def canonical(self, answer: Answer) -> Answer:
        """The answer as this format expresses it: whole numbers and the first point of each object.

        Raises:
            ValueError: an object lacks a box or a point on it.
        """
        return _canonical(answer, self.points_per_object, self.name)

    def render(self, answer: Answer) -> str:
        """The answer as text."""
        answer = self.canonical(answer)
        parts = [_parts_of(prompt) for prompt in answer.objects]
        return _rendered(answer.think, [{"bbox_2d": box, "point_2d": points[0]} for box, points in parts], self.name)

    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion.

        Raises:
            MalformedAnswer: the reason says which tag, item or key is missing, double, or holds what it should not.
        """
        strict = attempt(self._read, text, frame) if self.tolerant else self._read(text, frame)
        return strict if isinstance(strict, Answer) else read_untuned(text, frame)

    def pattern(self) -> AnswerPattern:
        """Thinking, and a list of objects."""
        item = members(bbox_2d=BOX, point_2d=POINT)
        return AnswerPattern(f"<answer>{objects(item)}</answer>")

    def _read(self, text: str, frame: Size) -> Answer:
        think, items = self.read_items(text)
        objects = tuple(read_object(item, frame, f"object {number}") for number, item in enumerate(items, start=1))
        return Answer(frame, objects, think)

    def read_items(self, text: str) -> tuple[str, list[object]]:
        """The thinking and the items of the answer's list, whatever they are.

        Raises:
            MalformedAnswer: there is no answer, it is not a list, or it is too long.
        """
        think, payload = read_answer_tag(text, tolerant=self.tolerant)
        items = read_json(payload, "the answer")
        if not isinstance(items, list):
            raise MalformedAnswer(f"the answer should be a JSON list, found {excerpt(payload)}")
        if len(items) > MAX_OBJECTS:
            raise MalformedAnswer(f"there are {len(items)} objects, more than the {MAX_OBJECTS} that are read")
        return think, items

    def form_score(self, text: str, frame: Size, answer: Answer | None) -> float:
        """How well a text keeps to the format, 0…3, as published.

        1 for the thinking in its place, and for the items of the list on average 1 for a right ``bbox_2d`` and 1 for a
        right ``point_2d``; "nothing there" is right.
        """
        right = answer is not None and all(prompt.box and prompt.points for prompt in answer.objects)
        items = 2.0 if right else self._right_keys_per_item(text, frame)
        return float(thinking_in_place(text)) + items

    def _right_keys_per_item(self, text: str, frame: Size) -> float:
        """The mean over the items of a malformed answer of how many of their two keys are right; 0 without a list."""
        listed = attempt(self.read_items, text)
        if isinstance(listed, MalformedAnswer):
            return 0.0
        _, items = listed
        read = [
            attempt(read, item.get(key) if isinstance(item, dict) else None, frame, key)
            for item in items
            for key, read in (("bbox_2d", read_box), ("point_2d", read_point))
        ]
        return sum(not isinstance(value, MalformedAnswer) for value in read) / len(items)


def thinking_in_place(text: str) -> bool:
    """Whether a text is one <think>…</think>, white space, one <answer>…</answer>, and nothing around them."""
    thinking, closing, rest = text.partition("</think>")
    answer = rest.lstrip()
    in_place = bool(closing) and thinking.startswith("<think>") and answer.startswith("<answer>")
    tags = Counter(_TAG.findall(text))
    return in_place and answer.endswith("</answer>") and all(tags[tag] == 1 for tag in _TAGS)


def read_answer_tag(text: str, *, tolerant: bool = False) -> tuple[str, str]:
    """The thinking and what stands in the answer tag after it; thinking that is missing is empty.

    Args:
        text: a completion. When it starts inside the thinking, as with a chat template that opens it, the thinking goes
            from its beginning to </think>.
        tolerant: whether to take the answer out of a code fence.

    Raises:
        MalformedAnswer: the text is too long, a tag is not closed, or there is not exactly one answer.
    """
    check_length(text)
    before, closing, after = text.partition("</think>")
    if not closing and "<think>" in text:
        raise MalformedAnswer("the tag <think> is not closed")
    think = before.rpartition("<think>")[2].strip() if closing else ""
    rest = after if closing else text
    pieces = rest.split("<answer>")
    if len(pieces) != 2:
        raise MalformedAnswer("there is no <answer>" if len(pieces) < 2 else f"there are {len(pieces) - 1} answers")
    payload, closing, _ = pieces[1].partition("</answer>")
    if not closing:
        raise MalformedAnswer("the tag <answer> is not closed")
    return think, _without_fence(payload) if tolerant else payload


def _without_fence(payload: str) -> str:
    """What stands in a code fence; the text itself where there is none."""
    text = payload.strip()
    if len(text) < 6 or not (text.startswith("```") and text.endswith("```")):
        return payload
    return _LANGUAGE.sub("", text[3:-3], count=1)


def _canonical(answer: Answer, point_count: int, name: str) -> Answer:
    check_readable(name, len(answer.objects))
    objects = []
    for number, prompt in enumerate(answer.objects, start=1):
        points = [point for point in prompt.points if point.label == 1][:point_count]
        if prompt.box is None or len(points) < point_count:
            raise ValueError(f"the format {name} needs a box and {point_count} point(s) on object {number}")
        objects.append(ObjectPrompt(whole_box(prompt.box), tuple(map(whole_point, points))))
    if "<think>" in answer.think or "</think>" in answer.think:
        raise ValueError("thinking cannot hold the tags <think> and </think>: it would begin or end there")
    return Answer(answer.frame, tuple(objects), answer.think.strip())


def _parts_of(prompt: ObjectPrompt) -> tuple[list[int], list[list[int]]]:
    """Box and points of an object in canonical form, as JSON has them."""
    box = [int(value) for value in prompt.box.xyxy] if prompt.box else []
    return box, [[int(point.x), int(point.y)] for point in prompt.points]


def _rendered(think: str, value: object, name: str) -> str:
    return readable_text(f"<think>{think}</think><answer>{json.dumps(value)}</answer>", name)

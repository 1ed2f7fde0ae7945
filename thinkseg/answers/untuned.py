"""Answers of models that were never tuned: JSON with boxes, in a code fence, among words, without thinking.

::

    ```json
    [{"bbox_2d": [10, 20, 90, 80], "label": "cup"}]
    ```

So Qwen2.5-VL and Qwen3-VL write by themselves. An object may have a box, a point, or both, under any key that says so.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from thinkseg.answers.reading import MAX_OBJECTS, attempt, check_length, excerpt, read_box, read_json, read_point
from thinkseg.errors import MalformedAnswer
from thinkseg.types import Answer, ObjectPrompt, Size

MOST_TRIES = 50
"""Brackets at which JSON is looked for, from the first on."""

_FENCE = re.compile(r"```\w*+\n?(.*?)```", re.DOTALL)
"""The word of a language is taken whole: trying shorter ones would take the square of a long word's time."""
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)
_OPENING = re.compile(r"[\[{]")
_COMMA_AT_END = re.compile(r",(?=\s*[\]}])")


def read_untuned(text: str, frame: Size) -> Answer:
    """What a completion names, from the first list or object in JSON that can be read.

    It is looked for behind the thinking: in the answer tag, in code fences, and then anywhere. An empty list says that
    nothing is there.

    Raises:
        MalformedAnswer: there is no such JSON, or an object in it has neither a box nor a point that is right.
    """
    check_length(text)
    before, closing, after = text.rpartition("</think>")
    think = before.rpartition("<think>")[2].strip() if closing else ""
    for value in _values(after):
        items = value if isinstance(value, list) else [value]
        if len(items) == 4 and all(type(number) in (int, float) for number in items):
            items = [{"bbox_2d": items}]  # a box alone
        if not all(isinstance(item, dict) for item in items):
            continue
        if len(items) > MAX_OBJECTS:
            raise MalformedAnswer(f"there are {len(items)} objects, more than the {MAX_OBJECTS} that are read")
        return Answer(frame, tuple(_object(item, frame, f"object {n}") for n, item in enumerate(items, start=1)), think)
    raise MalformedAnswer(f"there is no JSON list of objects in it: {excerpt(after)}")


def _values(text: str) -> Iterator[list[Any] | dict[str, Any]]:
    """The lists and objects in JSON, those in the answer tag first, then those in code fences, then any others."""
    decoder = json.JSONDecoder()
    answers = _ANSWER.findall(text)
    in_answers = [fenced for answer in answers for fenced in _FENCE.findall(answer)]
    for place in (*in_answers, *answers, *_FENCE.findall(text), text):
        kept, start = _COMMA_AT_END.sub("", place), 0
        for _ in range(MOST_TRIES):
            opening = _OPENING.search(kept, start)
            if opening is None:
                break
            try:
                _, end = decoder.raw_decode(kept, opening.start())
            except (ValueError, RecursionError):
                start = opening.end()
                continue
            value = attempt(read_json, kept[opening.start() : end], "the answer")
            if not isinstance(value, MalformedAnswer):
                yield value
            start = end


def _object(item: Mapping[str, Any], frame: Size, what: str) -> ObjectPrompt:
    boxes = _under(item, "box", lambda value, where: read_box(value, frame, where), what)
    points = _under(item, "point", lambda value, where: read_point(value, frame, where), what)
    if not boxes and not points:
        raise MalformedAnswer(f"{what} has neither a box nor a point")
    if len(boxes) > 1:
        raise MalformedAnswer(f"{what} has {len(boxes)} boxes")
    return ObjectPrompt(boxes[0] if boxes else None, tuple(points))


def _under(item: Mapping[str, Any], word: str, read: Callable[[Any, str], Any], what: str) -> list[Any]:
    """What is read under the keys with a word in them; null stands for nothing."""
    found = {key: value for key, value in item.items() if word in key.lower() and value is not None}
    return [read(value, f"{excerpt(key)} of {what}") for key, value in found.items()]

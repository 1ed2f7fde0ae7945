"""Parts that look at the text alone: is it written as it should be."""

import re
from collections import Counter

from thinkseg.answers import VisionReasoner
from thinkseg.answers.reading import read_box, read_point
from thinkseg.errors import MalformedAnswer
from thinkseg.rewards.reward_input import RewardInput
from thinkseg.types import Size

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_TAG = re.compile("|".join(_TAGS))
_FULL_STOP = re.compile(r"\.(?!\d)")  # not the point of a decimal: coordinates may recur


def format_kept(item: RewardInput) -> float:
    """Whether the completion keeps to its format: 1 when it can be read, else 0.

    For `vision-reasoner` 0…3, as published: 1 for the thinking in its place, and for the items of the list on average
    1 for a right ``bbox_2d`` and 1 for a right ``point_2d``; "nothing there" is right.
    """
    if isinstance(item.answer_format, VisionReasoner):
        items = 2.0 if item.answer is not None else _items_right(item.answer_format, item.text, item.frame)
        return thinking_in_place(item) + items
    return answer_readable(item)


def answer_readable(item: RewardInput) -> float:
    """1 when the answer can be read in its format, else 0."""
    return float(item.answer is not None)


def thinking_in_place(item: RewardInput) -> float:
    """1 when the completion is one <think>…</think> and then one <answer>…</answer>, with nothing around but spaces."""
    text = item.text.strip()
    thinking, closing, rest = text.partition("</think>")
    answer = rest.lstrip()
    in_place = closing and thinking.startswith("<think>") and answer.startswith("<answer>")
    tags = Counter(_TAG.findall(text))
    return float(bool(in_place and answer.endswith("</answer>") and all(tags[tag] == 1 for tag in _TAGS)))


def non_repetition(item: RewardInput) -> float:
    """0 when two or more sentences are ones that the completion has had before, else 1."""
    sentences = [sentence.strip() for sentence in _FULL_STOP.split(item.text)]
    written = [sentence for sentence in sentences if sentence]
    return float(len(written) - len(set(written)) < 2)


def _items_right(answer_format: VisionReasoner, text: str, frame: Size) -> float:
    """The mean over the items of a malformed answer of how many of their two keys are right; 0 without a list."""
    try:
        _, items = answer_format.read_items(text)
    except MalformedAnswer:
        return 0.0
    right = 0
    for item in items:
        for key, read in (("bbox_2d", read_box), ("point_2d", read_point)):
            try:
                read(item.get(key) if isinstance(item, dict) else None, frame, key)
            except MalformedAnswer:
                continue
            right += 1
    return right / len(items)

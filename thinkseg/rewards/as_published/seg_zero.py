"""Seg-Zero's rewards with the values of its published functions, the strict and the soft ones.

Each term reads the completion by itself, so that one may score what another refuses.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thinkseg.answers.published_json import first_braces, tags_in_order
from thinkseg.rewards.part import RewardPart, reward
from thinkseg.rewards.reward_input import RewardInput
from thinkseg.types import Answer

MIN_IOU = 0.5
MAX_BOX_L1 = 10
MAX_POINTS_DISTANCE = 100

_KEYS = ("bbox", "points_1", "points_2")
_UNREADABLE = (TypeError, ValueError, IndexError, KeyError, ArithmeticError)
"""What Python's own conversions and comparisons raise for values that are no numbers or out of reach."""

Values = Mapping[str, Any]
Truth = tuple[Sequence[float], Sequence[Sequence[float]]]


def _strict_format(data: Values) -> bool:
    lengths = zip(_KEYS, (4, 2, 2), strict=True)
    return all(isinstance(data.get(key), list) and len(data[key]) == length for key, length in lengths)


def _soft_format(data: Values) -> bool:
    box = _box_key(data)
    points = [key for key in data if "point" in key.lower() and key != box]
    return box is not None and len(points) > 1 and len(data[box]) == 4 and all(len(data[k]) == 2 for k in points[:2])


def _box_key(data: Values) -> str | None:
    return next((key for key in data if "bbox" in key.lower()), None)


def _strict_values(data: Values) -> tuple[Any, list[Any]]:
    return data.get("bbox"), [data[key] for key in _KEYS[1:] if key in data]


def _soft_values(data: Values) -> tuple[Any, list[Any]]:
    key = _box_key(data)
    return None if key is None else data[key], [data[key] for key in data if "points" in key.lower()][:2]


def _overlap(box: Sequence[Any], true: Sequence[float]) -> bool:
    left, top = max(box[0], true[0]), max(box[1], true[1])
    right, bottom = min(box[2], true[2]), min(box[3], true[3])
    shared = (right - left + 1) * (bottom - top + 1) if left < right and top < bottom else 0
    return bool(float(shared) / (_area(box) + _area(true) - shared) > MIN_IOU)


def _area(box: Sequence[Any]) -> Any:
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)


def _near_box(box: Sequence[Any], true: Sequence[float]) -> bool:
    return bool(sum(abs(box[side] - true[side]) for side in range(4)) / 4 < MAX_BOX_L1)


def _near_points(box: Sequence[Any], points: Sequence[Any], true: Sequence[Sequence[float]]) -> bool:
    """The first two numbers of each point count, cut to whole numbers; digits in quotes are some."""
    first, second = ((int(point[0]), int(point[1])) for point in points)
    if not all(box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y in (first, second)):
        return False
    straight = _distance(first, true[0]) + _distance(second, true[1])
    crossed = _distance(first, true[1]) + _distance(second, true[0])
    return min(straight, crossed) / 2 < MAX_POINTS_DISTANCE


def _distance(point: Sequence[float], other: Sequence[float]) -> float:
    return math.sqrt((point[0] - other[0]) ** 2 + (point[1] - other[1]) ** 2)


def _term(name: str, holds: Callable[[Any, list[Any], Truth], bool], values: Callable[[Values], Any]) -> RewardPart:
    """A term that compares what `values` finds with the truth: 1 where it holds, else 0; None without two points."""

    @reward(needs=["objects"], name=name, points=2)
    def part(item: RewardInput) -> float | None:
        assert item.truth.objects is not None
        data = first_braces(item.text)
        if not item.truth.objects.objects or data is None:
            return 0.0  # the published functions cannot say that nothing is there
        truth = _true(item.truth.objects.rescaled(item.frame))
        if truth is None:
            return None
        box, points = values(data)
        try:
            return float(len(box) == 4 and holds(box, points, truth))
        except _UNREADABLE:
            return 0.0

    return part


def _true(truth: Answer) -> Truth | None:
    prompt = truth.objects[0]
    points = [(point.x, point.y) for point in prompt.points if point.label == 1]
    return None if prompt.box is None or len(points) < 2 else (prompt.box.xyxy, points)


def _format_term(keeps: Callable[[Values], bool]) -> RewardPart:
    @reward(name="answer_format")
    def part(item: RewardInput) -> float:
        data = first_braces(item.text)
        try:
            return float(data is not None and keeps(data))
        except _UNREADABLE:
            return 0.0

    return part


@reward(name="think_format")
def think_format(item: RewardInput) -> float:
    """1 when the whole text is in its tags, whatever they hold; else 0."""
    return float(tags_in_order(item.text))


def _terms(keeps: Callable[[Values], bool], values: Callable[[Values], Any]) -> dict[str, RewardPart]:
    parts = (
        think_format,
        _format_term(keeps),
        _term("box_iou", lambda box, points, true: _overlap(box, true[0]), values),
        _term("box_l1", lambda box, points, true: _near_box(box, true[0]), values),
        _term("points", lambda box, points, true: len(points) == 2 and _near_points(box, points, true[1]), values),
    )
    return {part.name: part for part in parts}


STRICT = _terms(_strict_format, _strict_values)
SOFT = _terms(_soft_format, _soft_values)
